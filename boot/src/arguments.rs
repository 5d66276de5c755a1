//! The command line.

use crate::holder::Options;
use std::ffi::OsString;

/// How it is called.
pub const USAGE: &str = "\
usage: berth-boot run [OPTIONS] root|USER   hold the containers of root or of a user
       berth-boot start [OPTIONS] [NAME…]   the same in the background, for root and all users of
                                            /etc/berth/boot.d
       berth-boot stop [OPTIONS] [NAME…]    stop the containers in order, and what holds them
       berth-boot status [NAME…]            who is held; exit status 0 all, 1 some not, 3 none
       berth-boot users                     the users of /etc/berth/boot.d, a line each
options:
  --groups LIST        start containers of these groups, as berth autostart takes them
  --no-start           start none
  --stop-seconds N     how long all containers together have to stop (default 90)
  --ready-fd N         run: write a line to this descriptor when it is ready
  --ready-stop         run: stop (SIGSTOP) when it is ready, as upstart's `expect stop` wants it
";

/// Without limits of their own a shutdown would never come to its end.
const DEFAULT_STOP_SECONDS: u64 = 90;
const MAX_STOP_SECONDS: u64 = 3600;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// In the foreground, for one user.
    Run,
    /// In the background.
    Start,
    /// Ends what runs.
    Stop,
    /// Tells what runs.
    Status,
    /// Lists the users of the boot.
    Users,
    /// Says how it is called.
    Help,
}

/// A command line that was understood.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// What to do.
    pub verb: Verb,
    /// For whom.
    pub names: Vec<String>,
    /// How.
    pub options: Options,
}

impl Arguments {
    /// Parses the words after the program's name. An error is a line for people.
    pub fn parse(words: &[OsString]) -> Result<Self, String> {
        let mut texts = Vec::new();
        for word in words {
            let text = word.to_str().ok_or("an argument is not UTF-8")?;
            texts.push(text);
        }
        let mut texts = texts.into_iter();
        let verb = match texts.next() {
            Some("run") => Verb::Run,
            Some("start") => Verb::Start,
            Some("stop") => Verb::Stop,
            Some("status") => Verb::Status,
            Some("users") => Verb::Users,
            Some("help" | "-h" | "--help") => Verb::Help,
            Some(other) => return Err(format!("no verb “{}”\n{USAGE}", other.escape_debug())),
            None => return Err(format!("what is to be done?\n{USAGE}")),
        };
        let mut options = Options {
            groups: None,
            start: true,
            stop_seconds: DEFAULT_STOP_SECONDS,
        };
        let mut names = Vec::new();
        while let Some(word) = texts.next() {
            match word {
                "--groups" => {
                    options.groups = Some(texts.next().ok_or("--groups needs a list")?.to_owned());
                }
                "--no-start" => options.start = false,
                "--stop-seconds" => options.stop_seconds = seconds(texts.next().unwrap_or(""))?,
                option if option.starts_with('-') => {
                    return Err(format!("no option “{}”\n{USAGE}", option.escape_debug()));
                }
                name => names.push(name.to_owned()),
            }
        }
        match (verb, names.len()) {
            (Verb::Run, 1) | (Verb::Start | Verb::Stop | Verb::Status, _) => {}
            (Verb::Users | Verb::Help, 0) => {}
            (Verb::Run, _) => return Err(format!("run is for one user at a time\n{USAGE}")),
            _ => return Err(format!("no name belongs there\n{USAGE}")),
        }
        Ok(Self {
            verb,
            names,
            options,
        })
    }
}

fn seconds(text: &str) -> Result<u64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|n| (1..=MAX_STOP_SECONDS).contains(n));
    number.ok_or_else(|| {
        format!(
            "--stop-seconds {}: a number from 1 to {MAX_STOP_SECONDS} is needed",
            text.escape_debug()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Arguments, String> {
        let words: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
        Arguments::parse(&words)
    }

    #[test]
    fn verbs_options_and_names() {
        let run = parse("run --groups onboot, --stop-seconds 30 alice").unwrap();
        assert_eq!((run.verb, run.names), (Verb::Run, vec!["alice".to_owned()]));
        assert_eq!(run.options.groups.as_deref(), Some("onboot,"));
        assert_eq!(run.options.stop_seconds, 30);
        assert!(run.options.start && !parse("start --no-start").unwrap().options.start);
        assert_eq!(parse("stop").unwrap().options.stop_seconds, 90);
        assert_eq!(parse("--help").unwrap().verb, Verb::Help);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (bad, part) in [
            ("", "what is to be done?"),
            ("run", "one user"),
            ("run a b", "one user"),
            ("go", "no verb “go”"),
            ("users alice", "no name"),
            ("start --quick", "no option “--quick”"),
            ("start --groups", "needs a list"),
            ("stop --stop-seconds 0", "from 1 to 3600"),
            ("stop --stop-seconds x", "from 1 to 3600"),
            ("stop --stop-seconds", "from 1 to 3600"),
        ] {
            let why = parse(bad).unwrap_err();
            assert!(why.contains(part), "{bad}: {why}");
        }
    }
}
