//! Running a command in a container: into its namespaces, its confinement, its terminal.
//!
//! Two processes: the first is born in the container's cgroup and enters its namespaces; a pid
//! namespace counts for children only, so it makes the second, as the monitor's child, and ends.
//! Neither can be looked into from the container before exec.

mod account;
mod command;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use berth_cgroups::{CgroupDir, DelegationSet};
use berth_common::{Gid, Uid, cgroup, exit};
use berth_kernel::process::{self, Child, PidFd};
use berth_kernel::tty::{self, PseudoTerminal};
use berth_kernel::{core_sched, cred, fs, signal};
use berth_session_protocol::{Connection, Frame};
use nix::sched::CloneFlags;

use super::protocol::ExecRequest;
use crate::error::{Error, Plain, Result};
use crate::exec::DEFAULT_PATH;
use crate::start::child;
use crate::start::label::Requests;
use crate::start::plan::StartPlan;
use account::Account;
use command::{Command, change_directory, environment};

const COMMAND: u8 = 1;
const TERMINAL: u8 = 2;
const FAILED: u8 = 3;
const SUPERVISED: u8 = 4;

/// What the entering processes tell the monitor.
pub enum FromInside {
    /// The command's process.
    Command(PidFd),
    /// The master of the command's terminal.
    Terminal(OwnedFd),
    /// Where its system calls wait for a supervisor.
    Supervised(OwnedFd),
    /// It failed: exit code and reason.
    Failed(u8, String),
    /// They are done: exec happened, or a failure was told.
    Closed,
}

/// Starts to enter: what they tell, and the first process.
pub fn start(
    plan: &StartPlan,
    init: &Child,
    payload: Option<&CgroupDir>,
    request: &ExecRequest,
    fds: Vec<OwnedFd>,
) -> Result<(Connection, PidFd)> {
    let (ours, theirs) =
        Connection::pair().map_err(|error| Error::os("make a socket pair", error))?;
    let mut ours = Some(ours);
    let mut born_in = |cgroup: Option<&CgroupDir>| {
        process::clone(CloneFlags::empty(), cgroup.map(AsFd::as_fd), || {
            drop(ours.take());
            enter(plan, init, cgroup, request, &fds, &theirs)
        })
    };
    let payload = payload.filter(|_| !request.spared.cgroup);
    let place = payload.and_then(|payload| payload.make_child(cgroup::EXEC).ok());
    let entering = match born_in(place.as_ref().or(payload)) {
        // The container's root can make it his own; then the top will do, unless he hands
        // controllers on there.
        Err(_) if place.is_some() => born_in(payload),
        other => other,
    }
    .map_err(no_place)?;
    let ours = ours.ok_or_else(|| Error::other("the socket pair is gone"))?;
    ours.set_nonblocking(true)
        .map_err(|error| Error::os("set up a socket", error))?;
    Ok((ours, entering.pidfd))
}

fn no_place(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(nix::libc::EBUSY | nix::libc::EACCES) => Error::other(format!(
            "the container's root has made the cgroup /{} his own, so no process can be made there \
             (inside, as root: rmdir /sys/fs/cgroup/{})",
            cgroup::EXEC,
            cgroup::EXEC
        )),
        _ => Error::os("make a process in the container's cgroup", error),
    }
}

/// The next thing told; `None` if there is none yet.
pub fn hear(inside: &Connection) -> Result<Option<FromInside>> {
    let (frame, fds) = match inside.recv() {
        Ok(Some(message)) => message,
        Ok(None) => return Ok(Some(FromInside::Closed)),
        Err(error) if error.is_would_block() => return Ok(None),
        Err(error) if error.is_disconnected() => return Ok(Some(FromInside::Closed)),
        Err(error) => return Err(Error::other(error.to_string())),
    };
    let fd = fds.into_iter().next();
    Ok(Some(match (frame.kind, fd) {
        (COMMAND, Some(fd)) => FromInside::Command(PidFd::from_owned(fd)),
        (TERMINAL, Some(fd)) => FromInside::Terminal(fd),
        (SUPERVISED, Some(fd)) => FromInside::Supervised(fd),
        _ => {
            let code = frame.fields.first().and_then(|code| code.first()).copied();
            let why = frame
                .fields
                .get(1)
                .map(|why| String::from_utf8_lossy(why).into_owned());
            FromInside::Failed(
                code.unwrap_or(exit::RUN_FAILED),
                why.unwrap_or_else(|| "the command failed without a reason".to_owned()),
            )
        }
    }))
}

/// A directory of the caller's as a standard stream would be a way out of the container.
fn refuse_directories(fds: &[OwnedFd]) -> std::result::Result<(), Failure> {
    for fd in fds {
        if fs::status(fd.as_fd())
            .map_err(because("look at the standard streams"))?
            .is_dir()
        {
            return Err(Failure {
                code: exit::RUN_FAILED,
                why: "a standard stream of the command is a directory".to_owned(),
            });
        }
    }
    Ok(())
}

struct Failure {
    code: u8,
    why: String,
}

fn because(what: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure {
        code: exit::RUN_FAILED,
        why: format!("cannot {what}: {}", Plain(&error)),
    }
}

fn tell(monitor: &Connection, failure: &Failure) {
    let fields = vec![vec![failure.code], failure.why.clone().into_bytes()];
    let _ = monitor.send(&Frame::new(FAILED, fields), &[]);
}

fn send(monitor: &Connection, kind: u8, fd: BorrowedFd<'_>) -> std::result::Result<(), Failure> {
    let sent = monitor.send(&Frame::new(kind, Vec::new()), &[fd]);
    sent.map_err(|error| Failure {
        code: exit::RUN_FAILED,
        why: format!("cannot reach the monitor: {error}"),
    })
}

fn enter(
    plan: &StartPlan,
    init: &Child,
    cgroup: Option<&CgroupDir>,
    request: &ExecRequest,
    fds: &[OwnedFd],
    monitor: &Connection,
) -> u8 {
    let entered: std::result::Result<(), Failure> = (|| {
        let cgroup = unshared(plan, cgroup)?;
        // What is left of the monitor's would lead whoever plants links to /proc/self/fd/N in the
        // container to the host (CVE-2024-21626).
        let mut keep: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        keep.extend([init.pidfd.as_fd(), monitor.as_fd()]);
        keep.extend(cgroup.as_ref().map(AsFd::as_fd));
        process::close_others(&keep).map_err(because("close descriptors"))?;
        refuse_directories(fds)?;
        process::set_dumpable(false).map_err(because("protect the process"))?;
        if plan.process.core_scheduling {
            core_sched::share_cookie_of(init.pid)
                .map_err(because("run on the container's cores"))?;
        }
        let proc = plan.confinement.labels.proc();
        let proc = proc.map_err(because("open /proc"))?;
        init.pidfd
            .enter_namespaces(plan.entered_namespaces())
            .map_err(because("enter the container"))?;
        let mut host = Some(OfHost { proc, cgroup });
        process::clone(CloneFlags::CLONE_PARENT, None, || {
            run(plan, request, fds, host.take(), monitor)
        })
        .map_err(because("make a process in the container"))?;
        Ok(())
    })();
    match entered {
        Ok(()) => 0,
        Err(failure) => {
            tell(monitor, &failure);
            1
        }
    }
}

/// What the second process needs of the host's.
struct OfHost {
    /// `/proc`, if there are labels to be asked for.
    proc: Option<OwnedFd>,
    /// See [`unshared`].
    cgroup: Option<CgroupDir>,
}

/// The cgroup that the command is born in, if it is one that the container's root cannot use yet.
fn unshared(
    plan: &StartPlan,
    cgroup: Option<&CgroupDir>,
) -> std::result::Result<Option<CgroupDir>, Failure> {
    let Some(dir) = cgroup.filter(|_| !plan.idmap.is_empty()) else {
        return Ok(None);
    };
    let look = || match dir.owner()? == (cred::real_uid().raw(), cred::real_gid().raw()) {
        true => dir.try_clone().map(Some),
        false => Ok(None),
    };
    look().map_err(cgroup_failure)
}

fn cgroup_failure(error: berth_cgroups::Error) -> Failure {
    Failure {
        code: exit::RUN_FAILED,
        why: error.to_string(),
    }
}

/// The second process: the container's in everything but its program.
fn run(
    plan: &StartPlan,
    request: &ExecRequest,
    fds: &[OwnedFd],
    host: Option<OfHost>,
    monitor: &Connection,
) -> u8 {
    let failure = match try_run(plan, request, fds, host, monitor) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    tell(monitor, &failure);
    failure.code
}

fn try_run(
    plan: &StartPlan,
    request: &ExecRequest,
    fds: &[OwnedFd],
    host: Option<OfHost>,
    monitor: &Connection,
) -> std::result::Result<std::convert::Infallible, Failure> {
    // It names itself, before it is anything that the monitor could not tell from itself: whoever
    // made it may be killed at any moment.
    PidFd::open(nix::unistd::getpid().as_raw())
        .map_err(because("refer to the process"))
        .and_then(|own| send(monitor, COMMAND, own.as_fd()))?;
    let labels = &plan.confinement.labels;
    let proc = host.as_ref().and_then(|host| host.proc.as_ref());
    let requests = match proc.filter(|_| !request.spared.profiles) {
        None => Requests::default(),
        Some(proc) => labels
            .open(proc.as_fd())
            .map_err(because("open /proc/thread-self/attr"))?,
    };
    cred::set_groups(&[]).map_err(because("clear supplementary groups"))?;
    cred::set_all_gids(Gid::ROOT).map_err(because("become group 0 of the container"))?;
    if let Some(cgroup) = host.as_ref().and_then(|host| host.cgroup.as_ref()) {
        cgroup
            .share_with_group(&DelegationSet::minimal(), Gid::ROOT)
            .map_err(cgroup_failure)?;
    }
    // What is the host's is closed before any path of the container is followed.
    drop(host);
    cred::set_all_uids(Uid::ROOT).map_err(because("become root of the container"))?;
    process::set_dumpable(false).map_err(because("protect the process"))?;
    nix::unistd::setsid().map_err(|errno| because("make a session")(errno.into()))?;
    let account = Account::of(plan, &request.user)?;
    if request.terminal {
        open_terminal(monitor, &account)?;
    } else {
        for (number, fd) in (0..).zip(fds) {
            process::set_standard_stream(number, fd.as_fd())
                .map_err(because("set up the standard streams"))?;
        }
    }
    let failed = |why| Failure {
        code: exit::RUN_FAILED,
        why,
    };
    child::confine(plan, requests, request.spared).map_err(failed)?;
    let command = Command::of(request, &account)?;
    child::become_ids(account.uid, account.gid, &account.groups).map_err(failed)?;
    change_directory(request, &account)?;
    signal::reset().map_err(because("reset signals"))?;
    process::mark_close_on_exec(3).map_err(because("close descriptors"))?;
    let environment = environment(plan, request, &account);
    let path = environment
        .iter()
        .find_map(|entry| entry.to_str().ok()?.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH)
        .to_owned();
    child::limit_resources(&plan.process).map_err(failed)?;
    if !request.spared.profiles {
        let supervise = |listener: OwnedFd| {
            send(monitor, SUPERVISED, listener.as_fd()).map_err(|failure| failure.why)
        };
        child::filter(plan, supervise).map_err(failed)?;
    }
    let error = process::exec_in_path(&command.program, &path, &command.arguments, &environment);
    let name = command.program.to_string_lossy();
    Err(match error.raw_os_error() {
        Some(nix::libc::ENOENT) => Failure {
            code: exit::NOT_FOUND,
            why: format!("there is no command “{name}” in the container"),
        },
        _ => Failure {
            code: exit::NOT_EXECUTABLE,
            why: format!(
                "cannot execute “{name}” in the container: {}",
                Plain(&error)
            ),
        },
    })
}

/// A terminal of the container's own devpts, so that programs inside know its name; it is the
/// user's, who may open it by that.
fn open_terminal(monitor: &Connection, account: &Account) -> std::result::Result<(), Failure> {
    let terminal = fs::open_dir(Path::new("/dev/pts"))
        .and_then(|devpts| PseudoTerminal::open(devpts.as_fd()))
        .map_err(because("make a terminal in the container"))?;
    if !account.uid.is_root() {
        fs::chown(terminal.slave.as_fd(), Some(account.uid), None)
            .map_err(because("give the terminal to the user"))?;
    }
    send(monitor, TERMINAL, terminal.master.as_fd())?;
    tty::set_controlling(terminal.slave.as_fd())
        .map_err(because("make the terminal the controlling one"))?;
    for number in 0..=2 {
        process::set_standard_stream(number, terminal.slave.as_fd())
            .map_err(because("use the terminal"))?;
    }
    Ok(())
}
