//! `berth restart --reboot`: has init reboot the container itself.

use std::time::{Duration, Instant};

use berth_common::ContainerName;

use super::VERB_PATIENCE;
use super::ask::order;
use crate::error::{Error, Result};
use crate::lxc;
use crate::monitor::protocol::Request;
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
        (State::Stopped, _) => {
            lxc::refuse_running(place, name)?;
            return Err(Error::not_running(name, state));
        }
        _ => return Err(Error::not_running(name, state)),
    };
    order(&runtime, &Request::Reboot, VERB_PATIENCE)?;
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
