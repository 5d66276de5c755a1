//! A container's interfaces, set up from inside.

use std::net::IpAddr;

use berth_common::InterfaceName;
use berth_netlink::{Address, LinkChange, Mac, Route, Socket};

use super::plan::{NetPlan, Way};

/// Inside the container: sets up `lo`. What is returned sets up the other interfaces.
pub fn set_up_loopback() -> std::result::Result<Socket, String> {
    let fail = |error: berth_netlink::Error| format!("cannot set up the network: {error}");
    let mut socket = Socket::open().map_err(fail)?;
    let loopback = "lo"
        .parse::<InterfaceName>()
        .map_err(|error| error.to_string())?;
    let lo = socket.link(&loopback).map_err(fail)?;
    socket
        .change_link(lo.index, &LinkChange::new().up(true))
        .map_err(fail)?;
    Ok(socket)
}

/// Sets up every interface as the plan says. `nics` are their names inside, in the plan's order.
pub fn configure(
    socket: &mut Socket,
    nets: &[NetPlan],
    nics: &[String],
) -> std::result::Result<(), String> {
    for (net, name) in nets.iter().zip(nics).filter(|(_, name)| !name.is_empty()) {
        let name = name
            .parse::<InterfaceName>()
            .map_err(|error| error.to_string())?;
        configure_one(socket, net, &name)
            .map_err(|error| format!("{}: cannot set up {name}: {error}", net.at))?;
    }
    Ok(())
}

fn configure_one(
    socket: &mut Socket,
    net: &NetPlan,
    name: &InterfaceName,
) -> std::result::Result<(), berth_netlink::Error> {
    let index = socket.link(name)?.index;
    if let Some(mac) = net.mac {
        socket.change_link(index, &LinkChange::new().mac(Mac(mac)))?;
    }
    if let Some(mtu) = net.mtu {
        socket.change_link(index, &LinkChange::new().mtu(mtu))?;
    }
    if net.up {
        socket.change_link(index, &LinkChange::new().up(true))?;
    }
    for (ip, prefix, broadcast) in &net.ipv4 {
        let mut address = Address::new(IpAddr::V4(*ip), *prefix)?;
        if let Some(broadcast) = broadcast {
            address = address.broadcast(*broadcast);
        }
        socket.add_address(index, &address)?;
    }
    for (ip, prefix) in &net.ipv6 {
        socket.add_address(index, &Address::new(IpAddr::V6(*ip), *prefix)?)?;
    }
    let ways = [
        net.gateway4.map(|way| match way {
            Way::Through(ip) => Way::Through(IpAddr::V4(ip)),
            Way::Device => Way::Device,
        }),
        net.gateway6.map(|way| match way {
            Way::Through(ip) => Way::Through(IpAddr::V6(ip)),
            Way::Device => Way::Device,
        }),
    ];
    let anywhere: [IpAddr; 2] = [
        std::net::Ipv4Addr::UNSPECIFIED.into(),
        std::net::Ipv6Addr::UNSPECIFIED.into(),
    ];
    for (way, anywhere) in ways.into_iter().zip(anywhere) {
        match way {
            Some(Way::Through(gateway)) => add_way_out(socket, gateway, index)?,
            Some(Way::Device) => socket.add_route(&Route::direct(anywhere, 0, index))?,
            None => {}
        }
    }
    Ok(())
}

/// The default route. A gateway that is in none of the interface's networks is on its link all the
/// same, as LXC has it.
fn add_way_out(
    socket: &mut Socket,
    gateway: IpAddr,
    index: u32,
) -> std::result::Result<(), berth_netlink::Error> {
    let way_out = Route::default_through(gateway, index);
    match socket.add_route(&way_out) {
        Err(error)
            if matches!(
                error.errno(),
                Some(nix::libc::ENETUNREACH | nix::libc::EHOSTUNREACH)
            ) =>
        {
            let bits = if gateway.is_ipv4() { 32 } else { 128 };
            socket.add_route(&Route::direct(gateway, bits, index))?;
            socket.add_route(&way_out)
        }
        other => other,
    }
}
