//! What is suspicious in the quota file: LXC and the helper pass over such lines in silence.

use crate::usernet::{self, Who};
use std::fmt;

/// What the linter asks about the host.
pub trait Host {
    /// Whether there is a user of this name.
    fn has_user(&self, name: &str) -> bool;
    /// Whether there is a group of this name.
    fn has_group(&self, name: &str) -> bool;
    /// Whether there is a bridge of this name.
    fn has_bridge(&self, name: &str) -> bool;
}

/// Something suspicious.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong and what to write instead.
    pub what: What,
}

/// What can be wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It begins with a blank and therefore means nothing.
    LeadingBlank,
    /// It does not have the four fields and therefore means nothing.
    NotAnEntry,
    /// There is no such user.
    UnknownUser(String),
    /// A number at the place of the name: only names are compared.
    Number(String),
    /// There is no such group.
    UnknownGroup(String),
    /// The type is not `veth`.
    UnknownType(String),
    /// There is no such bridge.
    UnknownBridge(String),
    /// The number grants nothing.
    GrantsNothing(i64),
    /// What follows the number is ignored.
    TrailingJunk(String),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeadingBlank => {
                f.write_str("the line begins with a blank and means nothing: remove the blank")
            }
            Self::NotAnEntry => f.write_str(
                "the line means nothing: an entry is USER TYPE BRIDGE COUNT or @GROUP TYPE BRIDGE \
                 COUNT, a comment begins with #",
            ),
            Self::UnknownUser(name) => write!(f, "there is no user {name}"),
            Self::Number(uid) => {
                write!(f, "users are given by name: {uid} matches nobody")
            }
            Self::UnknownGroup(name) => write!(f, "there is no group {name}"),
            Self::UnknownType(kind) => {
                write!(f, "only the type veth is known, {kind} matches no request")
            }
            Self::UnknownBridge(name) => write!(f, "there is no bridge {name}"),
            Self::GrantsNothing(count) => write!(f, "the count {count} grants nothing"),
            Self::TrailingJunk(text) => write!(f, "“{text}” behind the count is ignored"),
        }
    }
}

/// Everything suspicious in the file's text, in its order.
pub fn lint(text: &str, host: &dyn Host) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let mut say = |what| {
            found.push(Finding {
                line: index + 1,
                what,
            });
        };
        // A first word that begins with # matches no user: the way comments are written.
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with(usernet::is_blank) {
            // An indented comment is one to whoever wrote it.
            if !line.trim_start().starts_with('#') {
                say(What::LeadingBlank);
            }
            continue;
        }
        let Some(entry) = usernet::entry(index + 1, line) else {
            say(What::NotAnEntry);
            continue;
        };
        match entry.who {
            Who::User(name) if host.has_user(name) => {}
            Who::User(name) if name.bytes().all(|byte| byte.is_ascii_digit()) => {
                say(What::Number(shown(name)));
            }
            Who::User(name) => say(What::UnknownUser(shown(name))),
            Who::Group(name) if host.has_group(name) => {}
            Who::Group(name) => say(What::UnknownGroup(shown(name))),
        }
        if entry.kind != "veth" {
            say(What::UnknownType(shown(entry.kind)));
        }
        if entry.bridge != "none" && !host.has_bridge(entry.bridge) {
            say(What::UnknownBridge(shown(entry.bridge)));
        }
        if entry.count <= 0 {
            say(What::GrantsNothing(entry.count));
        }
        let rest = usernet::behind_the_count(line).trim();
        // A comment is harmless, there or anywhere.
        if !rest.is_empty() && !rest.starts_with('#') {
            say(What::TrailingJunk(shown(rest)));
        }
    }
    found
}

/// Without control characters and not whole pages of it.
fn shown(text: &str) -> String {
    text.chars()
        .take(60)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Small;

    impl Host for Small {
        fn has_user(&self, name: &str) -> bool {
            name == "alice"
        }
        fn has_group(&self, name: &str) -> bool {
            name == "staff"
        }
        fn has_bridge(&self, name: &str) -> bool {
            name == "br0"
        }
    }

    #[test]
    fn each_kind_of_mistake_is_named_with_its_line() {
        let word = |text: &str| text.to_owned();
        for (line, expected) in [
            ("alice veth br0 2", vec![]),
            ("@staff veth none 2 # a comment", vec![]),
            ("# a comment", vec![]),
            ("  # an indented one", vec![]),
            ("", vec![]),
            (" alice veth br0 2", vec![What::LeadingBlank]),
            ("\talice veth br0 2", vec![What::LeadingBlank]),
            ("alice veth br0", vec![What::NotAnEntry]),
            ("alice veth br0 two", vec![What::NotAnEntry]),
            ("alicia veth br0 2", vec![What::UnknownUser(word("alicia"))]),
            ("1000 veth br0 2", vec![What::Number(word("1000"))]),
            ("@stuff veth br0 2", vec![What::UnknownGroup(word("stuff"))]),
            ("alice vet br0 2", vec![What::UnknownType(word("vet"))]),
            ("alice veth br9 2", vec![What::UnknownBridge(word("br9"))]),
            ("alice veth br0 0", vec![What::GrantsNothing(0)]),
            ("alice veth br0 -3", vec![What::GrantsNothing(-3)]),
            ("alice veth br0 2x", vec![What::TrailingJunk(word("x"))]),
            (
                "alice veth br0 2 br1 4",
                vec![What::TrailingJunk(word("br1 4"))],
            ),
        ] {
            let found = lint(&format!("# first\n{line}"), &Small);
            assert!(found.iter().all(|finding| finding.line == 2), "{line}");
            let found: Vec<What> = found.into_iter().map(|finding| finding.what).collect();
            assert_eq!(found, expected, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_nothing_is_printed_raw(text in any::<String>()) {
            for finding in lint(&text, &Small) {
                prop_assert!(!finding.what.to_string().chars().any(char::is_control));
            }
        }
    }
}
