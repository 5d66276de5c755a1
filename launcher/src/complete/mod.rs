//! What may come next on a command line, for completion in shells: `berth complete -- WORD…`.
//!
//! The scripts in `packaging/completions` hand in the words up to the cursor and show what comes
//! back, so the three shells know the same, and it is what this very program takes. Nobody waits
//! for anything here, and whatever is wrong means that there is nothing to offer.

mod candidates;
mod spot;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::CommandFactory;

use crate::cli::Cli;
use crate::place::Place;
use spot::Wanted;

/// One thing that may stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The whole word.
    pub word: String,
    /// What it is, on one line; may be empty.
    pub about: String,
}

/// What a shell is to offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Words.
    pub candidates: Vec<Candidate>,
    /// What the shell knows better: `files`, `directories` or `users`.
    pub also: Option<&'static str>,
}

impl Offer {
    /// As the scripts read it: a line for each word, behind a tab what it is; behind a colon what
    /// the shell knows.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let one = |candidate: &Candidate| match candidate.about.as_str() {
            "" => candidate.word.clone(),
            about => format!("{}\t{about}", candidate.word),
        };
        let also = self.also.map(|what| format!(":{what}"));
        self.candidates.iter().map(one).chain(also)
    }

    fn words(words: impl IntoIterator<Item = String>) -> Self {
        let about = String::new();
        let one = |word| Candidate {
            word,
            about: about.clone(),
        };
        Self {
            candidates: words.into_iter().map(one).collect(),
            also: None,
        }
    }

    fn also(what: &'static str) -> Self {
        Self {
            candidates: Vec::new(),
            also: Some(what),
        }
    }
}

/// The user whom `--user` names among these words, before the verb.
pub fn owner_of(words: &[OsString]) -> Option<String> {
    let command = built();
    let spot = spot::find(&command, &texts(words)?)?;
    spot.value("owner").map(str::to_owned)
}

/// What may stand in the place of the last word; the first one is the program's name.
pub fn offer(words: &[OsString]) -> Offer {
    let command = built();
    let offer = texts(words).and_then(|words| {
        let spot = spot::find(&command, &words)?;
        let place = || {
            let lxcpath = spot.value("lxcpath").map(PathBuf::from);
            Place::own(lxcpath.as_deref()).ok()
        };
        let mut offer = match spot.wanted {
            Wanted::Options => spot::options(&spot),
            Wanted::Verb => spot::verbs(&spot),
            Wanted::Value(argument) => candidates::of(&spot, argument, place).unwrap_or_default(),
        };
        offer
            .candidates
            .retain(|one| one.word.starts_with(spot.word));
        for one in &mut offer.candidates {
            one.word.insert_str(0, spot.before);
        }
        Some(offer)
    });
    offer.unwrap_or_default()
}

fn built() -> clap::Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

/// `None` where a word is no text: nothing that is offered would go on from it.
fn texts(words: &[OsString]) -> Option<Vec<&str>> {
    words.iter().map(|word| word.to_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let offer = offer(&words);
        let also = offer.also.map(|what| format!(":{what}"));
        let words = offer.candidates.into_iter().map(|one| one.word);
        words.chain(also).collect()
    }

    #[test]
    fn verbs_options_and_values_are_those_of_the_command_line() {
        assert_eq!(words("berth sta"), ["start"]);
        assert_eq!(words("berth snapshot re"), ["restore"]);
        assert_eq!(words("berth stop --no"), ["--no-wait", "--nokill"]);
        assert_eq!(words("berth stop --no-wait --no"), ["--nokill"]);
        assert_eq!(words("berth top --sort=mem"), ["--sort=memory"]);
        assert_eq!(words("berth top -s mem"), ["memory"]);
        assert_eq!(words("berth create x --template b"), ["busybox"]);
        assert_eq!(words("berth create x --busybox-path "), [":files"]);
        assert_eq!(words("berth grant "), [":users"]);
        assert_eq!(words("berth -P "), [":directories"]);
        assert!(words("berth config get x lxc.uts").contains(&"lxc.uts.name".to_owned()));
        assert_eq!(words("berth wait x --state fro"), ["frozen"]);
    }

    #[test]
    fn where_nothing_is_known_nothing_is_offered() {
        for line in [
            "berth frobnicate ",
            "berth create ",
            "berth rename a ",
            "berth exec a -- ",
            "berth exec a --cwd ",
            "berth stop --timeout ",
            "berth",
        ] {
            assert_eq!(words(line), [""; 0], "{line}");
        }
        assert_eq!(offer(&[]), Offer::default());
    }

    #[test]
    fn hidden_words_stay_hidden() {
        assert_eq!(words("berth compl"), [""; 0]);
        assert!(!words("berth start -").contains(&"--daemon".to_owned()));
    }

    #[test]
    fn whose_containers_it_is_about() {
        let of = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            owner_of(&words)
        };
        assert_eq!(of("berth --user alice stop w").as_deref(), Some("alice"));
        assert_eq!(of("berth --user=alice stop w").as_deref(), Some("alice"));
        assert_eq!(of("berth exec w --user alice -- x"), None);
        assert_eq!(of("berth stop w"), None);
    }
}
