//! The module's arguments in a PAM configuration line.
#![forbid(unsafe_code)]

use berth_cgroups::CONTROLLERS;
use std::time::Duration;

/// What the administrator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// `session=delegate` (default) or `session=none`: whether sessions are delegated at all.
    pub delegate: bool,
    /// `attach=any` (default) or `attach=session`: on systemd, whether a user may move processes
    /// from any session or service of his into another, or only within each.
    pub attach_any: bool,
    /// `deadline=MILLISECONDS`: no step is begun later than this after the user was known;
    /// 1 to 10000.
    pub deadline: Duration,
    /// `controllers=NAME,NAME…`: which controllers reach users' cgroups where the module makes
    /// these itself; on systemd hosts `Delegate=` of the units decides.
    pub controllers: Vec<String>,
    /// `-c LIST`, as pam_cgfs(8) takes it: in which hierarchies of cgroup v1, and of v2 beside
    /// them, sessions get a cgroup. Without it none of version 1.
    pub hierarchies: Option<Selection>,
    /// `debug`: tell syslog also why nothing was done, or that all was.
    pub debug: bool,
    /// What was not understood.
    pub unknown: Vec<String>,
}

/// What `-c` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// `all`: every hierarchy.
    All,
    /// Controllers, `name=X` for named hierarchies, `unified` for version 2.
    Listed(Vec<String>),
    /// Something else; nothing is selected.
    Invalid {
        /// As much of it as is fit to be shown.
        list: String,
        /// What is wrong.
        why: &'static str,
    },
}

impl Selection {
    fn parse(list: &str) -> Self {
        // More than there are controllers; `name=` hierarchies are few.
        const MOST: usize = 64;
        let invalid = |why| Self::Invalid {
            list: list.chars().take(SHOWN).collect(),
            why,
        };
        let plain = |word: &&str| {
            word.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.=:+@".contains(&b))
        };
        let words: Vec<_> = list.split(',').filter(|word| !word.is_empty()).collect();
        match &words[..] {
            [] => invalid("a list of controllers is missing"),
            ["all"] => Self::All,
            words if words.contains(&"all") => {
                invalid("“all” stands for every hierarchy and takes nothing beside it")
            }
            words if words.len() > MOST => invalid("it is longer than any list of controllers"),
            words if words.iter().all(plain) => {
                Self::Listed(words.iter().map(|&word| word.to_owned()).collect())
            }
            _ => invalid("a controller's name has letters, digits and a few signs only"),
        }
    }

    /// Whether a controller, `name=X` or `unified` is selected.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Listed(names) => names.iter().any(|listed| listed == name),
            Self::Invalid { .. } => false,
        }
    }
}

/// How much of a word of the configuration is told back.
const SHOWN: usize = 64;

impl Default for Arguments {
    fn default() -> Self {
        Self {
            delegate: true,
            attach_any: true,
            // Moving a process takes 5 to 8 ms on an idle machine with several processors, since
            // the kernel waits for each of them, and many times that on one that is overloaded.
            deadline: Duration::from_millis(500),
            controllers: CONTROLLERS.map(str::to_owned).into(),
            hierarchies: None,
            debug: false,
            unknown: Vec::new(),
        }
    }
}

impl Arguments {
    /// Reads the words of the configuration line. One that is not understood changes nothing.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        const MOST: u64 = 10_000;
        let mut arguments = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let milliseconds = |text: &str| match text.parse() {
                Ok(number) if (1..=MOST).contains(&number) => Some(number),
                _ => None,
            };
            match word.split_once('=') {
                Some(("session", "delegate")) => arguments.delegate = true,
                Some(("session", "none")) => arguments.delegate = false,
                Some(("attach", "any")) => arguments.attach_any = true,
                Some(("attach", "session")) => arguments.attach_any = false,
                Some(("deadline", text)) if milliseconds(text).is_some() => {
                    arguments.deadline = Duration::from_millis(milliseconds(text).unwrap_or(MOST));
                }
                Some(("controllers", list)) if is_list(list) => {
                    arguments.controllers = list.split(',').map(str::to_owned).collect();
                }
                None if word == "debug" => arguments.debug = true,
                None if word == "-c" => {
                    let list = words.next().unwrap_or_default();
                    arguments.hierarchies = Some(Selection::parse(list));
                }
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
        assert!(!Arguments::parse(["attach=session"]).attach_any);
        assert!(Arguments::parse(["attach=session", "attach=any"]).attach_any);
        let some = Arguments::parse(["controllers=memory,pids"]);
        assert_eq!(some.controllers, ["memory", "pids"]);
    }

    #[test]
    fn hierarchies_as_pam_cgfs_takes_them() {
        let selection = |words: &[&str]| Arguments::parse(words.iter().copied()).hierarchies;
        assert_eq!(selection(&["debug"]), None);
        assert_eq!(selection(&["-c", "all"]), Some(Selection::All));
        let debian = selection(&["-c", "freezer,,memory,name=systemd,", "debug"]).unwrap();
        let names = ["freezer", "memory", "name=systemd"].map(str::to_owned);
        assert_eq!(debian, Selection::Listed(names.into()));
        assert!(debian.has("memory") && debian.has("name=systemd"));
        assert!(!debian.has("systemd") && !debian.has("unified") && !debian.has("all"));
        assert!(Selection::All.has("cpuset"));
        for wrong in [
            &["-c"][..],
            &["-c", ""],
            &["-c", ",,"],
            &["-c", "all,memory"],
            &["-c", "memory,all"],
            &["-c", "../memory"],
            &["-c", "memory\n"],
            &["-c", &"x,".repeat(65)],
        ] {
            let invalid = selection(wrong).unwrap();
            let Selection::Invalid { list, why } = &invalid else {
                panic!("{wrong:?}: {invalid:?}");
            };
            assert!(list.len() <= 64 && !why.is_empty());
            assert!(!invalid.has("memory") && !invalid.has("all"), "{wrong:?}");
        }
        // The word after it is its list, whatever it looks like.
        let arguments = Arguments::parse(["-c", "debug", "session=none"]);
        assert!(!arguments.debug && !arguments.delegate);
    }

    #[test]
    fn what_is_not_understood_changes_nothing() {
        let wrong = [
            "session=",
            "session=all",
            "attach=",
            "attach=none",
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
