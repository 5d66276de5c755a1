//! What an ordinary user's interfaces cannot have: his helper makes a veth on a bridge that he has
//! a quota for, and nothing else on the host is his to change.

use berth_container_config::value::{NetType, VethMode};
use berth_container_config::{Net, Position};

use crate::error::{Error, Result};

/// Refuses what takes CAP_NET_ADMIN on the host.
pub(super) fn refuse_what_needs_root(index: u32, net: &Net) -> Result<()> {
    let Some(kind) = &net.kind else {
        return Ok(());
    };
    let refuse = |at: &Position, key: &str, what: &str, right: &str| {
        Err(Error::other(format!(
            "{at}: lxc.net.{index}.{key}: {what} only root can have, since it changes the host's \
             network; {right}"
        )))
    };
    match kind.value {
        NetType::Empty | NetType::None => return Ok(()),
        NetType::Veth => {}
        other => {
            let what = format!("an interface of type {}", other.word());
            let right = "an ordinary user's container has type veth (on a bridge that \
                         /etc/lxc/lxc-usernet grants), empty or none";
            return refuse(&kind.at, "type", &what, right);
        }
    }
    let veth = &net.veth;
    let inside = "routes inside the container are made there; remove the line";
    if let Some(mode) = &veth.mode
        && mode.value == VethMode::Router
    {
        let right = "use lxc.net.N.veth.mode = bridge";
        return refuse(&mode.at, "veth.mode", "routes to a container", right);
    }
    if let Some(route) = veth.ipv4_routes.first() {
        return refuse(
            &route.at,
            "veth.ipv4.route",
            "routes to a container",
            inside,
        );
    }
    if let Some(route) = veth.ipv6_routes.first() {
        return refuse(
            &route.at,
            "veth.ipv6.route",
            "routes to a container",
            inside,
        );
    }
    let vlan = "remove the line, or ask an administrator for a bridge of that VLAN";
    if let Some(id) = &veth.vlan {
        return refuse(&id.at, "veth.vlan.id", "a bridge port's VLAN", vlan);
    }
    if let Some(id) = veth.tagged.first() {
        return refuse(&id.at, "veth.vlan.tagged.id", "a bridge port's VLANs", vlan);
    }
    let one = "an ordinary user's interface has one each way; remove the line";
    if let Some(queues) = &veth.rx_queues {
        return refuse(&queues.at, "veth.n_rxqueues", "several queues", one);
    }
    if let Some(queues) = &veth.tx_queues {
        return refuse(&queues.at, "veth.n_txqueues", "several queues", one);
    }
    if let Some(proxy) = &net.l2proxy
        && proxy.value
    {
        return refuse(&proxy.at, "l2proxy", "proxy entries", "remove the line");
    }
    Ok(())
}

/// What is passed over with a word, as LXC passes over it without one.
pub(super) fn not_obeyed(index: u32, net: &Net) -> Option<String> {
    let pair = net.veth.pair.as_ref()?;
    Some(format!(
        "{}: lxc.net.{index}.veth.pair: not obeyed: the name on the host of an ordinary user's \
         interface is chosen by the NIC helper, which counts by it",
        pair.at
    ))
}
