//! After a monitor was killed: removing what it could not.

use crate::error::{Error, Result};
use crate::start::apparmor::Generated;
use crate::state::{LastExit, Record, Runtime, State, VerbLock, now};

/// Removes the remains of an aborted container. Init died with its monitor (or is ended here);
/// its NICs went with its network namespace, its mounts with its mount namespace; what is left
/// is the cgroup, the socket, a profile, what the record says of NICs that outlived that namespace,
/// and a record that is not true any more. What cannot be undone is told when all else is done.
pub fn recover(runtime: &Runtime, record: &Record, _lock: &VerbLock) -> Result<()> {
    if let Some(place) = &record.cgroup {
        place.remove(&record.ids())?;
    }
    let _ = std::fs::remove_file(runtime.socket());
    runtime.remove_unfinished();
    let mut failures = crate::start::nic::undo(&record.nics);
    if let Some(name) = &record.profile
        && let Err(why) = Generated::left(name).remove()
    {
        failures.push(format!("the AppArmor profile {name} is left: {why}"));
    }
    let mut stopped = Record::new(State::Stopped);
    stopped.last_exit = Some(LastExit {
        how: "aborted: its monitor was killed".to_owned(),
        at: now(),
    });
    runtime.write(&stopped)?;
    match failures.is_empty() {
        true => Ok(()),
        false => Err(Error::other(format!(
            "the container's monitor had been killed; of what it left, this could not be undone: {}",
            failures.join("; ")
        ))),
    }
}
