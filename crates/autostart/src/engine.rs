//! Works a plan off: rank after rank, the containers of a rank at the same time.

use crate::plan::{Container, Direction, Plan};
use crate::report::{Entry, Outcome, Report};
use berth_common::ContainerName;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

/// How long a stop may take beyond its grace until it counts as stuck: killing, unmounting and
/// removing of cgroups happen in that time.
const TEARDOWN: Duration = Duration::from_secs(10);

/// Names one piece of work between [`Actions::begin`] and [`Actions::wait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(u64);

/// What is to be done with a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Start it; done when its init runs.
    Start,
    /// Ask it to stop and, after the grace, kill it; `None` waits as long as it takes.
    Stop(Option<Duration>),
    /// Kill it at once.
    Kill,
}

/// How a piece of work ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// As asked.
    Done,
    /// A stop that had to kill.
    Killed,
    /// There was nothing to do.
    Already,
    /// Not at all, and why.
    Failed(String),
}

/// What the engine needs of the world. It is called from one thread.
pub trait Actions {
    /// Begins a piece of work and returns at once; the end is told by [`Actions::wait`]. An error
    /// is the reason why it could not even begin.
    fn begin(&mut self, job: JobId, name: &ContainerName, work: Work) -> Result<(), String>;

    /// Waits until a piece of work has ended or [`Actions::now`] has reached `until` (`None`: as
    /// long as it takes), and tells which have. An empty answer before then is allowed. With no
    /// work under way it is a sleep.
    fn wait(&mut self, until: Option<Duration>) -> Vec<(JobId, Finish)>;

    /// The engine waits for this one no longer. What was begun is to be ended; no answer for it
    /// is expected (one that comes is disregarded).
    fn abandon(&mut self, job: JobId);

    /// A clock that never runs backwards, as time since any fixed moment.
    fn now(&self) -> Duration;

    /// Called when a container's outcome is known, for progress.
    fn finished(&mut self, _entry: &Entry) {}
}

/// Bounds of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many containers are handled at the same time at most.
    pub parallel: NonZeroUsize,
    /// How long one start may take; `None` is without bound.
    pub start_timeout: Option<Duration>,
    /// How long one container may take to stop until it is killed (lxc-autostart's `-t`,
    /// default 60 s); `None` waits as long as it takes.
    pub stop_timeout: Option<Duration>,
    /// How long the whole run may take; `None` is without bound. A shutdown keeps a part at the
    /// end of it (a quarter, at most 10 s) for killing what has not stopped by then.
    pub total: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parallel: const { NonZeroUsize::new(16).expect("not zero") },
            start_timeout: Some(Duration::from_secs(120)),
            stop_timeout: Some(Duration::from_secs(60)),
            total: None,
        }
    }
}

/// Works `plan` off. A failure never keeps the rest from being handled; only `limits.total` does.
///
/// `lxc.start.delay`: after a rank in which containers were started, the longest of their delays
/// passes before another container is started. After the last there is nothing to wait for.
pub fn run(plan: &Plan, limits: &Limits, actions: &mut dyn Actions) -> Report {
    let begun = actions.now();
    let end = limits.total.map(|total| begun.saturating_add(total));
    let kill_from = match plan.direction {
        Direction::Start => None,
        Direction::Shutdown => limits
            .total
            .map(|total| begun.saturating_add(total.saturating_sub(TEARDOWN.min(total / 4)))),
    };
    let mut engine = Engine {
        direction: plan.direction,
        limits,
        end,
        kill_from,
        not_before: begun,
        actions,
        next_job: 0,
        report: Report::default(),
    };
    for rank in &plan.ranks {
        engine.rank(rank);
    }
    engine.report
}

struct Engine<'a> {
    direction: Direction,
    limits: &'a Limits,
    end: Option<Duration>,
    kill_from: Option<Duration>,
    /// No start before this moment: the delay of the rank before.
    not_before: Duration,
    actions: &'a mut dyn Actions,
    next_job: u64,
    report: Report,
}

struct Running<'p> {
    container: &'p Container,
    work: Work,
    deadline: Option<Duration>,
}

impl Engine<'_> {
    fn rank(&mut self, rank: &[Container]) {
        let goal = self.direction == Direction::Start;
        let mut waiting = Vec::with_capacity(rank.len());
        for container in rank {
            if container.running == goal {
                self.finish(container, Outcome::Already);
            } else {
                waiting.push(container);
            }
        }
        if goal && !waiting.is_empty() {
            self.delay();
        }
        // From the back, so that taking the next one is a pop.
        waiting.reverse();

        let mut delay = Duration::ZERO;
        let mut running = BTreeMap::new();
        loop {
            self.expire(&mut running);
            while running.len() < self.limits.parallel.get() {
                let Some(container) = waiting.pop() else {
                    break;
                };
                self.begin(container, &mut running);
            }
            if running.is_empty() {
                break;
            }
            for (job, finish) in self.actions.wait(self.next_event(&running)) {
                let Some(done) = running.remove(&job) else {
                    continue;
                };
                let outcome = outcome(done.work, finish);
                if outcome == Outcome::Started {
                    delay = delay.max(done.container.delay);
                }
                self.finish(done.container, outcome);
            }
        }
        self.not_before = self.actions.now().saturating_add(delay);
    }

    /// Waits out the delay of the rank before, but not beyond the end of the run.
    fn delay(&mut self) {
        let until = self
            .end
            .map_or(self.not_before, |end| self.not_before.min(end));
        while self.actions.now() < until {
            // Nothing is under way: what is told here belongs to work given up before.
            self.actions.wait(Some(until));
        }
    }

    fn begin<'p>(&mut self, container: &'p Container, running: &mut BTreeMap<JobId, Running<'p>>) {
        let now = self.actions.now();
        if let Some((_, total)) = self
            .end
            .zip(self.limits.total)
            .filter(|&(end, _)| now >= end)
        {
            let why = format!(
                "not tried: the {} s for everything were over",
                total.as_secs()
            );
            return self.finish(container, Outcome::TimedOut(why));
        }
        let (work, bound) = self.work(now);
        let job = JobId(self.next_job);
        self.next_job += 1;
        match self.actions.begin(job, &container.name, work) {
            Ok(()) => {
                let own = bound.map(|bound| now.saturating_add(bound));
                let deadline = own.into_iter().chain(self.end).min();
                running.insert(
                    job,
                    Running {
                        container,
                        work,
                        deadline,
                    },
                );
            }
            Err(why) => self.finish(container, Outcome::Failed(why)),
        }
    }

    /// The work for a container that is begun now, and how long it may take.
    fn work(&self, now: Duration) -> (Work, Option<Duration>) {
        if self.direction == Direction::Start {
            return (Work::Start, self.limits.start_timeout);
        }
        let left = self.kill_from.map(|from| from.saturating_sub(now));
        match left.into_iter().chain(self.limits.stop_timeout).min() {
            Some(Duration::ZERO) => (Work::Kill, Some(TEARDOWN)),
            Some(grace) => (
                Work::Stop(Some(grace)),
                Some(grace.saturating_add(TEARDOWN)),
            ),
            None => (Work::Stop(None), None),
        }
    }

    /// When the engine has to look again though nothing has ended.
    fn next_event(&self, running: &BTreeMap<JobId, Running<'_>>) -> Option<Duration> {
        running.values().filter_map(|job| job.deadline).min()
    }

    /// Gives up what has overrun its time.
    fn expire(&mut self, running: &mut BTreeMap<JobId, Running<'_>>) {
        let now = self.actions.now();
        let late: Vec<JobId> = running
            .iter()
            .filter(|(_, job)| job.deadline.is_some_and(|deadline| deadline <= now))
            .map(|(&id, _)| id)
            .collect();
        for id in late {
            let Some(job) = running.remove(&id) else {
                continue;
            };
            self.actions.abandon(id);
            let over = self.end.is_some_and(|end| end <= now);
            let why = match (over, self.limits.total, job.work) {
                (true, Some(total), _) => {
                    format!(
                        "not finished when the {} s for everything were over",
                        total.as_secs()
                    )
                }
                (_, _, Work::Start) => {
                    let bound = self.limits.start_timeout.unwrap_or_default();
                    format!("did not come up within {} s", bound.as_secs())
                }
                (_, _, Work::Stop(_) | Work::Kill) => {
                    format!(
                        "still not stopped {} s after it was killed",
                        TEARDOWN.as_secs()
                    )
                }
            };
            self.finish(job.container, Outcome::TimedOut(why));
        }
    }

    fn finish(&mut self, container: &Container, outcome: Outcome) {
        let entry = Entry {
            name: container.name.clone(),
            outcome,
        };
        self.actions.finished(&entry);
        self.report.entries.push(entry);
    }
}

fn outcome(work: Work, finish: Finish) -> Outcome {
    match (finish, work) {
        (Finish::Done, Work::Start) => Outcome::Started,
        (Finish::Done, Work::Stop(_)) => Outcome::Stopped,
        (Finish::Done, Work::Kill) | (Finish::Killed, _) => Outcome::Killed,
        (Finish::Already, _) => Outcome::Already,
        (Finish::Failed(why), _) => Outcome::Failed(why),
    }
}
