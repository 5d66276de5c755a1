//! Answers a user's launch socket. One thread, one poll loop.

use crate::attach;
use crate::command::Program;
use crate::error::{Doing, Error, Result};
use crate::session::{Owner, Session, refuse};
use berth_cgroups::{CgroupPath, DelegatedBase, Hierarchy};
use berth_common::{Uid, cgroup, unit};
use berth_kernel::ready::Readiness;
use berth_kernel::signal::SignalQueue;
use berth_kernel::{cred, sock};
use berth_session_protocol::Connection;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The most clients at a time. Each takes three descriptors; the soft limit is 1024.
const MAX_SESSIONS: usize = 64;
/// The pause after a failed start, so that a host where it cannot work is not kept busy by
/// restarts; after a crash the unit's `RestartSec=` alone counts.
const FAILURE_PAUSE: Duration = Duration::from_secs(2);
/// How long running commands may hold up the service's end (less than `TimeoutStopSec=`).
const DRAIN_LIMIT: Duration = Duration::from_secs(3);
/// When nobody has asked for so long, a service that refuses all ends.
const REFUSAL_IDLE_MS: u16 = 1000;

/// Serves the socket that the service manager passed, until SIGTERM. `ready` is told when the next
/// client is answered.
pub fn run(ready: Readiness) -> Result<()> {
    let listener = take_listener()?;
    let uid = cred::effective_uid();
    if !uid.is_person() {
        return refuse_all(&listener);
    }
    // Before the move: later the service manager would take it for the other unit's. Nobody depends
    // on it.
    let unit = unit::lasting_base(uid);
    let status = format!("STATUS=Answering the launch socket; what it starts is in {unit}");
    let _ = berth_systemd_bus::notify(&status);
    let prepare = || {
        enter_lasting_cgroup(uid)?;
        Server::new(listener, uid, Program::of(uid)?)
    };
    let mut server = prepare().inspect_err(|_| sleep(FAILURE_PAUSE))?;
    ready.tell().doing("say that it is ready")?;
    server.run()
}

fn take_listener() -> Result<OwnedFd> {
    let operation = "take the launch socket";
    let mut sockets = sock::take_listen_fds().doing(operation)?;
    match (sockets.pop(), sockets.is_empty()) {
        (Some(socket), true) => {
            sock::set_nonblocking(socket.as_fd(), true).doing(operation)?;
            Ok(socket)
        }
        _ => Err(Error::new(
            operation,
            "the service manager must pass exactly one",
        )),
    }
}

/// Moves this process into the leaf of the lasting cgroup, which is another unit's.
fn enter_lasting_cgroup(uid: Uid) -> Result<()> {
    let unit = unit::lasting_base(uid);
    let operation = format!("enter the cgroup of {unit}");
    let hierarchy = Hierarchy::detect().doing(&operation)?;
    let base = DelegatedBase::lasting_of(&hierarchy, uid).doing(&operation)?;
    let base = base.ok_or_else(|| Error::new(operation.as_str(), "the unit is not running"))?;
    let leaf = base.path().child(cgroup::LEAF).doing(&operation)?;
    if is_in(&hierarchy, &leaf).doing(&operation)? {
        return Ok(());
    }
    attach_self(uid)?;
    match is_in(&hierarchy, &leaf).doing(&operation)? {
        true => Ok(()),
        false => Err(Error::new(
            operation,
            "the service manager moved it elsewhere",
        )),
    }
}

fn is_in(hierarchy: &Hierarchy, leaf: &CgroupPath) -> berth_cgroups::Result<bool> {
    Ok(hierarchy.path_of_self()? == *leaf)
}

/// Has the service manager move this process, and waits for it.
fn attach_self(uid: Uid) -> Result<()> {
    let operation = "have the service manager move this process";
    let child = attach::start(uid, std::process::id().cast_signed(), None)?;
    match child.pidfd.wait().doing(operation)? {
        exit if exit.success() => Ok(()),
        exit => Err(Error::new(operation, format!("the call failed ({exit})"))),
    }
}

/// For root and system users: their socket exists because their service manager's drop-in is
/// everybody's. Whoever connects learns why nothing happens.
fn refuse_all(listener: &OwnedFd) -> Result<()> {
    loop {
        let mut ready = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, REFUSAL_IDLE_MS).doing("wait for clients")? == 0 {
            return Ok(());
        }
        match sock::accept(listener.as_fd()) {
            Ok(socket) => {
                let reason = "root and system users have no lasting cgroup of their own";
                refuse(&Connection::new(socket), reason.to_owned());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(Error::new("accept a client", error)),
        }
    }
}

/// The service of one user's launch socket.
pub struct Server {
    /// `None` once the service is to end.
    listener: Option<OwnedFd>,
    signals: SignalQueue,
    owner: Owner,
    program: Program,
    sessions: Vec<Session>,
    /// When to end even though commands run.
    stopping: Option<Instant>,
}

/// What poll(2) says has something to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Signals,
    Listener,
    Talk(usize),
    End(usize),
}

impl Server {
    /// Serves `uid`'s requests for `program` from `listener`, which must not block. Blocks
    /// SIGTERM and SIGINT.
    pub fn new(listener: OwnedFd, uid: Uid, program: Program) -> Result<Self> {
        let signals =
            SignalQueue::new(&[Signal::SIGTERM, Signal::SIGINT]).doing("block signals")?;
        let user_namespace = sock::own_user_namespace().doing("read the own user namespace")?;
        let owner = Owner {
            uid,
            user_namespace,
        };
        let listener = Some(listener);
        Ok(Self {
            listener,
            signals,
            owner,
            program,
            sessions: Vec::new(),
            stopping: None,
        })
    }

    /// Serves until SIGTERM or SIGINT, and then as long as commands run, for at most 3 seconds.
    pub fn run(&mut self) -> Result<()> {
        while !self.is_over() {
            let ready = self.poll().doing("wait for clients")?;
            // First: the events name sessions by their place in the list.
            self.step_sessions(&ready);
            if ready.contains(&Event::Signals) {
                self.stop()?;
            }
            if ready.contains(&Event::Listener) {
                self.accept();
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.stopping
            .is_some_and(|deadline| self.sessions.is_empty() || deadline <= Instant::now())
    }

    fn poll(&self) -> io::Result<Vec<Event>> {
        let mut events = vec![(self.signals.as_fd(), Event::Signals)];
        events.extend(self.listener.iter().map(|fd| (fd.as_fd(), Event::Listener)));
        for (i, session) in self.sessions.iter().enumerate() {
            events.extend(session.talk().map(|fd| (fd, Event::Talk(i))));
            events.extend(session.end().map(|fd| (fd, Event::End(i))));
        }
        let mut polled: Vec<_> = events
            .iter()
            .map(|(fd, _)| PollFd::new(*fd, PollFlags::POLLIN))
            .collect();
        match poll(&mut polled, self.timeout()) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
        let ready = events.iter().zip(&polled).filter(|(_, fd)| is_ready(fd));
        Ok(ready.map(|((_, event), _)| *event).collect())
    }

    fn timeout(&self) -> PollTimeout {
        let deadlines = self
            .sessions
            .iter()
            .filter_map(Session::deadline)
            .chain(self.stopping);
        deadlines.min().map_or(PollTimeout::NONE, |deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            let rounded_up = left.saturating_add(Duration::from_millis(1));
            PollTimeout::try_from(rounded_up).unwrap_or(PollTimeout::MAX)
        })
    }

    /// Lets running commands end and takes no new ones; what waits in the socket's queue is for
    /// the next service.
    fn stop(&mut self) -> Result<()> {
        while self.signals.take().doing("read a signal")?.is_some() {}
        self.listener = None;
        self.sessions.retain(Session::is_running);
        self.stopping.get_or_insert(Instant::now() + DRAIN_LIMIT);
        Ok(())
    }

    fn step_sessions(&mut self, ready: &[Event]) {
        let now = Instant::now();
        let (owner, program) = (self.owner, &self.program);
        let step = |(i, mut session): (usize, Session)| {
            if ready.contains(&Event::Talk(i)) {
                session = session.hear(owner, program)?;
            }
            if ready.contains(&Event::End(i)) {
                session = session.reap()?;
            }
            let late = session.deadline().is_some_and(|deadline| deadline <= now);
            (!late).then_some(session)
        };
        let sessions = std::mem::take(&mut self.sessions);
        self.sessions = sessions.into_iter().enumerate().filter_map(step).collect();
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else {
            return;
        };
        let connection = match sock::accept(listener.as_fd()) {
            Ok(socket) => Connection::new(socket),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => {
                // Out of descriptors or memory; the client goes on waiting in the queue.
                tracing::warn!("cannot accept a client: {error}");
                sleep(Duration::from_millis(100));
                return;
            }
        };
        if let Err(error) = connection.set_nonblocking(true) {
            tracing::warn!("cannot set up a client's connection: {error}");
        } else if let Err(reason) = self.owner.admits(&connection) {
            tracing::warn!("refused a client: {reason}");
            refuse(&connection, reason);
        } else if self.sessions.len() >= MAX_SESSIONS {
            refuse(
                &connection,
                format!("{MAX_SESSIONS} commands are under way, try again later"),
            );
        } else {
            self.sessions.push(Session::new(connection));
        }
    }
}
