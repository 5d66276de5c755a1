//! After a monitor was killed: removing what it could not.

use crate::error::Result;
use crate::start::cgroup;
use crate::state::{LastExit, Record, Runtime, State, VerbLock, now};

/// Removes the remains of an aborted container. Init died with its monitor (or is ended here);
/// its NICs went with its network namespace, its mounts with its mount namespace; what is left
/// is the cgroup, the socket and a record that is not true any more.
pub fn recover(runtime: &Runtime, record: &Record, _lock: &VerbLock) -> Result<()> {
    if let Some(path) = &record.cgroup {
        cgroup::remove_remains(path, &record.ids())?;
    }
    let _ = std::fs::remove_file(runtime.socket());
    let mut stopped = Record::new(State::Stopped);
    stopped.last_exit = Some(LastExit {
        how: "aborted: its monitor was killed".to_owned(),
        at: now(),
    });
    runtime.write(&stopped)
}
