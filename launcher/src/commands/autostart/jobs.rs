//! The engine's work, with a process per container.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use berth_autostart::{Actions, Entry, Finish, JobId, Work};
use berth_common::ContainerName;
use berth_kernel::process::{self, Child, Exit};
use nix::libc::SIGKILL;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::units;
use crate::commands::stop::Stopped;
use crate::commands::{ready, reboot, start, stop};
use crate::error::{Error, Plain, Result};
use crate::place::Place;
use crate::time;

/// Exit codes of a job's process, for nobody but [`Jobs::reap`].
const DONE: u8 = 0;
const FAILED: u8 = 1;
const KILLED: u8 = 2;
const ALREADY: u8 = 3;
/// What a container needs is the engine's to know; the next ones come when it is ready.
const ALONE: ready::Beside = ready::Beside {
    dependencies: false,
    wait: true,
};
/// The engine gives up before that.
const REBOOT_LIMIT: Duration = Duration::from_secs(3600);
/// How much of a reason is kept, in bytes.
const REASON: u64 = 4096;

/// What happens, for whoever looks on.
pub enum Told<'a> {
    /// Work on a container begins.
    Begins(&'a ContainerName),
    /// A start failed, and is tried again after a pause.
    Again(&'a ContainerName, &'a str, Duration),
    /// A container's outcome is known.
    Finished(&'a Entry),
}

/// Does the engine's work with a process per container, so that one that hangs holds up nothing.
pub struct Jobs<'a> {
    place: &'a Place,
    /// Containers with a unit of their own.
    managed: BTreeSet<ContainerName>,
    begun: Instant,
    running: BTreeMap<JobId, (Child, OwnedFd)>,
    progress: &'a mut dyn FnMut(Told<'_>),
}

impl<'a> Jobs<'a> {
    /// For the containers of a place; those of `managed` are started through their units.
    pub fn new(
        place: &'a Place,
        managed: BTreeSet<ContainerName>,
        progress: &'a mut dyn FnMut(Told<'_>),
    ) -> Self {
        Self {
            place,
            managed,
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
fn work(place: &Place, name: &ContainerName, work: Work, managed: bool) -> Result<u8> {
    let stopped = |result: Result<Stopped>| match result {
        Ok(Stopped::Killed) => Ok(KILLED),
        Ok(_) => Ok(DONE),
        Err(Error::NotRunning { .. }) => Ok(ALREADY),
        Err(error) => Err(error),
    };
    match work {
        Work::Start if managed => units::start(&place.owner, name).map(|()| DONE),
        Work::Start => match ready::start(place, name, ALONE, &start::Options::default()) {
            Ok(_) => Ok(DONE),
            Err(Error::AlreadyRunning(_)) => ready::wait(place, name).map(|()| ALREADY),
            Err(error) => Err(error),
        },
        Work::Reboot => match reboot::reboot(place, name, REBOOT_LIMIT) {
            Ok(()) => ready::wait(place, name).map(|()| DONE),
            Err(Error::NotRunning { .. }) => Ok(ALREADY),
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
        let managed = self.managed.contains(name);
        let parent = nix::unistd::getpid();
        let child = process::fork(|| {
            let mut reason = &write;
            // An engine that was ended does not go on in its parts: a container of which nobody is
            // told that it runs ends again.
            let orphaned = process::set_parent_death_signal(SIGKILL).is_err()
                || nix::unistd::getppid() != parent;
            if orphaned {
                return FAILED;
            }
            match work(place, name, wanted, managed) {
                Ok(code) => code,
                Err(error) => {
                    let _ = reason.write_all(error.to_string().as_bytes());
                    FAILED
                }
            }
        })
        .map_err(|error| format!("cannot make a process: {}", Plain(&error)))?;
        self.running.insert(job, (child, read.into()));
        (self.progress)(Told::Begins(name));
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
            let _ = child.pidfd.signal(SIGKILL);
            let _ = child.pidfd.wait();
        }
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn finished(&mut self, entry: &Entry) {
        (self.progress)(Told::Finished(entry));
    }

    fn tries_again(&mut self, name: &ContainerName, why: &str, pause: Duration) {
        (self.progress)(Told::Again(name, why, pause));
    }
}
