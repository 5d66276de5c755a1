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
    )
    .shown_by("keys::net::an_empty_line_clears_all_interfaces"),
    net_scalar!("lxc.net.N.type", "kind of interface", kind, value::net_type)
        .shown_by("keys::net::types_without_an_interface_on_the_host"),
    net_scalar!(
        "lxc.net.N.link",
        "bridge on the host; for other types the host's interface (eth+: the first whose name \
         begins so, for phys)",
        link,
        value::interface
    )
    .shown_by("keys::net::a_veth_on_the_bridge"),
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
    )
    .shown_by("keys::net::an_interface_is_set_up_if_its_flags_say_so"),
    net_scalar!(
        "lxc.net.N.name",
        "the interface's name inside",
        name,
        value::interface
    )
    .shown_by("keys::net::name_address_on_the_wire_and_size"),
    net_scalar!(
        "lxc.net.N.hwaddr",
        "hardware address",
        hwaddr,
        value::mac_template
    )
    .shown_by("keys::net::name_address_on_the_wire_and_size"),
    net_scalar!("lxc.net.N.mtu", "largest packet in bytes", mtu, value::mtu)
        .shown_by("keys::net::name_address_on_the_wire_and_size"),
    net_list!(
        "lxc.net.N.ipv4.address",
        "IPv4 address",
        ipv4.addresses,
        value::ipv4_address
    )
    .shown_by("keys::net::addresses_and_ways_out"),
    net_scalar!(
        "lxc.net.N.ipv4.gateway",
        "IPv4 gateway",
        ipv4.gateway,
        value::gateway
    )
    .shown_by("keys::net::addresses_and_ways_out"),
    net_list!(
        "lxc.net.N.ipv6.address",
        "IPv6 address",
        ipv6.addresses,
        value::ipv6_address
    )
    .shown_by("keys::net::addresses_and_ways_out"),
    net_scalar!(
        "lxc.net.N.ipv6.gateway",
        "IPv6 gateway",
        ipv6.gateway,
        value::gateway
    )
    .shown_by("keys::net::addresses_and_ways_out"),
    net_scalar!(
        "lxc.net.N.l2proxy",
        "whether the link answers for the container's addresses (veth of mode router, ipvlan of \
         mode l3s; root's containers)",
        l2proxy,
        value::boolean
    )
    .shown_by("interfaces::the_link_answers_for_ipvlan_and_stops_with_the_container"),
    net_scalar!(
        "lxc.net.N.script.up",
        "a command of the host's after the interface is made, with ten seconds' time",
        script_up,
        value::script
    )
    .shown_by("keys::net_scripts::the_owner_runs_them_on_the_host"),
    net_scalar!(
        "lxc.net.N.script.down",
        "a command of the host's before the interface is removed",
        script_down,
        value::script
    )
    .shown_by("keys::net_scripts::the_owner_runs_them_on_the_host"),
    net_scalar!(
        "lxc.net.N.veth.mode",
        "bridge, or router: by routes to the container's addresses (root's containers)",
        veth.mode,
        value::veth_mode
    )
    .shown_by("keys::net_root::a_veth_that_is_reached_by_routes"),
    net_scalar!(
        "lxc.net.N.veth.pair",
        "the interface's name on the host; an ordinary user's has the one that its helper gives it",
        veth.pair,
        value::interface
    )
    .shown_by("keys::net_root::a_name_on_the_host"),
    net_scalar!(
        "lxc.net.N.veth.n_rxqueues",
        "receive queues inside, 1 by default (root's containers)",
        veth.rx_queues,
        value::queues
    )
    .shown_by("keys::net_root::several_queues"),
    net_scalar!(
        "lxc.net.N.veth.n_txqueues",
        "transmit queues inside, 1 by default (root's containers)",
        veth.tx_queues,
        value::queues
    )
    .shown_by("keys::net_root::several_queues"),
    net_list!(
        "lxc.net.N.veth.ipv4.route",
        "a network that the host reaches through the container (root's containers)",
        veth.ipv4_routes,
        value::ipv4_route
    )
    .shown_by("keys::net_root::routes_to_what_is_behind_a_container"),
    net_list!(
        "lxc.net.N.veth.ipv6.route",
        "a network that the host reaches through the container (root's containers)",
        veth.ipv6_routes,
        value::ipv6_route
    )
    .shown_by("keys::net_root::routes_to_what_is_behind_a_container"),
    net_scalar!(
        "lxc.net.N.veth.vlan.id",
        "the VLAN of untagged packets on the bridge, or none (root's containers)",
        veth.vlan,
        value::port_vlan
    )
    .shown_by("interfaces::vlans_and_ipvlan_reach_the_network"),
    net_list!(
        "lxc.net.N.veth.vlan.tagged.id",
        "a VLAN whose packets pass with their tags (root's containers)",
        veth.tagged,
        value::tagged_vlan
    )
    .shown_by("interfaces::vlans_and_ipvlan_reach_the_network"),
    net_scalar!(
        "lxc.net.N.vlan.id",
        "the VLAN (root's containers)",
        vlan_id,
        value::vlan_id
    )
    .shown_by("interfaces::vlans_and_ipvlan_reach_the_network"),
    net_scalar!(
        "lxc.net.N.macvlan.mode",
        "private, vepa, bridge or passthru (root's containers)",
        macvlan_mode,
        value::macvlan_mode
    )
    .shown_by("keys::net_root::macvlan_in_its_modes"),
    net_scalar!(
        "lxc.net.N.ipvlan.mode",
        "l3, l3s or l2 (root's containers)",
        ipvlan.mode,
        value::ipvlan_mode
    )
    .shown_by("interfaces::vlans_and_ipvlan_reach_the_network"),
    net_scalar!(
        "lxc.net.N.ipvlan.isolation",
        "bridge, private or vepa (root's containers)",
        ipvlan.isolation,
        value::ipvlan_isolation
    )
    .shown_by("interfaces::vlans_and_ipvlan_reach_the_network"),
];
