//! `lxc.net.N.…`

use crate::position::{Position, Positioned};
use crate::value::{
    Gateway, Ipv4Address, Ipv6Address, IpvlanIsolation, IpvlanMode, MacTemplate, MacvlanMode,
    NetType, PortVlan, VethMode,
};
use std::net::{Ipv4Addr, Ipv6Addr};

/// One network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Net {
    /// `type`; a loaded configuration always has it
    pub kind: Option<Positioned<NetType>>,
    /// `link`: the bridge; for other types the interface of the host that this one is or stands on
    pub link: Option<Positioned<String>>,
    /// `flags`: whether the interface is set up
    pub up: bool,
    /// `name`: inside the container
    pub name: Option<Positioned<String>>,
    /// `hwaddr`
    pub hwaddr: Option<Positioned<MacTemplate>>,
    /// `mtu`; for an ordinary user's interface that of the end inside
    pub mtu: Option<Positioned<u32>>,
    /// `ipv4.…`
    pub ipv4: Ipv4Settings,
    /// `ipv6.…`
    pub ipv6: Ipv6Settings,
    /// `l2proxy`: whether the link answers for the container's addresses, false by default
    pub l2proxy: Option<Positioned<bool>>,
    /// `script.up`: a command of the host's after the interface is made
    pub script_up: Option<Positioned<String>>,
    /// `script.down`: a command of the host's before the interface is removed
    pub script_down: Option<Positioned<String>>,
    /// `veth.…`
    pub veth: VethSettings,
    /// `vlan.id`
    pub vlan_id: Option<Positioned<u16>>,
    /// `macvlan.mode`, private by default
    pub macvlan_mode: Option<Positioned<MacvlanMode>>,
    /// `ipvlan.…`
    pub ipvlan: Ipvlan,
}

impl Net {
    /// The first line that only an interface of another type can obey: its key behind
    /// `lxc.net.N.`, where it stands, and that type.
    pub fn of_another_type(&self) -> Option<(&'static str, &Position, NetType)> {
        let kind = self.kind.as_ref()?.value;
        if matches!(kind, NetType::Empty | NetType::None) {
            return None;
        }
        let veth = &self.veth;
        let macvlan = self.macvlan_mode.as_ref().map(|mode| &mode.at);
        let lines = [
            ("veth.mode", at(&veth.mode), NetType::Veth),
            ("veth.pair", at(&veth.pair), NetType::Veth),
            ("veth.n_rxqueues", at(&veth.rx_queues), NetType::Veth),
            ("veth.n_txqueues", at(&veth.tx_queues), NetType::Veth),
            ("veth.ipv4.route", first(&veth.ipv4_routes), NetType::Veth),
            ("veth.ipv6.route", first(&veth.ipv6_routes), NetType::Veth),
            ("veth.vlan.id", at(&veth.vlan), NetType::Veth),
            ("veth.vlan.tagged.id", first(&veth.tagged), NetType::Veth),
            ("vlan.id", at(&self.vlan_id), NetType::Vlan),
            ("macvlan.mode", macvlan, NetType::Macvlan),
            ("ipvlan.mode", at(&self.ipvlan.mode), NetType::Ipvlan),
            (
                "ipvlan.isolation",
                at(&self.ipvlan.isolation),
                NetType::Ipvlan,
            ),
        ];
        lines
            .into_iter()
            .filter(|(_, _, owner)| *owner != kind)
            .find_map(|(key, at, owner)| Some((key, at?, owner)))
    }
}

fn at<T>(value: &Option<Positioned<T>>) -> Option<&Position> {
    value.as_ref().map(|value| &value.at)
}

fn first<T>(values: &[Positioned<T>]) -> Option<&Position> {
    values.first().map(|value| &value.at)
}

/// What only a veth has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VethSettings {
    /// `veth.mode`, bridge by default
    pub mode: Option<Positioned<VethMode>>,
    /// `veth.pair`: the name on the host
    pub pair: Option<Positioned<String>>,
    /// `veth.n_rxqueues`, 1 by default
    pub rx_queues: Option<Positioned<u32>>,
    /// `veth.n_txqueues`, 1 by default
    pub tx_queues: Option<Positioned<u32>>,
    /// `veth.ipv4.route`: networks that the host reaches through the container
    pub ipv4_routes: Vec<Positioned<(Ipv4Addr, u8)>>,
    /// `veth.ipv6.route`
    pub ipv6_routes: Vec<Positioned<(Ipv6Addr, u8)>>,
    /// `veth.vlan.id`: the VLAN of untagged packets, the bridge's default one by default
    pub vlan: Option<Positioned<PortVlan>>,
    /// `veth.vlan.tagged.id`: VLANs whose packets pass with their tags
    pub tagged: Vec<Positioned<u16>>,
}

/// What only an ipvlan interface has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ipvlan {
    /// `ipvlan.mode`, l3 by default
    pub mode: Option<Positioned<IpvlanMode>>,
    /// `ipvlan.isolation`, bridge by default
    pub isolation: Option<Positioned<IpvlanIsolation>>,
}

/// IPv4 settings of one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ipv4Settings {
    /// `ipv4.address`
    pub addresses: Vec<Positioned<Ipv4Address>>,
    /// `ipv4.gateway`
    pub gateway: Option<Positioned<Gateway<Ipv4Addr>>>,
}

/// IPv6 settings of one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ipv6Settings {
    /// `ipv6.address`
    pub addresses: Vec<Positioned<Ipv6Address>>,
    /// `ipv6.gateway`
    pub gateway: Option<Positioned<Gateway<Ipv6Addr>>>,
}
