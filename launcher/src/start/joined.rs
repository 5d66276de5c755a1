//! Namespaces of others that a container is born in (`lxc.namespace.share`).

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;

use berth_kernel::ns::Namespace;
use berth_kernel::process;
use nix::fcntl::OFlag;

use super::plan::{SharedPlan, Source};
use crate::error::{Error, Plain, Result};
use crate::state::{Runtime, State};

/// Open namespaces of others, each with the caller's own of the same kind. They are kept for the
/// container's whole life: a reboot is into the same ones.
#[derive(Debug, Default)]
pub struct Joined(Vec<(Namespace, Namespace)>);

impl Joined {
    /// Opens all.
    pub fn open(shared: &[SharedPlan]) -> Result<Self> {
        shared
            .iter()
            .map(|shared| {
                let own = Namespace::own(shared.kind).map_err(|error| {
                    Error::os(format!("{}: open the monitor's own", shared.at), error)
                })?;
                Ok((open(shared)?, own))
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Has the caller in them meanwhile, so that what it makes is born there.
    pub fn within<T>(&self, make: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<T> {
        let entered = self.0.iter().try_for_each(|(theirs, _)| theirs.enter());
        let made = entered.and_then(|()| make());
        // Back in any case: what comes next is the monitor's own.
        let mut back = Ok(());
        for (_, own) in &self.0 {
            back = back.and(own.enter());
        }
        back.and(made)
    }
}

/// One namespace, if it can be had.
pub fn open(shared: &SharedPlan) -> Result<Namespace> {
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
