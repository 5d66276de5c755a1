//! Network interfaces.

use super::*;

pub(super) static ROWS: &[Key] = &[
    obeyed(
        "lxc.net",
        "all network interfaces",
        only_empty,
        |config, _| {
            config.nets.clear();
            Ok(())
        },
    ),
    net_scalar!("lxc.net.N.type", "kind of interface", kind, value::net_type),
    net_scalar!(
        "lxc.net.N.link",
        "bridge on the host",
        link,
        value::interface
    ),
    obeyed(
        "lxc.net.N.flags",
        "whether the interface is set up",
        |config, entry| {
            value::net_flags(entry.value)?;
            net(config, entry).up = true;
            Ok(())
        },
        |config, entry| {
            net(config, entry).up = false;
            Ok(())
        },
    ),
    net_scalar!(
        "lxc.net.N.name",
        "the interface's name inside",
        name,
        value::interface
    ),
    net_scalar!(
        "lxc.net.N.hwaddr",
        "hardware address",
        hwaddr,
        value::mac_template
    ),
    net_scalar!("lxc.net.N.mtu", "largest packet in bytes", mtu, value::mtu),
    net_list!(
        "lxc.net.N.ipv4.address",
        "IPv4 address",
        ipv4.addresses,
        value::ipv4_address
    ),
    net_scalar!(
        "lxc.net.N.ipv4.gateway",
        "IPv4 gateway",
        ipv4.gateway,
        value::gateway
    ),
    net_list!(
        "lxc.net.N.ipv6.address",
        "IPv6 address",
        ipv6.addresses,
        value::ipv6_address
    ),
    net_scalar!(
        "lxc.net.N.ipv6.gateway",
        "IPv6 gateway",
        ipv6.gateway,
        value::gateway
    ),
    not_obeyed("lxc.net.N.l2proxy", "proxy entries on the link"),
    not_obeyed(
        "lxc.net.N.script.up",
        "a script after the interface is made",
    ),
    not_obeyed(
        "lxc.net.N.script.down",
        "a script before the interface is removed",
    ),
    not_obeyed("lxc.net.N.veth.mode", "routed or bridged"),
    not_obeyed("lxc.net.N.veth.pair", "the interface's name on the host"),
    not_obeyed("lxc.net.N.veth.n_rxqueues", "receive queues"),
    not_obeyed("lxc.net.N.veth.n_txqueues", "transmit queues"),
    not_obeyed("lxc.net.N.veth.ipv4.route", "routes on the host"),
    not_obeyed("lxc.net.N.veth.ipv6.route", "routes on the host"),
    not_obeyed("lxc.net.N.veth.vlan.id", "the port's VLAN"),
    not_obeyed("lxc.net.N.veth.vlan.tagged.id", "the port's tagged VLANs"),
    not_obeyed("lxc.net.N.vlan.id", "the VLAN"),
    not_obeyed("lxc.net.N.macvlan.mode", "macvlan's mode"),
    not_obeyed("lxc.net.N.ipvlan.mode", "ipvlan's mode"),
    not_obeyed("lxc.net.N.ipvlan.isolation", "ipvlan's isolation"),
];
