//! The main program of `berth-user@.service`: it gives the unit's cgroup its shape and then
//! sits there, so that the cgroup outlives whoever is launched into it.

use crate::command::{Descriptors, Program, runtime_dir};
use crate::error::{Doing, Error, Result};
use crate::idle::IdleWatch;
use berth_cgroups::{DelegatedBase, Hierarchy};
use berth_common::{Uid, boot, linger, path, unit};
use berth_kernel::cred;
use berth_kernel::process::Child;
use berth_kernel::ready::Readiness;
use berth_kernel::signal::SignalQueue;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long starting all containers may take. Each container has limits of its own; this one is
/// for an engine that hangs.
const AUTOSTART_LIMIT: Duration = Duration::from_secs(30 * 60);
/// How long it may take to end after SIGTERM.
const END_LIMIT: Duration = Duration::from_secs(10);
/// Containers without a group, and those that LXC starts at boot, too.
const BOOT_GROUPS: &str = "onboot,";

/// Asks the holder to end an autostart that is under way; sent by `shutdown`.
pub const STOP_AUTOSTART: Signal = Signal::SIGUSR1;

/// Holds the cgroup until SIGTERM; `ready` is told beside the service manager.
pub fn run(ready: Readiness) -> Result<()> {
    let mut signals = SignalQueue::new(&[
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        STOP_AUTOSTART,
    ])
    .doing("block signals")?;
    let uid = cred::effective_uid();
    let (hierarchy, controllers) = shape_cgroup(uid)?;
    let status = format!("STATUS=Holding the cgroup; controllers: {controllers}");
    let state = format!("{}\n{status}", berth_systemd_bus::READY);
    berth_systemd_bus::notify(&state).doing("say that the cgroup is ready")?;
    ready.tell().doing("say that the cgroup is ready")?;
    let mut autostart = match start_containers(uid) {
        Ok(started) => started,
        Err(error) => {
            tracing::warn!("containers are not started automatically: {error}");
            None
        }
    };
    let lingers = lingers(std::env::var_os("USER").as_deref());
    let mut watch = IdleWatch::new(hierarchy, uid, lingers);
    wait(&mut signals, &mut autostart, &mut watch, &status)?;
    // An ordered stop is the end of this run: the next start begins anew.
    let _ = std::fs::remove_file(autostart_mark(uid));
    Ok(())
}

/// Drains the unit's cgroup and hands its controllers on; which, for people.
fn shape_cgroup(uid: Uid) -> Result<(Hierarchy, String)> {
    let unit = unit::lasting_base(uid);
    let operation = "prepare the lasting cgroup";
    let hierarchy = Hierarchy::detect().doing(operation)?;
    let base = DelegatedBase::of_caller(&hierarchy).doing(operation)?;
    let base = base
        .filter(|base| base.is_lasting(&hierarchy, uid))
        .ok_or_else(|| {
            Error::new(
                operation,
                format!("this program must be started by {unit} with Delegate="),
            )
        })?;
    base.drain_into_leaf().doing(operation)?;
    let controllers = base.enable_available_controllers().doing(operation)?;
    for (name, error) in controllers.refused {
        tracing::warn!("limits of the controller {name} will not work: {error}");
    }
    let enabled = controllers.enabled.join(" ");
    tracing::info!("holding the cgroup, controllers: {enabled}");
    Ok((hierarchy, enabled))
}

/// There while the containers of this run of the unit have been started: a holder that was
/// killed and comes back must not start again what its user stopped. It goes with the user's
/// runtime directory.
fn autostart_mark(uid: Uid) -> PathBuf {
    runtime_dir(uid).join("berth-autostart")
}

/// Starts the user's containers if he lingers; users without linger start their own.
fn start_containers(uid: Uid) -> Result<Option<Autostart>> {
    let user = std::env::var_os("USER");
    if !lingers(user.as_deref()) {
        return Ok(None);
    }
    let name = user.as_deref().and_then(OsStr::to_str).unwrap_or_default();
    if let Some(file) = boot::refusal(name, |path| Path::new(path).exists()) {
        tracing::warn!("{file} keeps the user's containers from starting at boot");
        return Ok(None);
    }
    match File::options()
        .write(true)
        .create_new(true)
        .open(autostart_mark(uid))
    {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        other => other.doing("note that containers are being started")?,
    };
    let command =
        Program::of(uid)?.command(&["autostart", "--groups", BOOT_GROUPS].map(Into::into), &[])?;
    let null = File::open("/dev/null").doing("open /dev/null")?;
    // The journal. A copy, since 2 itself is about to be replaced in the child.
    let log = io::stderr()
        .as_fd()
        .try_clone_to_owned()
        .doing("copy standard error")?;
    let root = File::open("/").doing("open /")?;
    let stdio = [null.as_fd(), log.as_fd(), log.as_fd()];
    let child = command.spawn(Descriptors {
        stdio,
        directory: root.as_fd(),
    })?;
    tracing::info!(
        "the user lingers: starting his containers (process {})",
        child.pid
    );
    Ok(Some(Autostart {
        child,
        deadline: Instant::now() + AUTOSTART_LIMIT,
        told: false,
    }))
}

fn lingers(user: Option<&OsStr>) -> bool {
    let name = user.and_then(OsStr::to_str).and_then(linger::mark);
    name.is_some_and(|name| Path::new(path::LINGER_DIR).join(name).exists())
}

/// `berth autostart` while it runs.
struct Autostart {
    child: Child,
    deadline: Instant,
    /// Whether it was asked to end.
    told: bool,
}

impl Autostart {
    /// Ends it: politely first, by force when it does not obey.
    fn end(&mut self) {
        let signal = if self.told {
            Signal::SIGKILL
        } else {
            Signal::SIGTERM
        };
        let _ = self.child.pidfd.signal(signal as i32);
        self.told = true;
        self.deadline = Instant::now() + END_LIMIT;
    }

    /// What is to be told of it once it is over.
    fn look(&mut self) -> Option<&'static str> {
        match self.child.pidfd.try_wait() {
            Ok(None) => {
                if Instant::now() >= self.deadline {
                    tracing::warn!("starting containers takes too long: ending it");
                    self.end();
                }
                None
            }
            Ok(Some(exit)) if exit.success() => {
                tracing::info!("the containers are started");
                Some("his containers are started")
            }
            Ok(Some(exit)) => {
                tracing::warn!("not all containers are started ({exit}): berth autostart status");
                Some("not all of his containers are started: berth autostart status")
            }
            Err(error) => {
                tracing::warn!("how starting containers ended is not known: {error}");
                Some("how starting his containers ended is not known")
            }
        }
    }
}

/// Waits until it is told to end.
fn wait(
    signals: &mut SignalQueue,
    autostart: &mut Option<Autostart>,
    watch: &mut Option<IdleWatch>,
    status: &str,
) -> Result<()> {
    loop {
        poll_once(signals, autostart.as_ref(), watch.as_ref()).doing("wait")?;
        if watch.as_mut().is_some_and(|watch| !watch.look()) {
            *watch = None;
        }
        if let Some(told) = autostart.as_mut().and_then(Autostart::look) {
            *autostart = None;
            // For whoever looks at the unit; nothing depends on it.
            let _ = berth_systemd_bus::notify(&format!("{status}; {told}"));
        }
        while let Some(number) = signals.take().doing("read a signal")? {
            match (Signal::try_from(number), autostart.as_mut()) {
                (Ok(STOP_AUTOSTART), Some(autostart)) => autostart.end(),
                (Ok(STOP_AUTOSTART | Signal::SIGHUP), _) => {}
                (_, Some(autostart)) => {
                    autostart.end();
                    return Ok(());
                }
                _ => return Ok(()),
            }
        }
    }
}

fn poll_once(
    signals: &SignalQueue,
    autostart: Option<&Autostart>,
    watch: Option<&IdleWatch>,
) -> io::Result<()> {
    let mut ready = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    let deadlines = autostart.map(|it| it.deadline).into_iter();
    let deadline = deadlines.chain(watch.map(IdleWatch::next)).min();
    if let Some(autostart) = autostart {
        ready.push(PollFd::new(
            autostart.child.pidfd.as_fd(),
            PollFlags::POLLIN,
        ));
    }
    let timeout = deadline.map_or(PollTimeout::NONE, |deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        let rounded_up = left.saturating_add(Duration::from_millis(1));
        PollTimeout::try_from(rounded_up).unwrap_or(PollTimeout::MAX)
    });
    match poll(&mut ready, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_lingers_who_is_none() {
        assert!(!lingers(None) && !lingers(Some(OsStr::new("no-such-user"))));
    }
}
