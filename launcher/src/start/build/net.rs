//! `lxc.net.…`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use berth_common::InterfaceName;
use berth_container_config::value::{Gateway, NetType};
use berth_container_config::{Config, Net, Positioned};

use super::super::plan::{NetPlan, Way};
use crate::error::{Error, Result};

pub(super) fn nets(config: &Config) -> Result<(Vec<NetPlan>, bool)> {
    let mut plans = Vec::new();
    let mut host_network = false;
    for net in config.nets.values() {
        let Some(kind) = &net.kind else { continue };
        match kind.value {
            NetType::Empty => {}
            NetType::None => host_network = true,
            NetType::Veth => plans.push(veth(net, &kind.at.to_string())?),
        }
    }
    if host_network && !plans.is_empty() {
        return Err(Error::other(
            "lxc.net: an interface of type none shares the host's network; it cannot stand beside \
             one of type veth",
        ));
    }
    Ok((plans, host_network))
}

fn veth(net: &Net, at: &str) -> Result<NetPlan> {
    let interface = |name: &Positioned<String>| {
        name.parse::<InterfaceName>()
            .map_err(|error| Error::other(format!("{}: {error}", name.at)))
    };
    let bridge = net.link.as_ref().map(interface).transpose()?;
    Ok(NetPlan {
        at: at.to_owned(),
        name: net.name.as_ref().map(interface).transpose()?,
        up: net.up,
        mtu: net.mtu.as_ref().map(|mtu| mtu.value),
        mac: net
            .hwaddr
            .as_ref()
            .map(|template| template.fill(random_mac())),
        ipv4: net
            .ipv4
            .addresses
            .iter()
            .map(|address| (address.address, address.prefix, Some(address.broadcast)))
            .collect(),
        ipv6: net
            .ipv6
            .addresses
            .iter()
            .map(|address| (address.address, address.prefix))
            .collect(),
        gateway4: way(net.ipv4.gateway.as_ref(), bridge.as_ref())?,
        gateway6: way(net.ipv6.gateway.as_ref(), bridge.as_ref())?,
        bridge,
    })
}

fn way<A: Copy + Family>(
    gateway: Option<&Positioned<Gateway<A>>>,
    link: Option<&InterfaceName>,
) -> Result<Option<Way<A>>> {
    match gateway {
        None => Ok(None),
        Some(given) => match given.value {
            Gateway::Address(address) => Ok(Some(Way::Through(address))),
            Gateway::Device => Ok(Some(Way::Device)),
            Gateway::Auto => match own_address(link)? {
                Some(address) => Ok(Some(Way::Through(address))),
                None => Err(Error::other(format!(
                    "{}: gateway auto means the bridge's own address, but {} has none of that \
                     family",
                    given.at,
                    link.map_or_else(
                        || "no bridge (lxc.net.N.link)".to_owned(),
                        ToString::to_string
                    )
                ))),
            },
        },
    }
}

/// An address family as a type.
trait Family: Sized {
    /// The address if it is of this family.
    fn of(ip: IpAddr) -> Option<Self>;
}

impl Family for Ipv4Addr {
    fn of(ip: IpAddr) -> Option<Self> {
        match ip {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        }
    }
}

impl Family for Ipv6Addr {
    fn of(ip: IpAddr) -> Option<Self> {
        match ip {
            // A link-local address would need the interface beside it.
            IpAddr::V6(v6) if !v6.is_unicast_link_local() => Some(v6),
            _ => None,
        }
    }
}

/// The first address of the family that the host's interface has.
fn own_address<A: Family>(link: Option<&InterfaceName>) -> Result<Option<A>> {
    let Some(link) = link else { return Ok(None) };
    let fail = |error: berth_netlink::Error| Error::other(error.to_string());
    let mut socket = berth_netlink::Socket::open().map_err(fail)?;
    let Some(found) = socket.find_link(link).map_err(fail)? else {
        return Ok(None);
    };
    let addresses = socket.addresses(Some(found.index)).map_err(fail)?;
    Ok(addresses.into_iter().find_map(|address| A::of(address.ip)))
}

/// Random bytes for what a template leaves open; all zero where /dev/urandom cannot be read.
fn random_mac() -> [u8; 6] {
    use std::io::Read;
    let mut bytes = [0; 6];
    if let Ok(mut random) = std::fs::File::open("/dev/urandom") {
        let _ = random.read_exact(&mut bytes);
    }
    bytes
}
