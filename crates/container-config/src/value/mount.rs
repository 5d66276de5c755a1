//! `lxc.mount.entry` and `lxc.mount.auto`

use super::basic::climbs;
use super::expected;
use crate::error::printable;
use crate::key::Refusal;
use std::path::{Path, PathBuf};

/// A line of fstab(5) with LXC's additions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountEntry {
    /// What to mount: a path on the host, or what the file system's type makes of it.
    pub source: String,
    /// Where: below the container's root.
    pub target: PathBuf,
    /// The type of file system; `none` with bind mounts.
    pub fstype: String,
    /// The options.
    pub options: MountOptions,
}

/// What to make if a mount's target is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateTarget {
    /// `create=dir`
    Directory,
    /// `create=file`
    File,
}

/// How mounts spread between namespaces (mount_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the manual page's words")]
pub enum PropagationKind {
    Private,
    Shared,
    Slave,
    Unbindable,
}

/// A propagation, and whether it is for everything below as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Propagation {
    /// Which one.
    pub kind: PropagationKind,
    /// `r…`
    pub recursive: bool,
}

/// Options of a mount. `None`: not said, so a bind mount keeps its source's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// `optional`: a failure is no error.
    pub optional: bool,
    /// `create=…`
    pub create: Option<CreateTarget>,
    /// `relative`: the source lies below the container's root too.
    pub relative: bool,
    /// `bind`: `Some(false)`; `rbind`: `Some(true)`
    pub bind: Option<bool>,
    /// `ro`, `rw`
    pub read_only: Option<bool>,
    /// `nosuid`, `suid`
    pub nosuid: Option<bool>,
    /// `nodev`, `dev`
    pub nodev: Option<bool>,
    /// `noexec`, `exec`
    pub noexec: Option<bool>,
    /// `nosymfollow`
    pub nosymfollow: Option<bool>,
    /// `noatime`, `atime`
    pub noatime: Option<bool>,
    /// `nodiratime`, `diratime`
    pub nodiratime: Option<bool>,
    /// `relatime`, `norelatime`
    pub relatime: Option<bool>,
    /// `strictatime`, `nostrictatime`
    pub strictatime: Option<bool>,
    /// `private`, `rslave`, …
    pub propagation: Option<Propagation>,
    /// What the file system itself is told, in order: `size=1m`, `sync`, …
    pub data: Vec<String>,
}

/// The longest line that can be a mount's: data of mount(2) is one page.
const MAX_ENTRY: usize = 4096;

/// `SOURCE TARGET TYPE OPTIONS [FREQ [PASSNO]]`, with `\040` and the like for blanks in paths.
pub fn mount_entry(text: &str) -> Result<MountEntry, Refusal> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [source, target, fstype, rest @ ..] = &fields[..] else {
        return expected("source, target, type and options of a mount (/srv srv none bind 0 0)");
    };
    if text.len() > MAX_ENTRY || rest.len() > 3 {
        return expected("at most six fields: source, target, type, options, 0, 0");
    }
    let mut options = MountOptions::default();
    for option in rest.first().unwrap_or(&"defaults").split(',') {
        mount_option(&mut options, option)?;
    }
    Ok(MountEntry {
        source: unescape(source)?,
        target: mount_target(&unescape(target)?)?,
        fstype: unescape(fstype)?,
        options,
    })
}

/// A target: relative to the container's root. An absolute one stays as it is until
/// `lxc.rootfs.path` is known: it must lie below that.
fn mount_target(text: &str) -> Result<PathBuf, Refusal> {
    let path = Path::new(text);
    if climbs(path) || text.is_empty() {
        return Err(Refusal::Other(format!(
            "the target must be a path below the container's root, without “..” (srv/data), found \
             “{}”",
            printable(text)
        )));
    }
    Ok(path.to_owned())
}

fn mount_option(options: &mut MountOptions, option: &str) -> Result<(), Refusal> {
    use PropagationKind::{Private, Shared, Slave, Unbindable};
    let mut spread = |kind, recursive| options.propagation = Some(Propagation { kind, recursive });
    match option {
        "" | "defaults" => {}
        "optional" => options.optional = true,
        "relative" => options.relative = true,
        "create=dir" => options.create = Some(CreateTarget::Directory),
        "create=file" => options.create = Some(CreateTarget::File),
        "bind" => options.bind = Some(false),
        "rbind" => options.bind = Some(true),
        "ro" => options.read_only = Some(true),
        "rw" => options.read_only = Some(false),
        "nosuid" => options.nosuid = Some(true),
        "suid" => options.nosuid = Some(false),
        "nodev" => options.nodev = Some(true),
        "dev" => options.nodev = Some(false),
        "noexec" => options.noexec = Some(true),
        "exec" => options.noexec = Some(false),
        "nosymfollow" => options.nosymfollow = Some(true),
        "noatime" => options.noatime = Some(true),
        "atime" => options.noatime = Some(false),
        "nodiratime" => options.nodiratime = Some(true),
        "diratime" => options.nodiratime = Some(false),
        "relatime" => options.relatime = Some(true),
        "norelatime" => options.relatime = Some(false),
        "strictatime" => options.strictatime = Some(true),
        "nostrictatime" => options.strictatime = Some(false),
        "private" => spread(Private, false),
        "rprivate" => spread(Private, true),
        "shared" => spread(Shared, false),
        "rshared" => spread(Shared, true),
        "slave" => spread(Slave, false),
        "rslave" => spread(Slave, true),
        "unbindable" => spread(Unbindable, false),
        "runbindable" => spread(Unbindable, true),
        "move" | "remount" => return not_obeyed(option),
        _ if option.starts_with("idmap=") => return not_obeyed(option),
        _ if option.starts_with("create=") => {
            return Err(Refusal::Other(format!(
                "expected the option create=dir or create=file, found “{}”",
                printable(option)
            )));
        }
        other => options.data.push(other.to_owned()),
    }
    Ok(())
}

fn not_obeyed(option: &str) -> Result<(), Refusal> {
    Err(Refusal::Other(format!(
        "LXC knows the option {}, but this version of Berth does not obey it",
        printable(option)
    )))
}

/// Undoes fstab's octal escapes (`\040` for a blank).
fn unescape(field: &str) -> Result<String, Refusal> {
    let mut out = Vec::with_capacity(field.len());
    let mut bytes = field.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        let octal = |b: u8| (b'0'..=b'7').contains(&b).then(|| u32::from(b - b'0'));
        let escaped = match (first, rest) {
            (b'\\', [a, b, c, ..]) => octal(*a)
                .zip(octal(*b))
                .zip(octal(*c))
                .and_then(|((a, b), c)| u8::try_from(a * 64 + b * 8 + c).ok())
                .filter(|byte| *byte != 0),
            _ => None,
        };
        match escaped {
            Some(byte) => {
                out.push(byte);
                bytes = &rest[3..];
            }
            None => {
                out.push(*first);
                bytes = rest;
            }
        }
    }
    String::from_utf8(out).or_else(|_| expected("escapes that form UTF-8 text"))
}

/// How `/proc` is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcMode {
    /// `/proc/sys` and `/proc/sysrq-trigger` read-only, `/proc/sys/net` writable.
    Mixed,
    /// Writable as far as the kernel lets.
    Rw,
}

/// How `/sys` is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SysMode {
    /// Read-only but for `/sys/devices/virtual/net`.
    Mixed,
    /// Read-only.
    Ro,
    /// Writable as far as the kernel lets.
    Rw,
}

/// How `/sys/fs/cgroup` is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupMountMode {
    /// `cgroup` alone: writable if the container has CAP_SYS_ADMIN, else mixed.
    Default,
    /// The container's own group writable.
    Mixed,
    /// Read-only.
    Ro,
    /// Writable.
    Rw,
}

/// A request for `/sys/fs/cgroup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CgroupMount {
    /// How.
    pub mode: CgroupMountMode,
    /// `cgroup-full`: the host's whole tree. With a control group namespace there is no
    /// difference.
    pub full: bool,
    /// `:force`: by the monitor even if the container could mount it itself.
    pub force: bool,
}

/// Kernel file systems that are mounted without an entry. `None`: not mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountAuto {
    /// `/proc`
    pub proc: Option<ProcMode>,
    /// `/sys`
    pub sys: Option<SysMode>,
    /// `/sys/fs/cgroup`
    pub cgroup: Option<CgroupMount>,
}

/// Adds one line's words; a later word about the same file system wins.
pub fn mount_auto(auto: &mut MountAuto, text: &str) -> Result<(), Refusal> {
    for word in text.split_whitespace() {
        match word {
            "proc" | "proc:mixed" => auto.proc = Some(ProcMode::Mixed),
            "proc:rw" => auto.proc = Some(ProcMode::Rw),
            "sys" | "sys:mixed" => auto.sys = Some(SysMode::Mixed),
            "sys:ro" => auto.sys = Some(SysMode::Ro),
            "sys:rw" => auto.sys = Some(SysMode::Rw),
            _ if word.starts_with("shmounts") => {
                return Err(Refusal::Other(
                    "LXC knows shmounts, but this version of Berth does not obey it".to_owned(),
                ));
            }
            _ => auto.cgroup = Some(cgroup_mount(word)?),
        }
    }
    Ok(())
}

fn cgroup_mount(word: &str) -> Result<CgroupMount, Refusal> {
    let refuse = || {
        Refusal::Other(format!(
            "expected words like proc:mixed, proc:rw, sys:ro, sys:rw, cgroup, cgroup:mixed, \
             cgroup:rw:force, found “{}”",
            printable(word)
        ))
    };
    let mut parts = word.split(':');
    let full = match parts.next() {
        Some("cgroup" | "cgroup2") => false,
        Some("cgroup-full") => true,
        _ => return Err(refuse()),
    };
    let mut mount = CgroupMount {
        mode: CgroupMountMode::Default,
        full,
        force: false,
    };
    for part in parts {
        match part {
            _ if mount.force => return Err(refuse()),
            "force" => mount.force = true,
            _ if mount.mode != CgroupMountMode::Default => return Err(refuse()),
            "mixed" => mount.mode = CgroupMountMode::Mixed,
            "ro" => mount.mode = CgroupMountMode::Ro,
            "rw" => mount.mode = CgroupMountMode::Rw,
            _ => return Err(refuse()),
        }
    }
    Ok(mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let entry =
            mount_entry("/srv/my\\040data srv/data none rbind,ro,optional,create=dir,nosuid 0 0")
                .unwrap();
        assert_eq!(entry.source, "/srv/my data");
        assert_eq!(entry.target, Path::new("srv/data"));
        assert_eq!(entry.fstype, "none");
        let expected = MountOptions {
            bind: Some(true),
            read_only: Some(true),
            optional: true,
            create: Some(CreateTarget::Directory),
            nosuid: Some(true),
            ..MountOptions::default()
        };
        assert_eq!(entry.options, expected);

        let entry = mount_entry("tmpfs tmp tmpfs size=1m,mode=1777,rslave,nodev").unwrap();
        assert_eq!(entry.options.data, ["size=1m", "mode=1777"]);
        assert_eq!(
            entry.options.propagation,
            Some(Propagation {
                kind: PropagationKind::Slave,
                recursive: true
            })
        );
        assert_eq!(
            mount_entry("a b c").unwrap().options,
            MountOptions::default()
        );
    }

    #[test]
    fn wrong_entries() {
        for wrong in [
            "/srv",
            "/srv srv",
            "/srv ../srv none bind 0 0",
            "/srv srv/../../x none bind",
            "/srv srv none bind 0 0 0",
            "/srv srv none create=socket 0 0",
            "/srv srv none idmap=container 0 0",
            "/srv srv none move 0 0",
            "/srv a\\377 none bind",
            "/srv a/\\056\\056/b none bind",
        ] {
            assert!(mount_entry(wrong).is_err(), "{wrong}");
        }
        assert!(mount_entry(&format!("/srv srv none {}", "a,".repeat(4000))).is_err());
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape("a\\040b\\011\\134"), Ok("a b\t\\".into()));
        assert_eq!(unescape("a\\04"), Ok("a\\04".into()));
        assert_eq!(unescape("\\000\\888\\777"), Ok("\\000\\888\\777".into()));
        assert_eq!(unescape("ä\\303\\244"), Ok("ää".into()));
    }

    #[test]
    fn automatic_mounts() {
        let mut auto = MountAuto::default();
        mount_auto(&mut auto, "proc sys:ro cgroup").unwrap();
        mount_auto(&mut auto, "sys:rw cgroup-full:rw:force").unwrap();
        assert_eq!(auto.proc, Some(ProcMode::Mixed));
        assert_eq!(auto.sys, Some(SysMode::Rw));
        let cgroup = CgroupMount {
            mode: CgroupMountMode::Rw,
            full: true,
            force: true,
        };
        assert_eq!(auto.cgroup, Some(cgroup));
        for wrong in [
            "proc:ro",
            "sys:none",
            "cgroup:force:rw",
            "cgroup:rw:ro",
            "dev",
            "shmounts:/a",
        ] {
            assert!(mount_auto(&mut auto, wrong).is_err(), "{wrong}");
        }
    }
}
