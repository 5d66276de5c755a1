//! Which devices a container may use.

use berth_container_config::Config;
use berth_kernel::cred;

use crate::error::{Error, Result};

/// An ordinary user's container has no rights to devices but those of its owner, whatever the
/// rules say, and makes none: the kernel asks for CAP_MKNOD in its first user namespace. So they
/// mean nothing there, as to LXC. Root's container would have more than its rules allow.
pub fn refuse_what_is_not_obeyed(config: &Config) -> Result<()> {
    let first = config.devices.first();
    match first.filter(|_| cred::effective_uid().is_root()) {
        None => Ok(()),
        Some(rule) => Err(Error::other(format!(
            "{}: lxc.cgroup2.devices: this version of Berth does not restrict the devices of \
             root's containers; remove the lines if the container does not depend on them, or \
             make it a container of an ordinary user's, which makes none",
            rule.at
        ))),
    }
}
