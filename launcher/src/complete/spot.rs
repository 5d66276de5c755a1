//! Where on the command line the cursor stands.

use clap::{Arg, ArgAction, Command};

use super::{Candidate, Offer};
use crate::cli::habits;

/// What is expected at the cursor.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// A verb, or a verb's verb.
    Verb,
    /// An option's name.
    Options,
    /// A value of this argument.
    Value(&'a Arg),
}

/// The cursor's place.
#[derive(Debug)]
pub struct Spot<'a> {
    /// The verb to which it belongs.
    pub command: &'a Command,
    /// The names of verb and verb's verb.
    pub path: Vec<&'a str>,
    /// What is expected.
    pub wanted: Wanted<'a>,
    /// What has been typed of it.
    pub word: &'a str,
    /// What stands before it in the same word, as in `--sort=`.
    pub before: &'a str,
    /// Arguments with the values that they have already.
    given: Vec<(&'a Arg, &'a str)>,
}

impl<'a> Spot<'a> {
    /// The first value of an argument.
    pub fn value(&self, id: &str) -> Option<&'a str> {
        self.values(id).next()
    }

    /// All values of an argument.
    pub fn values<'s>(&'s self, id: &'s str) -> impl Iterator<Item = &'a str> + 's {
        let of_it = self.given.iter().filter(move |(arg, _)| arg.get_id() == id);
        of_it.map(|(_, value)| *value)
    }

    /// Whether the verb is this one, as in `snapshot restore`.
    pub fn is(&self, path: &str) -> bool {
        path.split(' ').eq(self.path.iter().copied())
    }
}

/// The words but the last are read as clap reads them; `None` if they make no sense.
pub fn find<'a>(root: &'a Command, words: &[&'a str]) -> Option<Spot<'a>> {
    let (last, before) = words.split_last()?;
    let mut reader = Reader {
        command: root,
        path: Vec::new(),
        given: Vec::new(),
        pending: None,
        positional: 0,
        only_values: false,
    };
    // The first word is the program's name.
    before
        .split_first()?
        .1
        .iter()
        .try_for_each(|word| reader.take(word))?;
    reader.spot(last)
}

struct Reader<'a> {
    command: &'a Command,
    path: Vec<&'a str>,
    given: Vec<(&'a Arg, &'a str)>,
    /// An option whose value comes next.
    pending: Option<&'a Arg>,
    positional: usize,
    /// After `--`.
    only_values: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, word: &'a str) -> Option<()> {
        if let Some(argument) = self.pending.take() {
            self.note(argument, word);
        } else if self.only_values || !word.starts_with('-') || word == "-" {
            return self.take_word(word);
        } else if word == "--" {
            self.only_values = true;
        } else if let Some(name) = word.strip_prefix("--") {
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (name, None),
            };
            let argument = self.long(name)?;
            match value {
                Some(value) => self.note(argument, value),
                None => self.begin(argument),
            }
        } else {
            self.take_short(&word[1..])?;
        }
        Some(())
    }

    fn take_word(&mut self, word: &'a str) -> Option<()> {
        if self.command.has_subcommands() && !self.only_values {
            self.command = self.command.find_subcommand(word)?;
            self.path.push(self.command.get_name());
            return Some(());
        }
        let argument = self.next_positional()?;
        self.note(argument, word);
        Some(())
    }

    /// Several letters behind one dash, the last perhaps with its value.
    fn take_short(&mut self, letters: &'a str) -> Option<()> {
        for (at, letter) in letters.char_indices() {
            let argument = self.short(letter)?;
            let rest = &letters[at + letter.len_utf8()..];
            if argument.get_action().takes_values() && !rest.is_empty() {
                self.note(argument, rest.strip_prefix('=').unwrap_or(rest));
                return Some(());
            }
            self.begin(argument);
        }
        Some(())
    }

    fn begin(&mut self, argument: &'a Arg) {
        if argument.get_action().takes_values() && !argument.is_require_equals_set() {
            self.pending = Some(argument);
        } else {
            self.given.push((argument, ""));
        }
    }

    fn note(&mut self, argument: &'a Arg, value: &'a str) {
        self.given.push((argument, value));
        if argument.is_positional() && !takes_several(argument) {
            self.positional += 1;
        }
    }

    fn next_positional(&self) -> Option<&'a Arg> {
        let positionals = || self.command.get_positionals();
        let last = positionals().find(|argument| argument.is_last_set());
        match last.filter(|_| self.only_values) {
            Some(last) => Some(last),
            None => positionals()
                .filter(|argument| !argument.is_last_set())
                .nth(self.positional),
        }
    }

    fn long(&self, name: &str) -> Option<&'a Arg> {
        let is_it = |argument: &&Arg| {
            argument.get_long() == Some(name)
                || argument
                    .get_all_aliases()
                    .is_some_and(|all| all.contains(&name))
        };
        let found = self.command.get_arguments().find(is_it);
        found.or_else(|| self.habit(name == "name"))
    }

    fn short(&self, letter: char) -> Option<&'a Arg> {
        let is_it = |argument: &&Arg| {
            argument.get_short() == Some(letter)
                || argument
                    .get_all_short_aliases()
                    .is_some_and(|all| all.contains(&letter))
        };
        let found = self.command.get_arguments().find(is_it);
        found.or_else(|| self.habit(letter == 'n'))
    }

    /// `-n NAME`, as LXC's commands have it.
    fn habit(&self, is_name: bool) -> Option<&'a Arg> {
        let verb = self.path.last()?;
        match is_name && self.path.len() == 1 && habits::takes_name(verb) {
            true => self.command.get_positionals().next(),
            false => None,
        }
    }

    fn spot(self, word: &'a str) -> Option<Spot<'a>> {
        let (mut before, mut typed) = ("", word);
        let wanted = if let Some(argument) = self.pending {
            Wanted::Value(argument)
        } else if word.starts_with('-') && !self.only_values {
            match word.split_once('=') {
                None => Wanted::Options,
                Some((option, value)) => {
                    (before, typed) = (&word[..option.len() + 1], value);
                    Wanted::Value(self.long(option.strip_prefix("--")?)?)
                }
            }
        } else if self.command.has_subcommands() && !self.only_values {
            Wanted::Verb
        } else {
            Wanted::Value(self.next_positional()?)
        };
        Some(Spot {
            command: self.command,
            path: self.path,
            wanted,
            word: typed,
            before,
            given: self.given,
        })
    }
}

fn takes_several(argument: &Arg) -> bool {
    argument
        .get_num_args()
        .is_some_and(|range| range.max_values() > 1)
}

/// The verbs of a verb.
pub fn verbs(spot: &Spot) -> Offer {
    let seen = |verb: &&Command| !verb.is_hide_set();
    let one = |verb: &Command| Candidate {
        word: verb.get_name().to_owned(),
        about: line(verb.get_about()),
    };
    Offer {
        candidates: spot
            .command
            .get_subcommands()
            .filter(seen)
            .map(one)
            .collect(),
        also: None,
    }
}

/// Options that may still be given; those of one letter only where nothing else is known of them.
pub fn options(spot: &Spot) -> Offer {
    let mut candidates = Vec::new();
    for argument in spot.command.get_arguments() {
        let again = matches!(
            argument.get_action(),
            ArgAction::Append | ArgAction::Count | ArgAction::Help | ArgAction::Version
        );
        let is_given = spot.given.iter().any(|(one, _)| one == &argument);
        if argument.is_positional() || argument.is_hide_set() || (is_given && !again) {
            continue;
        }
        let word = match (argument.get_long(), argument.get_short()) {
            (Some(long), _) => format!("--{long}"),
            (None, Some(short)) => format!("-{short}"),
            (None, None) => continue,
        };
        let about = line(argument.get_help());
        candidates.push(Candidate { word, about });
    }
    candidates.sort_by(|one, other| one.word.cmp(&other.word));
    Offer {
        candidates,
        also: None,
    }
}

/// The beginning of a help text, on one line.
fn line(help: Option<&clap::builder::StyledStr>) -> String {
    let text = help.map(ToString::to_string).unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = text.find([';', ':', '(']).unwrap_or(text.len());
    text[..end].trim_end_matches([' ', ',']).to_owned()
}
