//! The end of a container: asked for, by force, and what is removed after it.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use berth_kernel::process::{self, Exit, PidFd};
use berth_session_protocol::Connection;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::signal::Signal;

use super::super::console::Front;
use super::super::protocol::Answer;
use super::super::{hooks, log, lxc};
use super::Run;
use crate::error::Result;
use crate::place::Place;
use crate::start::cgroup::ContainerCgroup;
use crate::start::plan::StartPlan;
use crate::start::remains::Root;
use crate::state::{Runtime, State};

/// How long a stop signal of the configuration's own has to end init before it is killed.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// How soon it is asked again to stop where it could not hear it.
const SOON: Duration = Duration::from_millis(100);

impl Run<'_> {
    /// Asks init to stop, as its program understands it.
    pub(super) fn stop(&mut self) {
        let first = !self.stopping;
        self.stopping = true;
        // Who stands still hears no signal.
        self.thaw();
        let Some(init) = &self.init else { return };
        let signal = self
            .plan
            .halt_signal
            .unwrap_or_else(|| halt_signal_of(init.pid));
        // What init does not handle the kernel drops (pid_namespaces(7)); one that has just begun will.
        self.stop_again_at = match hears(init.pid, signal) {
            true => None,
            false => Some(Instant::now() + SOON),
        };
        if init.pidfd.signal(signal).is_ok() && first {
            log::event(
                &self.plan.log,
                &format!("asked init to stop by signal {signal}"),
            );
            self.note_stopping();
        }
    }

    /// Asks again where init could not hear it.
    pub(super) fn stop_again(&mut self) {
        if self
            .stop_again_at
            .is_some_and(|moment| moment <= Instant::now())
        {
            self.stop();
        }
    }

    /// Ends the container without asking. A signal that init may know has a moment for that.
    pub fn kill(&mut self) {
        self.stopping = true;
        self.note_stopping();
        self.thaw();
        let signal = self.plan.kill_signal;
        if self.doomed.is_some() || signal == Signal::SIGKILL as i32 {
            return self.end_by_force();
        }
        if let Some(init) = &self.init {
            let _ = init.pidfd.signal(signal);
            let text = format!("ending init by signal {signal}");
            log::event(&self.plan.log, &text);
        }
        self.doomed = Some(Instant::now() + LAST_MOMENT);
    }

    pub(super) fn end_by_force(&mut self) {
        self.doomed = None;
        self.stopping = true;
        log::event(&self.plan.log, "killed");
        if let Some(init) = &self.init {
            let _ = init.pidfd.signal(Signal::SIGKILL as i32);
        }
        if let Some(cgroup) = self.cgroup {
            let _ = cgroup.payload.kill();
        }
        // What waits for it could not end.
        self.server = None;
    }

    fn note_stopping(&mut self) {
        if matches!(self.record.state, State::Running | State::Frozen) {
            self.record.state = State::Stopping;
            self.write_record();
        }
    }

    pub(super) fn write_record(&self) {
        if let Err(error) = self.runtime.write(&self.record) {
            log::failure(&self.plan.log, &error.to_string());
        }
    }

    pub(super) fn clear_between_lives(&mut self) {
        self.stop_again_at = None;
        // A new init must not be born frozen.
        self.thaw();
        self.terminals.end_life();
        self.end_sessions();
        self.supervisors.clear();
        self.server = None;
        self.record.state = State::Starting;
        self.record.init = None;
        self.record.ready = false;
        self.record.status = None;
        self.readiness = None;
        self.notify = None;
        self.ports.end_life();
        self.undo_nics();
        self.clear_cgroup();
        hooks::ended(self.plan, std::mem::take(&mut self.namespaces), "reboot");
    }

    fn clear_cgroup(&self) {
        let Some(cgroup) = self.cgroup else { return };
        let root = match &self.namespace {
            Some(namespace) => Root::Namespace(namespace.as_fd()),
            None => Root::Ids(&self.plan.idmap),
        };
        // Init's end took its whole pid namespace along; what is left came in by itself.
        let cleared = cgroup
            .kill_payload()
            .and_then(|()| cgroup.clear_payload(root));
        if let Err(error) = cleared {
            log::failure(&self.plan.log, &error.to_string());
        }
    }

    /// Commands in the container ended with its pid namespace; their callers are told.
    pub(super) fn end_sessions(&mut self) {
        for session in &mut self.sessions {
            session.end();
        }
        self.sessions.clear();
    }

    /// Removes what is left. Returns who waits for that.
    pub fn finish(mut self) -> Waiting {
        self.readiness = None;
        self.ports.end_life();
        self.terminals.end_life();
        self.end_sessions();
        self.supervisors.clear();
        self.undo_nics();
        self.clear_cgroup();
        hooks::ended(self.plan, std::mem::take(&mut self.namespaces), "stop");
        if let Some(generated) = &self.plan.confinement.generated
            && let Err(why) = generated.remove()
        {
            let name = &generated.name;
            let text = format!("the AppArmor profile {name} is left: {why}");
            log::failure(&self.plan.log, &text);
        }
        let left_cgroup = self.leave_cgroup();
        self.record.state = State::Stopped;
        self.record.init = None;
        self.record.ready = false;
        self.record.status = None;
        self.record.cgroup = None;
        self.record.profile = None;
        self.record.set_ids(&[]);
        self.record.since = None;
        let _ = std::fs::remove_file(self.runtime.socket());
        self.write_record();
        log::event(&self.plan.log, "stopped");
        Waiting {
            connections: self.waiting,
            front: self.terminals.take_front(),
            last: self.last,
            left_cgroup,
            lxc: self.lxc,
        }
    }

    /// Whether nothing of the container's cgroups is left, the monitor's own included.
    fn leave_cgroup(&self) -> bool {
        let left = self.cgroup.map(|cgroup| cgroup.leave(&self.plan.idmap));
        left.is_some_and(|left| {
            left.unwrap_or_else(|error| {
                log::failure(&self.plan.log, &error.to_string());
                false
            })
        })
    }
}

/// Who waits for a container's end.
pub struct Waiting {
    connections: Vec<Connection>,
    front: Option<Front>,
    last: Option<Exit>,
    lxc: lxc::Desk,
    /// Whether its cgroups are removed already, because the monitor is elsewhere.
    pub left_cgroup: bool,
}

impl Waiting {
    /// Says to everybody that the container has ended.
    pub fn tell(self, plan: &StartPlan) {
        self.lxc.end(plan);
        for connection in self.connections {
            let _ = connection.send(&Answer::Ended.frame(), &[]);
        }
        if let Some(front) = self.front {
            front.end(self.last);
        }
    }
}

/// A process cannot remove the cgroup it sits in. A child, born outside, waits for the monitor's
/// end and removes it then, and the container itself if it is to go, unless another monitor was
/// faster.
pub fn leave_janitor(
    plan: &StartPlan,
    runtime: &Runtime,
    cgroup: Option<&ContainerCgroup>,
    destroy: bool,
) {
    let leaf = cgroup.and_then(|cgroup| cgroup.leaf.as_ref());
    if leaf.is_none() && !destroy {
        return;
    }
    let Ok(monitor) = PidFd::open(nix::unistd::getpid().as_raw()) else {
        return;
    };
    let place = leaf.and(cgroup).map(ContainerCgroup::place);
    let janitor = process::clone(CloneFlags::empty(), leaf.map(AsFd::as_fd), || {
        // Whoever waits for the end of the monitor's connections must not wait for us.
        if process::close_others(&[monitor.as_fd()]).is_err() {
            return 1;
        }
        let mut fds = [PollFd::new(monitor.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::from(10_000u16));
        let limit = std::time::Duration::from_secs(120);
        let Ok(lock) = runtime.lock_for_verb(limit) else {
            return 1;
        };
        if !matches!(runtime.monitor_pid(), Ok(None)) {
            return 0;
        }
        let removed = place.is_none_or(|place| place.remove(&plan.idmap).is_ok());
        drop(lock);
        if destroy && let Err(error) = destroy_container(plan) {
            log::failure(&plan.log, &format!("cannot destroy: {error}"));
        }
        u8::from(!removed)
    });
    drop(janitor);
}

fn destroy_container(plan: &StartPlan) -> Result<()> {
    let place = Place::own(Some(&plan.lxcpath))?;
    crate::commands::destroy::destroy(&place, &plan.name, false).map(drop)
}

/// Whether a process has a handler for a signal, or blocks it to read it elsewhere.
fn hears(pid: i32, signal: i32) -> bool {
    let status = status_of(pid);
    ["SigCgt:", "SigBlk:"]
        .iter()
        .any(|title| is_in_mask(&status, title, signal))
}

/// systemd blocks SIGRTMIN+3, which halts it; every other init gets SIGPWR.
pub fn halt_signal_of(init: i32) -> i32 {
    let halt = nix::libc::SIGRTMIN() + 3;
    match is_in_mask(&status_of(init), "SigBlk:", halt) {
        true => halt,
        false => Signal::SIGPWR as i32,
    }
}

fn status_of(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default()
}

/// Whether a signal is in the mask of that title in `/proc/PID/status`.
fn is_in_mask(status: &str, title: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix(title));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    (1..=64).contains(&signal) && mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}
