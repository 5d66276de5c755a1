//! Which devices a container may use.

use berth_cgroups::devices::{Device, DeviceFilter, MKNOD, READ, WRITE};
use berth_container_config::{Config, DeviceAccess, DeviceKind, DeviceRule};
use berth_kernel::{cred, ns};

/// The filter for root's container. An ordinary user's container has no rights to devices but those
/// of its owner, whatever the rules say, and makes none: the kernel asks for CAP_MKNOD in its first
/// user namespace, and takes no filter from him. So rules mean nothing there, as to LXC; nor do they
/// where root is that of a container with ids of its own.
pub fn devices(config: &Config) -> Option<DeviceFilter> {
    let is_hosts_root = || cred::effective_uid().is_root() && ns::in_first_user_namespace();
    if config.devices.is_empty() || !is_hosts_root() {
        return None;
    }
    let mut filter = DeviceFilter::default();
    for rule in &config.devices {
        add(&mut filter, rule);
    }
    Some(filter)
}

/// The kernel of version 1 took `a` for everything, whatever stood behind it.
fn add(filter: &mut DeviceFilter, rule: &DeviceRule) {
    let allow = rule.access == DeviceAccess::Allow;
    let access = [(rule.make, MKNOD), (rule.read, READ), (rule.write, WRITE)];
    let device = |block| Device {
        block,
        major: rule.major,
        minor: rule.minor,
        access: access
            .iter()
            .filter(|(wanted, _)| *wanted)
            .fold(0, |all, (_, bit)| all | bit),
    };
    match rule.kind {
        DeviceKind::All => filter.set_all(allow),
        DeviceKind::Block => filter.set(allow, device(true)),
        DeviceKind::Character => filter.set(allow, device(false)),
    }
}
