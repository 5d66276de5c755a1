//! What root's container may do with devices, when it has some more or fewer of them.

use berth_cgroups::devices::{Device, MKNOD, READ, WRITE};
use berth_kernel::fs::DeviceNumber;

use super::container::Running;
use super::list;
use crate::commands::load_config;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::start::build::devices::devices;

/// Puts the container under the rules of its configuration, with all devices allowed that are
/// attached in it, and one more. Where no rules are nothing is to be done.
pub fn allow(place: &Place, container: &Running, more: Option<DeviceNumber>) -> Result<()> {
    let (config, _) = load_config(place, &container.name)?;
    let (Some(mut filter), Some(cgroup)) = (devices(&config), &container.cgroup) else {
        return Ok(());
    };
    let added = list::added(container)?;
    for number in added.into_iter().chain(more) {
        filter.set(
            true,
            Device {
                block: number.block,
                major: Some(number.major),
                minor: Some(number.minor),
                access: MKNOD | READ | WRITE,
            },
        );
    }
    cgroup
        .limited()?
        .filter_devices_anew(&filter)
        .map_err(|error| Error::other(error.to_string()))
}
