//! From text to a policy.

use std::path::Path;

use super::{Action, Call, Policy, Rule, Section, arguments};
use crate::error::{Problem, printable};
use crate::position::Position;
use crate::value::digits;

/// So many problems are told.
const MAX_TOLD: usize = 20;
/// The highest number that libseccomp has a call fail with.
const MAX_ERRNO: u16 = 4094;
/// Longer than any name of a system call.
const MAX_NAME: usize = 64;

/// Reads a policy; `path` names it in problems. All problems, at least one, come at once.
pub fn parse(path: &Path, text: &str) -> Result<Policy, Vec<Problem>> {
    let mut reader = Reader {
        path,
        problems: Vec::new(),
    };
    let policy = reader.policy(text);
    reader.problems.truncate(MAX_TOLD);
    match policy {
        Some(policy) if reader.problems.is_empty() => Ok(policy),
        _ => Err(reader.problems),
    }
}

struct Reader<'a> {
    path: &'a Path,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn policy(&mut self, text: &str) -> Option<Policy> {
        let mut lines = (1u32..).zip(text.lines());
        let (_, version) = lines.next().unwrap_or((1, ""));
        let Some((_, style)) = lines.next() else {
            self.problem(
                2,
                "expected the second line of a policy: allowlist or denylist, with or without an \
                 action for all that it does not name"
                    .to_owned(),
            );
            return None;
        };
        match version.trim() {
            "1" => self.numbers(style, lines),
            "2" => self.names(style, lines),
            other => {
                let found = printable(other);
                self.problem(
                    1,
                    format!("expected the version of the grammar, 1 or 2, found “{found}”"),
                );
                None
            }
        }
    }

    /// Version 1: allowed numbers.
    fn numbers<'t>(
        &mut self,
        style: &str,
        lines: impl Iterator<Item = (u32, &'t str)>,
    ) -> Option<Policy> {
        // LXC had the second word before the first.
        if !["allowlist", "whitelist"].contains(&style.trim()) {
            let found = printable(style);
            self.problem(
                2,
                format!("expected allowlist, the only style of version 1, found “{found}”"),
            );
        }
        let mut rules = Vec::new();
        for (number, line) in lines {
            let line = without_comment(line);
            if line.is_empty() {
                continue;
            }
            // The kernel's numbers have 31 bits.
            match digits::<u32>(line).filter(|number| *number <= i32::MAX as u32) {
                Some(call) => rules.push(Rule {
                    line: number,
                    section: Section::ALL,
                    call: Call::Number(call),
                    action: Action::Allow,
                    arguments: Vec::new(),
                }),
                None => {
                    let found = printable(line);
                    self.problem(
                        number,
                        format!(
                            "expected the number of a system call, found “{found}” (names and \
                             actions are of version 2)"
                        ),
                    );
                }
            }
        }
        Some(Policy {
            default: Action::Kill,
            rules,
            native_only: true,
        })
    }

    /// Version 2.
    fn names<'t>(
        &mut self,
        style: &str,
        lines: impl Iterator<Item = (u32, &'t str)>,
    ) -> Option<Policy> {
        let (default, of_rules) = self.style(style)?;
        let mut rules = Vec::new();
        let mut section = Some(Section::ALL);
        for (number, line) in lines {
            let line = without_comment(line);
            if line.is_empty() {
                continue;
            }
            let read = match line.strip_prefix('[') {
                Some(name) => self::section(name).map(|read| section = Some(read)),
                None => rule(line, of_rules).map(|(call, action, arguments)| {
                    rules.extend(section.map(|section| Rule {
                        line: number,
                        section,
                        call,
                        action,
                        arguments,
                    }));
                }),
            };
            if let Err(message) = read {
                // Rules of an unknown section are looked at and forgotten.
                if line.starts_with('[') {
                    section = None;
                }
                self.problem(number, message);
            }
        }
        Some(Policy {
            default,
            rules,
            native_only: false,
        })
    }

    /// The second line: what happens to calls that no rule names, and to those of rules that do
    /// not say.
    fn style(&mut self, text: &str) -> Option<(Action, Action)> {
        let text = without_comment(text);
        let (word, rest) = split_word(text);
        let (default, of_rules) = match word {
            "denylist" | "blacklist" => (Action::Allow, Action::Kill),
            "allowlist" | "whitelist" => (Action::Kill, Action::Allow),
            _ => {
                let found = printable(text);
                self.problem(
                    2,
                    format!(
                        "expected allowlist or denylist, with or without an action for all that \
                         it does not name (allowlist errno 1), found “{found}”"
                    ),
                );
                return None;
            }
        };
        match action(rest) {
            Ok((given, "")) => Some((given.unwrap_or(default), of_rules)),
            Ok((_, more)) => {
                let found = printable(more);
                self.problem(2, format!("expected kill, errno N, trap, allow, log or notify as the action for all that the policy does not name, found “{found}”"));
                None
            }
            Err(message) => {
                self.problem(2, message);
                None
            }
        }
    }

    fn problem(&mut self, line: u32, message: String) {
        if self.problems.len() < MAX_TOLD {
            self.problems.push(Problem {
                at: Position::new(self.path, line),
                key: None,
                message,
            });
        }
    }
}

fn section(rest: &str) -> Result<Section, String> {
    let named = rest.strip_suffix(']').map(str::trim);
    named.and_then(Section::named).ok_or_else(|| {
        format!(
            "expected the name of an architecture in brackets ({}), found “[{}”",
            Section::names(),
            printable(rest)
        )
    })
}

type Parts = (Call, Action, Vec<super::ArgumentFilter>);

fn rule(line: &str, default: Action) -> Result<Parts, String> {
    let end = line
        .find(|c: char| c.is_whitespace() || c == '[')
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let first = name.as_bytes().first();
    if name.len() > MAX_NAME
        || !name.bytes().all(plain)
        || first.is_none_or(|first| first.is_ascii_digit())
    {
        return Err(format!(
            "expected the name of a system call (mount, umount2), found “{}”",
            printable(name)
        ));
    }
    let (given, rest) = action(rest)?;
    if name == "reject_force_umount" {
        return match (given, rest) {
            (None, "") => Ok((Call::ForcedUmount, Action::Errno(EACCES), Vec::new())),
            _ => Err(
                "expected nothing behind reject_force_umount: it means that umount2 with \
                 MNT_FORCE fails with errno 13"
                    .to_owned(),
            ),
        };
    }
    let filters = arguments::filters(rest)?;
    let name = Call::Name(name.to_owned());
    Ok((name, given.unwrap_or(default), filters))
}

const EACCES: u16 = 13;

/// An action at the beginning of a text, if there is one, and what follows it, without blanks on
/// either side.
fn action(text: &str) -> Result<(Option<Action>, &str), String> {
    let (word, rest) = split_word(text.trim_start());
    let action = match word {
        "kill" => Action::Kill,
        "trap" => Action::Trap,
        "allow" => Action::Allow,
        "log" => Action::Log,
        "notify" => Action::Notify,
        "errno" => {
            let (number, rest) = split_word(rest);
            return match digits::<u16>(number).filter(|number| *number <= MAX_ERRNO) {
                Some(number) => Ok((Some(Action::Errno(number)), rest)),
                None => Err(format!(
                    "expected errno and a number from 0 to {MAX_ERRNO} (errno 1), found “errno \
                     {}”",
                    printable(number)
                )),
            };
        }
        _ => return Ok((None, text.trim())),
    };
    Ok((Some(action), rest))
}

/// The first word, which a blank or a bracket ends, and what follows, trimmed.
fn split_word(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| c.is_whitespace() || c == '[')
        .unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word, rest.trim())
}

/// What stands before a `#`, trimmed.
fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests;
