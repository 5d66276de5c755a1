//! Which AppArmor profile a container is under, where the kernel has AppArmor.

use std::path::Path;

use berth_common::ContainerName;
use berth_container_config::Config;
use berth_container_config::value::AppArmorProfile;

use super::super::apparmor::{Generated, profile};
use super::super::label::Profile;
use super::c_string;
use crate::error::{Error, Result};
use crate::place::Place;

/// There where the kernel's AppArmor governs mounts.
const MOUNT_RULES: &str = "/sys/kernel/security/apparmor/features/mount/mask";

/// The profile to be asked for, and itself if it has to be loaded before.
pub(super) fn profile(
    config: &Config,
    place: &Place,
    name: &ContainerName,
) -> Result<(Option<Profile>, Option<Generated>)> {
    let settings = &config.security.apparmor;
    let is_on = |setting: &Option<berth_container_config::Positioned<bool>>| {
        setting.as_ref().is_some_and(|on| on.value)
    };
    let nesting = is_on(&settings.allow_nesting);
    let Some(given) = &settings.profile else {
        // Root's container without ids of its own has no wall but this.
        let default = Path::new(MOUNT_RULES).exists().then(|| Profile {
            name: profile_of_lxc(nesting),
            optional: true,
            at: "lxc.apparmor.profile".to_owned(),
        });
        return Ok((default, None));
    };
    let line = given.at.to_string();
    let at = format!("{line}: lxc.apparmor.profile");
    let mut generated = None;
    let wanted = match &given.value {
        AppArmorProfile::Unchanged => return Ok((None, None)),
        AppArmorProfile::Unconfined => c_string("unconfined", &line)?,
        AppArmorProfile::Named(name) => c_string(name, &line)?,
        AppArmorProfile::Generated if place.owner.uid.is_root() => {
            let made = generate(config, place, name, nesting, at.clone());
            let name = c_string(&made.name, &line)?;
            generated = Some(made);
            name
        }
        // Nobody else may load one. LXC's says what a generated one does but for rules of one's own.
        AppArmorProfile::Generated => match settings.raw.first() {
            None => profile_of_lxc(nesting),
            Some(rule) => {
                return Err(Error::other(format!(
                    "{}: lxc.apparmor.raw: the rule would be part of a generated profile, and root \
                     alone may load one; name a profile that an administrator has loaded \
                     (lxc.apparmor.profile = NAME)",
                    rule.at
                )));
            }
        },
    };
    if given.value != AppArmorProfile::Unconfined
        && !is_on(&settings.allow_incomplete)
        && !Path::new(MOUNT_RULES).exists()
    {
        return Err(Error::other(format!(
            "{at}: this kernel's AppArmor does not govern mounts (there is no {MOUNT_RULES}), so a \
             profile would not hold against somebody who wants out; lxc.apparmor.allow_incomplete \
             = 1 starts the container all the same"
        )));
    }
    let asked = Profile {
        name: wanted,
        optional: false,
        at,
    };
    Ok((Some(asked), generated))
}

fn generate(
    config: &Config,
    place: &Place,
    name: &ContainerName,
    nesting: bool,
    at: String,
) -> Generated {
    let raw: Vec<&str> = config
        .security
        .apparmor
        .raw
        .iter()
        .map(|rule| rule.value.as_str())
        .collect();
    let lxcpath = place.lxcpath.to_string_lossy();
    let subject = profile::Subject {
        container: name.as_str(),
        lxcpath: &lxcpath,
        mapped: !config.idmap.is_empty(),
        nesting,
        raw: &raw,
    };
    Generated {
        name: profile::name(&subject),
        text: profile::text(&subject),
        at,
    }
}

/// One of the profiles that LXC's package has AppArmor load at boot.
fn profile_of_lxc(nesting: bool) -> std::ffi::CString {
    match nesting {
        true => c"lxc-container-default-with-nesting".to_owned(),
        false => c"lxc-container-default-cgns".to_owned(),
    }
}
