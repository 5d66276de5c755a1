//! How much may be asked at a time, and by whom.

use berth_common::Uid;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Requests that a user may make at once after a pause.
pub const BURST: u32 = 8;
/// One more is allowed each time this has passed.
pub const REFILL: Duration = Duration::from_secs(3);
/// Requests under way, of all users.
pub const MAX_RUNNING: usize = 16;

/// Why a request is not taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// One of the same user is under way.
    OwnRequest,
    /// The user has asked too often.
    TooOften {
        /// Whether it is the first one refused for it, which is worth a line in the journal.
        first: bool,
    },
    /// Too many users ask at a time.
    Full,
}

/// The account of one user.
#[derive(Debug)]
struct Account {
    tokens: u32,
    counted_at: Instant,
    running: bool,
    refused: bool,
}

/// The accounts of all users who have asked lately.
#[derive(Debug, Default)]
pub struct Limiter {
    accounts: HashMap<Uid, Account>,
}

impl Limiter {
    /// Begins a request, or says why it is not to begin. One that was begun is ended by
    /// [`Self::end`].
    pub fn begin(&mut self, uid: Uid, now: Instant) -> Result<(), Busy> {
        self.forget_idle(now);
        let running = self.accounts.values().filter(|a| a.running).count();
        let account = self.accounts.entry(uid).or_insert(Account {
            tokens: BURST,
            counted_at: now,
            running: false,
            refused: false,
        });
        account.refill(now);
        if account.running {
            return Err(Busy::OwnRequest);
        }
        if account.tokens == 0 {
            let first = !std::mem::replace(&mut account.refused, true);
            return Err(Busy::TooOften { first });
        }
        if running >= MAX_RUNNING {
            return Err(Busy::Full);
        }
        account.tokens -= 1;
        account.running = true;
        account.refused = false;
        Ok(())
    }

    /// Ends a request of this user.
    pub fn end(&mut self, uid: Uid) {
        if let Some(account) = self.accounts.get_mut(&uid) {
            account.running = false;
        }
    }

    /// Whether no request is under way.
    pub fn is_idle(&self) -> bool {
        !self.accounts.values().any(|account| account.running)
    }

    /// A full account says nothing that a new one would not say.
    fn forget_idle(&mut self, now: Instant) {
        self.accounts.retain(|_, account| {
            account.refill(now);
            account.running || account.tokens < BURST
        });
    }
}

impl Account {
    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted_at);
        let more = u32::try_from(passed.as_millis() / REFILL.as_millis()).unwrap_or(BURST);
        if more >= BURST - self.tokens.min(BURST) {
            self.tokens = BURST;
            self.counted_at = now;
        } else {
            self.tokens += more;
            self.counted_at += REFILL * more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn uid(raw: u32) -> Uid {
        Uid::new(raw).unwrap()
    }

    #[test]
    fn a_user_has_one_request_at_a_time_and_so_many_in_a_row() {
        let (mut limiter, start) = (Limiter::default(), Instant::now());
        limiter.begin(uid(1000), start).unwrap();
        assert_eq!(limiter.begin(uid(1000), start), Err(Busy::OwnRequest));
        assert!(!limiter.is_idle());
        limiter.end(uid(1000));
        assert!(limiter.is_idle());
        for _ in 1..BURST {
            limiter.begin(uid(1000), start).unwrap();
            limiter.end(uid(1000));
        }
        let often = |first| Err(Busy::TooOften { first });
        assert_eq!(limiter.begin(uid(1000), start), often(true));
        assert_eq!(limiter.begin(uid(1000), start), often(false));
        // Nobody else is held up by that.
        limiter.begin(uid(1001), start).unwrap();
        let later = start + REFILL;
        limiter.begin(uid(1000), later).unwrap();
        limiter.end(uid(1000));
        assert_eq!(limiter.begin(uid(1000), later), often(true));
    }

    #[test]
    fn all_users_together_have_so_many_requests() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        for n in 0..MAX_RUNNING {
            limiter.begin(uid(1000 + n as u32), now).unwrap();
        }
        assert_eq!(limiter.begin(uid(2000), now), Err(Busy::Full));
        limiter.end(uid(1000));
        limiter.begin(uid(2000), now).unwrap();
    }

    proptest! {
        #[test]
        fn no_user_gets_more_than_his_share(steps in proptest::collection::vec((0u32..3, 0u64..4000), 1..200)) {
            let mut limiter = Limiter::default();
            let start = Instant::now();
            let mut now = start;
            let mut taken = [0u32; 3];
            for (who, pause) in steps {
                now += Duration::from_millis(pause);
                if limiter.begin(uid(who), now).is_ok() {
                    taken[who as usize] += 1;
                    limiter.end(uid(who));
                }
            }
            let refills = (now - start).as_millis() / REFILL.as_millis();
            for taken in taken {
                prop_assert!(u128::from(taken) <= u128::from(BURST) + refills);
            }
            prop_assert!(limiter.accounts.len() <= 3);
        }
    }
}
