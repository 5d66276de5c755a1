//! What the monitor does for init because init may not do it itself.

use std::path::Path;

use berth_kernel::mount::{self, Propagation};
use berth_kernel::process;
use nix::sched::CloneFlags;

use crate::error::{Error, Plain, Result};
use crate::start::plan::{InitPlan, StartPlan};

/// Lifts the monitor's own limits up to what the container is to have: what it makes inherits
/// them, and only outside of the container's user namespace may a hard limit be lifted. Nothing is
/// lowered, so the monitor itself is never short.
pub fn lift_limits(plan: &InitPlan) -> Result<()> {
    for limit in &plan.limits {
        let lift = || {
            let (soft, hard) = limit.resource.get()?;
            match (soft.max(limit.soft), hard.max(limit.hard)) {
                same if same == (soft, hard) => Ok(()),
                (soft, hard) => limit.resource.set(soft, hard),
            }
        };
        lift().map_err(|error| {
            Error::other(format!("{}: cannot be lifted: {}", limit.at, Plain(&error)))
        })?;
    }
    Ok(())
}

/// Gives the monitor mounts of its own, which see the host's later ones: what hooks on the host
/// mount goes with it.
pub fn own_mounts(plan: &StartPlan) -> Result<()> {
    if !plan.monitor_unshare {
        return Ok(());
    }
    process::unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount::set_all_propagation(Propagation::Slave))
        .map_err(|error| Error::os("give the monitor mounts of its own", error))
}

/// Writes the files of `lxc.proc` for the container's first process, which still has its owner's
/// ids.
pub fn write_proc_files(plan: &InitPlan, init: i32) -> Result<()> {
    for file in &plan.proc_files {
        let path = Path::new("/proc").join(init.to_string()).join(&file.path);
        std::fs::write(&path, &file.value).map_err(|error| {
            Error::other(format!(
                "{}: the kernel does not take “{}”: {}",
                file.at,
                file.value,
                Plain(&error)
            ))
        })?;
    }
    Ok(())
}
