//! One life after the other: reboots, restarts, and when each is ready.

use std::time::{Duration, Instant};

use berth_cgroups::CgroupDir;
use berth_kernel::process::Exit;
use berth_kernel::signal::SignalQueue;
use nix::sys::signal::Signal;

use super::super::log;
use super::super::ready::{Change, Readiness, Target};
use super::super::restart::{Keeper, Verdict};
use super::Run;
use crate::state::{LastExit, State, now};

/// An init that reboots sooner than this (seconds) counts as one that cannot run.
const SHORTEST_LIFE: u64 = 1;
/// So many short lives in a row end the container.
const MAX_SHORT_LIVES: u32 = 5;

impl Run<'_> {
    /// Serves the life that has begun and those that follow it.
    pub(super) fn live(&mut self, signals: &mut SignalQueue) {
        let mut keeper = Keeper::new(self.plan.settings.restart);
        let mut short_lives = 0;
        loop {
            let exit = self.serve_one_life(signals);
            self.last = Some(exit);
            // The cgroup that counts goes with the container.
            let payload = self.cgroup.map(|cgroup| &cgroup.payload);
            self.record.oom_kills = payload.and_then(CgroupDir::oom_kills).unwrap_or(0);
            self.record.last_exit = Some(LastExit {
                how: in_words(exit),
                at: now(),
            });
            log::event(&self.plan.log, &format!("init ended: {}", in_words(exit)));
            if self.stopping {
                return;
            }
            let lives_on = match is_reboot(exit) {
                true => self.reboot(&mut short_lives),
                false => self.restart(is_failure(exit), &mut keeper, signals),
            };
            if !lives_on {
                return;
            }
        }
    }

    /// Whether it runs again.
    fn reboot(&mut self, short_lives: &mut u32) -> bool {
        let lived = now().saturating_sub(self.record.since.unwrap_or(0));
        *short_lives = match lived <= SHORTEST_LIFE {
            true => *short_lives + 1,
            false => 0,
        };
        if *short_lives >= MAX_SHORT_LIVES {
            self.give_up("init reboots at once again and again: given up");
            return false;
        }
        self.clear_between_lives();
        match self.start(None) {
            Ok(()) => true,
            Err(error) => {
                self.give_up(&format!("cannot reboot: {error}"));
                false
            }
        }
    }

    /// Starts init again as the policy has it; whether it runs again.
    fn restart(&mut self, failed: bool, keeper: &mut Keeper, signals: &mut SignalQueue) -> bool {
        let mut failed = failed;
        loop {
            let delay = match keeper.ended(failed, Instant::now()) {
                Verdict::Stay => return false,
                Verdict::GivenUp(why) => {
                    self.give_up(&why);
                    return false;
                }
                Verdict::Again(delay) => delay,
            };
            self.clear_between_lives();
            self.record.state = State::Restarting;
            self.write_record();
            if !self.pause(delay, signals) {
                return false;
            }
            self.record.state = State::Starting;
            self.record.restarts += 1;
            match self.start(None) {
                Ok(()) => return true,
                Err(error) => {
                    let text = format!("cannot start again: {error}");
                    log::failure(&self.plan.log, &text);
                    self.record.note = Some(text);
                    failed = true;
                }
            }
        }
    }

    /// Serves commands for a time; `false` if one of them ends the container.
    fn pause(&mut self, time: Duration, signals: &mut SignalQueue) -> bool {
        let end = Instant::now() + time;
        self.restart_at = Some(end);
        while !self.stopping && Instant::now() < end {
            if let Err(error) = self.wait_and_serve(signals) {
                log::failure(&self.plan.log, &format!("cannot wait: {error}"));
                self.stopping = true;
            }
        }
        self.restart_at = None;
        !self.stopping
    }

    fn give_up(&mut self, why: &str) {
        log::failure(&self.plan.log, why);
        self.record.note = Some(why.to_owned());
    }

    /// Init runs: the way to readiness begins, or is at its end.
    pub(super) fn begin_readiness(&mut self) {
        self.record.note = None;
        let notify = self.notify.take();
        let plan = self.plan.settings.ready.clone();
        self.record.ready = plan.is_none();
        self.readiness = plan.map(|plan| Readiness::new(plan, notify));
    }

    /// Deals with what probes and init itself say.
    pub(super) fn advance_readiness(&mut self) {
        if self.stopping {
            if let Some((over, lost)) = self.readiness.as_mut().map(Readiness::abandon) {
                self.strays |= lost;
                if over {
                    self.readiness = None;
                }
            }
            return;
        }
        // Who stands still answers nobody, and is no less ready for that.
        if self.record.state == State::Frozen {
            return;
        }
        let (Some(readiness), Some(init)) = (&mut self.readiness, &self.init) else {
            return;
        };
        let changes = readiness.advance(&Target {
            plan: self.plan,
            init,
            payload: self.cgroup.map(|cgroup| &cgroup.payload),
        });
        if let Some(listener) = readiness.take_supervised() {
            self.supervise_command(listener);
        }
        if changes.is_empty() {
            return;
        }
        for change in changes {
            match change {
                Change::Ready => {
                    self.record.ready = true;
                    self.record.note = None;
                    log::event(&self.plan.log, "ready");
                }
                Change::Late(why) => {
                    log::failure(&self.plan.log, &why);
                    self.record.note = Some(why);
                }
                Change::Status(status) => self.record.status = Some(status),
            }
        }
        self.write_record();
    }
}

/// In a pid namespace reboot(2) ends init by SIGHUP for a restart, by SIGINT for a halt.
fn is_reboot(exit: Exit) -> bool {
    exit == Exit::Signal(Signal::SIGHUP as i32)
}

fn is_halt(exit: Exit) -> bool {
    exit == Exit::Signal(Signal::SIGINT as i32)
}

fn is_failure(exit: Exit) -> bool {
    exit != Exit::Code(0) && !is_halt(exit)
}

fn in_words(exit: Exit) -> String {
    match exit {
        exit if is_reboot(exit) => "rebooted".to_owned(),
        exit if is_halt(exit) => "halted".to_owned(),
        other => other.to_string(),
    }
}
