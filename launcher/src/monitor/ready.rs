//! Whether a container is ready: probes that run beside everything else, and never longer than
//! they may.

mod notify;
mod port;

pub use notify::{NotifySocket, bind};

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use berth_cgroups::CgroupDir;
use berth_common::exit;
use berth_container_config::berth_toml::{Probe, Ready};
use berth_kernel::process::{Child, Exit, PidFd};

use super::protocol::ExecRequest;
use super::session::Session;
use crate::error::{Error, Plain};
use crate::start::plan::StartPlan;

/// An attempt that takes longer is killed.
const ATTEMPT: Duration = Duration::from_secs(10);

/// The way to readiness of one life.
pub struct Readiness {
    plan: Ready,
    begun: Instant,
    notify: Option<NotifySocket>,
    attempt: Option<Attempt>,
    /// When the next attempt begins.
    next: Instant,
    is_ready: bool,
    /// Whether it was told that the time is over.
    told: bool,
    /// What init says of itself.
    status: Option<String>,
    /// Why it is not ready, as far as is known.
    why: String,
}

struct Attempt {
    what: Tried,
    killed_at: Instant,
}

/// Why an attempt was in vain.
struct Vain {
    why: String,
    /// Whether the next one will be, as far as anybody can tell: there is no such command.
    always: bool,
}

impl From<String> for Vain {
    fn from(why: String) -> Self {
        Self { why, always: false }
    }
}

enum Tried {
    Command(Box<Session>),
    Port(PidFd),
}

/// What has changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// It is ready.
    Ready,
    /// It is not, and the time is over; why.
    Late(String),
    /// Init says something else of itself.
    Status(String),
}

/// Of the container, for an attempt.
pub struct Target<'t> {
    pub plan: &'t StartPlan,
    pub init: &'t Child,
    pub payload: Option<&'t CgroupDir>,
}

impl Readiness {
    /// At the moment that init runs.
    pub fn new(plan: Ready, notify: Option<NotifySocket>) -> Self {
        let now = Instant::now();
        Self {
            plan,
            begun: now,
            notify,
            attempt: None,
            next: now,
            is_ready: false,
            told: false,
            status: None,
            why: "nothing has said READY=1".to_owned(),
        }
    }

    /// What to wait for.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let notify = self.notify.as_ref().filter(|socket| socket.is_listening());
        let mut fds: Vec<BorrowedFd<'_>> = notify.map(AsFd::as_fd).into_iter().collect();
        match self.attempt.as_ref().map(|attempt| &attempt.what) {
            Some(Tried::Command(session)) => fds.extend(session.descriptors()),
            Some(Tried::Port(process)) => fds.push(process.as_fd()),
            None => {}
        }
        fds
    }

    /// Where system calls of a probe's command wait for a supervisor, once.
    pub fn take_supervised(&mut self) -> Option<OwnedFd> {
        match &mut self.attempt.as_mut()?.what {
            Tried::Command(session) => session.take_supervised(),
            Tried::Port(_) => None,
        }
    }

    /// The container is about to end: nothing is tried any more, and what was is reaped, since it
    /// would keep the pid namespace from ending. Whether that is done, and whether there may be a
    /// process that nobody knows of.
    pub fn abandon(&mut self) -> (bool, bool) {
        let Some(attempt) = &mut self.attempt else {
            return (true, false);
        };
        attempt.kill();
        let (over, lost) = match &mut attempt.what {
            Tried::Command(session) => {
                let over = command_result(session).is_some();
                (over, over && session.may_have_lost_its_command())
            }
            Tried::Port(process) => (!matches!(process.try_wait(), Ok(None)), false),
        };
        if over {
            self.attempt = None;
        }
        (over, lost)
    }

    /// When there is something to do although nothing happened.
    pub fn next_moment(&self) -> Option<Instant> {
        let attempt = self.attempt.as_ref();
        let probes = !self.is_ready && !matches!(self.plan.probe, Probe::Notify);
        [
            (!self.is_ready && !self.told).then(|| self.begun + self.plan.timeout),
            attempt.map(|attempt| attempt.killed_at),
            (probes && attempt.is_none()).then_some(self.next),
            self.notify.as_ref().and_then(NotifySocket::quiet_until),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Deals with whatever happened, and begins what is due.
    pub fn advance(&mut self, target: &Target<'_>) -> Vec<Change> {
        let mut changes = Vec::new();
        let now = Instant::now();
        self.hear(now, &mut changes);
        self.finish_attempt(now, &mut changes);
        if self.is_ready {
            return changes;
        }
        if self.attempt.is_none() && self.next <= now {
            self.attempt = self.try_again(target);
            self.next = now + self.plan.interval;
        }
        if !self.told && now >= self.begun + self.plan.timeout {
            self.told = true;
            changes.push(Change::Late(format!(
                "not ready after {}: {}",
                seconds(self.plan.timeout),
                self.why
            )));
        }
        changes
    }

    fn hear(&mut self, now: Instant, changes: &mut Vec<Change>) {
        let Some(notify) = &mut self.notify else {
            return;
        };
        let heard = notify.hear(now);
        if heard.ready && !self.is_ready {
            self.is_ready = true;
            changes.push(Change::Ready);
        }
        if let Some(status) = heard.status
            && self.status.as_ref() != Some(&status)
        {
            self.why = format!("nothing has said READY=1; the last word is “{status}”");
            self.status = Some(status.clone());
            changes.push(Change::Status(status));
        }
    }

    fn finish_attempt(&mut self, now: Instant, changes: &mut Vec<Change>) {
        let Some(attempt) = &mut self.attempt else {
            return;
        };
        let result = match &mut attempt.what {
            Tried::Command(session) => command_result(session),
            Tried::Port(process) => {
                port::result(process, &self.plan.probe).map(|result| result.map_err(Vain::from))
            }
        };
        match result {
            Some(Ok(())) => {
                self.attempt = None;
                self.is_ready = true;
                changes.push(Change::Ready);
            }
            Some(Err(vain)) => {
                self.attempt = None;
                // It is tried on, as after the time is over: what is not there may come.
                if vain.always && !self.told {
                    self.told = true;
                    changes.push(Change::Late(format!("not ready: {}", vain.why)));
                }
                self.why = vain.why;
            }
            None if attempt.killed_at <= now => {
                attempt.kill();
                // It is reaped when it has ended, whenever that is.
                attempt.killed_at = now + ATTEMPT;
                let limit = seconds(ATTEMPT.min(self.plan.timeout));
                self.why = format!("{} did not end within {limit}", self.plan.probe);
            }
            None => {}
        }
    }

    fn try_again(&mut self, target: &Target<'_>) -> Option<Attempt> {
        let begun = match &self.plan.probe {
            Probe::Notify => return None,
            Probe::Command(words) => start_command(words, target).map(Tried::Command),
            Probe::Port(port) => port::start(*port, target).map(Tried::Port),
        };
        match begun {
            Ok(what) => Some(Attempt {
                what,
                killed_at: Instant::now() + ATTEMPT.min(self.plan.timeout),
            }),
            Err(error) => {
                self.why = error.to_string();
                None
            }
        }
    }
}

impl Attempt {
    fn kill(&self) {
        match &self.what {
            Tried::Command(session) => session.kill(),
            Tried::Port(process) => {
                let _ = process.signal(nix::libc::SIGKILL);
            }
        }
    }
}

impl Drop for Attempt {
    /// The container has ended, or will: nobody is to be left.
    fn drop(&mut self) {
        match &mut self.what {
            Tried::Command(session) if !session.is_over() => session.end(),
            Tried::Command(_) => {}
            Tried::Port(process) => {
                let _ = process.signal(nix::libc::SIGKILL);
                let _ = process.wait();
            }
        }
    }
}

fn start_command(words: &[String], target: &Target<'_>) -> Result<Box<Session>, Error> {
    let null = || -> Result<OwnedFd, Error> {
        let file = File::options().read(true).write(true).open("/dev/null");
        file.map(OwnedFd::from)
            .map_err(|error| Error::os("open /dev/null", error))
    };
    let request = ExecRequest {
        argv: words.iter().map(|word| word.clone().into_bytes()).collect(),
        ..ExecRequest::default()
    };
    let fds = vec![null()?, null()?, null()?];
    Session::alone(target.plan, target.init, target.payload, request, fds).map(Box::new)
}

fn command_result(session: &mut Session) -> Option<Result<(), Vain>> {
    if let Err(error) = session.advance() {
        session.end();
        return Some(Err(error.to_string().into()));
    }
    if !session.is_over() {
        return None;
    }
    Some(match session.outcome() {
        Ok(Exit::Code(0)) => Ok(()),
        // A shell's word for it.
        Ok(Exit::Code(code)) if code == i32::from(exit::NOT_FOUND) => Err(Vain {
            why: format!(
                "the command ended with exit code {code}: a command that it names is not there"
            ),
            always: true,
        }),
        Ok(other) => Err(format!("the command ended with {other}").into()),
        Err((code, why)) => Err(Vain {
            why,
            always: [exit::NOT_FOUND, exit::NOT_EXECUTABLE].contains(&code),
        }),
    })
}

fn seconds(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}

/// For messages about sockets.
fn failed(what: &str) -> impl Fn(std::io::Error) -> String + '_ {
    move |error| format!("cannot {what}: {}", Plain(&error))
}
