//! The ordered stop of a user's containers.

use crate::command::Program;
use crate::error::{Doing, Error, Result};
use crate::hold::STOP_AUTOSTART;
use berth_cgroups::{DelegatedBase, Hierarchy};
use berth_common::{boot, path};
use berth_kernel::cred;
use berth_kernel::process::PidFd;

/// Seconds that all containers together have to stop, less than the unit's `TimeoutStopSec=`.
const LIMIT_SECONDS: &str = "90";

/// Replaces this program with `berth autostart --shutdown`; returns only on failure.
pub fn run() -> Result<()> {
    let uid = cred::effective_uid();
    stop_autostart();
    // The service manager starts control processes in a cgroup of its own below the unit's.
    if let Err(error) = enter_leaf() {
        tracing::warn!("{error}");
    }
    let words = boot::stop_all(LIMIT_SECONDS).map(Into::into);
    let command = Program::of(uid)?.command(&words, &[])?;
    std::env::set_current_dir("/").doing("enter /")?;
    Err(Error::new(
        format!("execute {}", path::BERTH),
        command.exec(),
    ))
}

/// What is being started must not race with what is being stopped.
fn stop_autostart() {
    let pid = std::env::var("MAINPID")
        .ok()
        .and_then(|text| text.parse().ok());
    // The service manager set the number while it had not reaped the holder, and it may send
    // signals only to the same user's processes.
    if let Some(holder) = pid.and_then(|pid| PidFd::open(pid).ok()) {
        let _ = holder.signal(STOP_AUTOSTART as i32);
    }
}

fn enter_leaf() -> Result<()> {
    let operation = "enter the lasting cgroup";
    let hierarchy = Hierarchy::detect().doing(operation)?;
    let base = DelegatedBase::lasting_of(&hierarchy, cred::effective_uid()).doing(operation)?;
    let base = base.ok_or_else(|| Error::new(operation, "there is none"))?;
    let leaf = base
        .dir()
        .make_child(berth_common::cgroup::LEAF)
        .doing(operation)?;
    leaf.move_self().doing(operation)
}
