//! The table of keys: which there are, what each takes, which field it fills.
//!
//! Everything else is driven by [`KEYS`]: the reader, the errors, the search for the nearest key.

use crate::config::{Config, Net};
use crate::error::printable;
use crate::position::{Position, Positioned};
use crate::suggest;
use crate::value;
use std::borrow::Cow;

/// A line's value on its way into a [`Config`].
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The value, trimmed and unquoted.
    pub value: &'a str,
    /// The line.
    pub at: Position,
    /// The number that stands for `N` in the key's pattern.
    pub index: Option<u32>,
    /// What stands for `*` in the key's pattern.
    pub rest: &'a str,
}

impl Entry<'_> {
    fn place<T>(&self, value: T) -> Positioned<T> {
        Positioned::new(value, self.at.clone())
    }
}

/// Why a value was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It should have been this; the message adds what was found.
    Expected(Cow<'static, str>),
    /// A whole sentence.
    Other(String),
}

impl Refusal {
    /// The message, without file, line and key.
    pub fn message(&self, found: &str) -> String {
        match self {
            Self::Expected(what) => format!("expected {what}, found “{}”", printable(found)),
            Self::Other(message) => message.clone(),
        }
    }
}

/// Puts a value into its field.
pub type Setter = fn(&mut Config, &Entry<'_>) -> Result<(), Refusal>;

/// What a key does.
#[derive(Clone, Copy)]
pub enum Action {
    /// Reads other files in this line's place.
    Include,
    /// Fills a field.
    Obeyed {
        /// For a value that is not empty.
        set: Setter,
        /// For an empty value: clears a list, brings a scalar back to its default.
        clear: Setter,
    },
    /// LXC has it, this version of Berth does not.
    NotObeyed,
    /// LXC before 2.1 had it; this is its successor.
    Renamed(&'static str),
}

/// One key or family of keys.
pub struct Key {
    /// The key; a component `N` stands for a number, a last component `*` for anything.
    pub pattern: &'static str,
    /// What it is for, in a few words.
    pub summary: &'static str,
    /// What it does.
    pub action: Action,
}

/// A key of the table and what its pattern's wildcards stand for.
pub struct Found<'a> {
    /// The table's row.
    pub key: &'static Key,
    /// For `N`.
    pub index: Option<u32>,
    /// For `*`.
    pub rest: &'a str,
}

impl Key {
    /// Whether a key is this one, and what its wildcards stand for.
    fn matches<'a>(&'static self, name: &'a str) -> Option<Found<'a>> {
        let mut index = None;
        let mut rest = name;
        let mut pattern = self.pattern;
        loop {
            if pattern == "*" {
                return (!rest.is_empty()).then_some(Found {
                    key: self,
                    index,
                    rest,
                });
            }
            let (part, more) = split_component(rest);
            let (expected, more_expected) = split_component(pattern);
            match expected {
                "N" => index = Some(number(part)?),
                _ if expected == part => {}
                _ => return None,
            }
            match (more, more_expected) {
                (None, None) => {
                    return Some(Found {
                        key: self,
                        index,
                        rest: "",
                    });
                }
                (Some(more), Some(more_expected)) => (rest, pattern) = (more, more_expected),
                _ => return None,
            }
        }
    }
}

fn split_component(text: &str) -> (&str, Option<&str>) {
    match text.split_once('.') {
        Some((part, rest)) => (part, Some(rest)),
        None => (text, None),
    }
}

/// An index: decimal digits without a sign, at most 65535 (a container with more interfaces than
/// a bridge has ports is a typing error).
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    text.parse::<u16>().ok().map(u32::from)
}

/// Looks a key up, or says that there is none and which comes nearest.
pub fn find(name: &str) -> Result<Found<'_>, String> {
    if let Some(found) = KEYS.iter().find_map(|key| key.matches(name)) {
        return Ok(found);
    }
    Err(match suggest::nearest(name) {
        Some(near) => format!("there is no such key; did you mean {near}?"),
        None => "there is no such key".to_owned(),
    })
}

const fn obeyed(pattern: &'static str, summary: &'static str, set: Setter, clear: Setter) -> Key {
    Key {
        pattern,
        summary,
        action: Action::Obeyed { set, clear },
    }
}

const fn not_obeyed(pattern: &'static str, summary: &'static str) -> Key {
    Key {
        pattern,
        summary,
        action: Action::NotObeyed,
    }
}

const fn renamed(pattern: &'static str, new: &'static str) -> Key {
    Key {
        pattern,
        summary: "a name of LXC before 2.1",
        action: Action::Renamed(new),
    }
}

/// A row whose field holds one value.
macro_rules! scalar {
    ($pattern:literal, $summary:literal, $($field:ident).+, $parse:expr) => {
        obeyed(
            $pattern,
            $summary,
            |config, entry| {
                config.$($field).+ = Some(entry.place($parse(entry.value)?));
                Ok(())
            },
            |config, _| {
                config.$($field).+ = None;
                Ok(())
            },
        )
    };
}

/// A row whose field holds a list, to which each line adds one or several values.
macro_rules! list {
    ($pattern:literal, $summary:literal, $($field:ident).+, one $parse:expr) => {
        obeyed(
            $pattern,
            $summary,
            |config, entry| {
                config.$($field).+.push(entry.place($parse(entry.value)?));
                Ok(())
            },
            |config, _| {
                config.$($field).+.clear();
                Ok(())
            },
        )
    };
    ($pattern:literal, $summary:literal, $($field:ident).+, many $parse:expr) => {
        obeyed(
            $pattern,
            $summary,
            |config, entry| {
                config.$($field).+.extend($parse(entry.value)?.into_iter().map(|v| entry.place(v)));
                Ok(())
            },
            |config, _| {
                config.$($field).+.clear();
                Ok(())
            },
        )
    };
}

/// A row of one interface.
macro_rules! net_scalar {
    ($pattern:literal, $summary:literal, $($field:ident).+, $parse:expr) => {
        obeyed(
            $pattern,
            $summary,
            |config, entry| {
                let value = entry.place($parse(entry.value)?);
                net(config, entry).$($field).+ = Some(value);
                Ok(())
            },
            |config, entry| {
                net(config, entry).$($field).+ = None;
                Ok(())
            },
        )
    };
}

macro_rules! net_list {
    ($pattern:literal, $summary:literal, $($field:ident).+, $parse:expr) => {
        obeyed(
            $pattern,
            $summary,
            |config, entry| {
                let value = entry.place($parse(entry.value)?);
                net(config, entry).$($field).+.push(value);
                Ok(())
            },
            |config, entry| {
                net(config, entry).$($field).+.clear();
                Ok(())
            },
        )
    };
}

fn net<'c>(config: &'c mut Config, entry: &Entry<'_>) -> &'c mut Net {
    config.nets.entry(entry.index.unwrap_or(0)).or_default()
}

/// For keys whose only meaning is to be empty.
fn only_empty(_: &mut Config, _: &Entry<'_>) -> Result<(), Refusal> {
    Err(Refusal::Expected(
        "nothing: an empty value clears what earlier lines said".into(),
    ))
}

/// Every key of LXC, from lxc.container.conf(5) of LXC 7.0 and the names before 2.1.
pub static KEYS: &[Key] = &[
    Key {
        pattern: "lxc.include",
        summary: "other files to read here",
        action: Action::Include,
    },
    scalar!(
        "lxc.arch",
        "the processor that programs see",
        arch,
        value::arch
    ),
    scalar!("lxc.uts.name", "the host name", uts_name, value::host_name),
    scalar!(
        "lxc.rootfs.path",
        "the root file system",
        rootfs,
        value::rootfs
    ),
    list!("lxc.idmap", "user and group ids on the host", idmap, one value::id_mapping),
    obeyed(
        "lxc.net",
        "all network interfaces",
        only_empty,
        |config, _| {
            config.nets.clear();
            Ok(())
        },
    ),
    net_scalar!("lxc.net.N.type", "kind of interface", kind, value::net_type),
    net_scalar!(
        "lxc.net.N.link",
        "bridge on the host",
        link,
        value::interface
    ),
    obeyed(
        "lxc.net.N.flags",
        "whether the interface is set up",
        |config, entry| {
            value::net_flags(entry.value)?;
            net(config, entry).up = true;
            Ok(())
        },
        |config, entry| {
            net(config, entry).up = false;
            Ok(())
        },
    ),
    net_scalar!(
        "lxc.net.N.name",
        "the interface's name inside",
        name,
        value::interface
    ),
    net_scalar!(
        "lxc.net.N.hwaddr",
        "hardware address",
        hwaddr,
        value::mac_template
    ),
    net_scalar!("lxc.net.N.mtu", "largest packet in bytes", mtu, value::mtu),
    net_list!(
        "lxc.net.N.ipv4.address",
        "IPv4 address",
        ipv4.addresses,
        value::ipv4_address
    ),
    net_scalar!(
        "lxc.net.N.ipv4.gateway",
        "IPv4 gateway",
        ipv4.gateway,
        value::gateway
    ),
    net_list!(
        "lxc.net.N.ipv6.address",
        "IPv6 address",
        ipv6.addresses,
        value::ipv6_address
    ),
    net_scalar!(
        "lxc.net.N.ipv6.gateway",
        "IPv6 gateway",
        ipv6.gateway,
        value::gateway
    ),
    obeyed(
        "lxc.cgroup2",
        "all control group settings",
        only_empty,
        |config, _| {
            config.cgroup.clear();
            Ok(())
        },
    ),
    obeyed(
        "lxc.cgroup2.*",
        "a control group's file",
        |config, entry| {
            let setting = value::cgroup_setting(entry.rest, entry.value)?;
            config.cgroup.push(entry.place(setting));
            Ok(())
        },
        |config, entry| {
            value::cgroup_file(entry.rest)?;
            config.cgroup.retain(|setting| setting.file != entry.rest);
            Ok(())
        },
    ),
    list!("lxc.mount.entry", "something to mount", mounts, one value::mount_entry),
    obeyed(
        "lxc.mount.auto",
        "kernel file systems to mount",
        |config, entry| value::mount_auto(&mut config.mount_auto, entry.value),
        |config, _| {
            config.mount_auto = Default::default();
            Ok(())
        },
    ),
    scalar!(
        "lxc.init.cmd",
        "init and its arguments",
        init_cmd,
        value::command
    ),
    scalar!(
        "lxc.init.cwd",
        "init's working directory",
        init_cwd,
        value::absolute_path
    ),
    list!("lxc.environment", "init's environment", environment, one value::environment),
    scalar!(
        "lxc.signal.halt",
        "asks init to halt",
        signals.halt,
        value::signal
    ),
    scalar!(
        "lxc.signal.reboot",
        "asks init to reboot",
        signals.reboot,
        value::signal
    ),
    scalar!(
        "lxc.signal.stop",
        "ends init by force",
        signals.stop,
        value::signal
    ),
    scalar!(
        "lxc.start.auto",
        "whether to start at boot",
        start.auto,
        value::boolean
    ),
    scalar!(
        "lxc.start.delay",
        "seconds to wait after a start",
        start.delay,
        value::unsigned
    ),
    scalar!(
        "lxc.start.order",
        "place in the order of starts",
        start.order,
        value::integer
    ),
    list!("lxc.group", "groups for starts at boot", groups, many value::groups),
    list!("lxc.cap.drop", "capabilities to take away", cap_drop, many value::capabilities),
    obeyed(
        "lxc.cap.keep",
        "capabilities to keep",
        |config, entry| {
            let list = value::kept_capabilities(entry.value)?;
            let kept = config.cap_keep.get_or_insert_default();
            match list {
                // `none` forgets what earlier lines kept.
                None => kept.clear(),
                Some(list) => kept.extend(list.into_iter().map(|cap| entry.place(cap))),
            }
            Ok(())
        },
        |config, _| {
            config.cap_keep = None;
            Ok(())
        },
    ),
    scalar!(
        "lxc.tty.max",
        "number of terminals",
        tty_max,
        value::terminals
    ),
    scalar!(
        "lxc.tty.dir",
        "directory of terminals below /dev",
        tty_dir,
        value::relative_path
    ),
    scalar!(
        "lxc.pty.max",
        "number of pseudo-terminals",
        pty_max,
        value::terminals
    ),
    scalar!(
        "lxc.autodev",
        "whether to make a fresh /dev",
        autodev,
        value::boolean
    ),
    scalar!(
        "lxc.apparmor.profile",
        "AppArmor profile",
        apparmor,
        value::apparmor
    ),
    scalar!(
        "lxc.monitor.signal.pdeath",
        "what init gets when its monitor dies",
        monitor_pdeath,
        value::signal_or_none
    ),
    scalar!(
        "lxc.no_new_privs",
        "no privileges by exec",
        no_new_privs,
        value::boolean
    ),
    scalar!(
        "lxc.log.level",
        "how much to log",
        log_level,
        value::log_level
    ),
    scalar!(
        "lxc.log.file",
        "where to log",
        log_file,
        value::absolute_path
    ),
    // What LXC has besides.
    not_obeyed("lxc.execute.cmd", "the default command of lxc-execute"),
    not_obeyed("lxc.init.uid", "init's user"),
    not_obeyed("lxc.init.gid", "init's group"),
    not_obeyed("lxc.init.groups", "init's supplementary groups"),
    not_obeyed("lxc.sched.core", "core scheduling"),
    not_obeyed("lxc.ephemeral", "destruction on stop"),
    not_obeyed("lxc.proc.*", "files in init's /proc directory"),
    not_obeyed("lxc.sysctl.*", "kernel parameters"),
    not_obeyed("lxc.prlimit.*", "resource limits"),
    not_obeyed("lxc.net.N.l2proxy", "proxy entries on the link"),
    not_obeyed(
        "lxc.net.N.script.up",
        "a script after the interface is made",
    ),
    not_obeyed(
        "lxc.net.N.script.down",
        "a script before the interface is removed",
    ),
    not_obeyed("lxc.net.N.veth.mode", "routed or bridged"),
    not_obeyed("lxc.net.N.veth.pair", "the interface's name on the host"),
    not_obeyed("lxc.net.N.veth.n_rxqueues", "receive queues"),
    not_obeyed("lxc.net.N.veth.n_txqueues", "transmit queues"),
    not_obeyed("lxc.net.N.veth.ipv4.route", "routes on the host"),
    not_obeyed("lxc.net.N.veth.ipv6.route", "routes on the host"),
    not_obeyed("lxc.net.N.veth.vlan.id", "the port's VLAN"),
    not_obeyed("lxc.net.N.veth.vlan.tagged.id", "the port's tagged VLANs"),
    not_obeyed("lxc.net.N.vlan.id", "the VLAN"),
    not_obeyed("lxc.net.N.macvlan.mode", "macvlan's mode"),
    not_obeyed("lxc.net.N.ipvlan.mode", "ipvlan's mode"),
    not_obeyed("lxc.net.N.ipvlan.isolation", "ipvlan's isolation"),
    not_obeyed("lxc.console.path", "a device as the console's peer"),
    not_obeyed("lxc.console.logfile", "a log of the console"),
    not_obeyed("lxc.console.size", "the console log's size"),
    not_obeyed("lxc.console.buffer.size", "the console's ring buffer"),
    not_obeyed("lxc.console.rotate", "rotation of the console's log"),
    not_obeyed("lxc.autodev.tmpfs.size", "the size of /dev"),
    not_obeyed("lxc.mount.fstab", "a file of mounts"),
    not_obeyed("lxc.rootfs.mount", "where the root file system is mounted"),
    not_obeyed(
        "lxc.rootfs.options",
        "mount options of the root file system",
    ),
    not_obeyed(
        "lxc.rootfs.managed",
        "whether destroy removes the root file system",
    ),
    not_obeyed("lxc.cgroup.dir", "the control group's parent"),
    not_obeyed("lxc.cgroup.dir.container", "the container's control group"),
    not_obeyed(
        "lxc.cgroup.dir.container.inner",
        "the control group namespace's root",
    ),
    not_obeyed("lxc.cgroup.dir.monitor", "the monitor's control group"),
    not_obeyed(
        "lxc.cgroup.dir.monitor.pivot",
        "the dying monitor's control group",
    ),
    not_obeyed(
        "lxc.cgroup.relative",
        "staying below the caller's control group",
    ),
    not_obeyed(
        "lxc.cgroup.*",
        "control group settings of version 1; lxc.cgroup2 is obeyed",
    ),
    not_obeyed("lxc.namespace.clone", "which namespaces are new"),
    not_obeyed("lxc.namespace.keep", "which namespaces are the host's"),
    not_obeyed("lxc.namespace.share.*", "another container's namespaces"),
    not_obeyed("lxc.time.offset.boot", "an offset of the time since boot"),
    not_obeyed(
        "lxc.time.offset.monotonic",
        "an offset of the monotonic clock",
    ),
    not_obeyed(
        "lxc.apparmor.allow_incomplete",
        "starting without full AppArmor support",
    ),
    not_obeyed("lxc.apparmor.allow_nesting", "containers in the container"),
    not_obeyed("lxc.apparmor.raw", "lines of an AppArmor profile"),
    not_obeyed("lxc.selinux.context", "SELinux context"),
    not_obeyed(
        "lxc.selinux.context.keyring",
        "SELinux context of the key ring",
    ),
    not_obeyed("lxc.keyring.session", "a session key ring of its own"),
    not_obeyed("lxc.seccomp.profile", "a filter of system calls"),
    not_obeyed(
        "lxc.seccomp.allow_nesting",
        "merging of system call filters",
    ),
    not_obeyed("lxc.seccomp.notify.proxy", "a supervisor of system calls"),
    not_obeyed(
        "lxc.seccomp.notify.cookie",
        "a cookie for the supervisor of system calls",
    ),
    not_obeyed("lxc.hook", "all hooks"),
    not_obeyed("lxc.hook.version", "how hooks get their arguments"),
    not_obeyed("lxc.hook.pre-start", "a program before the start"),
    not_obeyed("lxc.hook.pre-mount", "a program before the mounts"),
    not_obeyed("lxc.hook.mount", "a program after the mounts"),
    not_obeyed("lxc.hook.autodev", "a program after /dev is made"),
    not_obeyed("lxc.hook.start-host", "a program on the host before init"),
    not_obeyed("lxc.hook.start", "a program in the container before init"),
    not_obeyed("lxc.hook.stop", "a program at the stop"),
    not_obeyed("lxc.hook.post-stop", "a program after the stop"),
    not_obeyed("lxc.hook.clone", "a program for copies"),
    not_obeyed("lxc.hook.destroy", "a program at the destruction"),
    not_obeyed("lxc.log.syslog", "logging by syslog"),
    not_obeyed("lxc.monitor.unshare", "a mount namespace for the monitor"),
    not_obeyed("lxc.environment.runtime", "init's environment alone"),
    not_obeyed("lxc.environment.hooks", "the hooks' environment"),
    // The names before 2.1.
    renamed("lxc.aa_profile", "lxc.apparmor.profile"),
    renamed("lxc.aa_allow_incomplete", "lxc.apparmor.allow_incomplete"),
    renamed("lxc.se_context", "lxc.selinux.context"),
    renamed("lxc.id_map", "lxc.idmap"),
    renamed("lxc.pts", "lxc.pty.max"),
    renamed("lxc.tty", "lxc.tty.max"),
    renamed("lxc.devttydir", "lxc.tty.dir"),
    renamed("lxc.loglevel", "lxc.log.level"),
    renamed("lxc.logfile", "lxc.log.file"),
    renamed("lxc.syslog", "lxc.log.syslog"),
    renamed("lxc.limit.*", "lxc.prlimit.…"),
    renamed(
        "lxc.network.*",
        "lxc.net.N.… (lxc.net.0.type, lxc.net.0.link, …)",
    ),
    renamed("lxc.network", "lxc.net"),
    renamed("lxc.mount", "lxc.mount.fstab"),
    renamed("lxc.rootfs", "lxc.rootfs.path"),
    renamed(
        "lxc.rootfs.backend",
        "a prefix of lxc.rootfs.path (dir:/path)",
    ),
    renamed("lxc.utsname", "lxc.uts.name"),
    renamed("lxc.seccomp", "lxc.seccomp.profile"),
    renamed("lxc.console", "lxc.console.path"),
    renamed("lxc.haltsignal", "lxc.signal.halt"),
    renamed("lxc.rebootsignal", "lxc.signal.reboot"),
    renamed("lxc.stopsignal", "lxc.signal.stop"),
    renamed("lxc.init_cmd", "lxc.init.cmd"),
    renamed("lxc.init_uid", "lxc.init.uid"),
    renamed("lxc.init_gid", "lxc.init.gid"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_filled() {
        let found = find("lxc.net.12.ipv4.address").ok().unwrap();
        assert_eq!(
            (found.key.pattern, found.index),
            ("lxc.net.N.ipv4.address", Some(12))
        );
        let found = find("lxc.cgroup2.memory.max").ok().unwrap();
        assert_eq!(
            (found.key.pattern, found.rest),
            ("lxc.cgroup2.*", "memory.max")
        );
        let found = find("lxc.net").ok().unwrap();
        assert_eq!((found.key.pattern, found.index), ("lxc.net", None));
    }

    #[test]
    fn what_is_no_key_is_not_found() {
        for name in [
            "lxc.",
            "lxc.net.",
            "lxc.net.x.type",
            "lxc.net.-1.type",
            "lxc.net.+1.type",
            "lxc.net.70000.type",
            "lxc.net.0",
            "lxc.net.0.",
            "lxc.net.N.type",
            "lxc.uts.name.",
            "lxc.uts",
            "lxc.cgroup2.",
            "LXC.uts.name",
            "lxc.uts.nam",
            "lxc..uts.name",
        ] {
            assert!(find(name).is_err(), "{name}");
        }
    }

    #[test]
    fn each_pattern_stands_once_and_finds_itself() {
        for (i, key) in KEYS.iter().enumerate() {
            let name = key.pattern.replace(".N.", ".3.").replace('*', "x");
            let found = find(&name).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(
                std::ptr::eq(found.key, &KEYS[i]),
                "{name} finds {}",
                found.key.pattern
            );
            assert!(
                !key.summary.is_empty() && !key.summary.ends_with('.'),
                "{name}"
            );
        }
    }
}
