//! `lxc.net.…`.

mod kind;
pub(crate) mod link;
mod owner;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use berth_common::InterfaceName;
use berth_container_config::value::{Gateway, NetType};
use berth_container_config::{Config, Net, Positioned};

use super::super::plan::{LinkPlan, NetPlan, Scripts, Way};
use crate::error::{Error, Result};
use link::HostLinks;

/// What the configuration says about the network.
pub(super) struct Network {
    pub plans: Vec<NetPlan>,
    /// Whether the container shares the host's.
    pub of_host: bool,
    pub warnings: Vec<String>,
}

/// Judges all interfaces.
pub(super) fn network(config: &Config) -> Result<Network> {
    let mut network = Network {
        plans: Vec::new(),
        of_host: false,
        warnings: Vec::new(),
    };
    let mut host = HostLinks::default();
    let is_root = berth_kernel::cred::effective_uid().is_root();
    for (index, net) in &config.nets {
        let Some(kind) = &net.kind else { continue };
        if !is_root {
            owner::refuse_what_needs_root(*index, net)?;
            network.warnings.extend(owner::not_obeyed(*index, net));
        }
        let key = format!("lxc.net.{index}");
        let has_scripts = net.script_up.is_some() || net.script_down.is_some();
        match kind.value {
            NetType::None => network.of_host = true,
            NetType::Empty if !has_scripts => {}
            _ => {
                let link = kind::link(net, &key, &mut host, is_root)?;
                network.plans.push(plan(net, &key, link, &mut host)?);
            }
        }
    }
    name_all(&mut network.plans)?;
    Ok(network)
}

fn plan(net: &Net, key: &str, link: LinkPlan, host: &mut HostLinks) -> Result<NetPlan> {
    let at = net.kind.as_ref().map(|kind| kind.at.to_string());
    let script = |given: &Option<Positioned<String>>, word| -> Result<Option<(String, String)>> {
        let Some(script) = given else {
            return Ok(None);
        };
        let at = format!("{}: {key}.script.{word}", script.at);
        crate::hook::require_executable(&script.value, &at)?;
        Ok(Some((at, script.value.clone())))
    };
    let name = match &net.name {
        Some(name) => Some(interface(name, &format!("{key}.name"))?),
        None => match &link {
            LinkPlan::Phys(link) => Some(link.clone()),
            _ => None,
        },
    };
    Ok(NetPlan {
        at: format!("{}: {key}", at.unwrap_or_default()),
        name,
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
        gateway4: way(
            net,
            net.ipv4.gateway.as_ref(),
            &format!("{key}.ipv4"),
            &link,
            host,
        )?,
        gateway6: way(
            net,
            net.ipv6.gateway.as_ref(),
            &format!("{key}.ipv6"),
            &link,
            host,
        )?,
        l2proxy: net.l2proxy.as_ref().is_some_and(|on| on.value),
        scripts: Scripts {
            up: script(&net.script_up, "up")?,
            down: script(&net.script_down, "down")?,
        },
        link,
    })
}

/// Gives every interface without a name the first free one of `eth0`, `eth1`, …, in the order of
/// the configuration; left to the kernel, it would be the order in which helpers are done.
fn name_all(plans: &mut [NetPlan]) -> Result<()> {
    let mut taken: Vec<InterfaceName> = Vec::new();
    for plan in plans.iter() {
        let Some(name) = &plan.name else { continue };
        if taken.contains(name) {
            return Err(Error::other(format!(
                "{}: another interface has the name {name} inside; give this one another \
                 (lxc.net.N.name)",
                plan.at
            )));
        }
        taken.push(name.clone());
    }
    let mut free = (0u32..)
        .filter_map(|number| format!("eth{number}").parse::<InterfaceName>().ok())
        .filter(|name| !taken.contains(name));
    for plan in plans {
        if plan.name.is_none() && plan.link != LinkPlan::Empty {
            plan.name = free.next();
        }
    }
    Ok(())
}

fn interface(name: &Positioned<String>, key: &str) -> Result<InterfaceName> {
    name.parse::<InterfaceName>()
        .map_err(|error| Error::other(format!("{}: {key}: {error}", name.at)))
}

fn way<A: Copy + Family>(
    net: &Net,
    gateway: Option<&Positioned<Gateway<A>>>,
    key: &str,
    link: &LinkPlan,
    host: &mut HostLinks,
) -> Result<Option<Way<A>>> {
    let Some(given) = gateway else {
        return Ok(None);
    };
    let refuse = |why: String| Err(Error::other(format!("{}: {key}.gateway: {why}", given.at)));
    if !net.up {
        return refuse(
            "there is no way out through an interface that is not set up; add the line \
             lxc.net.N.flags = up"
                .to_owned(),
        );
    }
    match given.value {
        Gateway::Address(address) => Ok(Some(Way::Through(address))),
        Gateway::Device => Ok(Some(Way::Device)),
        Gateway::Auto => {
            let has_neighbour = matches!(link, LinkPlan::Veth(_))
                || matches!(link, LinkPlan::Stacked(stacked) if stacked.kind.word() != "vlan");
            if !has_neighbour {
                return refuse(format!(
                    "auto means the link's own address, and is for types veth, macvlan and \
                     ipvlan; found type {}",
                    link.word()
                ));
            }
            match link
                .parent()
                .map(|link| host.first_address(link))
                .transpose()?
            {
                Some(Some(address)) => Ok(Some(Way::Through(address))),
                _ => refuse(format!(
                    "auto means the link's own address, but {} has none of that family",
                    link.parent().map_or_else(
                        || "no link (lxc.net.N.link)".to_owned(),
                        ToString::to_string
                    )
                )),
            }
        }
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

/// Random bytes for what a template leaves open; all zero where /dev/urandom cannot be read.
fn random_mac() -> [u8; 6] {
    berth_kernel::random::bytes().unwrap_or_default()
}
