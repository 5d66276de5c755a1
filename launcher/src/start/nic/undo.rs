//! What of an interface would outlive its container.

use std::net::IpAddr;

use berth_common::InterfaceName;
use berth_netlink::{Route, Socket};
use serde::{Deserialize, Serialize};

use super::script::{self, ScriptCall};
use crate::state::Nic;

/// What is to be undone when init has ended, as the record keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The owner's command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<ScriptCall>,
    /// Addresses for which an interface of the host answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<Proxy>,
    /// The Open vSwitch bridge that has the host's end as a port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ovs: Option<String>,
    /// Whether the host's end has a name that the next start needs again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete: bool,
}

/// A neighbour proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    /// The interface that answers.
    pub link: String,
    /// For whom.
    pub ip: IpAddr,
    /// Whether a route to the loopback makes the kernel see that it is elsewhere.
    pub by_loopback: bool,
}

impl Undo {
    /// Whether there is nothing to undo.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Undoes everything, going on past failures. They are returned.
pub fn undo(nics: &[Nic]) -> Vec<String> {
    let mut failures = Vec::new();
    for nic in nics.iter().rev().filter(|nic| !nic.undo.is_empty()) {
        if let Some(down) = &nic.undo.down {
            failures.extend(down.run(script::TIME, None).err());
        }
        failures.extend(undo_links(nic).err());
    }
    failures
}

fn undo_links(nic: &Nic) -> Result<(), String> {
    let Undo {
        proxies,
        ovs,
        delete,
        ..
    } = &nic.undo;
    let mut failure = None;
    let mut note = |result: Result<(), String>| {
        if let Err(error) = result {
            failure.get_or_insert(error);
        }
    };
    if let Some(bridge) = ovs {
        note(delete_port(bridge, &nic.host));
    }
    if !proxies.is_empty() || *delete {
        let mut socket = Socket::open().map_err(|error| error.to_string())?;
        for proxy in proxies {
            note(stop_answering(&mut socket, proxy));
        }
        if *delete {
            note(delete_link(&mut socket, &nic.host));
        }
    }
    failure.map_or(Ok(()), Err)
}

fn delete_port(bridge: &str, port: &str) -> Result<(), String> {
    let name = |text: &str| {
        text.parse::<InterfaceName>()
            .map_err(|error| error.to_string())
    };
    let Some(ovs) = berth_usernic::ovs::Ovs::find() else {
        return Err(format!(
            "{port} is still a port of {bridge}: there is no ovs-vsctl any more"
        ));
    };
    ovs.delete(&name(bridge)?, &name(port)?)
        .map_err(|error| error.to_string())
}

/// What is gone already is as it should be.
fn stop_answering(socket: &mut Socket, proxy: &Proxy) -> Result<(), String> {
    let gone = |result: Result<(), berth_netlink::Error>| match result {
        Err(error) if error.is_missing() || error.errno() == Some(ESRCH) => Ok(()),
        other => other.map_err(|error| error.to_string()),
    };
    let Some(link) = find(socket, &proxy.link)? else {
        return Ok(());
    };
    let stopped = gone(socket.delete_proxy(link, proxy.ip));
    if proxy.by_loopback
        && let Some(lo) = find(socket, "lo")?
    {
        let bits = if proxy.ip.is_ipv4() { 32 } else { 128 };
        gone(socket.delete_route(&Route::direct(proxy.ip, bits, lo)))?;
    }
    stopped
}

/// What the kernel says to the removal of a route that is not there.
const ESRCH: i32 = nix::libc::ESRCH;

fn delete_link(socket: &mut Socket, name: &str) -> Result<(), String> {
    let Some(index) = find(socket, name)? else {
        return Ok(());
    };
    match socket.delete_link(index) {
        // The end of the network namespace was faster.
        Err(error) if error.is_missing() => Ok(()),
        other => other.map_err(|error| error.to_string()),
    }
}

fn find(socket: &mut Socket, name: &str) -> Result<Option<u32>, String> {
    let name: InterfaceName = name
        .parse()
        .map_err(|error: berth_common::NameError| error.to_string())?;
    let found = socket.find_link(&name).map_err(|error| error.to_string())?;
    Ok(found.map(|link| link.index))
}
