//! What an interface is, by its type; whether the host has what it needs.

use berth_common::InterfaceName;
use berth_container_config::value::{self, NetType, PortVlan, VethMode};
use berth_container_config::{Net, Positioned};
use berth_netlink::{IpvlanIsolation, IpvlanMode, Link, MacvlanMode, Queues, StackedKind};

use super::super::super::plan::{LinkPlan, StackedPlan, VethPlan};
use super::interface;
use super::link::{self, HostLinks};
use crate::error::{Error, Result};

/// The part of the plan that depends on the type.
pub(super) fn link(net: &Net, key: &str, host: &mut HostLinks, is_root: bool) -> Result<LinkPlan> {
    let planned = match net.kind.as_ref().map(|kind| kind.value) {
        Some(NetType::Veth) => LinkPlan::Veth(veth(net, key, host, is_root)?),
        Some(NetType::Vlan) => {
            let Some(id) = &net.vlan_id else {
                return Err(refusal(
                    net,
                    key,
                    "vlan.id",
                    "the line is missing: an interface of type vlan has the packets of one VLAN \
                     of its link",
                ));
            };
            stacked(net, key, host, StackedKind::Vlan(id.value))?
        }
        Some(NetType::Macvlan) => {
            let mode = net.macvlan_mode.as_ref().map(|mode| mode.value);
            stacked(net, key, host, StackedKind::Macvlan(macvlan_mode(mode)))?
        }
        Some(NetType::Ipvlan) => {
            if let Some(address) = &net.hwaddr {
                return Err(Error::other(format!(
                    "{}: {key}.hwaddr: an interface of type ipvlan has its link's address; \
                     remove the line",
                    address.at
                )));
            }
            let mode = net.ipvlan.mode.as_ref().map(|mode| mode.value);
            let isolation = net.ipvlan.isolation.as_ref().map(|how| how.value);
            let kind = StackedKind::Ipvlan(ipvlan_mode(mode), ipvlan_isolation(isolation));
            stacked(net, key, host, kind)?
        }
        Some(NetType::Phys) => LinkPlan::Phys(phys(net, key, host)?),
        _ => LinkPlan::Empty,
    };
    if let Some(on) = net.l2proxy.as_ref().filter(|on| on.value) {
        l2proxy(net, &planned)
            .map_err(|why| Error::other(format!("{}: {key}.l2proxy: {why}", on.at)))?;
    }
    Ok(planned)
}

/// A refusal that names the line with the type.
fn refusal(net: &Net, key: &str, part: &str, why: &str) -> Error {
    let at = net.kind.as_ref().map(|kind| kind.at.to_string());
    Error::other(format!("{}: {key}.{part}: {why}", at.unwrap_or_default()))
}

fn veth(net: &Net, key: &str, host: &mut HostLinks, is_root: bool) -> Result<VethPlan> {
    let settings = &net.veth;
    let router = settings.mode.as_ref().map(|mode| mode.value) == Some(VethMode::Router);
    let bridge = match &net.link {
        None => None,
        Some(given) => {
            let name = interface(given, &format!("{key}.link"))?;
            let found = existing(given, key, &name, host, "bridge")?;
            let is_bridge = found.kind.as_deref() == Some("bridge");
            if is_root && !router && !is_bridge && !is_ovs_bridge(&name)? {
                return Err(Error::other(format!(
                    "{}: {key}.link: {name} is no bridge; name one, or use \
                     {key}.veth.mode = router",
                    given.at
                )));
            }
            Some((name, is_bridge))
        }
    };
    vlans_are_possible(net, key, bridge.as_ref(), router)?;
    let mut plan = VethPlan {
        link: bridge.map(|(name, _)| name),
        router,
        ..VethPlan::default()
    };
    if !is_root {
        return Ok(plan);
    }
    plan.pair = match &settings.pair {
        Some(name) => Some(interface(name, &format!("{key}.veth.pair"))?),
        None => None,
    };
    plan.queues = Queues {
        receive: settings.rx_queues.as_ref().map_or(1, |count| count.value),
        transmit: settings.tx_queues.as_ref().map_or(1, |count| count.value),
    };
    let v4 = settings
        .ipv4_routes
        .iter()
        .map(|route| (route.value.0.into(), route.value.1));
    let v6 = settings
        .ipv6_routes
        .iter()
        .map(|route| (route.value.0.into(), route.value.1));
    plan.routes = v4.chain(v6).collect();
    plan.vlan = settings.vlan.as_ref().map(|vlan| vlan.value);
    plan.tagged = settings.tagged.iter().map(|id| id.value).collect();
    Ok(plan)
}

/// A port's VLANs mean something only where the bridge looks at them.
fn vlans_are_possible(
    net: &Net,
    key: &str,
    bridge: Option<&(InterfaceName, bool)>,
    router: bool,
) -> Result<()> {
    let vlan: Option<(&Positioned<PortVlan>, &str)> =
        net.veth.vlan.as_ref().map(|vlan| (vlan, "veth.vlan.id"));
    let at = match (vlan, net.veth.tagged.first()) {
        (Some((vlan, part)), _) => (&vlan.at, part),
        (None, Some(tagged)) => (&tagged.at, "veth.vlan.tagged.id"),
        (None, None) => return Ok(()),
    };
    let refuse = |why: String| Err(Error::other(format!("{}: {key}.{}: {why}", at.0, at.1)));
    match bridge {
        Some((name, true)) if !router => match link::bridge_setting(name, "vlan_filtering") {
            Some(1) => Ok(()),
            _ => refuse(format!(
                "the bridge {name} does not look at VLANs (an administrator has it do so with: \
                 ip link set {name} type bridge vlan_filtering 1)"
            )),
        },
        Some((_, false)) if !router => Ok(()),
        _ => refuse(format!(
            "only a port of a bridge has VLANs; name one with {key}.link"
        )),
    }
}

fn is_ovs_bridge(name: &InterfaceName) -> Result<bool> {
    match berth_usernic::ovs::Ovs::find() {
        Some(ovs) => ovs
            .is_bridge(name)
            .map_err(|error| Error::other(error.to_string())),
        None => Ok(false),
    }
}

fn existing(
    given: &Positioned<String>,
    key: &str,
    name: &InterfaceName,
    host: &mut HostLinks,
    what: &str,
) -> Result<Link> {
    host.find(name)?.ok_or_else(|| {
        Error::other(format!(
            "{}: {key}.link: there is no {what} {name} on this host",
            given.at
        ))
    })
}

fn stacked(net: &Net, key: &str, host: &mut HostLinks, kind: StackedKind) -> Result<LinkPlan> {
    let (given, name) = lower(net, key, kind.word())?;
    let found = existing(given, key, &name, host, "interface")?;
    refuse_loopback(given, key, &found)?;
    if let Some(mtu) = net.mtu.as_ref().filter(|mtu| mtu.value > found.mtu) {
        return Err(Error::other(format!(
            "{}: {key}.mtu: {} is more than {name} takes, {} bytes",
            mtu.at, mtu.value, found.mtu
        )));
    }
    Ok(LinkPlan::Stacked(StackedPlan { lower: name, kind }))
}

fn lower<'n>(
    net: &'n Net,
    key: &str,
    word: &str,
) -> Result<(&'n Positioned<String>, InterfaceName)> {
    let Some(given) = &net.link else {
        let why = format!(
            "the line is missing: type {word} needs the name of one of the host's interfaces"
        );
        return Err(refusal(net, key, "link", &why));
    };
    Ok((given, interface(given, &format!("{key}.link"))?))
}

fn refuse_loopback(given: &Positioned<String>, key: &str, found: &Link) -> Result<()> {
    match link::is_loopback(found) {
        false => Ok(()),
        true => Err(Error::other(format!(
            "{}: {key}.link: {} is the host's loopback, which nothing can stand on or take away",
            given.at, found.name
        ))),
    }
}

fn phys(net: &Net, key: &str, host: &mut HostLinks) -> Result<InterfaceName> {
    let (given, mut name) = lower(net, key, "phys")?;
    let found = match given.value.strip_suffix('+') {
        Some(prefix) => host.first_with_prefix(prefix)?.ok_or_else(|| {
            Error::other(format!(
                "{}: {key}.link: no interface of this host has a name that begins with {prefix}",
                given.at
            ))
        })?,
        None => existing(given, key, &name, host, "interface")?,
    };
    if given.value.ends_with('+') {
        name = found
            .name
            .parse()
            .map_err(|error| Error::other(format!("{}: {key}.link: {error}", given.at)))?;
    }
    refuse_loopback(given, key, &found)?;
    let refuse = |why: &str| {
        Err(Error::other(format!(
            "{}: {key}.link: {name} {why}",
            given.at
        )))
    };
    if found.kind.as_deref() == Some("bridge") {
        return refuse("is a bridge, which stays on its host; use type veth");
    }
    if link::is_wireless(&name) {
        return refuse(
            "is a radio, which Berth does not move; a bridge or a route on the host can lead to it",
        );
    }
    Ok(name)
}

/// Whether the link can answer for the container's addresses. It forwards what it gets for them
/// only if the administrator has set it to.
fn l2proxy(net: &Net, planned: &LinkPlan) -> std::result::Result<(), String> {
    let link = match planned {
        LinkPlan::Veth(VethPlan {
            link: Some(link),
            router: true,
            ..
        }) => link,
        LinkPlan::Stacked(StackedPlan {
            lower,
            kind: StackedKind::Ipvlan(IpvlanMode::L3s, _),
        }) => lower,
        _ => {
            return Err(
                "the link answers for the addresses of a veth of mode router with a link, \
                        or an ipvlan interface of mode l3s"
                    .to_owned(),
            );
        }
    };
    let mut needed = Vec::new();
    if !net.ipv4.addresses.is_empty() {
        needed.push(("ipv4", "forwarding"));
    }
    if !net.ipv6.addresses.is_empty() {
        needed.extend([("ipv6", "forwarding"), ("ipv6", "proxy_ndp")]);
    }
    match needed
        .into_iter()
        .find(|(family, setting)| !link::is_on(family, link, setting))
    {
        None => Ok(()),
        Some((family, setting)) => Err(format!(
            "{link} does not forward for that (an administrator has it do so with: sysctl \
             net/{family}/conf/{link}/{setting}=1)"
        )),
    }
}

fn macvlan_mode(mode: Option<value::MacvlanMode>) -> MacvlanMode {
    match mode {
        None | Some(value::MacvlanMode::Private) => MacvlanMode::Private,
        Some(value::MacvlanMode::Vepa) => MacvlanMode::Vepa,
        Some(value::MacvlanMode::Bridge) => MacvlanMode::Bridge,
        Some(value::MacvlanMode::Passthru) => MacvlanMode::Passthru,
    }
}

fn ipvlan_mode(mode: Option<value::IpvlanMode>) -> IpvlanMode {
    match mode {
        None | Some(value::IpvlanMode::L3) => IpvlanMode::L3,
        Some(value::IpvlanMode::L3s) => IpvlanMode::L3s,
        Some(value::IpvlanMode::L2) => IpvlanMode::L2,
    }
}

fn ipvlan_isolation(isolation: Option<value::IpvlanIsolation>) -> IpvlanIsolation {
    match isolation {
        None | Some(value::IpvlanIsolation::Bridge) => IpvlanIsolation::Bridge,
        Some(value::IpvlanIsolation::Private) => IpvlanIsolation::Private,
        Some(value::IpvlanIsolation::Vepa) => IpvlanIsolation::Vepa,
    }
}
