//! Booleans, numbers, names, paths.

use super::{digits, expected};
use crate::key::Refusal;
use std::path::{Component, Path, PathBuf};

/// `0` or `1`.
pub fn boolean(text: &str) -> Result<bool, Refusal> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => expected("0 or 1"),
    }
}

/// A number without a sign.
pub fn unsigned(text: &str) -> Result<u32, Refusal> {
    digits(text).map_or_else(|| expected("a number from 0 to 4294967295"), Ok)
}

/// A number that may be negative.
pub fn integer(text: &str) -> Result<i32, Refusal> {
    let (sign, number) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let value = digits::<u32>(number).and_then(|n| i32::try_from(sign * i64::from(n)).ok());
    value.map_or_else(|| expected("a number from -2147483648 to 2147483647"), Ok)
}

/// A number of terminals: the kernel's `NR_UNIX98_PTY_MAX` bounds both kinds.
pub fn terminals(text: &str) -> Result<u32, Refusal> {
    match digits(text) {
        Some(number @ 0..=1_048_576) => Ok(number),
        _ => expected("a number from 0 to 1048576"),
    }
}

/// A host name of at most 64 bytes (HOST_NAME_MAX) without blanks and slashes.
pub fn host_name(text: &str) -> Result<String, Refusal> {
    let good = text.len() <= 64
        && text
            .chars()
            .all(|c| !c.is_whitespace() && !c.is_control() && c != '/');
    match good {
        true => Ok(text.to_owned()),
        false => expected("a host name of at most 64 characters, without blanks and slashes"),
    }
}

/// A path from the root, without `..`.
pub fn absolute_path(text: &str) -> Result<PathBuf, Refusal> {
    let path = Path::new(text);
    match path.is_absolute() && !climbs(path) {
        true => Ok(path.to_owned()),
        false => expected("an absolute path without “..”"),
    }
}

/// A path below something, without `..`.
pub fn relative_path(text: &str) -> Result<PathBuf, Refusal> {
    let path = Path::new(text);
    match path.is_relative() && !climbs(path) {
        true => Ok(path.to_owned()),
        false => expected("a relative path without “..”"),
    }
}

pub(super) fn climbs(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

/// What the console's other end is joined with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsolePeer {
    /// `none`: the container has no console.
    None,
    /// A device or a file.
    Path(PathBuf),
}

/// `none` or a path.
pub fn console_peer(text: &str) -> Result<ConsolePeer, Refusal> {
    match text {
        "none" => Ok(ConsolePeer::None),
        path => match absolute_path(path) {
            Ok(path) => Ok(ConsolePeer::Path(path)),
            Err(_) => expected("none, or the absolute path of a terminal or a file"),
        },
    }
}

/// Names separated by commas or blanks.
pub fn groups(text: &str) -> Result<Vec<String>, Refusal> {
    let parts = text.split(|c: char| c == ',' || c.is_whitespace());
    let names: Vec<String> = parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return expected("names of groups, separated by commas");
    }
    Ok(names)
}

/// Severity from which on lines are logged, as LXC numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Notice,
    Warn,
    Error,
    Crit,
    Alert,
    Fatal,
}

impl LogLevel {
    /// Its name in LXC's capitals.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Notice => "NOTICE",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Crit => "CRIT",
            Self::Alert => "ALERT",
            Self::Fatal => "FATAL",
        }
    }
}

/// 0 to 8 or a name in any case.
pub fn log_level(text: &str) -> Result<LogLevel, Refusal> {
    use LogLevel::*;
    const LEVELS: [(&str, LogLevel); 9] = [
        ("TRACE", Trace),
        ("DEBUG", Debug),
        ("INFO", Info),
        ("NOTICE", Notice),
        ("WARN", Warn),
        ("ERROR", Error),
        ("CRIT", Crit),
        ("ALERT", Alert),
        ("FATAL", Fatal),
    ];
    if let Some((_, level)) = digits::<usize>(text).and_then(|n| LEVELS.get(n)) {
        return Ok(*level);
    }
    let found = LEVELS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map_or_else(
        || expected("0 to 8, or TRACE, DEBUG, INFO, NOTICE, WARN, ERROR, CRIT, ALERT or FATAL"),
        |(_, level)| Ok(*level),
    )
}

/// What kind of program writes to the system's log (syslog(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(u8);

impl Facility {
    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// `daemon` or `local0` to `local7`, as LXC has them.
pub fn facility(text: &str) -> Result<Facility, Refusal> {
    const DAEMON: u8 = 3;
    const LOCAL0: u8 = 16;
    let local = text.strip_prefix("local").and_then(digits::<u8>);
    match (text, local) {
        ("daemon", _) => Ok(Facility(DAEMON)),
        (_, Some(number @ 0..=7)) if text.len() == "local0".len() => Ok(Facility(LOCAL0 + number)),
        _ => expected("daemon, or local0 to local7"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_plain() {
        assert_eq!(boolean("1"), Ok(true));
        assert_eq!(boolean("0"), Ok(false));
        assert_eq!(unsigned("4294967295"), Ok(u32::MAX));
        assert_eq!(integer("-2147483648"), Ok(i32::MIN));
        assert_eq!(integer("2147483647"), Ok(i32::MAX));
        for wrong in ["yes", "true", "01x", "2", "-1", "+1", "1 "] {
            assert!(boolean(wrong).is_err(), "{wrong}");
        }
        for wrong in ["4294967296", "-1", "+1", "0x10", "1.5", "ten"] {
            assert!(unsigned(wrong).is_err(), "{wrong}");
        }
        for wrong in ["2147483648", "-2147483649", "--1", "-", "+1"] {
            assert!(integer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn levels() {
        assert_eq!(log_level("5"), Ok(LogLevel::Error));
        assert_eq!(log_level("debug"), Ok(LogLevel::Debug));
        assert!(log_level("9").is_err());
        assert!(log_level("loud").is_err());
    }

    #[test]
    fn facilities_are_those_of_lxc() {
        let number = |text| facility(text).map(Facility::number);
        assert_eq!(number("daemon"), Ok(3));
        assert_eq!((number("local0"), number("local7")), (Ok(16), Ok(23)));
        for wrong in ["local8", "local07", "local", "kern", "LOCAL0", "3"] {
            assert!(facility(wrong).is_err(), "{wrong}");
        }
    }
}
