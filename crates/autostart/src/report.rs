//! What came of each container, and the exit status that follows.

use berth_common::ContainerName;
use berth_common::exit;
use std::fmt;
use std::time::Duration;

/// What became of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was started.
    Started,
    /// It stopped as it was asked to.
    Stopped,
    /// It was asked to stop, did not in its time, and was killed.
    Killed,
    /// It has rebooted.
    Rebooted,
    /// It was in that state already.
    Already,
    /// It could not be done, and why.
    Failed(String),
    /// It did not finish in its time, and which time that was.
    TimedOut(String),
}

impl Outcome {
    /// The word for it, without why.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Killed => "killed",
            Self::Rebooted => "rebooted",
            Self::Already => "already",
            Self::Failed(_) => "failed",
            Self::TimedOut(_) => "timeout",
        }
    }

    /// Why it is not where it was to be.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Failed(why) | Self::TimedOut(why) => Some(why),
            _ => None,
        }
    }

    /// Whether the container is where it was to be. A killed one is: it has stopped.
    pub fn is_ok(&self) -> bool {
        !matches!(self, Self::Failed(_) | Self::TimedOut(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why() {
            Some(why) => write!(f, "{}: {why}", self.word()),
            None => f.write_str(self.word()),
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub name: ContainerName,
    /// What.
    pub outcome: Outcome,
    /// How often it was tried; 0 where there was nothing to do or nothing could be begun.
    pub tries: u32,
    /// How long all of that took, with what lay between.
    pub took: Duration,
}

/// What came of the whole plan: every container of it once, in the order in which they finished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The containers.
    pub entries: Vec<Entry>,
}

impl Report {
    /// How many did not get where they were to be.
    pub fn failures(&self) -> usize {
        self.entries
            .iter()
            .filter(|entry| !entry.outcome.is_ok())
            .count()
    }

    /// lxc-autostart's exit status after LXC 7.0: 0 all well or nothing to do, 1 every attempt
    /// failed, 2 some did. One that was there already counts as a successful attempt.
    pub fn exit_status(&self) -> u8 {
        match self.failures() {
            0 => exit::OK,
            failures if failures == self.entries.len() => exit::FAILED,
            _ => SOME_FAILED,
        }
    }
}

/// lxc-autostart's own meaning of 2.
const SOME_FAILED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: &[Outcome]) -> Report {
        let entries = outcomes.iter().enumerate().map(|(i, outcome)| Entry {
            name: format!("c{i}").parse().expect("a name"),
            outcome: outcome.clone(),
            tries: 1,
            took: Duration::ZERO,
        });
        Report {
            entries: entries.collect(),
        }
    }

    #[test]
    fn exit_status_follows_lxc() {
        let failed = || Outcome::Failed("no rootfs".to_owned());
        let late = || Outcome::TimedOut("60 s".to_owned());
        assert_eq!(report(&[]).exit_status(), 0);
        assert_eq!(
            report(&[Outcome::Started, Outcome::Already]).exit_status(),
            0
        );
        assert_eq!(report(&[Outcome::Killed]).exit_status(), 0);
        assert_eq!(report(&[failed()]).exit_status(), 1);
        assert_eq!(report(&[failed(), late()]).exit_status(), 1);
        assert_eq!(report(&[failed(), Outcome::Already]).exit_status(), 2);
        assert_eq!(report(&[Outcome::Started, late()]).exit_status(), 2);
    }
}
