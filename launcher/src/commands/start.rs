//! `berth start`: in the lasting cgroup, through the launch socket if the caller is not there.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;

use berth_cgroups::{DelegatedBase, Hierarchy};
use berth_common::ContainerName;
use berth_kernel::process::Exit;
use berth_session_protocol::client::{Descriptors, LaunchError, launch};
use berth_session_protocol::launch::Launch;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::{VERB_PATIENCE, recover, settings, stop};
use crate::berthd::{self, with_launch_socket};
use crate::destroy::leftovers;
use crate::error::{Error, Result};
use crate::lxc;
use crate::monitor::{self, FrontSeat};
use crate::place::Place;
use crate::start::build;
use crate::start::cgroup::Base;
use crate::start::own_program;
use crate::state::{Runtime, State};
pub use crate::systemd::has_systemd;
use crate::systemd::{root_needs_scope, run_in_scope};

/// Where a container is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// In the owner's lasting cgroup: it outlives the session.
    Lasting,
    /// In the caller's own: it ends with the session.
    Here,
}

/// What is different for this start only.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `KEY = VALUE`, as if they were the configuration's last lines.
    pub settings: Vec<String>,
    /// Program and arguments of init instead of `lxc.init.cmd`; empty: that.
    pub init: Vec<OsString>,
    /// Whether the caller wants to see the console and to wait for the end.
    pub foreground: bool,
    /// Whether what it needs is not started first; see [`super::ready`].
    pub no_deps: bool,
    /// Whether its being ready is not waited for.
    pub no_wait: bool,
}

impl Options {
    /// The words of a command line that mean the same, with the container's name.
    pub fn arguments(&self, name: &ContainerName) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        if self.foreground {
            arguments.push("--foreground".into());
        }
        arguments.extend(self.no_deps.then(|| "--no-deps".into()));
        arguments.extend(self.no_wait.then(|| "--no-wait".into()));
        for setting in &self.settings {
            arguments.push(format!("--set={setting}").into());
        }
        arguments.push(name.as_str().into());
        if !self.init.is_empty() {
            arguments.push("--".into());
            arguments.extend(self.init.iter().cloned());
        }
        arguments
    }
}

/// A container that was started.
pub struct Started {
    /// What its owner should know of its configuration.
    pub warnings: Vec<String>,
    /// Where its console is shown, if that was wanted.
    pub seat: Option<FrontSeat>,
}

/// Starts a container and returns when its init runs.
pub fn start(place: &Place, name: &ContainerName, options: &Options) -> Result<Started> {
    place.require(name)?;
    let runtime = Runtime::new(place.runtime_dir(name));
    let lock = runtime.lock_for_verb(VERB_PATIENCE)?;
    // A restore or a rename that was killed is ended before its container is looked at.
    let mut warnings = settle(place);
    // It may have been destroyed while this command waited for its turn.
    match place.require(name) {
        Err(gone @ Error::NoSuchContainer { .. }) => {
            runtime.remove(lock);
            return Err(gone);
        }
        other => other?,
    }
    let (config, more) = settings::load(place, name, &options.settings)?;
    warnings.extend(more);
    let mut plan = build::plan(place, name, &config)?;
    if !options.init.is_empty() {
        plan.init = settings::init(&options.init)?;
    }
    warnings.extend(plan.confinement.filter.notes.iter().cloned());
    warnings.append(&mut plan.warnings);
    match runtime.state()? {
        (State::Stopped, _) => {
            stop::wait_for_monitor(&runtime)?;
            lxc::refuse_running(place, name)?;
        }
        (State::Aborted, Some(record)) => recover::recover(&runtime, &record, &lock)?,
        _ => return Err(Error::AlreadyRunning(name.clone())),
    }
    own_program::execute_again_if_writable(place, &plan, &options.arguments(name))?;
    runtime.remove_unfinished();
    let base = Base::of_caller()?;
    let (front, seat) = match options.foreground {
        true => {
            let (front, seat) = monitor::front_pair()?;
            (Some(front), Some(seat))
        }
        false => (None, None),
    };
    monitor::start(&plan, &runtime, base.as_ref(), front)?;
    Ok(Started { warnings, seat })
}

fn settle(place: &Place) -> Vec<String> {
    // A directory of containers that cannot be listed tells nothing of others.
    berth_kernel::fs::open_dir(&place.lxcpath).map_or_else(
        |_| Vec::new(),
        |lxcpath| leftovers::settle(&place.owner, &place.lxcpath, lxcpath.as_fd()),
    )
}

/// Whether the caller must hand his command to the launch socket to be in the right cgroup.
///
/// Root's containers are below the unit that is delegated to him, otherwise in a scope of their own.
/// Where there is neither a launch socket nor systemd, the caller's own cgroup is all there is.
pub fn needs_launch(wanted: Where) -> Result<bool> {
    let uid = berth_kernel::cred::effective_uid();
    if wanted == Where::Here {
        return Ok(false);
    }
    if uid.is_root() {
        return root_needs_scope();
    }
    let Ok(hierarchy) = Hierarchy::detect() else {
        return Ok(false);
    };
    let base = DelegatedBase::of_caller(&hierarchy)
        .map_err(|error| Error::other(format!("cannot tell which cgroup this is: {error}")))?;
    if base.is_some_and(|base| base.is_lasting(&hierarchy, uid)) {
        return Ok(false);
    }
    Ok(has_systemd() || berth_session_protocol::launch::socket_path(uid).exists())
}

/// Runs `berth` with these arguments in the lasting cgroup and returns its exit code; for root,
/// in a scope.
pub fn through_launch_socket<T: AsRef<OsStr>>(arguments: &[T]) -> Result<u8> {
    let uid = berth_kernel::cred::effective_uid();
    if uid.is_root() {
        return run_in_scope(arguments);
    }
    // A directory that may only be passed through will do.
    let open = |path| {
        nix::fcntl::open(
            path,
            OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
    };
    let directory = open(".")
        .or_else(|_| open("/"))
        .map_err(|error| Error::os("open the working directory", error))?;
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let descriptors = Descriptors {
        stdio: [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
        directory: directory.as_fd(),
    };
    let request = Launch {
        arguments: arguments.iter().map(|one| one.as_ref().into()).collect(),
        environment: std::env::vars_os().collect(),
    };
    let talk = || launch(uid, request.clone(), descriptors);
    match with_launch_socket(talk)? {
        Ok(exit) => Ok(exit.shell_code()),
        // What the service had not begun yet it does not begin any more.
        Err(LaunchError::Interrupted(signal)) => Ok(Exit::Signal(signal as i32).shell_code()),
        Err(error) => Err(Error::other(error.to_string())),
    }
}

/// Where the caller's session was not delegated when it opened, has it delegated now; why it could
/// not be, which is no reason not to go on: a container without limits needs no cgroup of its own.
pub fn repair_session() -> Result<Option<String>> {
    let uid = berth_kernel::cred::effective_uid();
    if uid.is_root() || !has_systemd() {
        return Ok(None);
    }
    let Ok(hierarchy) = Hierarchy::detect() else {
        return Ok(None);
    };
    let base = DelegatedBase::of_caller(&hierarchy)
        .map_err(|error| Error::other(format!("cannot tell which cgroup this is: {error}")))?;
    Ok(match base {
        Some(_) => None,
        None => berthd::repair_session().err(),
    })
}
