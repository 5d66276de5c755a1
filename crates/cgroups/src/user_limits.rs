//! Limits of users' cgroups as an administrator writes them: `limits.d/*.conf`.
//!
//! A line is `WHO FILE VALUE`, separated by blanks, the value reaching to the end of the line:
//!
//! ```text
//! # comment
//! *          pids.max    4096
//! @students  memory.max  2G
//! alice      cpu.max     200000 100000
//! ```
//!
//! `WHO` is a login name, `@` and a group's name, or `*` for everybody. A user's own line counts
//! before those of his groups and these before `*`; among equals the last one does.

use crate::LimitSetting;
use std::fmt;

/// Longer files are no limits of anybody.
pub const MAX_FILE: usize = 256 * 1024;
/// More lines than this in one file are not looked at.
const MAX_LINES: usize = 8192;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLimit {
    /// Whose limit it is.
    pub who: Who,
    /// The limit.
    pub setting: LimitSetting,
    /// The file's name.
    pub file: String,
    /// The line's number, from 1.
    pub line: usize,
}

/// Whom a line is for. The order is that of precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Every person.
    Everybody,
    /// The members of a group.
    Group(String),
    /// One user.
    User(String),
}

/// A line that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitProblem {
    /// The file's name.
    pub file: String,
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for LimitProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.why)
    }
}

/// Reads one file. A line that is not understood does not touch the others.
pub fn parse_user_limits(file: &str, text: &str) -> (Vec<UserLimit>, Vec<LimitProblem>) {
    let (mut limits, mut problems) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let parsed = if number > MAX_LINES {
            Err(format!("only {MAX_LINES} lines are looked at"))
        } else {
            parse_line(line)
        };
        match parsed {
            Ok((who, setting)) => limits.push(UserLimit {
                who,
                setting,
                file: file.to_owned(),
                line: number,
            }),
            Err(why) => problems.push(LimitProblem {
                file: file.to_owned(),
                line: number,
                why,
            }),
        }
        if number > MAX_LINES {
            break;
        }
    }
    (limits, problems)
}

fn parse_line(line: &str) -> Result<(Who, LimitSetting), String> {
    let word = |text: &str| -> String { text.escape_debug().take(64).collect() };
    let (who, rest) = split(line);
    let (file, value) = split(rest);
    let who = match who.strip_prefix('@') {
        Some("") => return Err("a group's name must follow the @".to_owned()),
        Some(group) => Who::Group(group.to_owned()),
        None if who == "*" => Who::Everybody,
        None => Who::User(who.to_owned()),
    };
    if file.is_empty() {
        return Err(format!(
            "after “{}” a limit is expected, as in: pids.max 4096",
            word(line)
        ));
    }
    if value.is_empty() {
        return Err(format!(
            "{}: a value is expected (“max” for no limit)",
            word(file)
        ));
    }
    let setting = LimitSetting::new(file, value).map_err(|error| error.to_string())?;
    Ok((who, setting))
}

/// The first word and what follows it.
fn split(text: &str) -> (&str, &str) {
    let (word, rest) = text
        .split_once(|c: char| c.is_ascii_whitespace())
        .unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// The limits that hold for a user, one for each control file (for each device, where a file
/// takes a line for every one).
pub fn limits_of<'a>(
    limits: &'a [UserLimit],
    user: &str,
    mut is_member: impl FnMut(&str) -> bool,
) -> Vec<&'a UserLimit> {
    let mut applying: Vec<&UserLimit> = limits
        .iter()
        .filter(|limit| match &limit.who {
            Who::Everybody => true,
            Who::Group(group) => is_member(group),
            Who::User(name) => name == user,
        })
        .collect();
    // Stable: among equals the order of the lines remains.
    applying.sort_by_key(|limit| match limit.who {
        Who::Everybody => 0,
        Who::Group(_) => 1,
        Who::User(_) => 2,
    });
    let mut result: Vec<&UserLimit> = Vec::new();
    for limit in applying {
        result.retain(|earlier| key(&earlier.setting) != key(&limit.setting));
        result.push(limit);
    }
    result
}

/// What a later line replaces.
fn key(setting: &LimitSetting) -> (&str, &str) {
    let device = if setting.file().starts_with("io.") {
        split(setting.value()).0
    } else {
        ""
    };
    (setting.file(), device)
}

/// Whether the text of group(5) makes the user a member of that group: it lists him, or the
/// group is his primary one. Only groups of that file are known: a directory service would have
/// to be asked, and may not answer.
pub fn is_in_group(text: &str, group: &str, user: &str, primary: berth_common::Gid) -> bool {
    text.lines().any(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(group) {
            return false;
        }
        let (gid, members) = (fields.nth(1), fields.next());
        gid.and_then(|gid| gid.parse().ok()) == Some(primary)
            || members.is_some_and(|members| members.split(',').any(|name| name.trim() == user))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_common::Gid;
    use proptest::prelude::*;

    const TEXT: &str = "\
# limits of the house
*          pids.max    4096
\talice cpu.max   200000 100000

@students  memory.max  2G
@staff     memory.max  8G
alice      memory.max  4G
*          io.max      8:0 rbps=1000000
*          io.max      8:16 rbps=2000000
";

    fn of(user: &str, groups: &[&str]) -> Vec<(String, String)> {
        let (limits, problems) = parse_user_limits("a.conf", TEXT);
        assert_eq!(problems, []);
        limits_of(&limits, user, |group| groups.contains(&group))
            .iter()
            .map(|limit| {
                (
                    limit.setting.file().to_owned(),
                    limit.setting.value().to_owned(),
                )
            })
            .collect()
    }

    fn value(limits: &[(String, String)], file: &str) -> Option<String> {
        let found = limits.iter().find(|(name, _)| name == file);
        found.map(|(_, value)| value.clone())
    }

    #[test]
    fn a_users_own_line_counts_most_and_the_last_of_equals() {
        let alice = of("alice", &["staff", "students"]);
        assert_eq!(value(&alice, "memory.max").as_deref(), Some("4G"));
        assert_eq!(value(&alice, "cpu.max").as_deref(), Some("200000 100000"));
        assert_eq!(value(&alice, "pids.max").as_deref(), Some("4096"));
        let bob = of("bob", &["students", "staff"]);
        assert_eq!(value(&bob, "memory.max").as_deref(), Some("8G"));
        assert_eq!(value(&bob, "cpu.max"), None);
        assert_eq!(
            value(&of("eve", &["students"]), "memory.max").as_deref(),
            Some("2G")
        );
        assert_eq!(value(&of("eve", &[]), "memory.max"), None);
        let devices = bob.iter().filter(|(file, _)| file == "io.max").count();
        assert_eq!(devices, 2, "a line for every device");
    }

    #[test]
    fn mistakes_are_told_with_file_line_and_key() {
        let text = "alice\nalice memory.max\nalice ../memory.max 1\nbob devices.allow a\n\
                    @ pids.max 1\nbob pids.max 7\n";
        let (limits, problems) = parse_user_limits("b.conf", text);
        assert_eq!(
            (limits.len(), problems.len()),
            (1, 5),
            "the good line counts"
        );
        assert_eq!((limits[0].line, limits[0].file.as_str()), (6, "b.conf"));
        let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
        let parts = [
            "b.conf:1: after “alice” a limit",
            "b.conf:2: memory.max: a value",
            "b.conf:4: “devices.allow”",
            "b.conf:5: a group's name",
        ];
        for part in parts {
            assert!(
                told.iter().any(|line| line.starts_with(part)),
                "{part}: {told:?}"
            );
        }
    }

    #[test]
    fn members_are_those_of_the_file_and_of_the_primary_group() {
        let text = "root:x:0:\nstudents:x:2000:bob,alice\nstaff:x:2001:\nbroken\n:::\n";
        let gid = |raw| Gid::new(raw).unwrap();
        assert!(is_in_group(text, "students", "alice", gid(1)));
        assert!(is_in_group(text, "staff", "alice", gid(2001)));
        for (group, user, primary) in [
            ("students", "al", 1),
            ("staff", "alice", 1),
            ("broken", "alice", 1),
            ("none", "alice", 1),
        ] {
            assert!(!is_in_group(text, group, user, gid(primary)), "{group}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "(?s).{0,300}", user in ".{0,10}") {
            let (limits, problems) = parse_user_limits("x", &text);
            prop_assert!(limits.len() + problems.len() <= text.lines().count());
            let _ = limits_of(&limits, &user, |group| is_in_group(&text, group, &user, Gid::ROOT));
        }
    }
}
