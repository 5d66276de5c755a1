//! Bounded fuzzing of the grammar, of migrations and of changes. See `fuzz/README.md`.

use berth_container_config::change::{Change, change};
use berth_container_config::migrate::{Origin, PathKind, Surroundings, migrate};
use berth_container_config::{LoadError, Loader, Source, load_text, seccomp, survey, text};
use std::io;
use std::path::Path;

#[path = "../../../fuzz/driver.rs"]
mod driver;

use driver::fuzz;

const RUNS: u64 = 500;

/// Files that include themselves and each other, and a directory.
struct Files;

impl Loader for Files {
    fn read(&self, path: &Path) -> io::Result<Source> {
        match self.kind(path) {
            Some(PathKind::Directory) => Ok(Source::Directory(vec!["/a.conf".into(), "/b".into()])),
            Some(_) if path == Path::new("/b") => Ok(Source::Text(
                "lxc.include = /a.conf\nlxc.include = /\n".into(),
            )),
            Some(_) => Ok(Source::Text("lxc.tty.max = 2\n".into())),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Surroundings for Files {
    fn kind(&self, path: &Path) -> Option<PathKind> {
        match path.as_os_str().len() {
            1 => Some(PathKind::Directory),
            length if length.is_multiple_of(2) => Some(PathKind::File),
            _ => None,
        }
    }
}

const FILE: &str = "config";

#[test]
fn configurations() {
    fuzz("config", RUNS, |input| {
        let decoded = text::decode(input);
        assert_eq!(text::encode(&decoded), input);
        match load_text(Path::new(FILE), &decoded, &Files) {
            Ok(loaded) => {
                for warning in loaded.warnings {
                    assert!(!warning.to_string().contains(char::is_control));
                }
            }
            Err(LoadError::Invalid(problems)) => {
                assert!(!problems.is_empty());
                for problem in problems {
                    assert!(!problem.to_string().contains(char::is_control));
                }
            }
            Err(LoadError::Read { .. }) => panic!("the text was at hand"),
        }
    });
}

#[test]
fn migrations() {
    fuzz("config", RUNS, |input| {
        let decoded = text::decode(input);
        let origin = Origin {
            descending_order: input.len().is_multiple_of(2),
        };
        let migration = migrate(Path::new(FILE), &decoded, &Files, origin);
        let new = migration.text();
        assert_eq!(migration.diff(Path::new(FILE)).is_empty(), new == decoded);
        assert_eq!(new.matches('\n').count(), decoded.matches('\n').count());
        let again = migrate(Path::new(FILE), &new, &Files, Origin::default());
        assert!(!again.changes(), "{new} → {}", again.text());
    });
}

#[test]
fn changes() {
    fuzz("config", RUNS, |input| {
        let decoded = text::decode(input);
        // A key and a value out of the input itself.
        let lines = survey(Path::new(FILE), &decoded, &Files).assignments;
        let Some(line) = lines.get(input.len() % lines.len().max(1)) else {
            return;
        };
        let value = lines.first().map_or("", |first| first.value.as_str());
        for what in [Change::Set(value), Change::Append(value), Change::Clear] {
            let Some(new) = change(Path::new(FILE), &decoded, &line.key, what, &Files) else {
                continue;
            };
            let after = survey(Path::new(FILE), &new, &Files);
            let mut values: Vec<_> = after.of_key(&line.key);
            if line.key == "lxc.include" {
                // What included files include is not to be changed.
                values.retain(|line| *line.at.file == *Path::new(FILE));
            }
            match what {
                Change::Set(value) => {
                    assert_eq!(values.len(), 1);
                    assert_eq!(values[0].value, value);
                }
                Change::Append(value) => assert_eq!(values.last().unwrap().value, value),
                Change::Clear => assert!(values.is_empty()),
            }
        }
    });
}

#[test]
fn policies_of_system_calls() {
    fuzz("seccomp", 4 * RUNS, |input| {
        let decoded = text::decode(input);
        let lines = decoded.lines().count();
        match seccomp::parse(Path::new("policy"), &decoded) {
            Ok(policy) => {
                assert!(policy.rules.len() + 2 <= lines);
                for rule in &policy.rules {
                    let line = usize::try_from(rule.line).unwrap();
                    assert!((3..=lines).contains(&line));
                    assert!(rule.arguments.len() <= 6);
                }
            }
            Err(problems) => {
                assert!(!problems.is_empty());
                for problem in problems {
                    assert!(!problem.to_string().contains(char::is_control));
                }
            }
        }
    });
}
