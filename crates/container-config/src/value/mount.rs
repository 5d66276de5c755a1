//! `lxc.mount.entry` and the lines of `lxc.mount.fstab`

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

/// Which user namespace says who owns the files of a mount (mount_setattr(2), idmapped mounts).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountIdmap {
    /// `idmap=container`: the container's own.
    Container,
    /// `idmap=/proc/PID/ns/user`: that of a file.
    Namespace(PathBuf),
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
    /// `idmap=…`: whose ids the files get
    pub idmap: Option<MountIdmap>,
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
    let options = mount_options(rest.first().unwrap_or(&"defaults"))?;
    let entry = MountEntry {
        source: unescape(source)?,
        target: mount_target(&unescape(target)?)?,
        fstype: unescape(fstype)?,
        options,
    };
    match entry.options.bind {
        None if entry.fstype == "none" => expected(
            "a type of file system (tmpfs), or one of the options bind and rbind with the type \
             none",
        ),
        None if entry.options.idmap.is_some() => {
            expected("one of the options bind and rbind beside idmap=")
        }
        Some(_) if entry.source.is_empty() => expected("a source to bind"),
        _ => Ok(entry),
    }
}

/// Options of a mount, separated by commas.
pub(super) fn mount_options(text: &str) -> Result<MountOptions, Refusal> {
    let mut options = MountOptions::default();
    for option in text.split(',') {
        mount_option(&mut options, option)?;
    }
    Ok(options)
}

/// The mounts of a file in the form of fstab(5), each with its line's number; or the number of a
/// line that is none, and why.
pub fn fstab(text: &str) -> Result<Vec<(u32, MountEntry)>, (u32, Refusal, String)> {
    let mut entries = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match mount_entry(line) {
            Ok(entry) => entries.push((number, entry)),
            Err(refusal) => return Err((number, refusal, line.to_owned())),
        }
    }
    Ok(entries)
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
        "idmap=container" => options.idmap = Some(MountIdmap::Container),
        "idmap=none" => options.idmap = None,
        "remount" => {
            return Err(Refusal::Other(
                "expected a mount of its own, found the option “remount”: write its options in \
                 the line that mounts the target"
                    .to_owned(),
            ));
        }
        "move" => {
            return Err(Refusal::Other(
                "expected the option bind or rbind, found “move”: what is mounted on the host \
                 stays there"
                    .to_owned(),
            ));
        }
        _ if option.starts_with("idmap=") => match option.strip_prefix("idmap=") {
            Some(path) if path.starts_with('/') => {
                options.idmap = Some(MountIdmap::Namespace(path.into()));
            }
            _ => {
                return Err(Refusal::Other(format!(
                    "expected idmap=container, idmap=none or idmap= with the path of a user \
                     namespace (/proc/PID/ns/user), found “{}”",
                    printable(option)
                )));
            }
        },
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
            "/srv srv none idmap=mine 0 0",
            "/srv srv tmpfs idmap=container 0 0",
            "/srv srv none move 0 0",
            "/srv srv none bind,remount 0 0",
            "/srv srv none ro 0 0",
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
    fn ids_of_mounts() {
        let idmap = |option: &str| {
            let entry = mount_entry(&format!("/srv srv none bind,{option}"));
            entry.unwrap().options.idmap
        };
        assert_eq!(idmap("idmap=container"), Some(MountIdmap::Container));
        assert_eq!(
            idmap("idmap=/proc/7/ns/user"),
            Some(MountIdmap::Namespace("/proc/7/ns/user".into()))
        );
        assert_eq!(idmap("idmap=container,idmap=none"), None);
    }

    #[test]
    fn lines_of_a_file() {
        let text = "# mounts\n\n/srv srv none bind 0 0\r\n  proc proc proc nodev\n";
        let entries = fstab(text).unwrap();
        let lines: Vec<u32> = entries.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [3, 4]);
        let (line, _, found) = fstab("/a a none bind\n/b\n").unwrap_err();
        assert_eq!((line, found.as_str()), (2, "/b"));
    }
}
