//! Talking to what listens in a container's network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use berth_kernel::process::{self, PidFd};
use nix::ifaddrs::getifaddrs;
use nix::sched::CloneFlags;
use nix::sys::signal::Signal;

use crate::start::plan::StartPlan;

/// More addresses of a container are not tried.
const MAX_ADDRESSES: usize = 8;

/// Puts the calling process into the container's network and into nothing else of it: it has no
/// number there, so nobody inside can look into it, and it follows no path of the container's.
pub fn enter_network(plan: &StartPlan, init: &PidFd) -> std::io::Result<()> {
    process::set_parent_death_signal(Signal::SIGKILL as i32)?;
    let flags = plan.entered_namespaces() & (CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET);
    if !flags.contains(CloneFlags::CLONE_NEWNET) {
        return process::set_dumpable(false);
    }
    init.enter_namespaces(flags)?;
    process::set_dumpable(false)
}

/// Where a program of the container's may listen, as seen from there: the loopback first, which
/// nothing outside reaches otherwise; then the addresses of its interfaces.
pub fn addresses() -> Vec<IpAddr> {
    let mut found = vec![
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let Ok(interfaces) = getifaddrs() else {
        return found;
    };
    for address in interfaces.filter_map(|interface| interface.address) {
        let address = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(four), _) => IpAddr::V4(four.ip()),
            // A link-local one means something only with its interface.
            (_, Some(six)) if six.ip().is_unicast_link_local() => continue,
            (_, Some(six)) => IpAddr::V6(six.ip()),
            _ => continue,
        };
        if found.len() < MAX_ADDRESSES && !address.is_loopback() {
            found.push(address);
        }
    }
    found
}
