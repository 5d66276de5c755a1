//! What init is given.

use std::ffi::CString;

use berth_container_config::{Config, EnvironmentEntry, Positioned};

use super::c_string;
use crate::error::{Error, Result};

pub(super) fn environment(config: &Config) -> Result<Vec<CString>> {
    let mut variables: Vec<(String, String)> = vec![
        ("PATH".to_owned(), crate::exec::DEFAULT_PATH.to_owned()),
        ("container".to_owned(), "lxc".to_owned()),
    ];
    let both = config
        .environment
        .iter()
        .map(|entry| ("lxc.environment", entry));
    let own = config.process.environment_runtime.iter();
    let own = own.map(|entry| ("lxc.environment.runtime", entry));
    add(&mut variables, both.chain(own))?;
    variables
        .into_iter()
        .map(|(name, value)| c_string(&format!("{name}={value}"), "lxc.environment"))
        .collect()
}

/// What `lxc.environment` and `lxc.environment.hooks` give to hooks.
pub(crate) fn hook_environment(config: &Config) -> Result<Vec<(String, String)>> {
    let mut variables = Vec::new();
    let both = config.environment.iter();
    let both = both.map(|entry| ("lxc.environment", entry));
    let own = config.process.environment_hooks.iter();
    let own = own.map(|entry| ("lxc.environment.hooks", entry));
    add(&mut variables, both.chain(own))?;
    Ok(variables)
}

/// Adds what lines of these keys say; a later one of the same name wins.
fn add<'c>(
    variables: &mut Vec<(String, String)>,
    entries: impl Iterator<Item = (&'static str, &'c Positioned<EnvironmentEntry>)>,
) -> Result<()> {
    for (key, entry) in entries {
        let value = match &entry.value.value {
            Some(value) => value.clone(),
            None => std::env::var(&entry.name).map_err(|_| {
                Error::other(format!(
                    "{}: {key}: {} is not set in the environment of this start, so it cannot be \
                     copied; say which value: {key} = {}=…",
                    entry.at, entry.name, entry.name
                ))
            })?,
        };
        variables.retain(|(name, _)| *name != entry.name);
        variables.push((entry.name.clone(), value));
    }
    Ok(())
}
