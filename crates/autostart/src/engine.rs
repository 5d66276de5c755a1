//! Works a plan off: rank after rank, the containers of a rank at the same time.

use crate::plan::{Container, Direction, Plan};
use crate::report::{Entry, Outcome, Report};
use berth_common::ContainerName;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::Duration;

/// How long a stop may take beyond its grace until it counts as stuck: killing, unmounting and
/// removing of cgroups happen in that time.
const TEARDOWN: Duration = Duration::from_secs(10);
/// The longest that a start which failed waits until it is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Names one piece of work between [`Actions::begin`] and [`Actions::wait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(u64);

/// What is to be done with a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Start it; done when it is ready. One that runs is only waited for.
    Start,
    /// Have it reboot; done when it is ready again.
    Reboot,
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

    /// Called when a start failed that is tried again after a pause.
    fn tries_again(&mut self, _name: &ContainerName, _why: &str, _pause: Duration) {}
}

/// Bounds of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many containers are handled at the same time at most.
    pub parallel: NonZeroUsize,
    /// How long one start (or reboot) may take; `None` is without bound.
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

/// Works `plan` off. A failure keeps only those from being started that need what failed; nothing but
/// `limits.total` keeps one from being stopped.
///
/// `lxc.start.delay`: after a rank in which containers were started, the longest of their delays
/// passes before another container is started. After the last there is nothing to wait for.
pub fn run(plan: &Plan, limits: &Limits, actions: &mut dyn Actions) -> Report {
    let begun = actions.now();
    let end = limits.total.map(|total| begun.saturating_add(total));
    let kill_from = match plan.direction {
        Direction::Start | Direction::Reboot => None,
        Direction::Shutdown => limits
            .total
            .map(|total| begun.saturating_add(total.saturating_sub(TEARDOWN.min(total / 4)))),
    };
    let mut engine = Engine {
        plan,
        limits,
        end,
        kill_from,
        not_before: begun,
        actions,
        next_job: 0,
        well: BTreeMap::new(),
        needed: needed(plan),
        report: Report::default(),
    };
    for rank in &plan.ranks {
        engine.rank(rank);
    }
    engine.report
}

/// What another one waits for.
fn needed(plan: &Plan) -> BTreeSet<&ContainerName> {
    plan.first.values().flatten().collect()
}

struct Engine<'a> {
    plan: &'a Plan,
    limits: &'a Limits,
    end: Option<Duration>,
    kill_from: Option<Duration>,
    /// No start before this moment: the delay of the rank before.
    not_before: Duration,
    actions: &'a mut dyn Actions,
    next_job: u64,
    /// Of whom the outcome is known, and whether it is where it was to be.
    well: BTreeMap<&'a ContainerName, bool>,
    needed: BTreeSet<&'a ContainerName>,
    report: Report,
}

/// A container whose turn has come or comes within its rank.
#[derive(Clone, Copy)]
struct Waiting<'p> {
    container: &'p Container,
    /// When the first try began.
    since: Option<Duration>,
    tries: u32,
    /// After a try that failed.
    not_before: Duration,
}

struct Running<'p> {
    of: Waiting<'p>,
    work: Work,
    deadline: Option<Duration>,
}

/// What can be done for a container now.
enum Turn {
    Begin,
    Wait,
    Refuse(String),
}

impl<'a> Engine<'a> {
    fn rank(&mut self, rank: &'a [Container]) {
        let mut waiting = Vec::with_capacity(rank.len());
        for container in rank {
            let new = Waiting {
                container,
                since: None,
                tries: 0,
                not_before: Duration::ZERO,
            };
            if self.is_done(container) {
                self.finish(new, Outcome::Already);
            } else {
                waiting.push(new);
            }
        }
        let starts = self.plan.direction == Direction::Start;
        if starts && waiting.iter().any(|one| !one.container.running) {
            self.delay();
        }

        let mut delay = Duration::ZERO;
        let mut running = BTreeMap::new();
        loop {
            self.expire(&mut running);
            self.begin_all(&mut waiting, &mut running);
            if running.is_empty() && waiting.is_empty() {
                break;
            }
            for (job, finish) in self.actions.wait(self.next_event(&waiting, &running)) {
                let Some(Running { of, work, .. }) = running.remove(&job) else {
                    continue;
                };
                match (work, finish) {
                    (Work::Start, Finish::Failed(why)) if of.tries <= of.container.retries => {
                        waiting.push(self.pause(of, &why));
                    }
                    (work, finish) => {
                        let outcome = outcome(work, finish);
                        if matches!(outcome, Outcome::Started | Outcome::Rebooted) {
                            delay = delay.max(of.container.delay);
                        }
                        self.finish(of, outcome);
                    }
                }
            }
        }
        self.not_before = self.actions.now().saturating_add(delay);
    }

    /// Whether nothing is to be done for a container. One that runs and is needed may not be ready.
    fn is_done(&self, container: &Container) -> bool {
        let waited_for =
            self.plan.direction == Direction::Start && self.needed.contains(&container.name);
        self.plan.direction.is_done(container) && !waited_for
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

    /// Begins whatever can be, in order. One that is refused may be what another one waits for.
    fn begin_all(
        &mut self,
        waiting: &mut Vec<Waiting<'a>>,
        running: &mut BTreeMap<JobId, Running<'a>>,
    ) {
        let mut again = true;
        while again {
            again = false;
            for one in std::mem::take(waiting) {
                match self.turn(one) {
                    Turn::Refuse(why) => {
                        self.finish(one, Outcome::Failed(why));
                        again = true;
                    }
                    Turn::Begin if running.len() < self.limits.parallel.get() => {
                        again |= !self.begin(one, running);
                    }
                    Turn::Begin | Turn::Wait => waiting.push(one),
                }
            }
        }
    }

    fn turn(&self, one: Waiting<'_>) -> Turn {
        let name = &one.container.name;
        if let Some(why) = self.plan.refused.get(name) {
            return Turn::Refuse(why.clone());
        }
        for other in self.plan.first.get(name).into_iter().flatten() {
            match self.well.get(other) {
                None => return Turn::Wait,
                Some(false) if self.plan.direction == Direction::Start => {
                    return Turn::Refuse(format!(
                        "not tried: it needs “{other}” first, which is not ready"
                    ));
                }
                Some(_) => {}
            }
        }
        // Whoever waits for a second try does so no longer than the run lasts.
        let now = self.actions.now();
        let over = self.end.is_some_and(|end| end <= now);
        match one.not_before <= now || over {
            true => Turn::Begin,
            false => Turn::Wait,
        }
    }

    /// A try has failed: when the next one is.
    fn pause(&mut self, of: Waiting<'a>, why: &str) -> Waiting<'a> {
        let factor = 1_u32.checked_shl(of.tries - 1).unwrap_or(u32::MAX);
        let pause = of.container.retry_delay.saturating_mul(factor);
        let pause = pause.min(LONGEST_PAUSE);
        self.actions.tries_again(&of.container.name, why, pause);
        Waiting {
            not_before: self.actions.now().saturating_add(pause),
            ..of
        }
    }

    /// Whether it was begun; otherwise its outcome is known.
    fn begin(&mut self, one: Waiting<'a>, running: &mut BTreeMap<JobId, Running<'a>>) -> bool {
        let now = self.actions.now();
        if let Some((_, total)) = self
            .end
            .zip(self.limits.total)
            .filter(|&(end, _)| now >= end)
        {
            let again = if one.tries == 0 { "" } else { " again" };
            let why = format!(
                "not tried{again}: the {} s for everything were over",
                total.as_secs()
            );
            self.finish(one, Outcome::TimedOut(why));
            return false;
        }
        let (work, bound) = self.work(one.container, now);
        let job = JobId(self.next_job);
        self.next_job += 1;
        match self.actions.begin(job, &one.container.name, work) {
            Ok(()) => {
                let own = bound.map(|bound| now.saturating_add(bound));
                let deadline = own.into_iter().chain(self.end).min();
                let of = Waiting {
                    since: one.since.or(Some(now)),
                    tries: one.tries + 1,
                    ..one
                };
                running.insert(job, Running { of, work, deadline });
                true
            }
            Err(why) => {
                self.finish(one, Outcome::Failed(why));
                false
            }
        }
    }

    /// The work for a container that is begun now, and how long it may take.
    fn work(&self, container: &Container, now: Duration) -> (Work, Option<Duration>) {
        let start_timeout = container.start_timeout.or(self.limits.start_timeout);
        match self.plan.direction {
            Direction::Start => return (Work::Start, start_timeout),
            Direction::Reboot => return (Work::Reboot, start_timeout),
            Direction::Shutdown => {}
        }
        let left = self.kill_from.map(|from| from.saturating_sub(now));
        let grace = container.stop_timeout.or(self.limits.stop_timeout);
        match left.into_iter().chain(grace).min() {
            Some(Duration::ZERO) => (Work::Kill, Some(TEARDOWN)),
            Some(grace) => (
                Work::Stop(Some(grace)),
                Some(grace.saturating_add(TEARDOWN)),
            ),
            None => (Work::Stop(None), None),
        }
    }

    /// When the engine has to look again though nothing has ended.
    fn next_event(
        &self,
        waiting: &[Waiting<'_>],
        running: &BTreeMap<JobId, Running<'_>>,
    ) -> Option<Duration> {
        let now = self.actions.now();
        let deadlines = running.values().filter_map(|job| job.deadline);
        let pauses = waiting.iter().map(|one| one.not_before);
        let pauses = pauses.filter(|&until| until > now).chain(self.end);
        deadlines.chain(pauses).min()
    }

    /// Gives up what has overrun its time.
    fn expire(&mut self, running: &mut BTreeMap<JobId, Running<'a>>) {
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
            let why = self.why_late(&job, now);
            self.finish(job.of, Outcome::TimedOut(why));
        }
    }

    fn why_late(&self, job: &Running<'_>, now: Duration) -> String {
        let over = self.end.is_some_and(|end| end <= now);
        let own = job.of.container.start_timeout;
        let start_timeout = own.or(self.limits.start_timeout).unwrap_or_default();
        match (over, self.limits.total, job.work) {
            (true, Some(total), _) => format!(
                "not finished when the {} s for everything were over",
                total.as_secs()
            ),
            (_, _, Work::Start | Work::Reboot) => {
                format!("did not come up within {} s", start_timeout.as_secs())
            }
            (_, _, Work::Stop(_) | Work::Kill) => format!(
                "still not stopped {} s after it was killed",
                TEARDOWN.as_secs()
            ),
        }
    }

    fn finish(&mut self, of: Waiting<'a>, outcome: Outcome) {
        let since = of
            .since
            .map(|since| self.actions.now().saturating_sub(since));
        let entry = Entry {
            name: of.container.name.clone(),
            outcome,
            tries: of.tries,
            took: since.unwrap_or_default(),
        };
        self.well.insert(&of.container.name, entry.outcome.is_ok());
        self.actions.finished(&entry);
        self.report.entries.push(entry);
    }
}

fn outcome(work: Work, finish: Finish) -> Outcome {
    match (finish, work) {
        (Finish::Done, Work::Start) => Outcome::Started,
        (Finish::Done, Work::Reboot) => Outcome::Rebooted,
        (Finish::Done, Work::Stop(_)) => Outcome::Stopped,
        (Finish::Done, Work::Kill) | (Finish::Killed, _) => Outcome::Killed,
        (Finish::Already, _) => Outcome::Already,
        (Finish::Failed(why), _) => Outcome::Failed(why),
    }
}
