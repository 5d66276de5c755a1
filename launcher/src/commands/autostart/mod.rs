//! `berth autostart`: the boot engine at work on the caller's containers.

mod jobs;
pub mod saved;
pub mod units;

use std::time::Duration;

use berth_autostart::{Container, Direction};
use berth_common::ContainerName;
use berth_container_config::Config;
use berth_container_config::berth_toml::Settings;

use super::{load_config, load_settings, stop};
use crate::error::Result;
use crate::lxc;
use crate::place::Place;
use crate::start::cgroup::Base;
use crate::state::{Record, Runtime};
pub use jobs::{Jobs, Told};

/// A start takes at least so much longer than it waits for the container to be ready.
const BEYOND_READY: Duration = Duration::from_secs(60);

/// The containers of a place as the engine wants them.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that it can judge, and those that run.
    pub known: Vec<Container>,
    /// Those whose configuration or state cannot be read, with the reason.
    pub broken: Vec<(ContainerName, String)>,
}

/// Looks at every container of a place. One that a unit of its own takes care of is marked.
pub fn containers(place: &Place, direction: Direction) -> Result<Found> {
    let mut found = Found::default();
    let enabled = units::enabled(&place.owner);
    let sockets = lxc::Sockets::read();
    for name in place.names()? {
        let (running, record) = match Runtime::new(place.runtime_dir(&name)).state() {
            Ok((state, record)) => (state.is_active(), record),
            Err(error) => {
                found.broken.push((name, error.to_string()));
                continue;
            }
        };
        // One that its administrator started by hand is stopped like all others.
        let managed = match direction {
            Direction::Shutdown => running && record.as_ref().is_some_and(is_of_a_unit),
            Direction::Start | Direction::Reboot => {
                enabled.contains(&name) || (running && record.as_ref().is_some_and(is_of_a_unit))
            }
        };
        // One that LXC runs is up, and LXC's to stop.
        let running = running
            || (direction == Direction::Start
                && lxc::find_among(&sockets, place, &name).is_ok_and(|found| found.is_some()));
        let known = Container {
            running,
            managed,
            ..Container::new(name.clone())
        };
        let config = load_config(place, &name).map(|(config, _)| config);
        // Wrong settings keep it from starting, and nobody from stopping it.
        let settings = load_settings(place, &name);
        match (config, settings) {
            (Ok(config), Ok(settings)) => found.known.push(filled(known, &config, &settings)),
            (Ok(config), Err(error)) => {
                if running {
                    found
                        .known
                        .push(filled(known, &config, &Settings::default()));
                }
                found.broken.push((name, error.to_string()));
            }
            // It cannot be started; but one that runs is to be stopped whatever its file says.
            (Err(error), _) => {
                if running {
                    found.known.push(Container {
                        auto: true,
                        ..known
                    });
                }
                found.broken.push((name, error.to_string()));
            }
        }
    }
    Ok(found)
}

fn is_of_a_unit(record: &Record) -> bool {
    let place = record.cgroup.as_ref();
    place.is_some_and(|place| units::is_of_a_unit(place.path()))
}

fn filled(known: Container, config: &Config, settings: &Settings) -> Container {
    let delay = config.start.delay.as_ref().map_or(0, |delay| delay.value);
    let groups = config.groups.iter().map(|group| group.value.clone());
    let after = settings.after.iter().map(|needed| needed.value.clone());
    // Without a time of its own it is bounded like all others, but never below what it waits for.
    let ready = settings.ready.as_ref().map(|ready| ready.timeout);
    let ready = ready.filter(|timeout| *timeout > BEYOND_READY);
    Container {
        auto: config.starts_at_boot(),
        order: config.start.order.as_ref().map_or(0, |order| order.value),
        delay: Duration::from_secs(delay.into()),
        groups: groups.collect(),
        after: after.collect(),
        start_timeout: settings
            .start
            .timeout
            .or(ready.map(|timeout| timeout + BEYOND_READY)),
        stop_timeout: Some(settings.stop_timeout.unwrap_or(stop::DEFAULT_GRACE)),
        retries: settings.start.retries,
        retry_delay: settings.start.retry_delay,
        ..known
    }
}

/// Has the delegated cgroup ready before several containers are made in it at once.
pub fn prepare_cgroup() -> Result<()> {
    Base::of_caller()?.map_or(Ok(()), |base| base.prepare())
}
