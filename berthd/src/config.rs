//! `/etc/berth/berthd.toml`.

use berth_common::position::{key_at, line_of, one_line};
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// The file is a few lines.
pub const MAX_SIZE: usize = 64 * 1024;
const START_KEY: &str = "start-without-session";
const FORM: &str = "expected \"linger\", \"granted\", \"never\" or a list of users and @groups";

/// What the administrator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Who may have his lasting cgroup started where no login started it.
    pub start: StartPolicy,
    /// Whether sessions are handed over after the fact.
    pub repair_sessions: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            start: StartPolicy::Linger,
            repair_sessions: true,
        }
    }
}

/// Who may have his lasting cgroup started where no login started it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartPolicy {
    /// Who lingers.
    Linger,
    /// And who has been granted something by `berth grant`.
    Granted,
    /// Nobody.
    Never,
    /// Who lingers, and these.
    These(Vec<Who>),
}

/// A user or the members of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// By login name.
    User(String),
    /// By name, written with `@` before it.
    Group(String),
}

/// What is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    path: PathBuf,
    line: Option<usize>,
    why: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.why)
    }
}

impl std::error::Error for ConfigError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    start_without_session: Option<Spanned<toml::Value>>,
    repair_sessions: Option<bool>,
}

impl Config {
    /// Parses the text of a file; `path` is for messages. What is not said has its default.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let wrong = |at: Option<usize>, why: String| ConfigError {
            path: path.to_owned(),
            line: at.map(|at| line_of(text, at)),
            why,
        };
        let file: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map(|span| span.start);
            let key = at.map_or(String::new(), |at| key_at(text, at));
            wrong(at, key + &one_line(error.message()))
        })?;
        let default = Self::default();
        let start = match &file.start_without_session {
            None => default.start,
            Some(value) => policy(value.get_ref())
                .map_err(|why| wrong(Some(value.span().start), format!("{START_KEY}: {why}")))?,
        };
        Ok(Self {
            start,
            repair_sessions: file.repair_sessions.unwrap_or(default.repair_sessions),
        })
    }
}

fn policy(value: &toml::Value) -> Result<StartPolicy, String> {
    match value {
        toml::Value::String(word) => match word.as_str() {
            "linger" => Ok(StartPolicy::Linger),
            "granted" => Ok(StartPolicy::Granted),
            "never" => Ok(StartPolicy::Never),
            _ => Err(format!("“{}”: {FORM}", word.escape_debug())),
        },
        toml::Value::Array(entries) => {
            let each = entries.iter().map(|entry| match entry {
                toml::Value::String(name) => who(name),
                other => Err(format!("{}: {FORM}", other.type_str())),
            });
            each.collect::<Result<_, _>>().map(StartPolicy::These)
        }
        other => Err(format!("{}: {FORM}", other.type_str())),
    }
}

fn who(name: &str) -> Result<Who, String> {
    let (bare, who): (_, fn(String) -> Who) = match name.strip_prefix('@') {
        Some(group) => (group, Who::Group),
        None => (name, Who::User),
    };
    // What user data bases allow differs; these can be in none (passwd(5)).
    let never = |c: char| c == ':' || c == '/' || c == '@' || c.is_whitespace() || c.is_control();
    if bare.is_empty() || bare.len() > 256 || bare.contains(never) {
        return Err(format!(
            "“{}” is no name of a user, or of a group with @ before it",
            name.escape_debug()
        ));
    }
    Ok(who(bare.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Config, String> {
        let path = Path::new("/etc/berth/berthd.toml");
        Config::parse(text, path).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_is_the_default_and_the_shipped_one_shows_it() {
        assert_eq!(parse("").unwrap(), Config::default());
        let shipped = include_str!("../../packaging/etc/berthd.toml");
        assert_eq!(parse(shipped).unwrap(), Config::default());
        let shown = shipped.lines().filter_map(|line| line.strip_prefix('#'));
        let shown: String = shown
            .filter(|line| line.contains(" = ") && !line.starts_with(' '))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(shown.lines().count(), 2, "every key is shown:\n{shown}");
        assert_eq!(parse(&shown).unwrap(), Config::default());
    }

    #[test]
    fn everything_can_be_said() {
        let said = |word: &str| {
            parse(&format!("start-without-session = {word}"))
                .unwrap()
                .start
        };
        assert_eq!(said("\"linger\""), StartPolicy::Linger);
        assert_eq!(said("\"granted\""), StartPolicy::Granted);
        assert_eq!(said("\"never\""), StartPolicy::Never);
        assert_eq!(said("[]"), StartPolicy::These(Vec::new()));
        assert_eq!(
            said("[\"alice\", \"@staff\", 'DOM\\bob']"),
            StartPolicy::These(vec![
                Who::User("alice".into()),
                Who::Group("staff".into()),
                Who::User("DOM\\bob".into()),
            ])
        );
        assert!(!parse("repair-sessions = false").unwrap().repair_sessions);
    }

    #[test]
    fn errors_name_file_line_and_key() {
        for (text, line, word) in [
            (
                "start-without-sesion = \"linger\"\n",
                1,
                "start-without-sesion",
            ),
            ("\nstart-without-session = \"always\"\n", 2, "“always”"),
            (
                "start-without-session = true\n",
                1,
                "start-without-session: boolean",
            ),
            ("start-without-session = [1]\n", 1, "integer"),
            ("start-without-session = [\"\"]\n", 1, "“”"),
            ("start-without-session = [\"@\"]\n", 1, "“@”"),
            ("start-without-session = [\"a b\"]\n", 1, "“a b”"),
            ("start-without-session = [\"a:b\"]\n", 1, "“a:b”"),
            ("\n\nrepair-sessions = 1\n", 3, "repair-sessions: "),
            (
                "repair-sessions = true\nrepair-sessions = true\n",
                2,
                "repair-sessions",
            ),
            ("[start]\n", 1, "start"),
            ("x\n", 1, ""),
        ] {
            let error = parse(text).unwrap_err();
            let start = format!("/etc/berth/berthd.toml:{line}: ");
            assert!(
                error.starts_with(&start) && error.contains(word),
                "{text:?}: {error}"
            );
            assert!(!error.contains('\n'), "{error:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_value_panics(value in "[\\[\\]\"@a-z:, 0-9]{0,60}") {
            let _ = parse(&format!("start-without-session = {value}"));
        }
    }
}
