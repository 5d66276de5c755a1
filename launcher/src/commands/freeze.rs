//! `berth freeze`, `unfreeze`.

use std::time::Duration;

use berth_common::ContainerName;
use berth_session_protocol::Connection;

use crate::error::{Error, Result};
use crate::monitor::protocol::{Answer, Request};
use crate::place::Place;
use crate::state::{Runtime, State};
use crate::watch;

/// Processes that wait for a disk freeze when they have it.
const LIMIT: Duration = Duration::from_secs(10);

/// Has all processes of a container stand still, and returns when they do. One that is frozen
/// already stays so.
pub fn freeze(place: &Place, name: &ContainerName) -> Result<()> {
    let runtime = running(place, name)?;
    ask(&runtime, &Request::Freeze)?;
    if reached(&runtime, name, State::Frozen)? {
        return Ok(());
    }
    // Half of it frozen serves nobody.
    ask(&runtime, &Request::Thaw)?;
    Err(Error::other(format!(
        "container “{name}” was not frozen within {} s and goes on: a process of it waits for a \
         device or a network file system",
        LIMIT.as_secs()
    )))
}

/// Lets a container go on; one that is not frozen does so anyway.
pub fn unfreeze(place: &Place, name: &ContainerName) -> Result<()> {
    let runtime = running(place, name)?;
    ask(&runtime, &Request::Thaw)?;
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
        other => Err(not_running(name, other)),
    }
}

fn not_running(name: &ContainerName, state: State) -> Error {
    Error::NotRunning {
        name: name.clone(),
        state: state.word(),
    }
}

/// Whether a state is reached in time.
fn reached(runtime: &Runtime, name: &ContainerName, wanted: State) -> Result<bool> {
    let look = || match runtime.state()?.0 {
        state if state == wanted => Ok(Some(())),
        State::Running | State::Frozen => Ok(None),
        other => Err(not_running(name, other)),
    };
    Ok(watch::until(runtime, Some(LIMIT), look)?.is_some())
}

fn ask(runtime: &Runtime, request: &Request) -> Result<()> {
    let failed = |error| Error::os("reach the container's monitor", error);
    let connection = Connection::connect(&runtime.socket()).map_err(failed)?;
    connection
        .set_receive_timeout(Some(LIMIT))
        .map_err(failed)?;
    let sent = connection.send(&request.frame(), &[]);
    let answer = sent
        .and_then(|()| connection.recv())
        .map_err(|error| Error::other(format!("cannot reach the container's monitor: {error}")))?;
    match answer.and_then(|(frame, fds)| Answer::of(&frame, fds)) {
        Some(Answer::Asked) => Ok(()),
        Some(Answer::Refused(_, why)) => Err(Error::other(why)),
        _ => Err(Error::other("the container's monitor has ended")),
    }
}
