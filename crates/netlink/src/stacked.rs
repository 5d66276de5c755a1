//! Interfaces that stand on another one: VLANs, macvlan, ipvlan.

use crate::link::{create_request, ends};
use crate::message::Request;
use crate::{Error, Mac, Socket, wire};
use berth_common::InterfaceName;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Which macvlan interfaces on one lower interface reach each other (`enum macvlan_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacvlanMode {
    /// None do.
    Private = 1,
    /// Those that the next switch sends back to.
    Vepa = 2,
    /// All do.
    Bridge = 4,
    /// It is the only one, and has the lower interface's address.
    Passthru = 8,
}

/// On which layer ipvlan connects (`enum ipvlan_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvlanMode {
    /// As on one Ethernet.
    L2 = 0,
    /// By routes.
    L3 = 1,
    /// By routes, and through netfilter of the lower interface's namespace.
    L3s = 2,
}

/// Which ipvlan interfaces on one lower interface reach each other (`IPVLAN_F_…`). The kernel has
/// one mode and one isolation for all of them: the last one that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvlanIsolation {
    /// All do.
    Bridge = 0,
    /// None do.
    Private = 1,
    /// Those that the next switch sends back to.
    Vepa = 2,
}

/// What is made of the lower interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackedKind {
    /// The packets of this VLAN, 0 to 4094.
    Vlan(u16),
    /// A second hardware address.
    Macvlan(MacvlanMode),
    /// Further addresses behind the same hardware address.
    Ipvlan(IpvlanMode, IpvlanIsolation),
}

/// An interface to be created on another one; it starts down.
#[derive(Clone, Copy, Debug)]
pub struct Stacked<'a> {
    /// Its name where it is born.
    pub name: &'a InterfaceName,
    /// Index of the lower interface, in the socket's namespace.
    pub lower: u32,
    /// Where it is born; here if nothing is given.
    pub namespace: Option<BorrowedFd<'a>>,
    /// Its address; the default is a random one, or the lower interface's.
    pub mac: Option<Mac>,
    /// Its MTU in bytes; the default is the lower interface's.
    pub mtu: Option<u32>,
    /// What it is.
    pub kind: StackedKind,
}

impl Stacked<'_> {
    fn encode(&self) -> Request {
        let mut request = create_request();
        request.text(wire::IFLA_IFNAME, self.name.as_str());
        request.number(wire::IFLA_LINK, self.lower);
        ends(&mut request, self.mac, self.mtu);
        if let Some(namespace) = self.namespace {
            request.number(wire::IFLA_NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
        }
        let info = request.open(wire::IFLA_LINKINFO);
        request.text(wire::IFLA_INFO_KIND, self.kind.word());
        let data = request.open(wire::IFLA_INFO_DATA);
        match self.kind {
            StackedKind::Vlan(id) => request.attribute(wire::IFLA_VLAN_ID, &id.to_ne_bytes()),
            StackedKind::Macvlan(mode) => request.number(wire::IFLA_MACVLAN_MODE, mode as u32),
            StackedKind::Ipvlan(mode, isolation) => {
                request.attribute(wire::IFLA_IPVLAN_MODE, &(mode as u16).to_ne_bytes());
                request.attribute(wire::IFLA_IPVLAN_FLAGS, &(isolation as u16).to_ne_bytes());
            }
        }
        request.close(data);
        request.close(info);
        request
    }
}

impl StackedKind {
    /// The kernel's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Vlan(_) => "vlan",
            Self::Macvlan(_) => "macvlan",
            Self::Ipvlan(..) => "ipvlan",
        }
    }
}

impl Socket {
    /// Creates an interface on another one. If its name is taken where it is born,
    /// [`Error::is_exists`] holds; the kernel says EBUSY where another kind has the lower one.
    pub fn create_stacked(&mut self, stacked: &Stacked) -> Result<(), Error> {
        self.change(stacked.encode(), || {
            let word = stacked.kind.word();
            format!("create the {word} interface {}", stacked.name)
        })
    }
}
