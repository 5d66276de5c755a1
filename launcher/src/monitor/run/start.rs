//! From a plan to an init that runs, or back to nothing.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use berth_kernel::sock;
use berth_session_protocol::Connection;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::signal::Signal;

use super::super::ready::NotifySocket;
use super::super::{executed, hooks, log, settings};
use super::Run;
use crate::error::{Error, Result};
use crate::mapped::{Mapping, explain_no_user_namespace};
use crate::start::joined::Joined;
use crate::start::plan::StartPlan;
use crate::start::step::{Leftover, Progress, Role, Step};
use crate::start::{child, fuse, host_mounts, nic, overlay, sync};
use crate::state::{State, now};

impl Run<'_> {
    /// Starts init; when this returns it has been exec'ed. After a failure nothing of it is left.
    /// Something to read from `starter` means that nobody waits for it any more.
    pub fn start(&mut self, starter: Option<BorrowedFd<'_>>) -> Result<()> {
        self.progress = Progress::new(Role::Monitor);
        self.try_start(starter).map_err(|error| {
            for left in self.progress.left() {
                self.undo(left);
            }
            let error = error.in_step(self.progress.reached());
            let text = match &error {
                Error::Start { step, why } => format!("the start failed while {step}: {why}"),
                other => format!("the start failed: {other}"),
            };
            log::failure(&self.plan.log, &text);
            error
        })
    }

    fn undo(&mut self, left: Leftover) {
        match left {
            Leftover::Server => self.server = None,
            Leftover::FirstProcess => {
                self.readiness = None;
                self.notify = None;
                self.supervisors.clear();
                if let Some(init) = self.init.take() {
                    // Its exit code says nothing that the error does not.
                    let _ = init.pidfd.signal(Signal::SIGKILL as i32);
                    let _ = init.pidfd.wait();
                }
            }
            Leftover::Interfaces => self.undo_nics(),
            Leftover::Terminals => self.terminals.end_life(),
            // The starter's.
            Leftover::Socket | Leftover::Cgroup | Leftover::Profile => {}
        }
    }

    fn enter(&mut self, step: Step) -> Result<()> {
        self.progress.enter(step).map_err(Error::other)
    }

    fn try_start(&mut self, starter: Option<BorrowedFd<'_>>) -> Result<()> {
        let plan = self.plan;
        self.enter(Step::PreStart)?;
        hooks::pre_start(plan, starter)?;
        self.enter(Step::Prepare)?;
        self.terminals.open(&plan.console)?;
        if plan.settings.journal_console {
            self.terminals.tell_journal(&plan.log);
        }
        overlay::prepare(plan)?;
        self.enter(Step::FirstProcess)?;
        let (ours, theirs) =
            Connection::pair().map_err(|error| Error::os("make a socket pair", error))?;
        let mut ours = Some(ours);
        let payload = self.cgroup.map(|cgroup| &cgroup.payload);
        let joined = match self.joined.take() {
            Some(joined) => joined,
            None => Joined::open(&plan.namespaces.shared)?,
        };
        let joined = self.joined.insert(joined);
        let (flags, birthplace) = (plan.birth_namespaces(), payload.map(AsFd::as_fd));
        // The other namespaces it makes itself, while its ids are being mapped.
        let body = || {
            // It must see the monitor's death as the end of the stream.
            drop(ours.take());
            child::run(plan, payload, joined.cgroup(), theirs)
        };
        let refused = |error| no_first_process(plan, error);
        let init = joined.born(flags, birthplace, &plan.idmap, body, refused)?;
        let ours = ours.ok_or_else(|| Error::other("the socket pair is gone"))?;
        let pid = init.pid;
        self.init = Some(init);

        // The three helpers take milliseconds each; they run side by side.
        let has_new_ids = flags.contains(CloneFlags::CLONE_NEWUSER);
        let mapping = match has_new_ids {
            true => Some(Mapping::start(pid, &plan.idmap)?),
            false => None,
        };
        let user = match joined.user() {
            Some(user) => user.try_clone_to_owned().map(|user| Some(user.into())),
            // A process of ours that nobody has reaped: the number means it.
            None if has_new_ids => File::open(format!("/proc/{pid}/ns/user")).map(Some),
            None => Ok(None),
        };
        self.namespace =
            user.map_err(|error| Error::os("open the container's user namespace", error))?;
        // The child waits for us before it does anything that would have to be cleared up.
        self.runtime.write(&self.record)?;
        match hear(&ours, starter)? {
            Some(sync::FromChild::Isolated) => {}
            Some(sync::FromChild::Failed(step, why)) => {
                return Err(Error::other(why).in_step(step));
            }
            _ => return Err(killed_early(self.plan)),
        }
        self.enter(Step::Interfaces)?;
        self.namespaces = hooks::keep_namespaces(plan, pid)?;
        settings::write_proc_files(&plan.process, pid)?;
        let nics = self.make_nics(mapping, starter);
        // If the child has failed meanwhile, no helper could serve it: its reason counts.
        let nics = nics.map_err(|error| failure_told(&ours).unwrap_or(error))?;
        self.enter(Step::HostMounts)?;
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
        self.enter(Step::Handover)?;
        told(ours.send(&sync::go(&nics), &[]))?;
        self.wait_for_exec(&ours, pid, starter)?;

        self.enter(Step::Running)?;
        self.record.state = State::Running;
        self.record.init = Some(pid);
        self.record.since = Some(now());
        self.begin_readiness();
        self.begin_forwarding();
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
            return Err(killed_early(self.plan));
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
    pub(super) fn undo_nics(&mut self) {
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
                    self.enter(Step::StartHost)?;
                    hooks::start_host(self.plan, init, starter)?;
                    told(child.send(&sync::go(&[]), &[]))?;
                }
                Some(sync::FromChild::Notify(socket)) => {
                    self.notify = Some(NotifySocket::new(socket));
                }
                Some(sync::FromChild::Terminals(ends)) => self.terminals.add(ends),
                Some(sync::FromChild::Supervised(listener)) => self.supervise(listener)?,
                Some(sync::FromChild::Ready) => ready = true,
                Some(sync::FromChild::Failed(step, why)) => {
                    return Err(Error::other(why).in_step(step));
                }
                None if ready => {
                    return match (&self.plan.confinement.filter.program, &self.init) {
                        (Some(_), Some(init)) => executed::under_filter(init),
                        _ => Ok(()),
                    };
                }
                None | Some(sync::FromChild::Isolated) => return Err(killed_early(self.plan)),
            }
        }
    }
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

fn killed_early(plan: &StartPlan) -> Error {
    let why = limit(plan, "memory.max")
        .map(|at| format!(" (is {at} too little for it?)"))
        .unwrap_or_default();
    Error::other(format!(
        "the container's first process was killed before it could start init{why}"
    ))
}

/// File, line and key of a limit on the container's cgroup.
fn limit<'plan>(plan: &'plan StartPlan, file: &str) -> Option<&'plan str> {
    let mut limits = plan.limits.iter();
    let found = limits.find(|limit| limit.setting.file() == file);
    found.map(|limit| limit.at.as_str())
}

/// Why the child gave up, if it did so already.
fn failure_told(child: &Connection) -> Option<Error> {
    child.set_nonblocking(true).ok()?;
    match sync::from_child(child) {
        Ok(Some(sync::FromChild::Failed(step, why))) => Some(Error::other(why).in_step(step)),
        _ => None,
    }
}

/// Why the first process, which is born in the container's cgroup, could not be made.
fn no_first_process(plan: &StartPlan, error: std::io::Error) -> Error {
    let file = match error.raw_os_error() {
        Some(nix::libc::EAGAIN) => "pids.max",
        Some(nix::libc::ENOMEM) => "memory.max",
        _ => return explain_no_user_namespace(error),
    };
    let error = Error::process("make the container's first process", error);
    match limit(plan, file) {
        Some(at) => Error::other(format!("{at}: too low to start with: {error}")),
        None => error,
    }
}
