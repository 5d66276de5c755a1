//! How jobs hang together: every event is emitted by somebody, no job waits for itself.

use super::job::{Expr, Job, Problem, problem};
use std::collections::{BTreeMap, BTreeSet};

/// Which init reads the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The machine's.
    System,
    /// A user's (`init --user`).
    Session,
}

/// Events that upstart itself, its bridges, mountall, ifupdown and the like emit (upstart-events(7)
/// of 1.13).
const OF_SYSTEM: [&str; 34] = [
    "startup",
    "runlevel",
    "control-alt-delete",
    "keyboard-request",
    "power-status-changed",
    "virtual-filesystems",
    "local-filesystems",
    "remote-filesystems",
    "all-swaps",
    "filesystem",
    "mounting",
    "mounted",
    "net-device-added",
    "net-device-removed",
    "net-device-up",
    "net-device-down",
    "static-network-up",
    "deconfiguring-networking",
    "unmounted-remote-filesystems",
    "container",
    "not-container",
    "failsafe-boot",
    "hwclock-done",
    "plymouth-ready",
    "socket",
    "file",
    "dbus-activation",
    "dbus",
    "desktop-shutdown",
    "login-session-start",
    "desktop-session-start",
    "dm-lock",
    "recovery",
    "graphics-device-added",
];
const OF_SESSION: [&str; 6] = [
    "startup",
    "xsession",
    "desktop-start",
    "desktop-end",
    "session-end",
    "file",
];
/// Jobs of the distribution's that ours name.
const JOBS_OF_SYSTEM: [&str; 11] = [
    "rc",
    "rc-sysinit",
    "rcS",
    "dbus",
    "networking",
    "mountall",
    "cgmanager",
    "cgroup-lite",
    "rsyslog",
    "ssh",
    "udev",
];
const JOBS_OF_SESSION: [&str; 2] = ["dbus", "xsession-init"];
/// What upstart emits for every job.
const OF_JOBS: [&str; 4] = ["starting", "started", "stopping", "stopped"];

/// What is wrong between jobs, each with the job that it is in.
pub fn check(jobs: &[Job], level: Level) -> Vec<(String, Problem)> {
    let (events, others): (&[&str], &[&str]) = match level {
        Level::System => (&OF_SYSTEM, &JOBS_OF_SYSTEM),
        Level::Session => (&OF_SESSION, &JOBS_OF_SESSION),
    };
    let emitted: BTreeSet<&str> = jobs
        .iter()
        .flat_map(|job| job.emits.iter().map(String::as_str))
        .collect();
    let mut found = Vec::new();
    for job in jobs {
        for (which, on) in [("start", &job.start_on), ("stop", &job.stop_on)] {
            let Some((line, expr)) = on else {
                continue;
            };
            for (name, arguments) in expr.events() {
                let mut say = |text: String| found.push((job.name.clone(), problem(*line, text)));
                let forwarded = name
                    .strip_prefix(":sys:")
                    .filter(|_| level == Level::Session);
                if OF_JOBS.contains(&name) {
                    match job_of(arguments) {
                        None => say(format!(
                            "{which} on {name}: of every job, itself among them"
                        )),
                        Some(of) if of == job.name => {
                            say(format!("{which} on {name} {of}: it waits for itself"));
                        }
                        Some(of)
                            if !others.contains(&of) && jobs.iter().all(|it| it.name != of) =>
                        {
                            say(format!("{which} on {name} {of}: there is no job {of}"));
                        }
                        Some(_) => {}
                    }
                } else if !events.contains(&name)
                    && !emitted.contains(name)
                    && !forwarded.is_some_and(|name| OF_SYSTEM.contains(&name))
                {
                    say(format!("{which} on {name}: nothing emits that event"));
                }
            }
        }
    }
    if found.is_empty() {
        found.extend(cycles(jobs));
    }
    found
}

/// The job that a `starting` or the like is about: `JOB=`, or the first value.
fn job_of(arguments: &[String]) -> Option<&str> {
    let named = arguments.iter().find_map(|it| it.strip_prefix("JOB="));
    named.or_else(|| {
        arguments
            .first()
            .filter(|it| !it.contains('='))
            .map(String::as_str)
    })
}

/// Which stages of which jobs can be reached. `starting J` comes as soon as J is to start; `started
/// J` when every job that hooks onto `starting J` has started, since J waits for those.
fn cycles(jobs: &[Job]) -> Vec<(String, Problem)> {
    let by_name: BTreeMap<&str, &Job> = jobs.iter().map(|job| (job.name.as_str(), job)).collect();
    let mut starting = BTreeSet::new();
    let mut started = BTreeSet::new();
    loop {
        let before = (starting.len(), started.len());
        for job in jobs {
            let reached = |name: &str, arguments: &[String]| {
                let Some(of) = OF_JOBS.contains(&name).then(|| job_of(arguments)).flatten() else {
                    return true;
                };
                if !by_name.contains_key(of) {
                    return true;
                }
                match name {
                    "starting" => starting.contains(of),
                    // Whoever has started can be stopped; who cannot start, stops all the same.
                    _ => started.contains(of),
                }
            };
            // By hand a job can always be started that nothing starts by itself.
            if job
                .start_on
                .as_ref()
                .is_none_or(|(_, expr)| holds(expr, &reached))
            {
                starting.insert(job.name.as_str());
            }
            let hooks = jobs
                .iter()
                .filter(|other| other.name != job.name && hooks_onto(other, &job.name));
            if starting.contains(job.name.as_str())
                && hooks
                    .into_iter()
                    .all(|other| started.contains(other.name.as_str()))
            {
                started.insert(job.name.as_str());
            }
        }
        if before == (starting.len(), started.len()) {
            break;
        }
    }
    let stuck = jobs
        .iter()
        .filter(|job| !started.contains(job.name.as_str()));
    stuck
        .map(|job| {
            let line = job.start_on.as_ref().map_or(0, |(line, _)| *line);
            let text = "it waits for itself, through other jobs: it never starts".to_owned();
            (job.name.clone(), problem(line, text))
        })
        .collect()
}

fn hooks_onto(job: &Job, name: &str) -> bool {
    let events = job.start_on.as_ref().map(|(_, expr)| expr.events());
    let mut events = events.into_iter().flatten();
    events.any(|(event, arguments)| event == "starting" && job_of(arguments) == Some(name))
}

fn holds(expr: &Expr, reached: &impl Fn(&str, &[String]) -> bool) -> bool {
    match expr {
        Expr::Event { name, arguments } => reached(name, arguments),
        Expr::And(a, b) => holds(a, reached) && holds(b, reached),
        Expr::Or(a, b) => holds(a, reached) || holds(b, reached),
    }
}
