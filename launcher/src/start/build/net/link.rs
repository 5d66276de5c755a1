//! The host's interfaces, as far as a plan must know them.

use std::path::Path;

use berth_common::InterfaceName;
use berth_netlink::{Link, Socket};

use super::Family;
use crate::error::{Error, Result};

/// `IFF_LOOPBACK` (netdevice(7)).
const IFF_LOOPBACK: u32 = 0x8;

/// Asks the kernel, over one socket that is opened when it is needed.
#[derive(Default)]
pub(super) struct HostLinks {
    socket: Option<Socket>,
}

impl HostLinks {
    fn socket(&mut self) -> Result<&mut Socket> {
        match &mut self.socket {
            Some(socket) => Ok(socket),
            none => Ok(none.insert(Socket::open().map_err(fail)?)),
        }
    }

    pub fn find(&mut self, name: &InterfaceName) -> Result<Option<Link>> {
        self.socket()?.find_link(name).map_err(fail)
    }

    /// The first interface whose name begins so, by index.
    pub fn first_with_prefix(&mut self, prefix: &str) -> Result<Option<Link>> {
        let links = self.socket()?.links().map_err(fail)?;
        Ok(links.into_iter().find(|link| link.name.starts_with(prefix)))
    }

    /// The first address of a family that an interface has.
    pub fn first_address<A: Family>(&mut self, link: &InterfaceName) -> Result<Option<A>> {
        let Some(found) = self.find(link)? else {
            return Ok(None);
        };
        let addresses = self.socket()?.addresses(Some(found.index)).map_err(fail)?;
        Ok(addresses.into_iter().find_map(|address| A::of(address.ip)))
    }
}

/// Whether it is `lo`.
pub(super) fn is_loopback(link: &Link) -> bool {
    link.flags & IFF_LOOPBACK != 0
}

/// Whether it is a radio: those are moved by another interface of the kernel's (nl80211).
pub(crate) fn is_wireless(name: &InterfaceName) -> bool {
    Path::new("/sys/class/net")
        .join(name)
        .join("phy80211")
        .exists()
}

/// A setting of a bridge, as sysfs has it.
pub(super) fn bridge_setting(bridge: &InterfaceName, setting: &str) -> Option<u32> {
    let file = Path::new("/sys/class/net")
        .join(bridge)
        .join("bridge")
        .join(setting);
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Whether a sysctl of an interface is on. `family` is `ipv4` or `ipv6`.
pub(super) fn is_on(family: &str, link: &InterfaceName, setting: &str) -> bool {
    let file = Path::new("/proc/sys/net")
        .join(family)
        .join("conf")
        .join(link)
        .join(setting);
    std::fs::read_to_string(file).is_ok_and(|text| text.trim() != "0")
}

fn fail(error: berth_netlink::Error) -> Error {
    Error::other(error.to_string())
}
