//! What init is given.

use std::ffi::CString;

use berth_container_config::Config;

use super::c_string;
use crate::error::{Error, Result};

pub(super) fn environment(config: &Config) -> Result<Vec<CString>> {
    let mut variables: Vec<(String, String)> = vec![
        ("PATH".to_owned(), crate::exec::DEFAULT_PATH.to_owned()),
        ("container".to_owned(), "lxc".to_owned()),
    ];
    for entry in &config.environment {
        let value = match &entry.value.value {
            Some(value) => value.clone(),
            None => std::env::var(&entry.name).map_err(|_| {
                Error::other(format!(
                    "{}: lxc.environment: {} is not set in the environment of this start, so it \
                     cannot be copied; say which value: lxc.environment = {}=…",
                    entry.at, entry.name, entry.name
                ))
            })?,
        };
        variables.retain(|(name, _)| *name != entry.name);
        variables.push((entry.name.clone(), value));
    }
    variables
        .into_iter()
        .map(|(name, value)| c_string(&format!("{name}={value}"), "lxc.environment"))
        .collect()
}
