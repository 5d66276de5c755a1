//! A container's interfaces: asked of the NIC helper outside, set up inside.

use std::net::IpAddr;
use std::process::{Command, Stdio};

use berth_common::{InterfaceName, path};
use berth_netlink::{Address, LinkChange, Mac, Route, Socket};

use super::plan::{NetPlan, StartPlan, Way};
use super::root_nic;
use crate::error::{Error, Result};
use crate::state::Nic;

/// An interface on its way.
pub enum NicRequest<'plan> {
    /// The NIC helper is at work.
    Helper(&'plan NetPlan, std::process::Child),
    /// Root made it himself.
    Made(Nic),
}

/// Asks the setuid helper for every interface of the plan; they are born in the network
/// namespace of process `init`. The helpers run side by side. Root needs no helper.
pub fn request_nics(plan: &StartPlan, init: i32) -> Result<Vec<NicRequest<'_>>> {
    plan.nets
        .iter()
        .map(|net| {
            if berth_kernel::cred::effective_uid().is_root() {
                return root_nic::make(net, init).map(NicRequest::Made);
            }
            let mut command = Command::new(helper());
            command
                .arg("create")
                .arg(&plan.lxcpath)
                .arg(plan.name.as_str())
                .arg(init.to_string())
                .arg("veth")
                .arg(net.bridge.as_ref().map_or("none", InterfaceName::as_str));
            command.args(net.name.as_ref().map(InterfaceName::as_str));
            let helper = command
                .env_clear()
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .map_err(|error| {
                    Error::file("run the NIC helper", std::path::Path::new(helper()), error)
                })?;
            Ok(NicRequest::Helper(net, helper))
        })
        .collect()
}

/// The helper's path; tests on a machine where Berth is not installed name another one. That
/// gives nobody rights: the helper has those of its file.
fn helper() -> &'static str {
    static HELPER: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    HELPER
        .get_or_init(|| std::env::var("BERTH_USERNIC").unwrap_or_else(|_| path::USERNIC.to_owned()))
}

impl NicRequest<'_> {
    /// Waits for the helper's answer.
    pub fn finish(self) -> Result<Nic> {
        let (net, helper) = match self {
            Self::Made(nic) => return Ok(nic),
            Self::Helper(net, helper) => (net, helper),
        };
        let output = helper
            .wait_with_output()
            .map_err(|error| Error::os("hear the NIC helper", error))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let reason = said.trim().lines().last().unwrap_or("it did not say why");
            let reason = reason.strip_prefix("berth-usernic: ").unwrap_or(reason);
            return Err(Error::other(format!(
                "{}: no network interface: {reason}",
                net.at
            )));
        }
        let answer = String::from_utf8_lossy(&output.stdout);
        let mut fields = answer.trim_end().split(':');
        match (fields.next(), fields.next(), fields.next()) {
            (Some(name), Some(_), Some(host)) if !name.is_empty() => Ok(Nic {
                name: name.to_owned(),
                host: host.to_owned(),
                bridge: net
                    .bridge
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            }),
            _ => Err(Error::other(format!(
                "{}: the NIC helper gave an answer that makes no sense: {:?}",
                net.at,
                answer.trim_end()
            ))),
        }
    }
}

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
    for (net, name) in nets.iter().zip(nics) {
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
            Some(Way::Through(gateway)) => {
                socket.add_route(&Route::default_through(gateway, index))?;
            }
            Some(Way::Device) => socket.add_route(&Route::direct(anywhere, 0, index))?,
            None => {}
        }
    }
    Ok(())
}
