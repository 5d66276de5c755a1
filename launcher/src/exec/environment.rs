//! What of the caller's environment a command inside gets.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// What the caller's terminal tells programs, and they inside need as well.
const TERMINAL: [&str; 3] = ["TERM", "COLORTERM", "NO_COLOR"];
/// What says who and where the caller is on the host; inside, the container's own user data base
/// does.
const OF_HOST: [&str; 8] = [
    "HOME", "LOGNAME", "OLDPWD", "PATH", "PWD", "SHELL", "SHLVL", "USER",
];

/// Which variables of the caller's go in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// All but those that say who and where he is.
    pub all: bool,
    /// These, whatever they say.
    pub names: Vec<String>,
}

/// `NAME=value` for each variable of `caller` that goes in.
pub(super) fn kept(
    kept: &Kept,
    terminal: bool,
    caller: impl Iterator<Item = (OsString, OsString)>,
) -> Vec<Vec<u8>> {
    let goes_in = |name: &OsStr| {
        let is_in = |list: &[&str]| list.iter().any(|other| name == *other);
        kept.names.iter().any(|other| name == other.as_str())
            || (kept.all && !is_in(&OF_HOST))
            || (terminal && is_in(&TERMINAL))
    };
    caller
        .filter(|(name, _)| goes_in(name))
        .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &Kept, terminal: bool) -> Vec<String> {
        let caller = [
            ("HOME", "/h"),
            ("TERM", "xterm"),
            ("LANG", "C"),
            ("PATH", "/p"),
        ];
        let caller = caller.map(|(name, value)| (name.into(), value.into()));
        let entries = kept(options, terminal, caller.into_iter()).into_iter();
        entries
            .map(|entry| String::from_utf8(entry).unwrap())
            .collect()
    }

    #[test]
    fn nothing_of_the_callers_but_what_his_terminal_says() {
        assert!(of(&Kept::default(), false).is_empty());
        assert_eq!(of(&Kept::default(), true), ["TERM=xterm"]);
    }

    #[test]
    fn what_is_asked_for_is_kept() {
        let all = Kept {
            all: true,
            names: Vec::new(),
        };
        assert_eq!(of(&all, false), ["TERM=xterm", "LANG=C"]);
        let one = Kept {
            all: false,
            names: vec!["PATH".to_owned()],
        };
        assert_eq!(of(&one, false), ["PATH=/p"]);
    }
}
