//! What the verbs of the command line do. Printing happens in `cli`; here results are values.

pub(crate) mod ask;
pub mod autostart;
pub mod cgroup;
pub mod config;
pub mod dependencies;
pub mod destroy;
pub mod enable;
pub mod events;
pub mod freeze;
pub mod info;
pub mod list;
pub mod logs;
pub mod ports;
pub mod ready;
pub mod reboot;
pub mod recover;
mod settings;
mod shared_files;
pub mod start;
pub mod stop;
pub mod top;
pub mod wait;

use std::time::Duration;

use berth_common::ContainerName;
use berth_container_config::berth_toml::{self, Settings};
use berth_container_config::{Config, DiskLoader};

use crate::error::{Error, Result};
use crate::place::Place;

/// How long a verb waits for another one on the same container.
pub const VERB_PATIENCE: Duration = Duration::from_secs(120);

/// A container's configuration. Warnings about lines that count for nothing come beside it.
pub fn load_config(place: &Place, name: &ContainerName) -> Result<(Config, Vec<String>)> {
    let loaded = berth_container_config::load(&place.config_file(name), &DiskLoader)
        .map_err(|error| Error::other(error.to_string()))?;
    let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
    Ok((loaded.config, warnings))
}

/// What stands beside a container's configuration.
pub fn load_settings(place: &Place, name: &ContainerName) -> Result<Settings> {
    berth_toml::read(&place.settings_file(name)).map_err(|error| Error::other(error.to_string()))
}
