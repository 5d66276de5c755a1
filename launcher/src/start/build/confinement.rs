//! Capabilities, labels, key rings, filters.

use berth_common::ContainerName;
use berth_container_config::{Config, Positioned};
use berth_kernel::cred::{self, CapabilitySet};

use super::super::apparmor::Generated;
use super::super::confinement::Confinement;
use super::super::filter::filter;
use super::super::label::{Context, Labels, Modules};
use super::{apparmor, c_string};
use crate::error::Result;
use crate::place::Place;

/// Dropped for every container unless its configuration says which to drop or keep: what reaches
/// the host however the container is confined (LXC's common.conf).
const DROPPED_BY_DEFAULT: [&str; 5] = [
    "mac_admin",
    "mac_override",
    "sys_module",
    "sys_rawio",
    "sys_time",
];

/// What confines the container; `modules` looks at the kernel, if anything depends on it.
pub(super) fn confinement(
    config: &Config,
    place: &Place,
    name: &ContainerName,
    modules: fn() -> Modules,
) -> Result<Confinement> {
    let (labels, generated) = labels(config, place, name, modules)?;
    let keyring = config.security.session_keyring.as_ref();
    Ok(Confinement {
        dropped_capabilities: dropped_capabilities(config),
        no_new_privs: config.no_new_privs.as_ref().is_some_and(|on| on.value),
        session_keyring: keyring.is_none_or(|own| own.value),
        labels,
        generated,
        filter: filter(&config.security.seccomp, &place.owner)?,
    })
}

fn dropped_capabilities(config: &Config) -> CapabilitySet {
    if let Some(kept) = &config.cap_keep {
        let kept = CapabilitySet::of(kept.iter().map(|capability| capability.number()));
        return CapabilitySet::of((0..cred::capability_count()).filter(|n| !kept.contains(*n)));
    }
    match &config.cap_drop {
        Some(dropped) => CapabilitySet::of(dropped.iter().map(|capability| capability.number())),
        None => CapabilitySet::of(
            DROPPED_BY_DEFAULT
                .iter()
                .filter_map(|name| cred::capability_number(name)),
        ),
    }
}

/// A module that the kernel does not run is asked for nothing, as LXC's configurations expect: the
/// snippets that all its containers include name profiles.
fn labels(
    config: &Config,
    place: &Place,
    name: &ContainerName,
    modules: fn() -> Modules,
) -> Result<(Labels, Option<Generated>)> {
    let security = &config.security;
    let mapped = !config.idmap.is_empty();
    if mapped && security.apparmor.profile.is_none() && security.selinux == Default::default() {
        return Ok(Default::default());
    }
    let modules = modules();
    let mut labels = Labels::default();
    let mut generated = None;
    if modules.apparmor {
        (labels.apparmor, generated) = apparmor::profile(config, place, name)?;
    }
    if modules.selinux {
        labels.selinux = context(security.selinux.context.as_ref())?;
        // LXC's rule: without a context of their own, key rings get the container's.
        labels.selinux_keyring = match &security.selinux.keyring {
            None => labels.selinux.clone(),
            given => context(given.as_ref())?,
        };
    }
    Ok((labels, generated))
}

fn context(given: Option<&Positioned<String>>) -> Result<Option<Context>> {
    // LXC's word for no change.
    let given = given.filter(|given| given.value != "unconfined_t");
    given
        .map(|given| {
            let at = given.at.to_string();
            Ok(Context {
                name: c_string(&given.value, &at)?,
                at: format!("{at}: lxc.selinux"),
            })
        })
        .transpose()
}
