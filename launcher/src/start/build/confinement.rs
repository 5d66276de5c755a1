//! Capabilities, labels, key rings, filters.

use std::path::Path;

use berth_container_config::value::AppArmorProfile;
use berth_container_config::{Config, Positioned};
use berth_kernel::cred::{self, CapabilitySet};
use berth_kernel::user::User;

use super::super::confinement::Confinement;
use super::super::filter::filter;
use super::super::label::{Context, Labels, Modules, Profile};
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

/// There where the kernel's AppArmor governs mounts.
const MOUNT_RULES: &str = "/sys/kernel/security/apparmor/features/mount/mask";

/// What confines the container; `modules` looks at the kernel, if anything depends on it.
pub(super) fn confinement(
    config: &Config,
    owner: &User,
    modules: fn() -> Modules,
) -> Result<Confinement> {
    let keyring = config.security.session_keyring.as_ref();
    Ok(Confinement {
        dropped_capabilities: dropped_capabilities(config),
        no_new_privs: config.no_new_privs.as_ref().is_some_and(|on| on.value),
        session_keyring: keyring.is_none_or(|own| own.value),
        labels: labels(config, modules)?,
        filter: filter(&config.security.seccomp, owner)?,
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
fn labels(config: &Config, modules: fn() -> Modules) -> Result<Labels> {
    let security = &config.security;
    let mapped = !config.idmap.is_empty();
    if mapped && security.apparmor.profile.is_none() && security.selinux == Default::default() {
        return Ok(Labels::default());
    }
    let modules = modules();
    let mut labels = Labels::default();
    if modules.apparmor {
        labels.apparmor = apparmor(config)?;
    }
    if modules.selinux {
        labels.selinux = context(security.selinux.context.as_ref())?;
        // LXC's rule: without a context of their own, key rings get the container's.
        labels.selinux_keyring = match &security.selinux.keyring {
            None => labels.selinux.clone(),
            given => context(given.as_ref())?,
        };
    }
    Ok(labels)
}

fn apparmor(config: &Config) -> Result<Option<Profile>> {
    let settings = &config.security.apparmor;
    let nesting = settings.allow_nesting.as_ref().is_some_and(|on| on.value);
    let Some(given) = &settings.profile else {
        // Root's container without ids of its own has no wall but this.
        return Ok(Path::new(MOUNT_RULES).exists().then(|| Profile {
            name: profile_of_lxc(nesting),
            optional: true,
            at: "lxc.apparmor.profile".to_owned(),
        }));
    };
    let at = given.at.to_string();
    let name = match &given.value {
        AppArmorProfile::Unchanged => return Ok(None),
        AppArmorProfile::Unconfined => c_string("unconfined", &at)?,
        AppArmorProfile::Named(name) => c_string(name, &at)?,
        // A user cannot load a profile; what a generated one contains is what LXC's has.
        AppArmorProfile::Generated => profile_of_lxc(nesting),
    };
    let incomplete = settings
        .allow_incomplete
        .as_ref()
        .is_some_and(|on| on.value);
    if given.value != AppArmorProfile::Unconfined && !incomplete && !Path::new(MOUNT_RULES).exists()
    {
        return Err(Error::other(format!(
            "{at}: lxc.apparmor.profile: this kernel's AppArmor does not govern mounts (there is \
             no {MOUNT_RULES}), so a profile would not hold against somebody who wants out; \
             lxc.apparmor.allow_incomplete = 1 starts the container all the same"
        )));
    }
    Ok(Some(Profile {
        name,
        optional: false,
        at: format!("{at}: lxc.apparmor.profile"),
    }))
}

/// One of the profiles that LXC's package has AppArmor load at boot.
fn profile_of_lxc(nesting: bool) -> std::ffi::CString {
    match nesting {
        true => c"lxc-container-default-with-nesting".to_owned(),
        false => c"lxc-container-default-cgns".to_owned(),
    }
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
