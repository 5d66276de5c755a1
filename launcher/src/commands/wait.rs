//! `berth wait`: until a container is in a state.

use std::str::FromStr;
use std::time::Duration;

use berth_common::ContainerName;
use berth_container_config::distance;

use crate::error::{Error, Result};
use crate::place::Place;
use crate::state::{Record, Runtime, State};
use crate::watch;

/// States of which one is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitedStates(Vec<State>);

/// Every state by its word, and by LXC's where that is another one (lxc-wait(1)).
const WORDS: [(&str, State); 11] = [
    ("stopped", State::Stopped),
    ("starting", State::Starting),
    ("running", State::Running),
    ("frozen", State::Frozen),
    ("restarting", State::Restarting),
    ("stopping", State::Stopping),
    ("aborted", State::Aborted),
    ("aborting", State::Aborted),
    // Nobody sees it for long: it is frozen then.
    ("freezing", State::Frozen),
    ("thawed", State::Running),
    ("thawing", State::Running),
];

impl FromStr for WaitedStates {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        text.split('|')
            .map(state)
            .collect::<std::result::Result<_, _>>()
            .map(Self)
    }
}

fn state(word: &str) -> std::result::Result<State, String> {
    let word = word.trim().to_lowercase();
    if let Some((_, state)) = WORDS.iter().find(|(known, _)| *known == word) {
        return Ok(*state);
    }
    let near = WORDS[..7]
        .iter()
        .map(|(known, _)| (distance(&word, known), *known))
        .filter(|(distance, _)| *distance <= 2)
        .min();
    Err(match near {
        Some((_, known)) => format!("there is no such state; did you mean {known}?"),
        None => {
            let all: Vec<&str> = WORDS[..7].iter().map(|(known, _)| *known).collect();
            format!("there is no such state; there are {}", all.join(", "))
        }
    })
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'w> {
    /// One of these states.
    States(&'w WaitedStates),
    /// That it is ready.
    Ready,
}

impl Wanted<'_> {
    fn is_met(self, state: State, record: Option<&Record>) -> bool {
        match self {
            // What ended with its monitor has ended, too.
            Self::States(states) => {
                states.0.contains(&state)
                    || (state == State::Aborted && states.0.contains(&State::Stopped))
            }
            Self::Ready => state.has_init() && record.is_some_and(|record| record.ready),
        }
    }
}

/// Waits for it, at most `limit`. A container that is destroyed meanwhile is an error.
pub fn wait(
    place: &Place,
    name: &ContainerName,
    wanted: Wanted<'_>,
    limit: Option<Duration>,
) -> Result<()> {
    place.require(name)?;
    let runtime = Runtime::new(place.runtime_dir(name));
    let mut last = State::Unknown;
    let look = || {
        let (state, record) = runtime.state()?;
        last = state;
        if wanted.is_met(state, record.as_ref()) {
            return Ok(Some(()));
        }
        place.require(name).map(|()| None)
    };
    match watch::until(&runtime, limit, look)? {
        Some(()) => Ok(()),
        None => Err(Error::other(format!(
            "container “{name}” is {} after {} s{}",
            last.word(),
            limit.unwrap_or_default().as_secs(),
            match wanted {
                Wanted::Ready if last.has_init() => " and not ready",
                _ => "",
            }
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_by_our_words_and_by_lxcs() {
        let parsed = |text: &str| text.parse::<WaitedStates>().unwrap().0;
        assert_eq!(parsed("stopped"), [State::Stopped]);
        assert_eq!(parsed("RUNNING|Stopped"), [State::Running, State::Stopped]);
        assert_eq!(parsed("FREEZING | THAWED"), [State::Frozen, State::Running]);
        let wrong = "runing".parse::<WaitedStates>().unwrap_err();
        assert!(wrong.contains("did you mean running?"), "{wrong}");
        for wrong in ["", "|", "running|", "up"] {
            assert!(wrong.parse::<WaitedStates>().is_err(), "{wrong}");
        }
    }
}
