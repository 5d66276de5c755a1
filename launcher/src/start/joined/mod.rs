//! Namespaces of others that a container is born in (`lxc.namespace.share`).

mod birth;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use berth_container_config::IdMapping;
use berth_kernel::ns::{Kind, Namespace};
use berth_kernel::process::{self, Child};
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;

use super::plan::{SharedPlan, Source};
use crate::error::{Error, Plain, Result};
use crate::state::{Runtime, State};

/// Open namespaces of others. They are kept for the container's whole life: a reboot is into the
/// same ones.
#[derive(Debug, Default)]
pub struct Joined {
    user: Option<Namespace>,
    /// What the first process itself enters: it is born in a cgroup outside of what this shows.
    cgroup: Option<Namespace>,
    /// The others, each with the caller's own of the same kind.
    others: Vec<(Namespace, Namespace)>,
    /// Whether a pid namespace is among them.
    is_seen: bool,
}

impl Joined {
    /// Opens all, and refuses what cannot be entered.
    pub fn open(shared: &[SharedPlan]) -> Result<Self> {
        let mut joined = Self::default();
        if let Some(user) = shared.iter().find(|shared| shared.kind == Kind::User) {
            let namespace = open(user)?;
            birth::refuse_others(&namespace, &user.at)?;
            joined.user = Some(namespace);
        }
        for shared in shared.iter().filter(|shared| shared.kind != Kind::User) {
            let namespace = open(shared)?;
            joined.refuse_out_of_reach(&namespace, shared)?;
            joined.is_seen |= shared.kind == Kind::Pid;
            if shared.kind == Kind::Cgroup {
                joined.cgroup = Some(namespace);
                continue;
            }
            let own = Namespace::own(shared.kind).map_err(|error| {
                Error::os(format!("{}: open the monitor's own", shared.at), error)
            })?;
            joined.others.push((namespace, own));
        }
        Ok(joined)
    }

    /// setns(2) asks for rights in the user namespace that the other one belongs to.
    fn refuse_out_of_reach(&self, namespace: &Namespace, shared: &SharedPlan) -> Result<()> {
        let Some(user) = &self.user else {
            return Ok(());
        };
        let owner = namespace.user_namespace();
        match owner.and_then(|owner| owner.is(user)) {
            Ok(true) => Ok(()),
            _ => Err(Error::other(format!(
                "{}: that namespace belongs to another user namespace than the one of \
                 lxc.namespace.share.user, so the container has no right to be in it",
                shared.at
            ))),
        }
    }

    /// The user namespace of others, if it is one.
    pub fn user(&self) -> Option<BorrowedFd<'_>> {
        self.user.as_ref().map(AsFd::as_fd)
    }

    /// The cgroup namespace of others, if it is one: to be entered after the birth.
    pub fn cgroup(&self) -> Option<&Namespace> {
        self.cgroup.as_ref()
    }

    /// Makes a process in them, and in new ones by `flags`; its ids are or will be these.
    pub fn born(
        &self,
        flags: CloneFlags,
        birthplace: Option<BorrowedFd<'_>>,
        ids: &[IdMapping],
        body: impl FnOnce() -> u8,
        refused: impl FnOnce(std::io::Error) -> Error,
    ) -> Result<Child> {
        if let Some(user) = &self.user {
            let others: Vec<&Namespace> = self.others.iter().map(|(theirs, _)| theirs).collect();
            let born = (flags, birthplace);
            return birth::inside(user, &others, born, ids, self.is_seen, body);
        }
        self.within(|| process::clone(flags, birthplace, body))
            .map_err(refused)
    }

    /// Has the caller in them meanwhile, so that what it makes is born there.
    fn within<T>(&self, make: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<T> {
        let entered = self
            .others
            .iter()
            .try_for_each(|(theirs, _)| theirs.enter());
        let made = entered.and_then(|()| make());
        // Back in any case: what comes next is the monitor's own.
        let mut back = Ok(());
        for (_, own) in &self.others {
            back = back.and(own.enter());
        }
        back.and(made)
    }
}

/// One namespace, if it can be had.
fn open(shared: &SharedPlan) -> Result<Namespace> {
    let kind = shared.kind;
    let (found, whose) = match &shared.source {
        Source::Process(pid) => (of_process(*pid, shared), format!("process {pid}")),
        Source::Container(name, runtime) => {
            return of_container(name, runtime, shared);
        }
        Source::File(path) => {
            let file = File::options()
                .read(true)
                .custom_flags(OFlag::O_NONBLOCK.bits() | OFlag::O_NOCTTY.bits())
                .open(path);
            let found = file.and_then(|file| Namespace::from_fd(file.into(), kind));
            (found, path.display().to_string())
        }
    };
    found.map_err(|error| {
        let why = match error.raw_os_error() {
            Some(nix::libc::EINVAL) => format!("it is no namespace of the kind {}", kind.name()),
            Some(nix::libc::ESRCH | nix::libc::ENOENT) => "there is none".to_owned(),
            _ => Plain(&error).to_string(),
        };
        Error::other(format!(
            "{}: the namespace of {whose} cannot be had: {why}",
            shared.at
        ))
    })
}

/// The directory in `/proc` means one process for ever: when that has ended, it has no namespaces,
/// whoever has its number by then.
fn of_process(pid: i32, shared: &SharedPlan) -> std::io::Result<Namespace> {
    let process = File::open(format!("/proc/{pid}"))?;
    Namespace::of_process(std::os::fd::AsFd::as_fd(&process), shared.kind)
}

/// The namespace of a container's init: of a process that its monitor, who lives, calls that, both
/// before and after, and that is the monitor's child.
fn of_container(name: &str, runtime: &Runtime, shared: &SharedPlan) -> Result<Namespace> {
    let not_there = || {
        Error::other(format!(
            "{}: container “{name}” does not run, so it has no namespace to share (start it first: \
             berth start {name})",
            shared.at
        ))
    };
    let running = || match runtime.state()? {
        (State::Running | State::Frozen, Some(record)) => {
            Ok(record.init.map(|init| (init, record.since)))
        }
        _ => Ok::<_, Error>(None),
    };
    let before = running()?.ok_or_else(not_there)?;
    let (init, _) = before;
    let Ok(process) = File::open(format!("/proc/{init}")) else {
        return Err(not_there());
    };
    let monitor = runtime.monitor_pid()?;
    let parent = process::parent_and_name(init).map(|(parent, _)| parent);
    let namespace = Namespace::of_process(std::os::fd::AsFd::as_fd(&process), shared.kind);
    let same = running()? == Some(before) && parent.ok() == monitor;
    match namespace {
        Ok(namespace) if same => Ok(namespace),
        Err(error) if same => Err(Error::other(format!(
            "{}: the namespace of container “{name}” cannot be had: {}",
            shared.at,
            Plain(&error)
        ))),
        _ => Err(not_there()),
    }
}
