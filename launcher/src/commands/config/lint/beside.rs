//! What is wrong with the `berth.toml` beside a configuration.

use std::ffi::OsStr;
use std::path::Path;

use berth_container_config::berth_toml::{self, Settings};
use berth_container_config::{LoadError, Warning};

use super::Finding;
use crate::error::{Error, Result};

/// All of it; nothing where there is no such file, or the file is no container's `config`.
pub(super) fn findings(config: &Path) -> Result<Vec<Finding>> {
    if config.file_name() != Some(OsStr::new("config")) {
        return Ok(Vec::new());
    }
    match berth_toml::read(&config.with_file_name(berth_toml::FILE)) {
        Ok(settings) => Ok(missing(config, &settings)),
        Err(LoadError::Invalid(problems)) => Ok(problems.iter().map(Finding::error).collect()),
        Err(error @ LoadError::Read { .. }) => Err(Error::other(error.to_string())),
    }
}

/// Containers that are to be started before it and are not there.
fn missing(config: &Path, settings: &Settings) -> Vec<Finding> {
    let Some(lxcpath) = config.parent().and_then(Path::parent) else {
        return Vec::new();
    };
    let is_missing = |name: &Path| !lxcpath.join(name).join("config").exists();
    settings
        .after
        .iter()
        .filter(|name| is_missing(Path::new(name.as_str())))
        .map(|name| {
            Finding::warning(&Warning {
                at: name.at.clone(),
                key: Some("start.after".to_owned()),
                message: format!("there is no container “{}” here", name.value),
            })
        })
        .collect()
}
