//! One container's life under its monitor.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use berth_kernel::process::{self, Child, Exit, PidFd};
use berth_kernel::signal::SignalQueue;
use berth_kernel::sock;
use berth_session_protocol::Connection;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::signal::Signal;

use super::console::{self, Seating, Terminals};
use super::protocol::{Answer, Request};
use super::session::{Client, Session};
use super::{executed, hooks, log, settings};
use crate::error::{Error, Plain, Result};
use crate::mapped::{Mapping, explain_no_user_namespace};
use crate::place::Place;
use crate::start::cgroup::ContainerCgroup;
use crate::start::joined::Joined;
use crate::start::plan::StartPlan;
use crate::start::remains::Root;
use crate::start::{child, fuse, host_mounts, nic, overlay, sync};
use crate::state::{LastExit, Record, Runtime, State, now};

/// More clients than this at once are turned away.
const MAX_CLIENTS: usize = 256;
/// A restarted init that ends sooner than this (seconds) counts as one that cannot run.
const SHORTEST_LIFE: u64 = 1;
/// So many short lives in a row end the container.
const MAX_SHORT_LIVES: u32 = 5;

/// How long a stop signal of the configuration's own has to end init before it is killed.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// What the monitor looks after.
pub struct Run<'a> {
    plan: &'a StartPlan,
    runtime: &'a Runtime,
    cgroup: Option<&'a ContainerCgroup>,
    listener: BorrowedFd<'a>,
    record: Record,
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
    /// The program that serves the root file system, if one does.
    server: Option<fuse::Server>,
    clients: Vec<Client>,
    sessions: Vec<Session>,
    /// Connections that wait for the container's end.
    waiting: Vec<Connection>,
    /// Whether a stop was asked for: init is not started again, however it ends.
    stopping: bool,
    /// When it is killed, if it has not ended by then.
    doomed: Option<Instant>,
}

/// What the monitor waits for, in the order of the poll set.
enum Source {
    Init,
    Listener,
    Signals,
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
    ) -> Self {
        let mut record = Record::new(State::Starting);
        record.cgroup = cgroup.map(ContainerCgroup::path);
        record.set_ids(&plan.idmap);
        Self {
            plan,
            runtime,
            cgroup,
            listener,
            record,
            init: None,
            namespace: None,
            joined: None,
            outside: nic::Outside::default(),
            namespaces: Vec::new(),
            terminals: Terminals::default(),
            server: None,
            clients: Vec::new(),
            sessions: Vec::new(),
            waiting: Vec::new(),
            stopping: false,
            doomed: None,
        }
    }

    /// Starts init; when this returns it has been exec'ed. After a failure nothing of it is left.
    /// Something to read from `starter` means that nobody waits for it any more.
    pub fn start(&mut self, starter: Option<BorrowedFd<'_>>) -> Result<()> {
        let result = self.try_start(starter);
        if result.is_err() {
            // Init cannot end while it waits for a server that hangs.
            self.server = None;
            if let Some(init) = self.init.take() {
                // Its exit code says nothing that the error does not.
                let _ = init.pidfd.signal(Signal::SIGKILL as i32);
                let _ = init.pidfd.wait();
            }
            self.undo_nics();
            self.terminals.end_life();
        }
        result
    }

    fn try_start(&mut self, starter: Option<BorrowedFd<'_>>) -> Result<()> {
        let plan = self.plan;
        hooks::pre_start(plan, starter)?;
        self.terminals.open(&plan.console)?;
        overlay::prepare(plan)?;
        let (ours, theirs) =
            Connection::pair().map_err(|error| Error::os("make a socket pair", error))?;
        let mut ours = Some(ours);
        let payload = self.cgroup.map(|cgroup| &cgroup.payload);
        let birthplace = payload.map(AsFd::as_fd);
        // The other namespaces it makes itself, while its ids are being mapped.
        let be_born = || {
            process::clone(plan.birth_namespaces(), birthplace, || {
                // It must see the monitor's death as the end of the stream.
                drop(ours.take());
                child::run(plan, payload, theirs)
            })
        };
        let joined = match self.joined.take() {
            Some(joined) => joined,
            None => Joined::open(&plan.namespaces.shared)?,
        };
        let init = self.joined.insert(joined).within(be_born);
        let init = init.map_err(namespaces_refused)?;
        let ours = ours.ok_or_else(|| Error::other("the socket pair is gone"))?;
        let pid = init.pid;
        self.init = Some(init);

        // The three helpers take milliseconds each; they run side by side.
        let mapping = if plan.idmap.is_empty() {
            None
        } else {
            Some(Mapping::start(pid, &plan.idmap)?)
        };
        self.namespace = match plan.idmap.is_empty() {
            true => None,
            // A process of ours that nobody has reaped: the number means it.
            false => Some(
                File::open(format!("/proc/{pid}/ns/user"))
                    .map_err(|error| Error::os("open the container's user namespace", error))?,
            ),
        };
        // The child waits for us before it does anything that would have to be cleared up.
        self.runtime.write(&self.record)?;
        match hear(&ours, starter)? {
            Some(sync::FromChild::Isolated) => {}
            Some(sync::FromChild::Failed(why)) => return Err(Error::other(why)),
            _ => return Err(killed_early()),
        }
        self.namespaces = hooks::keep_namespaces(plan, pid)?;
        settings::write_proc_files(&plan.process, pid)?;
        let nics = self.make_nics(mapping, starter);
        // If the child has failed meanwhile, no helper could serve it: its reason counts.
        let nics = nics.map_err(|error| failure_told(&ours).unwrap_or(error))?;
        let made = match &self.init {
            Some(init) => host_mounts::make(plan, init)?,
            None => host_mounts::Made::default(),
        };
        told(sync::send_mounts(&ours, &made.mounts))?;
        drop(made.mounts);
        self.server = made.server;
        if self.server.is_some() {
            // It may hang, and the child in its file system.
            sock::set_receive_timeout(ours.as_fd(), Some(fuse::PATIENCE))
                .map_err(|error| Error::os("set up a socket", error))?;
        }
        told(ours.send(&sync::go(&nics), &[]))?;
        self.wait_for_exec(&ours, pid, starter)?;

        self.record.state = State::Running;
        self.record.init = Some(pid);
        self.record.since = Some(now());
        self.runtime.write(&self.record)?;
        log::event(&plan.log, &format!("running, init is process {pid}"));
        Ok(())
    }

    /// The interfaces, while ids are being mapped; their names inside.
    fn make_nics(
        &mut self,
        mapping: Option<Mapping>,
        starter: Option<BorrowedFd<'_>>,
    ) -> Result<Vec<String>> {
        let Some(init) = &self.init else {
            return Err(killed_early());
        };
        let mut desk = nic::Desk {
            plan: self.plan,
            runtime: self.runtime,
            record: &mut self.record,
            leaf: self
                .cgroup
                .and_then(|cgroup| cgroup.leaf.as_ref())
                .map(AsFd::as_fd),
            given_up: starter,
        };
        let requests = self.outside.request(&mut desk, self.plan, init);
        let mapped = mapping.map_or(Ok(()), Mapping::finish);
        let requests = requests?;
        // A helper that is at work is waited for in any case: what it makes counts.
        let nics = self.outside.finish(&mut desk, requests);
        mapped.and(nics)
    }

    /// Undoes what of the interfaces outlives init, who has ended.
    fn undo_nics(&mut self) {
        for failure in self.outside.undo(&mut self.record.nics) {
            log::failure(&self.plan.log, &failure);
        }
    }

    fn wait_for_exec(
        &mut self,
        child: &Connection,
        init: i32,
        starter: Option<BorrowedFd<'_>>,
    ) -> Result<()> {
        let mut ready = false;
        loop {
            match hear(child, starter)? {
                Some(sync::FromChild::SetUp) => {
                    hooks::start_host(self.plan, init, starter)?;
                    told(child.send(&sync::go(&[]), &[]))?;
                }
                Some(sync::FromChild::Terminals(ends)) => self.terminals.add(ends),
                Some(sync::FromChild::Ready) => ready = true,
                Some(sync::FromChild::Failed(why)) => return Err(Error::other(why)),
                None if ready => {
                    return match (&self.plan.confinement.filter.program, &self.init) {
                        (Some(_), Some(init)) => executed::under_filter(init),
                        _ => Ok(()),
                    };
                }
                None | Some(sync::FromChild::Isolated) => return Err(killed_early()),
            }
        }
    }

    /// Serves commands until the container has ended for good.
    pub fn serve(&mut self) {
        let watched = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
        let mut signals = match SignalQueue::new(&watched) {
            Ok(signals) => signals,
            Err(error) => {
                log::failure(&self.plan.log, &format!("cannot watch signals: {error}"));
                return;
            }
        };
        let mut short_lives = 0;
        loop {
            let exit = self.serve_one_life(&mut signals);
            self.record.last_exit = Some(LastExit {
                how: in_words(exit),
                at: now(),
            });
            log::event(&self.plan.log, &format!("init ended: {}", in_words(exit)));
            if !is_reboot(exit) || self.stopping {
                return;
            }
            let lived = now().saturating_sub(self.record.since.unwrap_or(0));
            short_lives = if lived <= SHORTEST_LIFE {
                short_lives + 1
            } else {
                0
            };
            if short_lives >= MAX_SHORT_LIVES {
                log::failure(
                    &self.plan.log,
                    "init reboots at once again and again: given up",
                );
                return;
            }
            self.clear_between_lives();
            if let Err(error) = self.start(None) {
                log::failure(&self.plan.log, &format!("cannot reboot: {error}"));
                return;
            }
        }
    }

    fn serve_one_life(&mut self, signals: &mut SignalQueue) -> Exit {
        loop {
            if let Err(error) = self.wait_and_serve(signals) {
                log::failure(&self.plan.log, &format!("cannot wait: {error}"));
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
                    log::failure(&self.plan.log, &format!("cannot wait for init: {error}"));
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
        let mut gone_waiting = Vec::new();
        for source in happened {
            match source {
                Source::Init => {}
                Source::Listener => self.accept(),
                Source::Signals => {
                    while signals.take()?.is_some() {
                        self.stop();
                    }
                }
                Source::Terminal(source) => self.terminals.serve(source),
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
        for index in gone_waiting.into_iter().rev() {
            self.waiting.swap_remove(index);
        }
        self.sessions.retain(|session| !session.is_over());
        self.serve_clients();
        Ok(())
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
        let left = self.doomed.map_or(PollTimeout::NONE, |moment| {
            let left = moment.saturating_duration_since(Instant::now());
            // Rounded up, so that it does not wake just before.
            PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::ZERO)
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

    fn accept(&mut self) {
        let socket = match sock::accept(self.listener) {
            Ok(socket) => socket,
            Err(_) => {
                // No descriptor is free: the waiting caller keeps the socket readable.
                std::thread::sleep(std::time::Duration::from_millis(50));
                return;
            }
        };
        let connection = Connection::new(socket);
        let busy = self.clients.len() + self.sessions.len() + self.waiting.len() >= MAX_CLIENTS;
        if !busy && self.is_trusted(&connection) && connection.set_nonblocking(true).is_ok() {
            self.clients.push(Client {
                connection,
                readable: false,
            });
        }
    }

    /// The socket's mode keeps other users out. Whoever has our uid in another user namespace was
    /// put into a sandbox there, and must not leave it through us; real root may do everything.
    fn is_trusted(&self, connection: &Connection) -> bool {
        let Ok(peer) = connection.peer() else {
            return false;
        };
        if peer.uid.is_root() {
            return true;
        }
        let ours = sock::own_user_namespace();
        peer.uid == berth_kernel::cred::effective_uid()
            && matches!(
                (connection.peer_user_namespace(), ours),
                (Ok(theirs), Ok(ours)) if theirs == ours
            )
    }

    fn serve_clients(&mut self) {
        let clients = std::mem::take(&mut self.clients);
        for client in clients {
            if !client.readable {
                self.clients.push(client);
                continue;
            }
            match client.connection.recv() {
                Ok(Some((frame, fds))) => match Request::of(frame, fds) {
                    Some(request) => self.serve_request(client.connection, request),
                    None => refuse(&client.connection, "the request was not understood"),
                },
                Err(error) if error.is_would_block() => {
                    self.clients.push(Client {
                        readable: false,
                        ..client
                    });
                }
                Ok(None) | Err(_) => {}
            }
        }
    }

    fn serve_request(&mut self, connection: Connection, request: Request) {
        match request {
            Request::Stop => {
                self.stop();
                self.waiting.push(connection);
            }
            Request::Kill => {
                self.kill();
                self.waiting.push(connection);
            }
            Request::Reboot => self.ask_to_reboot(&connection),
            Request::Exec(request, fds) => {
                let Some(init) = self.init.as_ref().filter(|_| !self.stopping) else {
                    return refuse(&connection, "the container is stopping");
                };
                let payload = self.cgroup.map(|cgroup| &cgroup.payload);
                match Session::start(self.plan, init, payload, request, fds, connection) {
                    Ok(session) => self.sessions.push(session),
                    Err((connection, error)) => refuse(&connection, &error.to_string()),
                }
            }
            Request::Console(wanted) => self.seat(wanted, connection),
            Request::ConsoleLog => self.send_console_log(&connection),
            Request::ClearConsoleLog => {
                let answer = match self.terminals.clear_log() {
                    Ok(()) => Answer::ConsoleLog(None),
                    Err(error) => Answer::Refused(
                        berth_common::exit::FAILED,
                        format!("cannot begin a new log of the console: {}", Plain(&error)),
                    ),
                };
                let _ = connection.send(&answer.frame(), &[]);
            }
            Request::Signal(_) => refuse(&connection, "no command runs on this connection"),
        }
    }

    fn seat(&mut self, wanted: Option<u32>, connection: Connection) {
        match self.terminals.seat(wanted, connection) {
            Seating::Refused(connection, why) => {
                let answer = Answer::Refused(berth_common::exit::FAILED, why);
                let _ = connection.send(&answer.frame(), &[]);
            }
            Seating::Seated(seat, client) => {
                let answer = Answer::Seated(seat.number, Vec::new());
                // One who is gone is noticed at the next turn.
                let _ = client.send(&answer.frame(), &[seat.master, seat.output.as_fd()]);
            }
        }
    }

    fn send_console_log(&self, connection: &Connection) {
        match self.terminals.copy_of_ring() {
            Ok(copy) => {
                let fds: Vec<BorrowedFd<'_>> = copy.iter().map(AsFd::as_fd).collect();
                let _ = connection.send(&Answer::ConsoleLog(None).frame(), &fds);
            }
            Err(error) => refuse(
                connection,
                &format!("cannot copy the console's output: {}", Plain(&error)),
            ),
        }
    }

    /// Asks init to stop, as its program understands it.
    fn stop(&mut self) {
        let first = !self.stopping;
        self.stopping = true;
        let Some(init) = &self.init else { return };
        let signal = self
            .plan
            .halt_signal
            .unwrap_or_else(|| halt_signal_of(init.pid));
        if init.pidfd.signal(signal).is_ok() && first {
            log::event(
                &self.plan.log,
                &format!("asked init to stop by signal {signal}"),
            );
            self.note_stopping();
        }
    }

    /// Asks init to reboot; what it does then is its program's.
    fn ask_to_reboot(&self, connection: &Connection) {
        let signal = self.plan.reboot_signal;
        let init = self.init.as_ref().filter(|_| !self.stopping);
        match init.map(|init| init.pidfd.signal(signal)) {
            Some(Ok(())) => {
                let text = format!("asked init to reboot by signal {signal}");
                log::event(&self.plan.log, &text);
                let _ = connection.send(&Answer::Asked.frame(), &[]);
            }
            _ => refuse(connection, "the container is stopping"),
        }
    }

    /// Ends the container without asking. A signal that init may know has a moment for that.
    pub fn kill(&mut self) {
        self.stopping = true;
        self.note_stopping();
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

    fn end_by_force(&mut self) {
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
        if self.record.state == State::Running {
            self.record.state = State::Stopping;
            self.write_record();
        }
    }

    fn write_record(&self) {
        if let Err(error) = self.runtime.write(&self.record) {
            log::failure(&self.plan.log, &error.to_string());
        }
    }

    fn clear_between_lives(&mut self) {
        self.terminals.end_life();
        self.end_sessions();
        self.server = None;
        self.record.state = State::Starting;
        self.record.init = None;
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
    fn end_sessions(&mut self) {
        for session in &mut self.sessions {
            session.end();
        }
        self.sessions.clear();
    }

    /// Removes what is left. Returns the connections that wait for that.
    pub fn finish(mut self) -> Vec<Connection> {
        self.terminals.end_life();
        self.end_sessions();
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
        self.record.state = State::Stopped;
        self.record.init = None;
        self.record.cgroup = None;
        self.record.set_ids(&[]);
        self.record.since = None;
        let _ = std::fs::remove_file(self.runtime.socket());
        self.write_record();
        log::event(&self.plan.log, "stopped");
        self.waiting
    }
}

/// Says to everybody who waited for it that the container has ended.
pub fn tell_ended(waiting: Vec<Connection>) {
    for connection in waiting {
        let _ = connection.send(&Answer::Ended.frame(), &[]);
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
    let path = leaf.and(cgroup).map(ContainerCgroup::path);
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
        let removed = path
            .is_none_or(|path| crate::start::cgroup::remove_remains(&path, &plan.idmap).is_ok());
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

fn refuse(connection: &Connection, why: &str) {
    let answer = Answer::Refused(berth_common::exit::RUN_FAILED, why.to_owned());
    let _ = connection.send(&answer.frame(), &[]);
}

/// The child's next message. A start that nobody waits for any more is given up.
fn hear(child: &Connection, starter: Option<BorrowedFd<'_>>) -> Result<Option<sync::FromChild>> {
    if let Some(starter) = starter {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = [readable(child.as_fd()), readable(starter)];
        while poll(&mut fds, PollTimeout::NONE) == Err(nix::errno::Errno::EINTR) {}
        let [_, starter] = fds.map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        if starter {
            return Err(Error::other("the start was given up"));
        }
    }
    sync::from_child(child).map_err(Error::other)
}

/// A child that has given up or died meanwhile is heard next, with its own reason. One that waits
/// for a message that could not be sent (no memory) would wait for ever.
fn told(sent: std::result::Result<(), berth_session_protocol::Error>) -> Result<()> {
    match sent {
        Err(error) if !error.is_disconnected() => Err(Error::other(format!(
            "cannot reach the container's first process: {error}"
        ))),
        _ => Ok(()),
    }
}

fn killed_early() -> Error {
    Error::other(
        "the container's first process was killed before it could start init \
         (too little memory in lxc.cgroup2.memory.max?)",
    )
}

/// Why the child gave up, if it did so already.
fn failure_told(child: &Connection) -> Option<Error> {
    child.set_nonblocking(true).ok()?;
    match sync::from_child(child) {
        Ok(Some(sync::FromChild::Failed(why))) => Some(Error::other(why)),
        _ => None,
    }
}

/// In a pid namespace reboot(2) ends init by SIGHUP for a restart, by SIGINT for a halt.
fn is_reboot(exit: Exit) -> bool {
    exit == Exit::Signal(Signal::SIGHUP as i32)
}

fn in_words(exit: Exit) -> String {
    match exit {
        Exit::Signal(number) if number == Signal::SIGHUP as i32 => "rebooted".to_owned(),
        Exit::Signal(number) if number == Signal::SIGINT as i32 => "halted".to_owned(),
        other => other.to_string(),
    }
}

/// systemd blocks SIGRTMIN+3, which halts it; every other init gets SIGPWR.
fn halt_signal_of(init: i32) -> i32 {
    let halt = nix::libc::SIGRTMIN() + 3;
    let blocked = std::fs::read_to_string(format!("/proc/{init}/status"))
        .ok()
        .and_then(|status| {
            let mask = status
                .lines()
                .find_map(|line| line.strip_prefix("SigBlk:"))?;
            u64::from_str_radix(mask.trim(), 16).ok()
        });
    match blocked {
        Some(mask) if mask & (1 << (halt - 1)) != 0 => halt,
        _ => Signal::SIGPWR as i32,
    }
}

fn namespaces_refused(error: std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(nix::libc::EAGAIN | nix::libc::ENOMEM) => {
            Error::os("make the container's first process", error)
        }
        _ => explain_no_user_namespace(error),
    }
}
