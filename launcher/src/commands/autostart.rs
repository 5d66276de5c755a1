//! `berth autostart`: the boot engine at work on the caller's containers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use berth_autostart::{Actions, Container, Entry, Finish, JobId, Work};
use berth_common::ContainerName;
use berth_kernel::process::{self, Child, Exit};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::stop::Stopped;
use super::{load_config, ready, stop};
use crate::error::{Error, Plain, Result};
use crate::place::Place;
use crate::state::Runtime;
use crate::time;

/// Exit codes of a job's process, for nobody but [`Jobs::reap`].
const DONE: u8 = 0;
const FAILED: u8 = 1;
const KILLED: u8 = 2;
const ALREADY: u8 = 3;
/// What a container needs comes first, and the next ones when it is ready.
const WITH_ALL: ready::Beside = ready::Beside {
    dependencies: true,
    wait: true,
};
/// How much of a reason is kept, in bytes.
const REASON: u64 = 4096;

/// The containers of a place as the engine wants them.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that it can judge, and those that run.
    pub known: Vec<Container>,
    /// Those whose configuration or state cannot be read, with the reason.
    pub broken: Vec<(ContainerName, String)>,
}

/// Looks at every container of a place.
pub fn containers(place: &Place) -> Result<Found> {
    let mut known = Vec::new();
    let mut broken = Vec::new();
    for name in place.names()? {
        let running = match Runtime::new(place.runtime_dir(&name)).state() {
            Ok((state, _)) => state.is_active(),
            Err(error) => {
                broken.push((name, error.to_string()));
                continue;
            }
        };
        match load_config(place, &name) {
            Ok((config, _)) => known.push(Container {
                auto: config.starts_at_boot(),
                order: config.start.order.as_ref().map_or(0, |order| order.value),
                delay: Duration::from_secs(
                    config
                        .start
                        .delay
                        .as_ref()
                        .map_or(0, |delay| delay.value)
                        .into(),
                ),
                groups: config
                    .groups
                    .iter()
                    .map(|group| group.value.clone())
                    .collect(),
                running,
                name,
            }),
            // It cannot be started; but one that runs is to be stopped whatever its file says.
            Err(error) => {
                if running {
                    known.push(Container {
                        name: name.clone(),
                        auto: true,
                        order: 0,
                        delay: Duration::ZERO,
                        groups: Vec::new(),
                        running,
                    });
                }
                broken.push((name, error.to_string()));
            }
        }
    }
    Ok(Found { known, broken })
}

/// Does the engine's work with a process per container, so that one that hangs holds up nothing.
pub struct Jobs<'a> {
    place: &'a Place,
    /// How long each container has to stop at most.
    graces: BTreeMap<ContainerName, Duration>,
    begun: Instant,
    running: BTreeMap<JobId, (Child, OwnedFd)>,
    progress: &'a mut dyn FnMut(&Entry),
}

impl<'a> Jobs<'a> {
    /// For the containers of a place, which have their time to stop; `progress` hears of each that is finished.
    pub fn new(
        place: &'a Place,
        graces: BTreeMap<ContainerName, Duration>,
        progress: &'a mut dyn FnMut(&Entry),
    ) -> Self {
        Self {
            place,
            graces,
            begun: Instant::now(),
            running: BTreeMap::new(),
            progress,
        }
    }

    fn reap(&mut self, job: JobId) -> Option<Finish> {
        let (child, _) = self.running.get(&job)?;
        let exit = match child.pidfd.try_wait() {
            Ok(None) => return None,
            Ok(Some(exit)) => exit,
            Err(error) => {
                self.running.remove(&job);
                return Some(Finish::Failed(format!("cannot wait: {}", Plain(&error))));
            }
        };
        let (_, reason) = self.running.remove(&job)?;
        Some(match exit {
            Exit::Code(code) if code == i32::from(DONE) => Finish::Done,
            Exit::Code(code) if code == i32::from(KILLED) => Finish::Killed,
            Exit::Code(code) if code == i32::from(ALREADY) => Finish::Already,
            other => {
                let mut text = String::new();
                let _ = File::from(reason).take(REASON).read_to_string(&mut text);
                Finish::Failed(if text.is_empty() {
                    other.to_string()
                } else {
                    text
                })
            }
        })
    }
}

/// In the job's own process.
fn work(place: &Place, name: &ContainerName, work: Work) -> Result<u8> {
    let stopped = |result: Result<Stopped>| match result {
        Ok(Stopped::Killed) => Ok(KILLED),
        Ok(_) => Ok(DONE),
        Err(Error::NotRunning { .. }) => Ok(ALREADY),
        Err(error) => Err(error),
    };
    match work {
        Work::Start => match ready::start(place, name, WITH_ALL, &super::start::Options::default())
        {
            Ok(_) => Ok(DONE),
            // As what another one needs, it may have been started a moment ago.
            Err(Error::AlreadyRunning(_)) => ready::wait(place, name).map(|()| ALREADY),
            Err(error) => Err(error),
        },
        Work::Stop(grace) => stopped(stop::stop(place, name, grace)),
        Work::Kill => stopped(stop::stop(place, name, Some(Duration::ZERO))),
    }
}

impl Actions for Jobs<'_> {
    fn begin(
        &mut self,
        job: JobId,
        name: &ContainerName,
        wanted: Work,
    ) -> std::result::Result<(), String> {
        let (read, write) =
            std::io::pipe().map_err(|error| format!("cannot make a pipe: {}", Plain(&error)))?;
        let place = self.place;
        let wanted = match (wanted, self.graces.get(name)) {
            (Work::Stop(grace), Some(own)) => Work::Stop(grace.into_iter().chain([*own]).min()),
            (other, _) => other,
        };
        let child = process::fork(|| {
            let mut reason = &write;
            match work(place, name, wanted) {
                Ok(code) => code,
                Err(error) => {
                    let _ = reason.write_all(error.to_string().as_bytes());
                    FAILED
                }
            }
        })
        .map_err(|error| format!("cannot make a process: {}", Plain(&error)))?;
        self.running.insert(job, (child, read.into()));
        Ok(())
    }

    fn wait(&mut self, until: Option<Duration>) -> Vec<(JobId, Finish)> {
        let left = until.map(|until| until.saturating_sub(self.now()));
        let timeout = left.map_or(PollTimeout::NONE, time::poll_timeout);
        let mut fds: Vec<PollFd<'_>> = self
            .running
            .values()
            .map(|(child, _)| PollFd::new(child.pidfd.as_fd(), PollFlags::POLLIN))
            .collect();
        if fds.is_empty() && left.is_none() {
            return Vec::new();
        }
        // Interrupted or not: whoever has ended is found below.
        let _ = poll(&mut fds, timeout);
        let jobs: Vec<JobId> = self.running.keys().copied().collect();
        jobs.into_iter()
            .filter_map(|job| Some((job, self.reap(job)?)))
            .collect()
    }

    fn abandon(&mut self, job: JobId) {
        if let Some((child, _)) = self.running.remove(&job) {
            let _ = child.pidfd.signal(nix::libc::SIGKILL);
            let _ = child.pidfd.wait();
        }
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn finished(&mut self, entry: &Entry) {
        (self.progress)(entry);
    }
}
