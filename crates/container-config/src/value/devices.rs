//! `lxc.cgroup2.devices.allow` and `.deny`

use super::expected;
use crate::key::Refusal;

/// Which files of a control group these are; version 2 has none, a program stands for them.
pub const DEVICES_PREFIX: &str = "devices.";

/// Whether a rule gives or takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the files' own words")]
pub enum DeviceAccess {
    Allow,
    Deny,
}

/// Devices of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// `a`: both.
    All,
    /// `b`
    Block,
    /// `c`
    Character,
}

/// One rule; a later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// Whether it gives or takes.
    pub access: DeviceAccess,
    /// Of which devices.
    pub kind: DeviceKind,
    /// The major number; `None`: any (`*`).
    pub major: Option<u32>,
    /// The minor number; `None`: any (`*`).
    pub minor: Option<u32>,
    /// `r`
    pub read: bool,
    /// `w`
    pub write: bool,
    /// `m`: making device files.
    pub make: bool,
}

/// Whether a file's rules are meant.
pub fn device_access(file: &str) -> Result<DeviceAccess, Refusal> {
    match file.strip_prefix(DEVICES_PREFIX) {
        Some("allow") => Ok(DeviceAccess::Allow),
        Some("deny") => Ok(DeviceAccess::Deny),
        _ => Err(Refusal::Other(
            "of devices there are devices.allow and devices.deny only".to_owned(),
        )),
    }
}

/// `a`, or a kind, two numbers and what for (`c 1:3 rwm`), as in the kernel's documentation of
/// version 1.
pub fn device_rule(access: DeviceAccess, text: &str) -> Result<DeviceRule, Refusal> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    rule(access, &fields).map_or_else(
        || {
            expected(
                "“a”, or b, c or a for the kind, MAJOR:MINOR with * for any, and some of r, w and \
                 m (c 1:3 rwm)",
            )
        },
        Ok,
    )
}

fn rule(access: DeviceAccess, fields: &[&str]) -> Option<DeviceRule> {
    let (kind, numbers, what) = match *fields {
        ["a"] => ("a", "*:*", "rwm"),
        [kind, numbers, what] => (kind, numbers, what),
        _ => return None,
    };
    let kind = match kind {
        "a" => DeviceKind::All,
        "b" => DeviceKind::Block,
        "c" => DeviceKind::Character,
        _ => return None,
    };
    let (major, minor) = numbers.split_once(':')?;
    let known = what.chars().all(|c| matches!(c, 'r' | 'w' | 'm'));
    (known && !what.is_empty()).then_some(())?;
    Some(DeviceRule {
        access,
        kind,
        major: number(major)?,
        minor: number(minor)?,
        read: what.contains('r'),
        write: what.contains('w'),
        make: what.contains('m'),
    })
}

/// A number, or `*` for any.
fn number(text: &str) -> Option<Option<u32>> {
    match text {
        "*" => Some(None),
        _ => super::digits(text).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_those_of_version_1() {
        let allow = |text| device_rule(DeviceAccess::Allow, text);
        let pty = allow("c 136:* rw").unwrap();
        assert_eq!(
            (pty.kind, pty.major, pty.minor),
            (DeviceKind::Character, Some(136), None)
        );
        assert!(pty.read && pty.write && !pty.make);
        let all = allow("a").unwrap();
        assert_eq!(all, allow("a *:* rwm").unwrap());
        assert!(all.make && all.major.is_none());
        for wrong in [
            "",
            "b",
            "d 1:3 rwm",
            "c 1 rwm",
            "c 1:3",
            "c 1:3 rwx",
            "c 1:-3 r",
            "c 1:3 r w",
        ] {
            assert!(allow(wrong).is_err(), "{wrong}");
        }
        assert_eq!(device_access("devices.deny"), Ok(DeviceAccess::Deny));
        assert!(device_access("devices.list").is_err() && device_access("memory.max").is_err());
    }
}
