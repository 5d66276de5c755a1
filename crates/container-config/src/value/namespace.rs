//! `lxc.namespace.clone`, `.keep`, `.share.KIND` and `lxc.time.offset.CLOCK`

use super::expected;
use crate::error::printable;
use crate::key::Refusal;
use berth_common::ContainerName;
use std::fmt;
use std::path::PathBuf;

/// A kind of namespace (namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum NamespaceKind {
    User,
    Mount,
    Pid,
    Uts,
    Ipc,
    Net,
    Cgroup,
    Time,
}

/// All kinds with LXC's names, which are those of the files in `/proc/PID/ns`.
const KINDS: [(&str, NamespaceKind); 8] = [
    ("user", NamespaceKind::User),
    ("mnt", NamespaceKind::Mount),
    ("pid", NamespaceKind::Pid),
    ("uts", NamespaceKind::Uts),
    ("ipc", NamespaceKind::Ipc),
    ("net", NamespaceKind::Net),
    ("cgroup", NamespaceKind::Cgroup),
    ("time", NamespaceKind::Time),
];

impl NamespaceKind {
    /// Every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|(_, kind)| *kind)
    }

    /// Its name in configurations and in `/proc/PID/ns`.
    pub fn name(self) -> &'static str {
        let found = KINDS.iter().find(|(_, kind)| *kind == self);
        found.map_or("", |(name, _)| name)
    }
}

impl fmt::Display for NamespaceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Several kinds, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces(Vec<NamespaceKind>);

impl Namespaces {
    /// Whether this kind is among them.
    pub fn contains(&self, kind: NamespaceKind) -> bool {
        self.0.contains(&kind)
    }
}

/// Kinds of namespaces separated by blanks.
pub fn namespaces(text: &str) -> Result<Namespaces, Refusal> {
    let mut kinds = Vec::new();
    for word in text.split_whitespace() {
        let kind = namespace_kind(word)?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(Namespaces(kinds))
}

/// One kind.
pub fn namespace_kind(word: &str) -> Result<NamespaceKind, Refusal> {
    let known = KINDS.iter().find(|(name, _)| *name == word);
    known.map(|(_, kind)| *kind).ok_or_else(|| {
        Refusal::Other(format!(
            "“{}” is no kind of namespace; expected user, mnt, pid, uts, ipc, net, cgroup or time",
            printable(word)
        ))
    })
}

/// A namespace that exists already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its kind.
    pub kind: NamespaceKind,
    /// Where to find it.
    pub with: ShareWith,
}

/// Where to find a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareWith {
    /// The namespace of this process.
    Process(u32),
    /// That of this running container.
    Container(ContainerName),
    /// This file (`/run/netns/NAME`).
    File(PathBuf),
}

/// Whose namespace: a process number, a container's name, or the absolute path of a namespace.
pub fn share(kind: &str, text: &str) -> Result<Share, Refusal> {
    let kind = namespace_kind(kind)?;
    let with = if let Some(pid) = super::digits::<u32>(text).filter(|pid| *pid > 0) {
        ShareWith::Process(pid)
    } else if text.starts_with('/') {
        ShareWith::File(super::absolute_path(text)?)
    } else if let Ok(name) = text.parse() {
        ShareWith::Container(name)
    } else {
        return expected(
            "the name of a running container, the number of a process, or the absolute path of a \
             namespace",
        );
    };
    Ok(Share { kind, with })
}

/// By how much a clock of the container differs from the host's, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOffset(pub i64);

const UNITS: [(&str, i64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A number, possibly negative, with a unit.
pub fn time_offset(text: &str) -> Result<TimeOffset, Refusal> {
    let end = text
        .trim_end_matches(|c: char| c.is_ascii_lowercase())
        .len();
    let (number, unit) = text.split_at(end);
    let factor = UNITS.iter().find(|(name, _)| *name == unit);
    let (sign, number) = match number.strip_prefix('-') {
        Some(number) => (-1, number),
        None => (1, number),
    };
    let nanoseconds = super::digits::<i64>(number.trim_end())
        .zip(factor)
        .and_then(|(number, (_, factor))| number.checked_mul(sign * factor));
    match nanoseconds {
        Some(nanoseconds) => Ok(TimeOffset(nanoseconds)),
        None => expected("a number with one of the units h, m, s, ms, us, ns, as in 90s or -2h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_listed() {
        let found = namespaces("net  uts net").unwrap();
        assert!(found.contains(NamespaceKind::Net) && found.contains(NamespaceKind::Uts));
        assert!(!found.contains(NamespaceKind::Ipc));
        for kind in NamespaceKind::all() {
            assert_eq!(namespace_kind(kind.name()), Ok(kind));
        }
        for wrong in ["network", "NET", "net,uts", "mount"] {
            assert!(namespaces(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn namespaces_are_found_by_process_name_or_path() {
        let with = |text| share("net", text).map(|share| share.with);
        assert_eq!(with("12"), Ok(ShareWith::Process(12)));
        assert_eq!(
            with("web"),
            Ok(ShareWith::Container("web".parse().unwrap()))
        );
        assert_eq!(
            with("/run/netns/a"),
            Ok(ShareWith::File("/run/netns/a".into()))
        );
        for wrong in ["a/b", "/run/../x", "", "-1", "two words"] {
            assert!(with(wrong).is_err(), "{wrong}");
        }
        assert!(share("nets", "web").is_err());
    }

    #[test]
    fn offsets_have_units() {
        for (text, nanoseconds) in [
            ("1ns", 1),
            ("2us", 2_000),
            ("3ms", 3_000_000),
            ("4s", 4_000_000_000),
            ("-5m", -300_000_000_000),
            ("1h", 3_600_000_000_000),
            ("10 s", 10_000_000_000),
        ] {
            assert_eq!(time_offset(text), Ok(TimeOffset(nanoseconds)), "{text}");
        }
        for wrong in [
            "",
            "5",
            "s",
            "1d",
            "1 5s",
            "--1s",
            "1.5s",
            "9999999999h",
            "1S",
        ] {
            assert!(time_offset(wrong).is_err(), "{wrong}");
        }
    }
}
