//! A container's monitor: one small process that starts it, serves its commands, reaps it and
//! clears up after it.

mod console;
pub mod enter;
mod executed;
mod forward;
mod hooks;
mod inside;
mod journal;
pub mod log;
mod lxc;
pub mod protocol;
pub(crate) mod ready;
mod restart;
mod run;
mod session;
mod settings;
mod strays;
mod supervisor;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use berth_container_config::berth_toml;
use berth_kernel::ns::Kind;
use berth_kernel::{process, signal, sock};
use berth_session_protocol::{Connection, Frame};
use nix::sched::CloneFlags;

use crate::error::{Error, Result};
use crate::place::Place;
use crate::ports::{self, Listening};
use crate::start::apparmor::Generated;
use crate::start::cgroup::{Base, ContainerCgroup, why_none};
use crate::start::plan::StartPlan;
use crate::start::step::{Leftover, Progress, Role, Step};
use crate::start::sync;
use crate::state::Runtime;
use console::Front;
pub use console::{FrontSeat, front_pair};
pub use run::halt_signal_of;

/// Why ports of such a container cannot be published.
pub(crate) const HOST_NETWORK: &str = "the container is in the host's network, so its ports are the host's already; remove the \
     [[publish]] sections";

/// The name of the monitor's process, and of its children until they execute something.
const NAME: &std::ffi::CStr = c"berth-monitor";
const REPORT_STARTED: u8 = 1;
const REPORT_FAILED: u8 = 2;
const REPORT_RUNNING: u8 = 3;

/// Starts a container: makes its cgroup and its monitor and waits until init runs.
///
/// The monitor is born in its own cgroup: moving it there afterwards would cost milliseconds on
/// an idle machine.
///
/// With a front the console is shown there from the beginning.
pub fn start(
    plan: &StartPlan,
    runtime: &Runtime,
    base: Option<&Base>,
    front: Option<Front>,
) -> Result<()> {
    let mut progress = Progress::new(Role::Starter);
    let mut cgroup = None;
    let failure = match try_start(plan, runtime, base, front, &mut cgroup, &mut progress) {
        // Cgroup, socket and profile are another monitor's.
        done @ (Ok(()) | Err(Error::AlreadyRunning(_))) => return done,
        Err(failure) => failure.in_step(progress.reached()),
    };
    // The monitor undid what it did itself. The first error is the one to tell.
    for left in progress.left() {
        match left {
            Leftover::Socket => {
                let _ = std::fs::remove_file(runtime.socket());
                // The monitor may have been killed.
                runtime.remove_unfinished();
            }
            Leftover::Cgroup => {
                let made = cgroup.as_ref().map(ContainerCgroup::place);
                let _ = made.map(|place| place.remove(&plan.idmap));
            }
            Leftover::Profile => {
                let generated = plan.confinement.generated.as_ref();
                let _ = generated.map(Generated::remove);
            }
            // The monitor's.
            Leftover::Server
            | Leftover::FirstProcess
            | Leftover::Interfaces
            | Leftover::Terminals => {}
        }
    }
    Err(failure)
}

fn try_start(
    plan: &StartPlan,
    runtime: &Runtime,
    base: Option<&Base>,
    front: Option<Front>,
    cgroup: &mut Option<ContainerCgroup>,
    progress: &mut Progress,
) -> Result<()> {
    // Before anything is made: what cannot be had is told, and the container is not started.
    let ports = bind_ports(plan)?;
    progress.enter(Step::Profile).map_err(Error::other)?;
    let generated = plan.confinement.generated.as_ref();
    generated.map_or(Ok(()), Generated::load)?;
    progress.enter(Step::Cgroup).map_err(Error::other)?;
    *cgroup = make_cgroup(plan, base)?;
    progress.enter(Step::Monitor).map_err(Error::other)?;
    start_monitor(plan, runtime, cgroup.as_ref(), ports, front)
}

/// The container's cgroup; `None` where it can have none and its configuration wants none.
fn make_cgroup(plan: &StartPlan, base: Option<&Base>) -> Result<Option<ContainerCgroup>> {
    match base {
        Some(base) => base.make(plan).map(Some),
        None => refuse_what_needs_a_cgroup(plan).map(|()| None),
    }
}

/// What the container cannot have without a cgroup of its own.
fn refuse_what_needs_a_cgroup(plan: &StartPlan) -> Result<()> {
    let shared = plan.namespaces.shared.iter();
    let mut shared = shared.filter(|shared| shared.kind == Kind::Pid);
    let refuse =
        |what: &str, why: &str| Err(Error::other(format!("{what} cannot be obeyed: {why}")));
    if let Some(pid) = shared.next() {
        let why = format!(
            "nothing would end what init leaves running among the other's processes but a control \
             group of the container's own, and {}",
            why_none()
        );
        return refuse(&pid.at, &why);
    }
    let why = format!(
        "{}; without the line the container starts unlimited",
        why_none()
    );
    if plan.devices.is_some() {
        return refuse("lxc.cgroup2.devices", &why);
    }
    if let Some(at) = plan.cgroup.at() {
        return refuse(at, &why);
    }
    match plan.limits.first() {
        Some(limit) => refuse(&limit.at, &why),
        None => Ok(()),
    }
}

/// The sockets of its published ports.
fn bind_ports(plan: &StartPlan) -> Result<Vec<Listening>> {
    let list = plan.settings.publish.iter().map(|one| &one.value);
    ports::bind_all(list).map_err(|error| {
        let said = match Place::own(Some(&plan.lxcpath)) {
            Ok(place) => ports::explain(&place, &plan.name, &error),
            Err(other) => other.to_string(),
        };
        Error::other(format!("{}: {said}", berth_toml::FILE))
    })
}

/// Starts the monitor and waits until it says that init runs.
fn start_monitor(
    plan: &StartPlan,
    runtime: &Runtime,
    cgroup: Option<&ContainerCgroup>,
    ports: Vec<Listening>,
    mut front: Option<Front>,
) -> Result<()> {
    let listener = listen(runtime)?;
    let (ours, theirs) = Connection::pair()
        .map_err(|error| Error::os("make a socket pair for the monitor", error))?;
    let mut ours = Some(ours);
    let mut ports = Some(ports);
    let monitor_cgroup = cgroup.map(|cgroup| cgroup.monitor.as_fd());
    let child = process::clone(CloneFlags::empty(), monitor_cgroup, || {
        drop(ours.take());
        let ports = ports.take().unwrap_or_default();
        let front = front.take();
        monitor(plan, runtime, cgroup, &listener, ports, theirs, front)
    });
    // What stays open here would hide the monitor's end.
    drop(front);
    child.map_err(|error| Error::process("make the container's monitor", error))?;
    match &ours {
        Some(monitor) => report(monitor, plan),
        None => Err(Error::other("the monitor cannot be heard")),
    }
}

fn report(monitor: &Connection, plan: &StartPlan) -> Result<()> {
    let failed = |why: String| Err(Error::other(why));
    match monitor.recv() {
        Ok(Some((frame, _))) if frame.kind == REPORT_STARTED => Ok(()),
        Ok(Some((frame, _))) if frame.kind == REPORT_RUNNING => {
            Err(Error::AlreadyRunning(plan.name.clone()))
        }
        Ok(Some((frame, _))) => {
            let (step, why) = sync::failure_of(&frame.fields);
            // The monitor removes what it made before it ends; wait for that.
            let _ = monitor.recv();
            let why = why.unwrap_or_else(|| "the monitor did not say why".to_owned());
            Err(Error::other(why).in_step(step))
        }
        Ok(None) => {
            failed("the container's monitor was killed before it could start init".to_owned())
        }
        Err(error) => failed(format!("cannot hear the monitor: {error}")),
    }
}

/// The socket exists before the monitor does, so a command never finds a monitor without one.
fn listen(runtime: &Runtime) -> Result<OwnedFd> {
    let path = runtime.socket();
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::file("remove", &path, error));
        }
        _ => {}
    }
    sock::listen(&path, 0o600, 64).map_err(|error| Error::file("listen on", &path, error))
}

/// The monitor process, from its birth to its end.
fn monitor(
    plan: &StartPlan,
    runtime: &Runtime,
    cgroup: Option<&ContainerCgroup>,
    listener: &OwnedFd,
    ports: Vec<Listening>,
    starter: Connection,
    front: Option<Front>,
) -> u8 {
    let failed = |error: Error| {
        let fields = match &error {
            Error::Start { step, why } => sync::failure(Some(*step), why),
            other => sync::failure(None, &other.to_string()),
        };
        // Whoever waited for the start may be gone by now.
        let _ = starter.send(&Frame::new(REPORT_FAILED, fields), &[]);
        1
    };
    let mut keep = vec![listener.as_fd(), starter.as_fd()];
    keep.extend(ports.iter().map(AsFd::as_fd));
    if let Some(cgroup) = cgroup {
        keep.extend(cgroup.descriptors());
    }
    keep.extend(front.iter().flat_map(Front::descriptors));
    let lock = match become_monitor(plan, runtime, &keep) {
        Ok(lock) => lock,
        Err(Error::AlreadyRunning(_)) => {
            let _ = starter.send(&Frame::new(REPORT_RUNNING, Vec::new()), &[]);
            return 1;
        }
        Err(error) => return failed(error),
    };
    let desk = match lxc::Desk::open(plan) {
        Ok(desk) => desk,
        Err(error) => return failed(error),
    };
    let mut run = run::Run::new(plan, runtime, cgroup, listener.as_fd(), ports, front, desk);
    if let Err(error) = run.start(Some(starter.as_fd())) {
        let waiting = run.finish();
        // The starter removes the cgroup, unless it was killed.
        let cgroup = cgroup.filter(|_| !waiting.left_cgroup);
        run::leave_janitor(plan, runtime, cgroup, false);
        return failed(error);
    }
    if let Err(error) = starter.send(&Frame::new(REPORT_STARTED, Vec::new()), &[])
        && !error.is_disconnected()
    {
        // Whoever is not told that it runs takes it for failed.
        run.kill();
    }
    drop(starter);
    run.serve();
    let waiting = run.finish();
    let cgroup = cgroup.filter(|_| !waiting.left_cgroup);
    run::leave_janitor(plan, runtime, cgroup, plan.ephemeral);
    waiting.tell(plan);
    drop(lock);
    0
}

fn become_monitor(
    plan: &StartPlan,
    runtime: &Runtime,
    keep: &[BorrowedFd<'_>],
) -> Result<crate::state::MonitorLock> {
    // What else the starter had open (a lock, a pipe somebody reads to its end) is not ours.
    process::close_others(keep).map_err(|error| Error::os("close descriptors", error))?;
    // In a session of its own no terminal's hang-up and no Ctrl-C reaches it.
    nix::unistd::setsid().map_err(|errno| Error::os("make a session", errno))?;
    let _ = process::set_name(NAME);
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    // Its children have little left to reset, each before it becomes a program.
    signal::reset().map_err(|error| Error::os("reset signals", error))?;
    signal::ignore(nix::sys::signal::Signal::SIGPIPE)
        .map_err(|error| Error::os("ignore SIGPIPE", error))?;
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|error| Error::os("open /dev/null", error))?;
    for number in 0..=2 {
        process::set_standard_stream(number, null.as_fd())
            .map_err(|error| Error::os("use /dev/null", error))?;
    }
    std::env::set_current_dir("/").map_err(|error| Error::os("change to /", error))?;
    settings::lift_limits(&plan.process)?;
    settings::own_mounts(plan)?;
    let lock = runtime
        .lock_as_monitor()?
        .ok_or_else(|| Error::AlreadyRunning(plan.name.clone()))?;
    Ok(lock)
}
