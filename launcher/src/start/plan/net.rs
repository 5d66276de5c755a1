//! Network interfaces of a start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use berth_common::InterfaceName;
use berth_container_config::value::PortVlan;
use berth_netlink::{Queues, StackedKind};

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetPlan {
    /// File, line and key, for errors.
    pub at: String,
    /// What it is, and what of it lies on the host.
    pub link: LinkPlan,
    /// The name inside; `None` for one that is only its scripts.
    pub name: Option<InterfaceName>,
    /// Whether it is set up.
    pub up: bool,
    /// The largest packet, in bytes; `None`: the host's end's.
    pub mtu: Option<u32>,
    /// The address on the wire.
    pub mac: Option<[u8; 6]>,
    /// IPv4 addresses with prefix lengths and broadcast addresses.
    pub ipv4: Vec<(Ipv4Addr, u8, Option<Ipv4Addr>)>,
    /// IPv6 addresses with prefix lengths.
    pub ipv6: Vec<(Ipv6Addr, u8)>,
    /// The way out.
    pub gateway4: Option<Way<Ipv4Addr>>,
    /// The way out for IPv6.
    pub gateway6: Option<Way<Ipv6Addr>>,
    /// Whether the host's interface answers for the addresses (`l2proxy`).
    pub l2proxy: bool,
    /// Commands of the owner's on the host.
    pub scripts: Scripts,
}

impl NetPlan {
    /// All addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let v4 = self.ipv4.iter().map(|(ip, ..)| IpAddr::V4(*ip));
        v4.chain(self.ipv6.iter().map(|(ip, _)| IpAddr::V6(*ip)))
    }

    /// The neighbours through which the defaults routes lead.
    pub fn gateways(&self) -> impl Iterator<Item = IpAddr> {
        let through = |ip: IpAddr| ip;
        let v4 = match self.gateway4 {
            Some(Way::Through(ip)) => Some(through(ip.into())),
            _ => None,
        };
        let v6 = match self.gateway6 {
            Some(Way::Through(ip)) => Some(through(ip.into())),
            _ => None,
        };
        v4.into_iter().chain(v6)
    }
}

/// A default route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way<A> {
    /// Through this neighbour.
    Through(A),
    /// Out of the interface.
    Device,
}

/// What an interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkPlan {
    /// Nothing but scripts (type `empty`).
    Empty,
    /// A pair with one end on the host.
    Veth(VethPlan),
    /// One that stands on one of the host's.
    Stacked(StackedPlan),
    /// This one of the host's.
    Phys(InterfaceName),
}

impl LinkPlan {
    /// LXC's word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Veth(_) => "veth",
            Self::Stacked(stacked) => stacked.kind.word(),
            Self::Phys(_) => "phys",
        }
    }

    /// The interface of the host that the configuration names.
    pub const fn parent(&self) -> Option<&InterfaceName> {
        match self {
            Self::Empty => None,
            Self::Veth(veth) => veth.link.as_ref(),
            Self::Stacked(stacked) => Some(&stacked.lower),
            Self::Phys(link) => Some(link),
        }
    }
}

/// A veth. For an ordinary user there is a link at most: his helper knows nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VethPlan {
    /// The bridge, or in router mode the interface that answers for the container's addresses.
    pub link: Option<InterfaceName>,
    /// Whether the host reaches the addresses by routes instead of a bridge.
    pub router: bool,
    /// The name on the host; `None`: a random one.
    pub pair: Option<InterfaceName>,
    /// Queues of the end inside.
    pub queues: Queues,
    /// Networks that the host reaches through the container.
    pub routes: Vec<(IpAddr, u8)>,
    /// The VLAN of untagged packets; `None`: the bridge's default.
    pub vlan: Option<PortVlan>,
    /// VLANs whose packets pass with their tags.
    pub tagged: Vec<u16>,
}

/// An interface on one of the host's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackedPlan {
    /// The host's.
    pub lower: InterfaceName,
    /// What is made of it.
    pub kind: StackedKind,
}

/// `script.up` and `script.down`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scripts {
    /// After the interface is made: file, line and key, and the command.
    pub up: Option<(String, String)>,
    /// Before it is removed.
    pub down: Option<(String, String)>,
}
