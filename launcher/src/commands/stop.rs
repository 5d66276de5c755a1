//! `berth stop`: asks init, waits, then kills.

use std::time::Duration;

use berth_common::ContainerName;
use berth_session_protocol::{Connection, Frame};

use super::{VERB_PATIENCE, load_settings, recover};
use crate::error::{Error, Result};
use crate::hook::LIMIT_AT_END;
use crate::lxc;
use crate::monitor::protocol::{Answer, Request};
use crate::place::Place;
use crate::state::{Runtime, State, VerbLock};

/// How long init has to stop unless told otherwise (lxc-stop(1)).
pub const DEFAULT_GRACE: Duration = Duration::from_secs(60);
/// How long a killed container may take to vanish, with a hook of each kind that runs then.
const KILL_LIMIT: Duration = Duration::from_secs(30 + 2 * LIMIT_AT_END.as_secs());

/// How a container came to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Init stopped as it was asked to.
    InOrder,
    /// It did not in its time, or was not asked.
    Killed,
    /// It had been aborted; its remains are removed now.
    WasAborted,
}

/// How long a container's init has to stop: what was asked for, else what its `berth.toml` says.
/// One that cannot be read keeps nobody from stopping the container.
pub fn grace(place: &Place, name: &ContainerName, asked: Option<Duration>) -> Duration {
    let own = || load_settings(place, name).ok()?.stop_timeout;
    asked.or_else(own).unwrap_or(DEFAULT_GRACE)
}

/// Stops a container: init has `grace` to stop, `None` as long as it takes; zero kills at once.
/// When this returns the container and its cgroup are gone.
pub fn stop(place: &Place, name: &ContainerName, grace: Option<Duration>) -> Result<Stopped> {
    stop_within(place, name, grace, true)
}

/// The same for one that is not to be killed: an error if it has not stopped in its time.
pub fn stop_without_killing(
    place: &Place,
    name: &ContainerName,
    grace: Duration,
) -> Result<Stopped> {
    // No time at all would be no limit.
    stop_within(
        place,
        name,
        Some(grace.max(Duration::from_millis(1))),
        false,
    )
}

fn stop_within(
    place: &Place,
    name: &ContainerName,
    grace: Option<Duration>,
    may_kill: bool,
) -> Result<Stopped> {
    place.require(name)?;
    let runtime = Runtime::new(place.runtime_dir(name));
    let (state, _) = runtime.state()?;
    if state == State::Stopped {
        return match lxc::find(place, name)? {
            None => Err(Error::not_running(name, state)),
            Some(running) => match lxc::stop(place, name, running, grace, may_kill)? {
                Some(true) => Ok(Stopped::InOrder),
                Some(false) => Ok(Stopped::Killed),
                None => Err(goes_on(name, grace)),
            },
        };
    }
    // Killing does not wait for another command that asked politely and has patience.
    let killed = may_kill
        && grace == Some(Duration::ZERO)
        && state.is_active()
        && ask(&runtime, &Request::Kill, Some(KILL_LIMIT))?;
    let lock = runtime.lock_for_verb(VERB_PATIENCE)?;
    match end(&runtime, name, grace, may_kill, &lock) {
        Err(Error::NotRunning { .. }) if killed => Ok(Stopped::Killed),
        other => other,
    }
}

/// As [`stop`], for a caller who keeps other commands away from the container.
pub fn stop_holding(
    runtime: &Runtime,
    name: &ContainerName,
    grace: Option<Duration>,
    lock: &VerbLock,
) -> Result<Stopped> {
    end(runtime, name, grace, true, lock)
}

fn end(
    runtime: &Runtime,
    name: &ContainerName,
    grace: Option<Duration>,
    may_kill: bool,
    lock: &VerbLock,
) -> Result<Stopped> {
    let (state, record) = runtime.state()?;
    match (state, &record) {
        (State::Stopped, _) => {
            wait_for_monitor(runtime)?;
            return Err(Error::not_running(name, state));
        }
        (State::Aborted, Some(record)) => {
            recover::recover(runtime, record, lock)?;
            return Ok(Stopped::WasAborted);
        }
        _ => {}
    }
    let polite = grace != Some(Duration::ZERO) || !may_kill;
    let ended = polite && ask(runtime, &Request::Stop, grace)?;
    if !ended && !may_kill {
        return Err(goes_on(name, grace));
    }
    if !ended && !ask(runtime, &Request::Kill, Some(KILL_LIMIT))? {
        return Err(Error::other(format!(
            "container “{name}” was killed but has not ended within {} s; a process of it waits \
             for a device or a network file system",
            KILL_LIMIT.as_secs()
        )));
    }
    wait_for_monitor(runtime)?;
    if let Some(record) = &record
        && let Some(place) = &record.cgroup
    {
        place.remove(&record.ids())?;
    }
    Ok(if ended {
        Stopped::InOrder
    } else {
        Stopped::Killed
    })
}

fn goes_on(name: &ContainerName, grace: Option<Duration>) -> Error {
    Error::other(format!(
        "container “{name}” has not stopped in {} s and is not killed; it was asked to, and may stop \
         yet (berth stop --kill {name} ends it)",
        grace.unwrap_or_default().as_secs()
    ))
}

/// Asks a container to stop, and does not wait for that.
pub fn ask_to_stop(place: &Place, name: &ContainerName) -> Result<()> {
    place.require(name)?;
    let runtime = Runtime::new(place.runtime_dir(name));
    let (state, _) = runtime.state()?;
    if !state.is_active() {
        return Err(Error::not_running(name, state));
    }
    let monitor = Connection::connect(&runtime.socket())
        .map_err(|error| Error::os("reach the container's monitor", error))?;
    monitor
        .send(&Request::Stop.frame(), &[])
        .map_err(|error| Error::other(format!("cannot ask the monitor: {error}")))
}

/// A monitor that closes a connection without a word ends, or has turned it away; it is gone by
/// then if it ends.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Sends a request and waits for the container's end; whether it came within `limit`. A monitor
/// that is gone means the end, too: the kernel took the container with it.
fn ask(runtime: &Runtime, request: &Request, limit: Option<Duration>) -> Result<bool> {
    let connection = match Connection::connect(&runtime.socket()) {
        Ok(connection) => connection,
        Err(_) if runtime.monitor_pid()?.is_none() => return Ok(true),
        // It has closed its socket and is about to end.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(Error::os("reach the container's monitor", error)),
    };
    connection
        .set_receive_timeout(limit)
        .map_err(|error| Error::os("set a time limit", error))?;
    let frame: Frame = request.frame();
    if connection.send(&frame, &[]).is_err() {
        return turned_away_or_gone(runtime);
    }
    match connection.recv() {
        Ok(Some((frame, fds))) => match Answer::of(&frame, fds) {
            Some(Answer::Refused(_, why)) => Err(Error::other(why)),
            _ => Ok(true),
        },
        Err(error) if error.is_would_block() => Ok(false),
        Ok(None) | Err(_) => turned_away_or_gone(runtime),
    }
}

fn turned_away_or_gone(runtime: &Runtime) -> Result<bool> {
    match is_gone_within(runtime, LAST_WORD)? {
        true => Ok(true),
        false => Err(Error::other(
            "the container's monitor turned the request away: it hears nobody but its owner on \
             the host, and not more than 256 at once",
        )),
    }
}

/// Waits until no monitor lives: it says that the container has stopped shortly before its end.
pub fn wait_for_monitor(runtime: &Runtime) -> Result<()> {
    match is_gone_within(runtime, KILL_LIMIT)? {
        true => Ok(()),
        false => Err(Error::other("the container's monitor does not end")),
    }
}

fn is_gone_within(runtime: &Runtime, limit: Duration) -> Result<bool> {
    let deadline = std::time::Instant::now() + limit;
    while runtime.monitor_pid()?.is_some() {
        if std::time::Instant::now() > deadline {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(true)
}
