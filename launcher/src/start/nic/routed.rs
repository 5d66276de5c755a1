//! Interfaces that the host reaches by routes instead of a bridge.

use std::net::IpAddr;
use std::path::Path;

use berth_common::InterfaceName;
use berth_netlink::{Route, Socket};

use super::undo::Proxy;
use super::{Desk, fail};
use crate::error::{Error, Result};
use crate::start::plan::{NetPlan, VethPlan};

/// Routes to the container over its host's end, which answers in the place of its gateways.
pub fn lead_to(socket: &mut Socket, net: &NetPlan, host: &InterfaceName, index: u32) -> Result<()> {
    let (mut forwards4, mut forwards6) = (false, false);
    for ip in net.addresses().chain(net.gateways()) {
        match ip {
            IpAddr::V4(_) => forwards4 = true,
            IpAddr::V6(_) => forwards6 = true,
        }
    }
    if forwards4 {
        set(host, "ipv4", "forwarding")?;
    }
    if forwards6 {
        set(host, "ipv6", "forwarding")?;
        set(host, "ipv6", "proxy_ndp")?;
    }
    for gateway in net.gateways() {
        socket.add_proxy(index, gateway).map_err(fail)?;
    }
    for ip in net.addresses() {
        add_route(socket, ip, length(ip), index)?;
    }
    Ok(())
}

/// The networks that the configuration says are behind the container.
pub fn lead_on(socket: &mut Socket, veth: &VethPlan, index: u32) -> Result<()> {
    veth.routes
        .iter()
        .try_for_each(|(network, bits)| add_route(socket, *network, *bits, index))
}

/// Has `link` answer for the container's addresses. With `by_loopback` routes to the loopback tell
/// the kernel that they are not on the link itself, or it would not answer (an ipvlan interface
/// takes what is for it before any route counts).
pub fn answer(
    desk: &mut Desk<'_>,
    socket: &mut Socket,
    net: &NetPlan,
    link: &InterfaceName,
    by_loopback: bool,
) -> Result<()> {
    let index = socket.link(link).map_err(fail)?.index;
    let proxies = net.addresses().map(|ip| Proxy {
        link: link.to_string(),
        ip,
        by_loopback,
    });
    if let Some(nic) = desk.record.nics.last_mut() {
        nic.undo.proxies = proxies.collect();
    }
    desk.note()?;
    let lo = match by_loopback {
        true => {
            let lo: InterfaceName = "lo"
                .parse()
                .map_err(|error: berth_common::NameError| Error::other(error.to_string()))?;
            Some(socket.link(&lo).map_err(fail)?.index)
        }
        false => None,
    };
    for ip in net.addresses() {
        if let Some(lo) = lo {
            add_route(socket, ip, length(ip), lo)?;
        }
        socket.add_proxy(index, ip).map_err(fail)?;
    }
    Ok(())
}

fn length(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn add_route(socket: &mut Socket, network: IpAddr, bits: u8, index: u32) -> Result<()> {
    socket
        .add_route(&Route::direct(network, bits, index))
        .map_err(|error| match error.is_exists() {
            true => Error::other(format!(
                "the host has another route to {network}/{bits} already"
            )),
            false => fail(error),
        })
}

fn set(link: &InterfaceName, family: &str, setting: &str) -> Result<()> {
    let file = Path::new("/proc/sys/net")
        .join(family)
        .join("conf")
        .join(link)
        .join(setting);
    std::fs::write(&file, "1").map_err(|error| Error::file("write", &file, error))
}
