//! `berth destroy`: a container with its files, and nothing else at work on it meanwhile.

use berth_common::ContainerName;

use super::{VERB_PATIENCE, recover, stop};
use crate::destroy::{Destroyed, destroy as destroy_files};
use crate::error::{Error, Result};
use crate::place::Place;
use crate::state::{Runtime, State, VerbLock};

/// Destroys a container; one that runs only with `force`, which stops it first.
pub fn destroy(place: &Place, name: &ContainerName, force: bool) -> Result<Destroyed> {
    place.require(name)?;
    let runtime = Runtime::new(place.runtime_dir(name));
    let lock = runtime.lock_for_verb(VERB_PATIENCE)?;
    let done = remove(place, name, force, &runtime, &lock);
    // Also where it was gone before, or where some of its files could not be removed.
    if !place.exists(name) {
        runtime.remove(lock);
    }
    done
}

fn remove(
    place: &Place,
    name: &ContainerName,
    force: bool,
    runtime: &Runtime,
    lock: &VerbLock,
) -> Result<Destroyed> {
    place.require(name)?;
    if force {
        match stop::stop_holding(runtime, name, Some(stop::DEFAULT_GRACE), lock) {
            Ok(_) | Err(Error::NotRunning { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    destroy_files(&place.owner, &place.lxcpath, name, || {
        match runtime.state()? {
            (State::Stopped, _) => stop::wait_for_monitor(runtime),
            (State::Aborted, Some(record)) => recover::recover(runtime, &record, lock),
            (state, _) => Err(Error::other(format!(
                "container “{name}” is {}: stop it first (berth stop {name}), or: berth destroy \
                 --force {name}",
                state.word()
            ))),
        }
    })
}
