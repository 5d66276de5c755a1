//! What init is given: environment and capabilities.

use std::ffi::CString;

use berth_container_config::Config;
use berth_kernel::cred::{self, CapabilitySet};

use super::c_string;
use crate::error::{Error, Result};

/// Dropped for every container unless its configuration says which to drop or keep: what reaches
/// the host however the container is confined (LXC's common.conf).
const DROPPED_BY_DEFAULT: [&str; 5] = [
    "mac_admin",
    "mac_override",
    "sys_module",
    "sys_rawio",
    "sys_time",
];

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

pub(super) fn dropped_capabilities(config: &Config) -> CapabilitySet {
    if let Some(kept) = &config.cap_keep {
        let kept = CapabilitySet::of(kept.iter().map(|capability| capability.number()));
        return CapabilitySet::of((0..cred::capability_count()).filter(|n| !kept.contains(*n)));
    }
    if config.cap_drop.is_empty() {
        return CapabilitySet::of(
            DROPPED_BY_DEFAULT
                .iter()
                .filter_map(|name| cred::capability_number(name)),
        );
    }
    CapabilitySet::of(config.cap_drop.iter().map(|capability| capability.number()))
}
