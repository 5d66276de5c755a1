//! The module's arguments in a PAM configuration line.
#![forbid(unsafe_code)]

use berth_cgroups::CONTROLLERS;
use std::time::Duration;

/// What the administrator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// `session=delegate` (default) or `session=none`: whether sessions are delegated at all.
    pub delegate: bool,
    /// `deadline=MILLISECONDS`: no step is begun later than this after the user was known;
    /// 1 to 10000.
    pub deadline: Duration,
    /// `controllers=NAME,NAME…`: which controllers reach users' cgroups where the module makes
    /// these itself; on systemd hosts `Delegate=` of the units decides.
    pub controllers: Vec<String>,
    /// `debug`: tell syslog also why nothing was done, or that all was.
    pub debug: bool,
    /// What was not understood.
    pub unknown: Vec<String>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            delegate: true,
            // Moving a process takes 5 to 8 ms on an idle machine with several processors, since
            // the kernel waits for each of them, and many times that on one that is overloaded.
            deadline: Duration::from_millis(500),
            controllers: CONTROLLERS.map(str::to_owned).into(),
            debug: false,
            unknown: Vec::new(),
        }
    }
}

impl Arguments {
    /// Reads the words of the configuration line. One that is not understood changes nothing.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        const MOST: u64 = 10_000;
        const SHOWN: usize = 64;
        let mut arguments = Self::default();
        for word in words {
            let milliseconds = |text: &str| match text.parse() {
                Ok(number) if (1..=MOST).contains(&number) => Some(number),
                _ => None,
            };
            match word.split_once('=') {
                Some(("session", "delegate")) => arguments.delegate = true,
                Some(("session", "none")) => arguments.delegate = false,
                Some(("deadline", text)) if milliseconds(text).is_some() => {
                    arguments.deadline = Duration::from_millis(milliseconds(text).unwrap_or(MOST));
                }
                Some(("controllers", list)) if is_list(list) => {
                    arguments.controllers = list.split(',').map(str::to_owned).collect();
                }
                None if word == "debug" => arguments.debug = true,
                _ => arguments.unknown.push(word.chars().take(SHOWN).collect()),
            }
        }
        arguments
    }
}

/// Names of controllers with commas between them.
fn is_list(text: &str) -> bool {
    let name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    text.len() <= 256 && text.split(',').all(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words() {
        assert_eq!(Arguments::parse([]), Arguments::default());
        let all = Arguments::parse(["session=none", "deadline=20", "debug"]);
        assert_eq!(
            (all.delegate, all.deadline, all.debug),
            (false, Duration::from_millis(20), true)
        );
        assert!(Arguments::parse(["session=none", "session=delegate"]).delegate);
        let some = Arguments::parse(["controllers=memory,pids"]);
        assert_eq!(some.controllers, ["memory", "pids"]);
    }

    #[test]
    fn what_is_not_understood_changes_nothing() {
        let wrong = [
            "session=",
            "session=all",
            "deadline=0",
            "deadline=10001",
            "deadline=1s",
            "deadline=-1",
            "debug=1",
            "controllers=",
            "controllers=memory,",
            "controllers=+memory",
            "controllers=../x",
            "",
            "=",
            "whatever",
        ];
        let arguments = Arguments::parse(wrong);
        assert_eq!(arguments.unknown, wrong);
        assert_eq!(
            Arguments {
                unknown: Vec::new(),
                ..arguments
            },
            Arguments::default()
        );
        assert!(Arguments::parse([&*"x".repeat(1000)]).unknown[0].len() <= 64);
    }
}
