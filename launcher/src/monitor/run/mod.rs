//! One container's life under its monitor.

mod clients;
mod end;
mod freeze;
mod lives;
mod ports;
mod start;
mod supervise;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use berth_cgroups::Events;
use berth_kernel::process::{Child, Exit};
use berth_kernel::signal::SignalQueue;
use berth_session_protocol::Connection;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::console::{self, Terminals};
use super::ready::{NotifySocket, Readiness};
use super::session::{Client, Session};
use super::supervisor::Supervisor;
use super::{hooks, log, lxc, strays};
use crate::error::Plain;
use crate::ports::Listening;
use crate::start::cgroup::ContainerCgroup;
use crate::start::joined::Joined;
use crate::start::plan::StartPlan;
use crate::start::step::{Progress, Role};
use crate::start::{fuse, nic};
use crate::state::{Record, Runtime, State};
use crate::time;

use ports::Ports;

pub use clients::is_trusted;
pub use end::{halt_signal_of, leave_janitor};

/// What the monitor looks after.
pub struct Run<'a> {
    plan: &'a StartPlan,
    runtime: &'a Runtime,
    cgroup: Option<&'a ContainerCgroup>,
    listener: BorrowedFd<'a>,
    record: Record,
    /// How far the start of this life has come.
    progress: Progress,
    init: Option<Child>,
    /// The container's user namespace, for what only its root can remove.
    namespace: Option<File>,
    /// Namespaces of others that it is in.
    joined: Option<Joined>,
    /// What is held of this life's interfaces.
    outside: nic::Outside,
    /// Its namespaces, for hooks after its end.
    namespaces: hooks::Kept,
    terminals: Terminals,
    /// Where LXC's tools ask.
    lxc: lxc::Desk,
    /// How init last ended.
    last: Option<Exit>,
    /// Whether there may be children that nobody knows of.
    strays: bool,
    /// The program that serves the root file system, if one does.
    server: Option<fuse::Server>,
    clients: Vec<Client>,
    sessions: Vec<Session>,
    /// Connections that wait for the container's end.
    waiting: Vec<Connection>,
    /// Whether a stop was asked for: init is not started again, however it ends.
    stopping: bool,
    /// When init is asked again to stop, which could not hear it.
    stop_again_at: Option<Instant>,
    /// When it is killed, if it has not ended by then.
    doomed: Option<Instant>,
    /// Tells when the container is frozen or thawed, by whomever.
    cgroup_events: Option<Events>,
    /// Where this life's init says that it is ready.
    notify: Option<NotifySocket>,
    /// This life's way to readiness.
    readiness: Option<Readiness>,
    /// Who carries system calls to the program that decides about them, in this life.
    supervisors: Vec<Supervisor>,
    /// Ports of the host that lead to it.
    ports: Ports,
    /// When init is started again.
    restart_at: Option<Instant>,
}

/// What the monitor waits for, in the order of the poll set.
enum Source {
    Init,
    Listener,
    Lxc(lxc::Source),
    Signals,
    Cgroup,
    Readiness,
    Forwarder,
    Terminal(console::Source),
    Client(usize),
    Waiting(usize),
    Session(usize),
}

impl<'a> Run<'a> {
    pub fn new(
        plan: &'a StartPlan,
        runtime: &'a Runtime,
        cgroup: Option<&'a ContainerCgroup>,
        listener: BorrowedFd<'a>,
        ports: Vec<Listening>,
        front: Option<console::Front>,
        lxc: lxc::Desk,
    ) -> Self {
        let mut record = Record::new(State::Starting);
        record.cgroup = cgroup.map(|cgroup| cgroup.place().clone());
        record.set_ids(&plan.idmap);
        let generated = plan.confinement.generated.as_ref();
        record.profile = generated.map(|generated| generated.name.clone());
        Self {
            plan,
            runtime,
            cgroup,
            listener,
            record,
            progress: Progress::new(Role::Monitor),
            init: None,
            namespace: None,
            joined: None,
            outside: nic::Outside::default(),
            namespaces: Vec::new(),
            terminals: Terminals::before(front),
            last: None,
            lxc,
            strays: false,
            server: None,
            clients: Vec::new(),
            sessions: Vec::new(),
            waiting: Vec::new(),
            stopping: false,
            stop_again_at: None,
            doomed: None,
            cgroup_events: cgroup.and_then(|cgroup| cgroup.payload.watch_events().ok()),
            notify: None,
            readiness: None,
            supervisors: Vec::new(),
            ports: Ports::new(ports),
            restart_at: None,
        }
    }

    /// Serves commands until the container has ended for good.
    pub fn serve(&mut self) {
        let watched = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
        let mut signals = match SignalQueue::new(&watched) {
            Ok(signals) => signals,
            Err(error) => {
                log::failure(
                    &self.plan.log,
                    &format!("cannot watch signals: {}", Plain(&error)),
                );
                return;
            }
        };
        self.live(&mut signals);
    }

    fn serve_one_life(&mut self, signals: &mut SignalQueue) -> Exit {
        loop {
            if let Err(error) = self.wait_and_serve(signals) {
                log::failure(&self.plan.log, &format!("cannot wait: {}", Plain(&error)));
                self.end_by_force();
            }
            let Some(init) = &self.init else {
                return Exit::Code(0);
            };
            match init.pidfd.try_wait() {
                Ok(None) => {}
                Ok(Some(exit)) => {
                    self.init = None;
                    return exit;
                }
                Err(error) => {
                    log::failure(
                        &self.plan.log,
                        &format!("cannot wait for init: {}", Plain(&error)),
                    );
                    self.init = None;
                    return Exit::Code(255);
                }
            }
        }
    }

    /// One turn: waits for something to happen and deals with all of it.
    fn wait_and_serve(&mut self, signals: &mut SignalQueue) -> std::io::Result<()> {
        let happened = self.wait(signals)?;
        if self.doomed.is_some_and(|moment| moment <= Instant::now()) {
            self.end_by_force();
        }
        self.stop_again();
        let mut gone_waiting = Vec::new();
        let mut of_lxc = Vec::new();
        for source in happened {
            match source {
                Source::Init | Source::Readiness | Source::Forwarder => {}
                Source::Listener => self.accept(),
                Source::Lxc(source) => of_lxc.push(source),
                Source::Signals => {
                    while signals.take()?.is_some() {
                        self.stop();
                    }
                }
                Source::Cgroup => self.note_frozen(),
                Source::Terminal(source) => match self.terminals.serve(source) {
                    Some(console::Wish::Stop) => self.stop(),
                    Some(console::Wish::Kill) => self.kill(),
                    None => {}
                },
                Source::Client(index) => self.clients[index].readable = true,
                Source::Waiting(index) => gone_waiting.push(index),
                Source::Session(index) => {
                    let log = &self.plan.log;
                    if let Err(error) = self.sessions[index].advance() {
                        log::failure(log, &format!("exec: {error}"));
                        self.sessions[index].end();
                    }
                }
            }
        }
        for source in of_lxc.into_iter().rev() {
            let facts = lxc::Facts {
                state: self.record.state,
                init: self.record.init.unwrap_or_default(),
            };
            if self.lxc.serve(source, facts) {
                self.kill();
            }
        }
        for index in gone_waiting.into_iter().rev() {
            self.waiting.swap_remove(index);
        }
        self.supervise_commands();
        self.strays |= self.sessions.iter().any(Session::may_have_lost_its_command);
        self.sessions.retain(|session| !session.is_over());
        if self.strays {
            strays::reap();
        }
        self.advance_readiness();
        self.advance_ports();
        self.serve_clients();
        Ok(())
    }

    /// When it has something to do although nothing happened.
    fn next_moment(&self) -> Option<Instant> {
        let ready = self.readiness.as_ref().and_then(Readiness::next_moment);
        [
            self.doomed,
            self.stop_again_at,
            self.restart_at,
            ready,
            self.ports.next_moment(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn wait(&self, signals: &SignalQueue) -> std::io::Result<Vec<Source>> {
        let mut sources = Vec::new();
        let mut fds = Vec::new();
        let mut watch = |source, fd| {
            sources.push(source);
            fds.push(PollFd::new(fd, PollFlags::POLLIN));
        };
        if let Some(init) = &self.init {
            watch(Source::Init, init.pidfd.as_fd());
        }
        watch(Source::Listener, self.listener);
        for (source, fd) in self.lxc.sources() {
            watch(Source::Lxc(source), fd);
        }
        watch(Source::Signals, signals.as_fd());
        for (source, fd) in self.terminals.sources() {
            watch(Source::Terminal(source), fd);
        }
        for (index, client) in self.clients.iter().enumerate() {
            watch(Source::Client(index), client.connection.as_fd());
        }
        for (index, connection) in self.waiting.iter().enumerate() {
            watch(Source::Waiting(index), connection.as_fd());
        }
        for (index, session) in self.sessions.iter().enumerate() {
            for fd in session.descriptors() {
                watch(Source::Session(index), fd);
            }
        }
        for fd in self.readiness.iter().flat_map(Readiness::descriptors) {
            watch(Source::Readiness, fd);
        }
        if let Some(forwarder) = &self.ports.forwarder {
            watch(Source::Forwarder, forwarder.as_fd());
        }
        if let Some(events) = &self.cgroup_events {
            sources.push(Source::Cgroup);
            fds.push(PollFd::new(events.as_fd(), PollFlags::POLLPRI));
        }
        let look_again = self.strays.then(|| Instant::now() + strays::PATIENCE);
        let moment = self.next_moment().into_iter().chain(look_again).min();
        let left = moment.map_or(PollTimeout::NONE, |moment| {
            time::poll_timeout(moment.saturating_duration_since(Instant::now()))
        });
        match poll(&mut fds, left) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = fds
            .iter()
            .map(|fd| fd.revents().is_some_and(|events| !events.is_empty()))
            .collect();
        Ok(sources
            .into_iter()
            .zip(ready)
            .filter_map(|(source, ready)| ready.then_some(source))
            .collect())
    }
}
