//! What the manual page says of each key: its values, its default, and whose containers it is for.

/// One key's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key, as the table has it.
    pub pattern: &'static str,
    /// What its value looks like.
    pub values: &'static str,
    /// What holds without it; empty where that is nothing.
    pub default: &'static str,
    /// Whose containers it is for.
    pub users: Users,
}

/// Whose containers a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    /// Everybody's.
    All,
    /// Everybody's, with less for ordinary users; what.
    Less(&'static str),
    /// Root's; a start by an ordinary user is refused.
    Root,
}

use Users::{All, Less, Root};

const fn row(
    pattern: &'static str,
    values: &'static str,
    default: &'static str,
    users: Users,
) -> Entry {
    Entry {
        pattern,
        values,
        default,
        users,
    }
}

const PROGRAM: &str = "a path and arguments";
const ZERO_OR_ONE: &str = "0 or 1";
const SIGNAL: &str = "SIGPWR, SIGRTMIN+3, or a number";
const ROUTED: &str = "an address and the length of its prefix";

/// Every entry, by sections of the table.
pub static ENTRIES: &[Entry] = &[
    row("lxc.include", "a file, or a directory of *.conf", "", All),
    row("lxc.arch", "x86_64, i686, arm64, …", "the host's", All),
    row("lxc.uts.name", "a host name", "the container's name", All),
    row("lxc.init.cmd", PROGRAM, "/sbin/init", All),
    row("lxc.init.cwd", "an absolute path", "/", All),
    row(
        "lxc.environment",
        "NAME=VALUE, or NAME for the caller's value",
        "",
        All,
    ),
    row("lxc.environment.runtime", "the same", "", All),
    row("lxc.environment.hooks", "the same", "", All),
    row("lxc.execute.cmd", PROGRAM, "", All),
    row("lxc.init.uid", "an id inside", "0", All),
    row("lxc.init.gid", "an id inside", "0", All),
    row(
        "lxc.init.groups",
        "ids inside, separated by commas",
        "none",
        All,
    ),
    row("lxc.sched.core", ZERO_OR_ONE, "0", All),
    row("lxc.proc.*", "what to write", "", All),
    row("lxc.sysctl.*", "what to write", "", All),
    row(
        "lxc.prlimit.*",
        "SOFT:HARD or one amount; unlimited",
        "the caller's",
        Less("not above the caller's own hard limit"),
    ),
    row(
        "lxc.namespace.clone",
        "user, mnt, pid, uts, ipc, net, cgroup, time",
        "all but time",
        All,
    ),
    row(
        "lxc.namespace.keep",
        "uts, ipc, net, cgroup, time",
        "none",
        All,
    ),
    row(
        "lxc.namespace.share.*",
        "a container, a process, or a path",
        "",
        Less("with the user namespace of a container of his, and what belongs to that"),
    ),
    row(
        "lxc.time.offset.boot",
        "a number with h, m, s, ms, us or ns",
        "0",
        All,
    ),
    row("lxc.time.offset.monotonic", "the same", "0", All),
    row(
        "lxc.signal.halt",
        SIGNAL,
        "what init waits for, or SIGPWR",
        All,
    ),
    row("lxc.signal.reboot", SIGNAL, "SIGINT", All),
    row("lxc.signal.stop", SIGNAL, "SIGKILL", All),
    row("lxc.start.auto", ZERO_OR_ONE, "0", All),
    row("lxc.start.delay", "seconds", "0", All),
    row("lxc.start.order", "a number, smaller first", "0", All),
    row(
        "lxc.group",
        "names, separated by commas or blanks",
        "none",
        All,
    ),
    row(
        "lxc.monitor.signal.pdeath",
        "a signal; 0 lets init live",
        "SIGKILL",
        All,
    ),
    row("lxc.log.level", "0 to 8, or TRACE to FATAL", "NOTICE", All),
    row(
        "lxc.log.file",
        "an absolute path",
        "NAME.log in the container's directory",
        All,
    ),
    row("lxc.ephemeral", ZERO_OR_ONE, "0", All),
    row("lxc.log.syslog", "daemon, local0 to local7", "none", All),
    row("lxc.monitor.unshare", ZERO_OR_ONE, "0", Root),
    row(
        "lxc.rootfs.path",
        "dir:PATH, overlay:LOWER:UPPER, an image",
        "",
        All,
    ),
    row(
        "lxc.idmap",
        "u or g, first id inside, first on the host, how many",
        "the host's ids for root",
        Less("his subordinate ids, which he needs"),
    ),
    row("lxc.mount.entry", "a line as in fstab(5)", "", All),
    row(
        "lxc.mount.auto",
        "proc, sys, cgroup with modes; shmounts:PATH",
        "none",
        All,
    ),
    row("lxc.autodev", ZERO_OR_ONE, "1", All),
    row("lxc.autodev.tmpfs.size", "bytes", "500000", All),
    row("lxc.mount.fstab", "a file of such lines", "", All),
    row("lxc.rootfs.mount", "a directory", "", All),
    row(
        "lxc.rootfs.options",
        "options of mount(8), idmap=container",
        "",
        Less("no idmap="),
    ),
    row("lxc.rootfs.managed", ZERO_OR_ONE, "1", All),
    row("lxc.tty.max", "a number", "0", All),
    row("lxc.tty.dir", "a directory below /dev", "/dev itself", All),
    row("lxc.pty.max", "a number", "1024", All),
    row(
        "lxc.console.path",
        "a terminal or file of the host, or none",
        "none",
        All,
    ),
    row("lxc.console.logfile", "an absolute path", "none", All),
    row(
        "lxc.console.size",
        "bytes with KB, MB or GB, or auto",
        "no limit",
        All,
    ),
    row("lxc.console.buffer.size", "the same", "no buffer", All),
    row("lxc.console.rotate", ZERO_OR_ONE, "0", All),
    row("lxc.net", "nothing", "", All),
    row(
        "lxc.net.N.type",
        "empty, none, veth, vlan, macvlan, ipvlan or phys",
        "",
        Less("empty, none or veth"),
    ),
    row(
        "lxc.net.N.link",
        "an interface of the host",
        "",
        Less("a bridge on which he has a quota"),
    ),
    row("lxc.net.N.flags", "up", "down", All),
    row("lxc.net.N.name", "a name inside", "eth0, eth1, …", All),
    row(
        "lxc.net.N.hwaddr",
        "an address, with x for random digits",
        "a random one",
        All,
    ),
    row("lxc.net.N.mtu", "bytes", "the link's", All),
    row(
        "lxc.net.N.ipv4.address",
        "ADDRESS/LENGTH, and a broadcast address",
        "",
        All,
    ),
    row("lxc.net.N.ipv4.gateway", "an address, auto or dev", "", All),
    row("lxc.net.N.ipv6.address", "ADDRESS/LENGTH", "", All),
    row("lxc.net.N.ipv6.gateway", "an address, auto or dev", "", All),
    row("lxc.net.N.l2proxy", ZERO_OR_ONE, "0", Root),
    row("lxc.net.N.script.up", PROGRAM, "", All),
    row("lxc.net.N.script.down", PROGRAM, "", All),
    row(
        "lxc.net.N.veth.mode",
        "bridge or router",
        "bridge",
        Less("bridge"),
    ),
    row(
        "lxc.net.N.veth.pair",
        "a name on the host",
        "a random one",
        Less("without effect"),
    ),
    row("lxc.net.N.veth.n_rxqueues", "a number", "1", Root),
    row("lxc.net.N.veth.n_txqueues", "a number", "1", Root),
    row("lxc.net.N.veth.ipv4.route", ROUTED, "", Root),
    row("lxc.net.N.veth.ipv6.route", ROUTED, "", Root),
    row(
        "lxc.net.N.veth.vlan.id",
        "a number, or none",
        "the bridge's",
        Root,
    ),
    row("lxc.net.N.veth.vlan.tagged.id", "numbers", "none", Root),
    row("lxc.net.N.vlan.id", "a number", "", Root),
    row(
        "lxc.net.N.macvlan.mode",
        "private, vepa, bridge or passthru",
        "private",
        Root,
    ),
    row("lxc.net.N.ipvlan.mode", "l3, l3s or l2", "l3", Root),
    row(
        "lxc.net.N.ipvlan.isolation",
        "bridge, private or vepa",
        "bridge",
        Root,
    ),
    row("lxc.cgroup2", "nothing", "", All),
    row(
        "lxc.cgroup2.*",
        "what to write",
        "",
        Less("what his delegated cgroup has; devices.allow and devices.deny are without effect"),
    ),
    row("lxc.cgroup.dir", "a relative path", "the owner's own", All),
    row("lxc.cgroup.dir.container", "a relative path", "", All),
    row("lxc.cgroup.dir.container.inner", "a relative path", "", All),
    row("lxc.cgroup.dir.monitor", "a relative path", "", All),
    row("lxc.cgroup.dir.monitor.pivot", "a relative path", "", All),
    row("lxc.cgroup.relative", ZERO_OR_ONE, "0", All),
    row(
        "lxc.cgroup.*",
        "of devices.allow and devices.deny only",
        "",
        Less("without effect"),
    ),
    row(
        "lxc.cap.drop",
        "names without cap_",
        "the five named below",
        All,
    ),
    row("lxc.cap.keep", "names without cap_, or none", "", All),
    row(
        "lxc.apparmor.profile",
        "a name, unconfined, unchanged or generated",
        "unchanged",
        All,
    ),
    row("lxc.apparmor.allow_incomplete", ZERO_OR_ONE, "0", All),
    row("lxc.apparmor.allow_nesting", ZERO_OR_ONE, "0", All),
    row("lxc.apparmor.raw", "a line of a profile", "", All),
    row("lxc.selinux.context", "a context", "", All),
    row("lxc.selinux.context.keyring", "a context", "", All),
    row("lxc.keyring.session", ZERO_OR_ONE, "1", All),
    row("lxc.no_new_privs", ZERO_OR_ONE, "0", All),
    row("lxc.seccomp.profile", "a file", "none", All),
    row("lxc.seccomp.allow_nesting", ZERO_OR_ONE, "1", All),
    row(
        "lxc.seccomp.notify.proxy",
        "unix:PATH or unix:@NAME",
        "none",
        All,
    ),
    row("lxc.seccomp.notify.cookie", "text", "none", All),
    row("lxc.hook", "nothing", "", All),
    row(
        "lxc.hook.version",
        "0 (arguments) or 1 (environment)",
        "0",
        All,
    ),
    row("lxc.hook.pre-start", PROGRAM, "", All),
    row("lxc.hook.pre-mount", PROGRAM, "", All),
    row("lxc.hook.mount", PROGRAM, "", All),
    row("lxc.hook.autodev", PROGRAM, "", All),
    row("lxc.hook.start-host", PROGRAM, "", All),
    row("lxc.hook.start", PROGRAM, "", All),
    row("lxc.hook.stop", PROGRAM, "", All),
    row("lxc.hook.post-stop", PROGRAM, "", All),
    row("lxc.hook.clone", PROGRAM, "", All),
    row("lxc.hook.destroy", PROGRAM, "", All),
];

/// A key's entry.
pub fn entry(pattern: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.pattern == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Action, keys};

    #[test]
    fn every_key_that_is_obeyed_has_its_values_and_every_entry_is_a_key() {
        for key in keys() {
            if matches!(key.action, Action::Obeyed { .. } | Action::Include) {
                assert!(entry(key.pattern).is_some(), "{} has no entry", key.pattern);
            }
        }
        for (number, entry) in ENTRIES.iter().enumerate() {
            let is_key = keys().any(|key| key.pattern == entry.pattern);
            assert!(is_key && !entry.values.is_empty(), "{}", entry.pattern);
            let twice = ENTRIES[..number].iter().any(|e| e.pattern == entry.pattern);
            assert!(!twice, "{} stands twice", entry.pattern);
        }
    }
}
