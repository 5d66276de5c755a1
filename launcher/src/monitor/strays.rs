//! Children that the monitor was not told of.
//!
//! Who enters a container makes the command as the monitor's child, which names itself first of all.
//! Killed before that (with the container's cgroup, by its owner, for want of memory), it is a child
//! that nobody waits for; dead, it keeps the container's pid namespace, and so its init, from ending.

use std::time::Duration;

use berth_kernel::process;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

/// How long the monitor waits before it looks again, once it may have one.
pub const PATIENCE: Duration = Duration::from_millis(50);

/// Reaps those among the dead that still have the monitor's name: what was executed has another
/// one. The kernel shows one at a time; one that is waited for elsewhere comes first until then.
pub fn reap() {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) =
        waitid(Id::All, look)
    {
        let name = process::parent_and_name(pid.as_raw()).map(|(_, name)| name);
        if !name.is_ok_and(|name| name.as_bytes() == super::NAME.to_bytes()) {
            return;
        }
        if waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG).is_err() {
            return;
        }
    }
}
