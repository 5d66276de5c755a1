//! One request to a container's monitor, and its answer.

use std::time::Duration;

use berth_session_protocol::Connection;

use crate::error::{Error, Result};
use crate::monitor::protocol::{Answer, Request};
use crate::state::Runtime;

/// Has a monitor do something, within `limit`.
pub fn order(runtime: &Runtime, request: &Request, limit: Duration) -> Result<()> {
    let connection = Connection::connect(&runtime.socket()).map_err(unreachable)?;
    match answer(&connection, request, Some(limit))? {
        Some(Answer::Asked) => Ok(()),
        _ => Err(Error::other("the container's monitor has ended")),
    }
}

/// Asks a monitor if there is one. `None`: its socket is not there yet or not any more, or it ended
/// without a word. Waits at most `limit`, or as long as it takes.
pub fn if_there(
    runtime: &Runtime,
    request: &Request,
    limit: Option<Duration>,
) -> Result<Option<Answer>> {
    match Connection::connect(&runtime.socket()) {
        Ok(connection) => answer(&connection, request, limit),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreachable(error)),
    }
}

/// A refusal is an error with its reason.
fn answer(
    connection: &Connection,
    request: &Request,
    limit: Option<Duration>,
) -> Result<Option<Answer>> {
    if limit.is_some() {
        connection.set_receive_timeout(limit).map_err(unreachable)?;
    }
    let sent = connection.send(&request.frame(), &[]);
    let answer = sent
        .and_then(|()| connection.recv())
        .map_err(|error| Error::other(format!("cannot reach the container's monitor: {error}")))?;
    match answer.and_then(|(frame, fds)| Answer::of(&frame, fds)) {
        Some(Answer::Refused(_, why)) => Err(Error::other(why)),
        other => Ok(other),
    }
}

fn unreachable(error: std::io::Error) -> Error {
    Error::os("reach the container's monitor", error)
}
