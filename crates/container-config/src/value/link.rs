//! `lxc.net.N.…`: what interfaces of one type have.

use super::{digits, expected};
use crate::key::Refusal;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The highest number of a VLAN (IEEE 802.1Q).
const LAST_VLAN: u16 = 4094;
/// The most queues that rtnetlink gives an interface each way.
const MOST_QUEUES: u32 = 4096;

/// How the host's end of a veth is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VethMode {
    /// As a port of a bridge.
    Bridge,
    /// By routes to the container's addresses.
    Router,
}

/// `bridge` or `router`.
pub fn veth_mode(text: &str) -> Result<VethMode, Refusal> {
    match text {
        "bridge" => Ok(VethMode::Bridge),
        "router" => Ok(VethMode::Router),
        _ => expected("bridge or router"),
    }
}

/// Which of the interfaces on one link reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacvlanMode {
    /// None do.
    Private,
    /// Those that the next switch sends back to.
    Vepa,
    /// All do.
    Bridge,
    /// It is the only one and has the link's address.
    Passthru,
}

/// `private`, `vepa`, `bridge` or `passthru`.
pub fn macvlan_mode(text: &str) -> Result<MacvlanMode, Refusal> {
    match text {
        "private" => Ok(MacvlanMode::Private),
        "vepa" => Ok(MacvlanMode::Vepa),
        "bridge" => Ok(MacvlanMode::Bridge),
        "passthru" => Ok(MacvlanMode::Passthru),
        _ => expected("private, vepa, bridge or passthru"),
    }
}

/// On which layer the link and its interfaces are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvlanMode {
    /// By routes, past the host's netfilter.
    L3,
    /// By routes, through the host's netfilter.
    L3s,
    /// As on one Ethernet.
    L2,
}

/// `l3`, `l3s` or `l2`.
pub fn ipvlan_mode(text: &str) -> Result<IpvlanMode, Refusal> {
    match text {
        "l3" => Ok(IpvlanMode::L3),
        "l3s" => Ok(IpvlanMode::L3s),
        "l2" => Ok(IpvlanMode::L2),
        _ => expected("l3, l3s or l2"),
    }
}

/// Which of the ipvlan interfaces on one link reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvlanIsolation {
    /// All do.
    Bridge,
    /// None do.
    Private,
    /// Those that the next switch sends back to.
    Vepa,
}

/// `bridge`, `private` or `vepa`.
pub fn ipvlan_isolation(text: &str) -> Result<IpvlanIsolation, Refusal> {
    match text {
        "bridge" => Ok(IpvlanIsolation::Bridge),
        "private" => Ok(IpvlanIsolation::Private),
        "vepa" => Ok(IpvlanIsolation::Vepa),
        _ => expected("bridge, private or vepa"),
    }
}

/// The VLAN to which a port's untagged packets belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortVlan {
    /// `none`: such packets are dropped.
    None,
    /// This one.
    Id(u16),
}

/// `none` or the number of a VLAN, 1 to 4094.
pub fn port_vlan(text: &str) -> Result<PortVlan, Refusal> {
    match (text, digits(text)) {
        ("none", _) => Ok(PortVlan::None),
        (_, Some(id @ 1..=LAST_VLAN)) => Ok(PortVlan::Id(id)),
        _ => expected("the number of a VLAN from 1 to 4094, or “none”"),
    }
}

/// The number of a VLAN of a bridge, 1 to 4094.
pub fn tagged_vlan(text: &str) -> Result<u16, Refusal> {
    match digits(text) {
        Some(id @ 1..=LAST_VLAN) => Ok(id),
        _ => expected("the number of a VLAN from 1 to 4094"),
    }
}

/// The number of an interface's VLAN, 0 (packets that only have a priority) to 4094.
pub fn vlan_id(text: &str) -> Result<u16, Refusal> {
    match digits(text) {
        Some(id @ 0..=LAST_VLAN) => Ok(id),
        _ => expected("the number of a VLAN from 0 to 4094"),
    }
}

/// A number of queues, 1 to 4096.
pub fn queues(text: &str) -> Result<u32, Refusal> {
    match digits(text) {
        Some(count @ 1..=MOST_QUEUES) => Ok(count),
        _ => expected("a number of queues from 1 to 4096"),
    }
}

/// `NETWORK/BITS` without bits behind the network's.
pub fn ipv4_route(text: &str) -> Result<(Ipv4Addr, u8), Refusal> {
    let route = text
        .split_once('/')
        .and_then(|(address, bits)| Some((address.parse().ok()?, digits(bits)?)))
        .filter(|(_, bits)| *bits <= 32)
        .filter(|(address, bits): &(Ipv4Addr, u8)| {
            let host = u32::MAX.checked_shr(u32::from(*bits)).unwrap_or(0);
            u32::from(*address) & host == 0
        });
    match route {
        Some(route) => Ok(route),
        None => expected("a network without bits behind its prefix (192.168.5.0/24)"),
    }
}

/// `NETWORK/BITS` without bits behind the network's.
pub fn ipv6_route(text: &str) -> Result<(Ipv6Addr, u8), Refusal> {
    let route = text
        .split_once('/')
        .and_then(|(address, bits)| Some((address.parse().ok()?, digits(bits)?)))
        .filter(|(_, bits)| *bits <= 128)
        .filter(|(address, bits): &(Ipv6Addr, u8)| {
            let host = u128::MAX.checked_shr(u32::from(*bits)).unwrap_or(0);
            u128::from(*address) & host == 0
        });
    match route {
        Some(route) => Ok(route),
        None => expected("a network without bits behind its prefix (fd00:5::/64)"),
    }
}

/// A command whose program has an absolute path.
pub fn script(text: &str) -> Result<String, Refusal> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => expected("a program with its absolute path, and its arguments"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_lxcs_words() {
        assert_eq!(veth_mode("router"), Ok(VethMode::Router));
        assert_eq!(macvlan_mode("passthru"), Ok(MacvlanMode::Passthru));
        assert_eq!(ipvlan_mode("l3s"), Ok(IpvlanMode::L3s));
        assert_eq!(ipvlan_isolation("vepa"), Ok(IpvlanIsolation::Vepa));
        for wrong in ["", "Bridge", "l3 ", "passthrough", "l4"] {
            assert!(veth_mode(wrong).is_err());
            assert!(macvlan_mode(wrong).is_err());
            assert!(ipvlan_mode(wrong).is_err());
            assert!(ipvlan_isolation(wrong).is_err());
        }
    }

    #[test]
    fn numbers_have_limits() {
        assert_eq!(port_vlan("none"), Ok(PortVlan::None));
        assert_eq!(port_vlan("4094"), Ok(PortVlan::Id(4094)));
        assert_eq!(vlan_id("0"), Ok(0));
        assert_eq!(queues("4096"), Ok(4096));
        for wrong in ["-1", "+1", "4095", "65537", "1 2", "x", "none "] {
            assert!(port_vlan(wrong).is_err(), "{wrong}");
            assert!(tagged_vlan(wrong).is_err(), "{wrong}");
            assert!(vlan_id(wrong).is_err(), "{wrong}");
        }
        assert!(port_vlan("0").is_err() && tagged_vlan("0").is_err());
        assert!(queues("0").is_err() && queues("4097").is_err());
    }

    #[test]
    fn routes_lead_to_networks() {
        let v4 = |text: &str| ipv4_route(text).ok().map(|(a, bits)| format!("{a}/{bits}"));
        assert_eq!(v4("192.168.5.0/24").as_deref(), Some("192.168.5.0/24"));
        assert_eq!(v4("0.0.0.0/0").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(v4("10.0.0.1/32").as_deref(), Some("10.0.0.1/32"));
        for wrong in [
            "192.168.5.1/24",
            "192.168.5.0",
            "192.168.5.0/33",
            "fd00::/64",
            "/24",
        ] {
            assert_eq!(v4(wrong), None, "{wrong}");
        }
        assert!(ipv6_route("fd00:5::/64").is_ok() && ipv6_route("::/0").is_ok());
        assert!(ipv6_route("fd00:5::1/64").is_err() && ipv6_route("fd00::/129").is_err());
    }

    #[test]
    fn scripts_have_absolute_paths() {
        assert!(script("/usr/local/bin/up --now").is_ok());
        assert!(script("up.sh").is_err());
    }
}
