//! Whether an init that ended by itself is started again, and when.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use berth_container_config::berth_toml::{Policy, Restart};

use crate::time;

/// Counts restarts.
pub struct Keeper {
    plan: Restart,
    /// When the restarts within the window were.
    recent: VecDeque<Instant>,
}

/// What follows on an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays ended.
    Stay,
    /// It is started again after this time.
    Again(Duration),
    /// It stays ended although the policy would start it again; why.
    GivenUp(String),
}

impl Keeper {
    /// With no restart yet.
    pub fn new(plan: Restart) -> Self {
        Self {
            plan,
            recent: VecDeque::new(),
        }
    }

    /// Init ended by itself, or could not be started again.
    pub fn ended(&mut self, failed: bool, now: Instant) -> Verdict {
        let again = match self.plan.policy {
            Policy::No => false,
            Policy::OnFailure => failed,
            Policy::Always => true,
        };
        if !again {
            return Verdict::Stay;
        }
        let window = self.plan.window;
        self.recent
            .retain(|moment| now.saturating_duration_since(*moment) < window);
        let before = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if before >= self.plan.limit {
            return Verdict::GivenUp(format!(
                "it was started again {before} times within {} and stays stopped (restart.limit)",
                time::duration(window.as_secs())
            ));
        }
        self.recent.push_back(now);
        let factor = 1_u32.checked_shl(before).unwrap_or(u32::MAX);
        Verdict::Again(
            self.plan
                .delay
                .saturating_mul(factor)
                .min(self.plan.delay_max),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn keeper(policy: Policy) -> Keeper {
        Keeper::new(Restart {
            policy,
            delay_max: 3 * SECOND,
            limit: 4,
            window: 100 * SECOND,
            ..Restart::default()
        })
    }

    #[test]
    fn the_policy_says_which_ends_count() {
        let now = Instant::now();
        for (policy, failed, again) in [
            (Policy::No, true, false),
            (Policy::OnFailure, true, true),
            (Policy::OnFailure, false, false),
            (Policy::Always, true, true),
            (Policy::Always, false, true),
        ] {
            let verdict = keeper(policy).ended(failed, now);
            assert_eq!(verdict != Verdict::Stay, again, "{policy:?} {failed}");
        }
    }

    #[test]
    fn delays_grow_up_to_the_longest_and_too_many_are_given_up() {
        let mut keeper = keeper(Policy::Always);
        let begin = Instant::now();
        for (at, delay) in [(0, 1), (1, 2), (3, 3), (6, 3)] {
            let verdict = keeper.ended(false, begin + at * SECOND);
            assert_eq!(verdict, Verdict::Again(delay * SECOND));
        }
        let Verdict::GivenUp(why) = keeper.ended(false, begin + 9 * SECOND) else {
            panic!("started again without end");
        };
        assert!(why.contains("4 times within 1 min 40 s"), "{why}");
        // What was long ago counts no more.
        let verdict = keeper.ended(false, begin + 102 * SECOND);
        assert_eq!(verdict, Verdict::Again(3 * SECOND));
        let verdict = keeper.ended(false, begin + 500 * SECOND);
        assert_eq!(verdict, Verdict::Again(SECOND));
    }

    #[test]
    fn a_thousand_restarts_are_no_overflow() {
        let mut keeper = Keeper::new(Restart {
            policy: Policy::Always,
            limit: 1000,
            ..Restart::default()
        });
        let now = Instant::now();
        for _ in 0..1000 {
            assert!(
                matches!(keeper.ended(true, now), Verdict::Again(delay) if delay <= 60 * SECOND)
            );
        }
    }
}
