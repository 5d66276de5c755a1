//! The table of keys: which there are, what each takes, which field it fills, and which test shows
//! that it does what it says.
//!
//! Everything else is driven by [`keys`]: the reader, the errors, the search for the nearest key,
//! the manual page, and the check that every key's test ran.

pub mod manual;
mod rows;
mod several;

use crate::config::Config;
use crate::error::printable;
use crate::position::{Position, Positioned};
use crate::suggest;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

pub use rows::keys;
pub use several::{clears, takes_several};

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
    pub(crate) fn place<T>(&self, value: T) -> Positioned<T> {
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
    /// LXC before 2.1 had it; this is its successor.
    Renamed(&'static str),
    /// LXC before 2.1 had it, and nothing came in its place; why.
    Gone(&'static str),
}

/// One key or family of keys.
pub struct Key {
    /// The key; a component `N` stands for a number, a last component `*` for anything.
    pub pattern: &'static str,
    /// What it is for, in a few words.
    pub summary: &'static str,
    /// What it does.
    pub action: Action,
    /// The full name of the test that observes its effect in a container, or its refusal.
    pub shown_by: &'static str,
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

/// The rows by the component after `lxc.`, which no pattern leaves open: a list of a thousand
/// containers asks for tens of thousands of keys.
fn by_topic() -> &'static HashMap<&'static str, Vec<&'static Key>> {
    static BY_TOPIC: OnceLock<HashMap<&str, Vec<&Key>>> = OnceLock::new();
    BY_TOPIC.get_or_init(|| {
        let mut topics = HashMap::<_, Vec<_>>::new();
        for key in keys() {
            topics.entry(topic(key.pattern)).or_default().push(key);
        }
        topics
    })
}

/// The component after `lxc.`.
fn topic(name: &str) -> &str {
    name.split('.').nth(1).unwrap_or("")
}

/// Looks a key up.
pub fn lookup(name: &str) -> Option<Found<'_>> {
    let rows = by_topic().get(topic(name))?;
    rows.iter().find_map(|key| key.matches(name))
}

/// Looks a key up, or says that there is none and which comes nearest.
pub fn find(name: &str) -> Result<Found<'_>, String> {
    if let Some(found) = lookup(name) {
        return Ok(found);
    }
    Err(match suggest::nearest(name) {
        Some(near) => format!("there is no such key; did you mean {}?", printable(&near)),
        None => "there is no such key".to_owned(),
    })
}

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
        for key in keys() {
            let name = key.pattern.replace(".N.", ".3.").replace('*', "x");
            let found = find(&name).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(
                std::ptr::eq(found.key, key),
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
