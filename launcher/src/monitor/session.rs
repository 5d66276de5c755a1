//! Commands in a running container, as the monitor sees them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use berth_cgroups::CgroupDir;
use berth_common::exit;
use berth_kernel::process::{Child, Exit, PidFd};
use berth_session_protocol::Connection;
use nix::sys::signal::Signal;

use super::enter::{self, FromInside};
use super::protocol::{Answer, ExecRequest, Request};
use crate::error::{Error, Result};
use crate::start::plan::StartPlan;

const KILLED_EARLY: &str = "the command was killed before it could start";

/// A connection whose request has not come yet.
pub struct Client {
    pub connection: Connection,
    pub readable: bool,
}

/// One command and the client that asked for it.
///
/// Nothing here waits: what happens inside a container, opening a terminal even, may take as
/// long as the container's root likes.
pub struct Session {
    client: Option<Connection>,
    /// What the entering processes tell, until exec closes it.
    inside: Option<Connection>,
    /// The process that enters and makes the command's.
    entering: Option<PidFd>,
    command: Option<PidFd>,
    terminal: Option<OwnedFd>,
    supervised: Option<OwnedFd>,
    refusal: Option<(u8, String)>,
    exit: Option<Exit>,
}

impl Session {
    /// Starts to enter the container. On failure the client comes back.
    pub fn start(
        plan: &StartPlan,
        init: &Child,
        payload: Option<&CgroupDir>,
        request: ExecRequest,
        fds: Vec<OwnedFd>,
        client: Connection,
    ) -> std::result::Result<Self, (Connection, Error)> {
        match enter::start(plan, init, payload, &request, fds) {
            Ok(begun) => Ok(Self::new(Some(client), begun)),
            Err(error) => Err((client, error)),
        }
    }

    /// A command that nobody waits for but who calls [`Session::outcome`].
    pub fn alone(
        plan: &StartPlan,
        init: &Child,
        payload: Option<&CgroupDir>,
        request: ExecRequest,
        fds: Vec<OwnedFd>,
    ) -> Result<Self> {
        let begun = enter::start(plan, init, payload, &request, fds)?;
        Ok(Self::new(None, begun))
    }

    fn new(client: Option<Connection>, (inside, entering): (Connection, PidFd)) -> Self {
        Self {
            client,
            inside: Some(inside),
            entering: Some(entering),
            command: None,
            terminal: None,
            supervised: None,
            refusal: None,
            exit: None,
        }
    }

    /// How one that is over ended, or why it did not run, with the code for that.
    pub fn outcome(&self) -> std::result::Result<Exit, (u8, String)> {
        match (&self.refusal, self.exit) {
            (Some(refusal), _) => Err(refusal.clone()),
            (None, Some(exit)) => Ok(exit),
            (None, None) => Err((exit::RUN_FAILED, KILLED_EARLY.to_owned())),
        }
    }

    /// Ends it, without waiting for its end.
    pub fn kill(&self) {
        for process in [&self.entering, &self.command].into_iter().flatten() {
            let _ = process.signal(Signal::SIGKILL as i32);
        }
    }

    /// What to wait for.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let connections = [self.client.as_ref(), self.inside.as_ref()];
        let processes = [self.entering.as_ref(), self.command.as_ref()];
        connections
            .into_iter()
            .flatten()
            .map(AsFd::as_fd)
            .chain(processes.into_iter().flatten().map(AsFd::as_fd))
    }

    /// Where the command's system calls wait for a supervisor, once.
    pub fn take_supervised(&mut self) -> Option<OwnedFd> {
        self.supervised.take()
    }

    /// Whether nothing is left to do for it.
    pub fn is_over(&self) -> bool {
        self.inside.is_none() && self.entering.is_none() && self.command.is_none()
    }

    /// Deals with whatever happened.
    pub fn advance(&mut self) -> Result<()> {
        self.hear_inside()?;
        if reap(&mut self.entering)?.is_some() {
            self.entering = None;
        }
        if let Some(exit) = reap(&mut self.command)? {
            self.command = None;
            self.exit = Some(exit);
        }
        self.hear_client();
        if self.inside.is_none() && self.command.is_none() && self.entering.is_none() {
            self.answer_end();
        }
        Ok(())
    }

    fn hear_inside(&mut self) -> Result<()> {
        while let Some(inside) = &self.inside {
            match enter::hear(inside)? {
                None => return Ok(()),
                Some(FromInside::Command(pidfd)) => self.command = Some(pidfd),
                Some(FromInside::Terminal(master)) => self.terminal = Some(master),
                Some(FromInside::Supervised(listener)) => self.supervised = Some(listener),
                Some(FromInside::Failed(code, why)) => self.refusal = Some((code, why)),
                Some(FromInside::Closed) => {
                    self.inside = None;
                    if self.refusal.is_none() {
                        let terminal = self.terminal.take();
                        self.answer_started(terminal);
                    }
                }
            }
        }
        Ok(())
    }

    fn answer_started(&mut self, terminal: Option<OwnedFd>) {
        let Some(client) = &self.client else { return };
        let fds: Vec<BorrowedFd<'_>> = terminal.iter().map(AsFd::as_fd).collect();
        if client.send(&Answer::Started(None).frame(), &fds).is_err() {
            self.client_left();
        }
    }

    fn hear_client(&mut self) {
        loop {
            let Some(client) = &self.client else { return };
            match client.recv() {
                Ok(Some((frame, fds))) => {
                    if let (Some(Request::Signal(number)), Some(command)) =
                        (Request::of(frame, fds), &self.command)
                    {
                        // A command that has just ended needs no signal.
                        let _ = command.signal(number);
                    }
                }
                Err(error) if error.is_would_block() => return,
                Ok(None) | Err(_) => return self.client_left(),
            }
        }
    }

    /// Nobody waits any more: as when a terminal is closed.
    fn client_left(&mut self) {
        self.client = None;
        if self.inside.is_none() {
            if let Some(command) = &self.command {
                let _ = command.signal(Signal::SIGHUP as i32);
            }
            return;
        }
        // Not a command of anybody's yet: it may be held up by the container, for ever.
        self.kill();
    }

    fn answer_end(&mut self) {
        let Some(client) = self.client.take() else {
            return;
        };
        let answer = match (&self.refusal, self.exit) {
            (Some((code, why)), _) => Answer::Refused(*code, why.clone()),
            (None, Some(exit)) => Answer::Exited(exit.shell_code()),
            (None, None) => Answer::Refused(exit::RUN_FAILED, KILLED_EARLY.to_owned()),
        };
        let _ = client.send(&answer.frame(), &[]);
    }

    /// Whether the command's process may have been killed before it could name itself: a child of
    /// the monitor's that it does not know of then.
    pub fn may_have_lost_its_command(&self) -> bool {
        self.is_over() && self.exit.is_none() && self.refusal.is_none()
    }

    /// The container has ended: the command with it.
    pub fn end(&mut self) {
        // Whoever was on the way in finds a dead init and ends by himself.
        self.kill();
        if let Some(entering) = self.entering.take() {
            let _ = entering.wait();
        }
        let _ = self.hear_inside();
        if let Some(command) = self.command.take() {
            self.exit = command.wait().ok();
        }
        self.inside = None;
        self.answer_end();
    }
}

fn reap(process: &mut Option<PidFd>) -> Result<Option<Exit>> {
    let Some(pidfd) = process else {
        return Ok(None);
    };
    match pidfd.try_wait() {
        // Taken for a stray before it was looked at here.
        Err(error) if error.raw_os_error() == Some(nix::libc::ECHILD) => {
            Ok(Some(Exit::Signal(Signal::SIGKILL as i32)))
        }
        other => other.map_err(|error| Error::os("wait for a command", error)),
    }
}
