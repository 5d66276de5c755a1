//! Starting a container with what it needs, and waiting until it is ready.

use std::time::Duration;

use berth_common::ContainerName;

use super::{dependencies, load_settings, start};
use crate::error::{Error, Result};
use crate::place::Place;
use crate::state::{Record, Runtime, State};
use crate::watch;

/// The monitor tells that the time is over; if it does not, it hangs.
const BEYOND: Duration = Duration::from_secs(5);

/// What a start does beside starting.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// Whether what it needs is started first.
    pub dependencies: bool,
    /// Whether it returns only when the container is ready.
    pub wait: bool,
}

/// Starts a container. What it needs that does not run is started first, and waited for.
pub fn start(
    place: &Place,
    name: &ContainerName,
    beside: Beside,
    options: &start::Options,
) -> Result<start::Started> {
    let mut warnings = Vec::new();
    if beside.dependencies {
        for needed in dependencies::order(place, name)? {
            start_needed(place, &needed, &mut warnings).map_err(|error| {
                Error::other(format!(
                    "container “{name}” is not started, it needs “{needed}” first: {error}"
                ))
            })?;
        }
    }
    let mut started = start::start(place, name, options)?;
    if beside.wait {
        wait(place, name)?;
    }
    warnings.append(&mut started.warnings);
    Ok(start::Started {
        warnings,
        ..started
    })
}

fn start_needed(place: &Place, name: &ContainerName, warnings: &mut Vec<String>) -> Result<()> {
    match start::start(place, name, &start::Options::default()) {
        Ok(started) => {
            let told = started
                .warnings
                .iter()
                .map(|warning| format!("{name}: {warning}"));
            warnings.extend(told);
        }
        // By somebody else, a moment ago maybe.
        Err(Error::AlreadyRunning(_)) => {}
        Err(error) => return Err(error),
    }
    wait(place, name)
}

/// Waits until a container that was started is ready, as long as its `berth.toml` says.
pub fn wait(place: &Place, name: &ContainerName) -> Result<()> {
    let Some(plan) = load_settings(place, name)?.ready else {
        return Ok(());
    };
    let runtime = Runtime::new(place.runtime_dir(name));
    let look = || {
        let (state, record) = runtime.state()?;
        judge(name, state, record.as_ref())
    };
    match watch::until(&runtime, Some(plan.timeout + BEYOND), look)? {
        Some(()) => Ok(()),
        None => Err(late(name, "it was not ready in its time")),
    }
}

fn judge(name: &ContainerName, state: State, record: Option<&Record>) -> Result<Option<()>> {
    let note = record.and_then(|record| record.note.as_deref());
    match (state, note) {
        _ if state.has_init() && record.is_some_and(|record| record.ready) => Ok(Some(())),
        (State::Running | State::Frozen, Some(why)) => Err(late(name, why)),
        (State::Running | State::Frozen | State::Starting | State::Restarting, _) => Ok(None),
        _ => {
            let exit = record.and_then(|record| record.last_exit.as_ref());
            let how = exit.map_or("", |exit| exit.how.as_str());
            let why = note.unwrap_or(how);
            Err(Error::other(format!(
                "container “{name}” has ended before it was ready: {why} (berth logs {name})"
            )))
        }
    }
}

fn late(name: &ContainerName, why: &str) -> Error {
    Error::other(format!(
        "container “{name}” goes on running and is {why} (berth wait {name} --ready waits on)"
    ))
}
