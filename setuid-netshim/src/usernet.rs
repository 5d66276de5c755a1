//! The quota file `/etc/lxc/lxc-usernet` (lxc-usernet(5)): `USER TYPE BRIDGE COUNT` or
//! `@GROUP TYPE BRIDGE COUNT`, one a line.
//!
//! Read as LXC reads it: three words and a number, separated by blanks; what follows the number
//! is ignored; a line that starts with a blank or does not have the four fields means nothing.
//! Unlike LXC, several lines for one bridge add up, and another bridge's lines do not count.

/// The longest word that LXC reads.
const MAX_WORD: usize = 99;

/// Whom a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who<'a> {
    /// A user, by name.
    User(&'a str),
    /// Each member of a group, by name.
    Group(&'a str),
}

/// A line that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its number in the file, from 1.
    pub line: usize,
    /// Whom it is for.
    pub who: Who<'a>,
    /// The type of NIC, `veth`.
    pub kind: &'a str,
    /// The bridge, or `none`.
    pub bridge: &'a str,
    /// How many. A number that is not positive grants nothing.
    pub count: i64,
}

/// Reads one line; `None` if it means nothing.
pub fn entry(line: usize, text: &str) -> Option<Entry<'_>> {
    let (who, rest) = word(text)?;
    let (kind, rest) = word(rest.trim_start_matches(is_blank))?;
    let (bridge, rest) = word(rest.trim_start_matches(is_blank))?;
    let count = number(rest.trim_start_matches(is_blank))?;
    let who = match who.strip_prefix('@') {
        Some(group) => Who::Group(group),
        None => Who::User(who),
    };
    Some(Entry {
        line,
        who,
        kind,
        bridge,
        count,
    })
}

/// What stands behind the number of a line that means something; empty for other lines.
pub fn behind_the_count(text: &str) -> &str {
    let mut rest = text;
    for _ in 0..3 {
        let Some((_, behind)) = word(rest) else {
            return "";
        };
        rest = behind.trim_start_matches(is_blank);
    }
    rest.trim_start_matches(['+', '-'])
        .trim_start_matches(|c: char| c.is_ascii_digit())
}

/// All lines that mean something, in order.
pub fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    text.split('\n')
        .enumerate()
        .filter_map(|(index, line)| entry(index + 1, line))
}

/// isspace(3) of the C locale, without the newline.
pub fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\u{b}' | '\u{c}')
}

/// The word that the text starts with, and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let end = text.find(is_blank).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (1..=MAX_WORD).contains(&word.len()).then_some((word, rest))
}

/// The decimal number that the text starts with, saturating.
fn number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    if end == 0 {
        return None;
    }
    // What does not fit into 64 bits is as good as the largest number.
    let value = digits[..end].parse().unwrap_or(i64::MAX);
    Some(if negative { -value } else { value })
}

/// What the file grants one user on one bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many NICs he may have there: the sum of the lines' positive numbers.
    pub limit: u64,
    /// The first line that grants him something there, or that would with a positive number.
    pub line: usize,
    /// The number on that line.
    pub line_count: i64,
    /// Whom that line is for, as written: `alice` or `@staff`.
    pub label: String,
}

/// Adds up the lines for `user` and the groups for which `is_member` holds. `None` if there is
/// no line for him at all.
pub fn quota(
    text: &str,
    user: &str,
    mut is_member: impl FnMut(&str) -> bool,
    kind: &str,
    bridge: &str,
) -> Option<Quota> {
    let mut quota: Option<Quota> = None;
    for entry in entries(text).filter(|entry| entry.kind == kind && entry.bridge == bridge) {
        let label = match entry.who {
            Who::User(name) if name == user => name.to_owned(),
            Who::Group(name) if is_member(name) => format!("@{name}"),
            _ => continue,
        };
        let granted = u64::try_from(entry.count).unwrap_or(0);
        match &mut quota {
            Some(quota) => quota.limit = quota.limit.saturating_add(granted),
            None => {
                quota = Some(Quota {
                    limit: granted,
                    line: entry.line,
                    line_count: entry.count,
                    label,
                });
            }
        }
    }
    quota
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limit(text: &str) -> Option<u64> {
        quota(text, "alice", |group| group == "staff", "veth", "br0").map(|quota| quota.limit)
    }

    #[test]
    fn the_grammar_is_as_tolerant_as_lxcs() {
        for (line, expected) in [
            ("alice veth br0 2", Some(2)),
            ("alice\tveth \t br0   2", Some(2)),
            ("alice veth br0 2x", Some(2)),
            ("alice veth br0 1 junk # hi", Some(1)),
            ("alice veth br0 +3", Some(3)),
            ("alice veth br0 2\r", Some(2)),
            ("alice veth br0 0", Some(0)),
            ("alice veth br0 -1", Some(0)),
            ("alice veth br0 99999999999999999999", Some(i64::MAX as u64)),
            ("@staff veth br0 4", Some(4)),
            (" alice veth br0 2", None),
            ("\talice veth br0 2", None),
            ("# alice veth br0 2", None),
            ("#alice veth br0 2", None),
            ("alice veth br0", None),
            ("alice veth br0 x", None),
            ("alice veth br0 - 2", None),
            ("alice foo br0 2", None),
            ("alice veth br1 2", None),
            ("alic veth br0 2", None),
            ("@alice veth br0 2", None),
            ("staff veth br0 2", None),
            ("", None),
        ] {
            assert_eq!(limit(line), expected, "{line:?}");
        }
    }

    #[test]
    fn lines_add_up_per_bridge() {
        let text = "alice veth br0 1\nbob veth br0 7\nalice veth br1 5\n@staff veth br0 2\n\
                    alice veth br0 3\nalice veth br0 -9\n";
        assert_eq!(limit(text), Some(6));
        let br1 = quota(text, "alice", |_| false, "veth", "br1").unwrap();
        assert_eq!((br1.limit, br1.line, br1.label.as_str()), (5, 3, "alice"));
        assert_eq!(quota(text, "carol", |_| false, "veth", "br0"), None);
    }

    #[test]
    fn only_groups_that_could_matter_are_looked_up() {
        let text = "@a veth br0 1\n@b veth br1 1\n@c foo br0 1\n";
        let mut asked = Vec::new();
        quota(
            text,
            "alice",
            |group| {
                asked.push(group.to_owned());
                false
            },
            "veth",
            "br0",
        );
        assert_eq!(asked, ["a"]);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in any::<String>()) {
            for entry in entries(&text) {
                prop_assert!(entry.line <= text.matches('\n').count() + 1);
            }
        }

        #[test]
        fn written_lines_are_read(
            user in "[a-z_][a-z0-9_-]{0,30}", bridge in "[a-z][a-z0-9]{0,14}",
            counts in proptest::collection::vec(0u32..10_000, 1..6), gap in "[ \t]{1,4}",
        ) {
            let text: String = counts.iter()
                .map(|count| format!("{user}{gap}veth{gap}{bridge}{gap}{count}\n"))
                .collect();
            let found = quota(&text, &user, |_| false, "veth", &bridge).unwrap();
            prop_assert_eq!(found.limit, counts.iter().map(|c| u64::from(*c)).sum::<u64>());
        }
    }
}
