//! `berth restart --reboot`: has init reboot the container itself.

use std::time::{Duration, Instant};

use berth_common::ContainerName;
use berth_session_protocol::Connection;

use super::VERB_PATIENCE;
use crate::error::{Error, Result};
use crate::monitor::protocol::{Answer, Request};
use crate::place::Place;
use crate::state::{Runtime, State};

/// Asks init to reboot and waits, at most `limit`, until the container runs anew.
pub fn reboot(place: &Place, name: &ContainerName, limit: Duration) -> Result<()> {
    place.require(name)?;
    let runtime = Runtime::new(place.runtime_dir(name));
    let lock = runtime.lock_for_verb(VERB_PATIENCE)?;
    let (state, record) = runtime.state()?;
    let before = match (state, record) {
        (State::Running, Some(record)) => record.init,
        _ => {
            return Err(Error::NotRunning {
                name: name.clone(),
                state: state.word(),
            });
        }
    };
    ask(&runtime)?;
    drop(lock);
    let end = Instant::now() + limit;
    loop {
        let (state, record) = runtime.state()?;
        match (state, record) {
            (State::Running, Some(record)) if record.init != before => return Ok(()),
            (State::Running | State::Starting, _) => {}
            _ => {
                return Err(Error::other(format!(
                    "container “{name}” has ended instead of rebooting: its init does not take \
                     lxc.signal.reboot for that, or it was stopped meanwhile (berth start {name})"
                )));
            }
        }
        if Instant::now() > end {
            return Err(Error::other(format!(
                "container “{name}” has not rebooted in {} s; is lxc.signal.reboot what its init \
                 waits for? It goes on running (berth restart {name} stops and starts it)",
                limit.as_secs()
            )));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn ask(runtime: &Runtime) -> Result<()> {
    let failed = |error| Error::os("reach the container's monitor", error);
    let connection = Connection::connect(&runtime.socket()).map_err(failed)?;
    connection
        .set_receive_timeout(Some(VERB_PATIENCE))
        .map_err(failed)?;
    let sent = connection.send(&Request::Reboot.frame(), &[]);
    let answer = sent
        .and_then(|()| connection.recv())
        .map_err(|error| Error::other(format!("cannot reach the container's monitor: {error}")))?;
    match answer.and_then(|(frame, fds)| Answer::of(&frame, fds)) {
        Some(Answer::Asked) => Ok(()),
        Some(Answer::Refused(_, why)) => Err(Error::other(why)),
        _ => Err(Error::other("the container's monitor has ended")),
    }
}
