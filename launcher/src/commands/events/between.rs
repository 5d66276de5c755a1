//! What must have happened between two looks at a container.

use crate::state::{LastExit, Record, State};

/// What was seen of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    state: State,
    ready: bool,
    monitor: i32,
    /// Its init, while it has one.
    init: Option<i32>,
    /// How a life ended last.
    exit: Option<LastExit>,
    /// Whether a life under this monitor has ended.
    lived: bool,
    /// How many processes were killed for want of memory under this monitor.
    oom_kills: u64,
}

impl Default for Seen {
    /// Nothing runs.
    fn default() -> Self {
        Self {
            state: State::Stopped,
            ready: false,
            monitor: 0,
            init: None,
            exit: None,
            lived: false,
            oom_kills: 0,
        }
    }
}

impl Seen {
    pub(super) fn of(state: State, record: Option<&Record>) -> Self {
        let Some(record) = record else {
            return Self {
                state,
                ..Self::default()
            };
        };
        Self {
            state,
            ready: state.has_init() && record.ready,
            monitor: record.monitor,
            init: record.init.filter(|_| state.has_init()),
            exit: record.last_exit.clone(),
            // A monitor's record begins without an end.
            lived: record.last_exit.is_some(),
            oom_kills: record.oom_kills,
        }
    }

    /// What the kernel counts by now; the monitor writes it down only when a life ends.
    pub(super) fn count_oom_kills(&mut self, kills: u64) {
        self.oom_kills = self.oom_kills.max(kills);
    }
}

/// What happened, in order, each with how init ended where it did.
pub(super) fn between(old: &Seen, new: &Seen) -> Vec<(&'static str, Option<String>)> {
    let mut told = Vec::new();
    let same_monitor = old.monitor == new.monitor;
    let same_life = same_monitor && old.init == new.init && old.exit == new.exit;
    let exit = || new.exit.as_ref().map(|exit| exit.how.clone());
    // A former monitor's cgroup is gone with its count.
    let before = if same_monitor { old.oom_kills } else { 0 };
    let out_of_memory = new.oom_kills > before;
    if out_of_memory && same_monitor {
        told.push(("oom", None));
    }
    let has_ended = old.init.is_some() && !same_life;
    if has_ended && (!same_monitor || !is_end(new.state)) {
        // Of a former monitor nothing is known any more.
        told.push(match same_monitor {
            true => ("exited", exit()),
            false => ("stopped", None),
        });
    }
    match (old.state, new.state) {
        (State::Frozen, State::Running) if same_life => told.push(("thawed", None)),
        (before, now) if before == now && same_life => {}
        (_, State::Running) => {
            let again = new.lived;
            told.push((if again { "restarted" } else { "running" }, None));
        }
        (before, State::Frozen) => {
            if before != State::Running || !same_life {
                told.push(("running", None));
            }
            told.push(("frozen", None));
        }
        (_, State::Starting) => told.push(("starting", None)),
        (_, State::Restarting) => told.push(("restarting", None)),
        (_, State::Stopping) => told.push(("stopping", None)),
        (_, State::Stopped) => told.push(("stopped", exit())),
        (_, State::Aborted) => told.push(("aborted", None)),
        (_, State::Unknown) => {}
    }
    if out_of_memory && !same_monitor {
        told.push(("oom", None));
    }
    if new.ready && !(old.ready && same_life) {
        told.push(("ready", None));
    }
    told
}

const fn is_end(state: State) -> bool {
    matches!(state, State::Stopped | State::Aborted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(state: State, init: i32, exit: Option<u64>) -> Seen {
        Seen {
            state,
            ready: state == State::Running,
            monitor: 1,
            init: (init > 0).then_some(init),
            exit: exit.map(|at| LastExit {
                how: format!("exit {at}"),
                at,
            }),
            lived: exit.is_some(),
            oom_kills: 0,
        }
    }

    fn words(old: &Seen, new: &Seen) -> Vec<String> {
        between(old, new)
            .into_iter()
            .map(|(what, exit)| match exit {
                Some(exit) => format!("{what} {exit}"),
                None => what.to_owned(),
            })
            .collect()
    }

    #[test]
    fn one_step_is_one_word() {
        use State::{Frozen, Restarting, Running, Starting, Stopped, Stopping};
        let none = Seen::default();
        let running = seen(Running, 5, None);
        for (old, new, told) in [
            (&none, &none, vec![]),
            (&none, &seen(Starting, 0, None), vec!["starting"]),
            (&seen(Starting, 0, None), &running, vec!["running", "ready"]),
            (&running, &running, vec![]),
            (&running, &seen(Frozen, 5, None), vec!["frozen"]),
            (&running, &seen(Stopping, 5, None), vec!["stopping"]),
            (
                &seen(Stopping, 5, None),
                &seen(Stopped, 0, Some(1)),
                vec!["stopped exit 1"],
            ),
            (
                &running,
                &seen(Restarting, 0, Some(2)),
                vec!["exited exit 2", "restarting"],
            ),
            (
                &seen(Restarting, 0, Some(2)),
                &seen(Running, 6, Some(2)),
                vec!["restarted", "ready"],
            ),
        ] {
            assert_eq!(words(old, new), told, "{old:?} {new:?}");
        }
        let mut frozen = seen(Frozen, 5, None);
        frozen.ready = true;
        assert_eq!(words(&frozen, &running), ["thawed"]);
        let mut late = running.clone();
        late.ready = false;
        assert_eq!(words(&late, &running), ["ready"]);
    }

    #[test]
    fn processes_that_were_killed_for_memory_are_told_before_what_follows() {
        use State::{Running, Stopped};
        let running = seen(Running, 5, None);
        let with = |seen: &Seen, kills| Seen {
            oom_kills: kills,
            ..seen.clone()
        };
        assert_eq!(words(&running, &with(&running, 1)), ["oom"]);
        assert_eq!(words(&with(&running, 1), &with(&running, 1)), [""; 0]);
        assert_eq!(words(&with(&running, 1), &with(&running, 3)), ["oom"]);
        let stopped = seen(Stopped, 0, Some(9));
        assert_eq!(
            words(&with(&running, 1), &with(&stopped, 2)),
            ["oom", "stopped exit 9"]
        );
        // Another monitor counts from nought.
        let mut other = with(&seen(Running, 7, None), 1);
        other.monitor = 2;
        assert_eq!(
            words(&with(&running, 1), &other),
            ["stopped", "running", "oom", "ready"]
        );
        let mut counted = running.clone();
        counted.count_oom_kills(4);
        counted.count_oom_kills(2);
        assert_eq!(counted.oom_kills, 4);
    }

    #[test]
    fn what_was_too_fast_is_put_together() {
        use State::{Running, Stopped};
        let running = seen(Running, 5, None);
        assert_eq!(
            words(&Seen::default(), &seen(Stopped, 0, Some(3))),
            ["stopped exit 3"]
        );
        assert_eq!(words(&Seen::default(), &running), ["running", "ready"]);
        let rebooted = seen(Running, 6, Some(4));
        assert_eq!(
            words(&running, &rebooted),
            ["exited exit 4", "restarted", "ready"]
        );
        // The same number again, and yet another life.
        let same = seen(Running, 5, Some(4));
        assert_eq!(
            words(&running, &same),
            ["exited exit 4", "restarted", "ready"]
        );
        let mut other = seen(Running, 7, None);
        other.monitor = 2;
        assert_eq!(words(&running, &other), ["stopped", "running", "ready"]);
    }
}
