//! Root's veths. Root asks nobody for a right that he has: no helper, no quota.

use std::os::fd::BorrowedFd;

use berth_common::InterfaceName;
use berth_container_config::value::PortVlan;
use berth_netlink::{Error as NetlinkError, Link, LinkChange, Mac, Peer, PeerName, Socket, Veth};
use berth_usernic::ovs::Ovs;

use super::{Desk, fail, routed, stacked};
use crate::error::{Error, Result};
use crate::start::plan::{NetPlan, VethPlan};

/// Names are tried so often until one is free.
const ATTEMPTS: u32 = 16;
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The host's end of a pair.
pub struct Made {
    pub name: InterfaceName,
    /// What it is to be a port of.
    bridge: Option<Link>,
}

/// Makes a pair with one end in `namespace`, both down. It goes with that namespace.
pub fn create(
    socket: &mut Socket,
    net: &NetPlan,
    plan: &VethPlan,
    namespace: BorrowedFd<'_>,
) -> Result<Made> {
    let bridge = match plan.link.as_ref().filter(|_| !plan.router) {
        None => None,
        Some(name) => Some(
            socket
                .find_link(name)
                .map_err(fail)?
                .ok_or_else(|| Error::other(format!("there is no bridge {name}")))?,
        ),
    };
    let mtu = match &bridge {
        Some(bridge) => Some(bridge.mtu),
        None => net.mtu,
    };
    let peer = Peer {
        name: net.name.as_ref().map_or(PeerName::NextEth, PeerName::Exact),
        namespace: Some(namespace),
        mtu,
        mac: None,
        queues: plan.queues,
    };
    // A bridge of the kernel's has its port at once.
    let master = bridge.as_ref().filter(|bridge| is_kernels(bridge));
    let master = master.map(|bridge| bridge.index);
    let name = match &plan.pair {
        Some(name) => {
            let mac = Mac::for_bridge_port(random()?);
            with_name(socket, name, mac, peer, master, mtu)?;
            name.clone()
        }
        None => with_random_name(socket, peer, master, mtu)?,
    };
    Ok(Made { name, bridge })
}

fn is_kernels(bridge: &Link) -> bool {
    bridge.kind.as_deref() == Some("bridge")
}

fn random<const N: usize>() -> Result<[u8; N]> {
    berth_kernel::random::bytes().map_err(|error| Error::os("get random bytes", error))
}

fn with_name(
    socket: &mut Socket,
    name: &InterfaceName,
    mac: Mac,
    peer: Peer<'_>,
    master: Option<u32>,
    mtu: Option<u32>,
) -> Result<()> {
    let veth = Veth {
        name,
        mac: Some(mac),
        mtu,
        group: None,
        master,
        peer,
    };
    stacked::with_patience(|| socket.create_veth(&veth)).map_err(|error| match error.is_exists() {
        true => Error::other(format!(
            "the host has an interface {name} already (lxc.net.N.veth.pair names it)"
        )),
        false => fail(error),
    })
}

/// A name that nobody has, most likely; `prefix` is short.
pub fn random_name(prefix: &str) -> Result<InterfaceName> {
    let letters: String = random::<6>()?
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(*byte) % 62]))
        .collect();
    format!("{prefix}{letters}")
        .parse()
        .map_err(|error: berth_common::NameError| Error::other(error.to_string()))
}

fn with_random_name(
    socket: &mut Socket,
    peer: Peer<'_>,
    master: Option<u32>,
    mtu: Option<u32>,
) -> Result<InterfaceName> {
    for attempt in 1.. {
        let name = random_name("veth")?;
        let veth = Veth {
            name: &name,
            mac: Some(Mac::for_bridge_port(random()?)),
            mtu,
            group: None,
            master,
            peer,
        };
        match socket.create_veth(&veth) {
            Ok(()) => return Ok(name),
            Err(error) if error.is_exists() && attempt < ATTEMPTS => {}
            Err(error) => return Err(fail(error)),
        }
    }
    Err(Error::other("no name is free"))
}

/// Connects the host's end and sets it up. After a failure the pair is gone.
pub fn connect(
    desk: &mut Desk<'_>,
    socket: &mut Socket,
    net: &NetPlan,
    plan: &VethPlan,
    made: &Made,
) -> Result<()> {
    let link = socket.link(&made.name).map_err(fail)?;
    let connected = try_connect(desk, socket, net, plan, made, link.index);
    if connected.is_err() {
        // It would go with the namespace anyway, a little later.
        let _ = socket.delete_link(link.index);
    }
    connected
}

fn try_connect(
    desk: &mut Desk<'_>,
    socket: &mut Socket,
    net: &NetPlan,
    plan: &VethPlan,
    made: &Made,
    index: u32,
) -> Result<()> {
    match (&made.bridge, &plan.link) {
        (Some(bridge), Some(name)) if !is_kernels(bridge) => {
            add_to_switch(desk, plan, name, &made.name)?;
        }
        (Some(_), Some(name)) => join_vlans(socket, plan, name, index).map_err(fail)?,
        _ => {}
    }
    let up = LinkChange::new().up(true);
    socket.change_link(index, &up).map_err(fail)?;
    if plan.router {
        routed::lead_to(socket, net, &made.name, index)?;
    }
    routed::lead_on(socket, plan, index)?;
    match &plan.link {
        Some(link) if net.l2proxy => routed::answer(desk, socket, net, link, false),
        _ => Ok(()),
    }
}

fn join_vlans(
    socket: &mut Socket,
    plan: &VethPlan,
    bridge: &InterfaceName,
    port: u32,
) -> std::result::Result<(), NetlinkError> {
    if let Some(vlan) = plan.vlan {
        let file = format!("/sys/class/net/{bridge}/bridge/default_pvid");
        let default = std::fs::read_to_string(file).ok();
        let default = default.and_then(|text| text.trim().parse::<u16>().ok());
        // 0: the bridge has none.
        let default = default.filter(|id| *id != 0);
        if let Some(id) = default.filter(|id| vlan != PortVlan::Id(*id)) {
            socket.delete_port_vlan(port, id)?;
        }
        if let PortVlan::Id(id) = vlan {
            socket.add_port_vlan(port, id, berth_netlink::PortVlan::Untagged)?;
        }
    }
    for id in &plan.tagged {
        socket.add_port_vlan(port, *id, berth_netlink::PortVlan::Tagged)?;
    }
    Ok(())
}

/// A port of Open vSwitch is a record of its database, which does not go with the interface.
fn add_to_switch(
    desk: &mut Desk<'_>,
    plan: &VethPlan,
    bridge: &InterfaceName,
    port: &InterfaceName,
) -> Result<()> {
    let ovs = Ovs::find()
        .ok_or_else(|| Error::other(format!("{bridge} is no bridge, and there is no ovs-vsctl")))?;
    if let Some(nic) = desk.record.nics.last_mut() {
        nic.undo.ovs = Some(bridge.to_string());
    }
    desk.note()?;
    let mut columns = Vec::new();
    let trunks = plan.tagged.iter().map(u16::to_string).collect::<Vec<_>>();
    match (plan.vlan, trunks.is_empty()) {
        (Some(PortVlan::Id(id)), true) => {
            columns.extend(["vlan_mode=access".to_owned(), format!("tag={id}")]);
        }
        (Some(PortVlan::Id(id)), false) => {
            columns.extend(["vlan_mode=native-untagged".to_owned(), format!("tag={id}")]);
        }
        (Some(PortVlan::None), _) | (None, false) => columns.push("vlan_mode=trunk".to_owned()),
        (None, true) => {}
    }
    if !trunks.is_empty() {
        columns.push(format!("trunks={}", trunks.join(",")));
    }
    ovs.add_with(bridge, port, &columns)
        .map_err(|error| Error::other(error.to_string()))
}
