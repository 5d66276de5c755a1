//! `berth freeze`, `unfreeze`.

use std::time::Duration;

use berth_common::ContainerName;

use super::ask::order;
use crate::error::{Error, Result};
use crate::monitor::protocol::Request;
use crate::place::Place;
use crate::state::{Runtime, State};
use crate::watch;

/// Processes that wait for a disk freeze when they have it.
const LIMIT: Duration = Duration::from_secs(10);

/// Has all processes of a container stand still, and returns when they do. One that is frozen
/// already stays so.
pub fn freeze(place: &Place, name: &ContainerName) -> Result<()> {
    let runtime = running(place, name)?;
    order(&runtime, &Request::Freeze, LIMIT)?;
    if reached(&runtime, name, State::Frozen)? {
        return Ok(());
    }
    // Half of it frozen serves nobody.
    order(&runtime, &Request::Thaw, LIMIT)?;
    Err(Error::other(format!(
        "container “{name}” was not frozen within {} s and goes on: a process of it waits for a \
         device or a network file system",
        LIMIT.as_secs()
    )))
}

/// Lets a container go on; one that is not frozen does so anyway.
pub fn unfreeze(place: &Place, name: &ContainerName) -> Result<()> {
    let runtime = running(place, name)?;
    order(&runtime, &Request::Thaw, LIMIT)?;
    match reached(&runtime, name, State::Running)? {
        true => Ok(()),
        false => Err(Error::other(format!(
            "container “{name}” stays frozen: a control group above its own is frozen, too"
        ))),
    }
}

fn running(place: &Place, name: &ContainerName) -> Result<Runtime> {
    place.require(name)?;
    let runtime = Runtime::new(place.runtime_dir(name));
    match runtime.state()?.0 {
        State::Running | State::Frozen => Ok(runtime),
        other => Err(Error::not_running(name, other)),
    }
}

/// Whether a state is reached in time.
fn reached(runtime: &Runtime, name: &ContainerName, wanted: State) -> Result<bool> {
    let look = || match runtime.state()?.0 {
        state if state == wanted => Ok(Some(())),
        State::Running | State::Frozen => Ok(None),
        other => Err(Error::not_running(name, other)),
    };
    Ok(watch::until(runtime, Some(LIMIT), look)?.is_some())
}
