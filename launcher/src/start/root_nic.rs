//! Root's interfaces. Root asks nobody for a right that he has: no helper, no quota.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use berth_common::InterfaceName;
use berth_netlink::{LinkChange, Mac, Peer, PeerName, Socket, Veth};

use super::plan::NetPlan;
use crate::error::{Error, Result};
use crate::state::Nic;

/// Names are tried so often until one is free.
const ATTEMPTS: u32 = 16;
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Makes an interface in the network namespace of `init`, a child of the caller's. It goes with
/// that namespace.
pub fn make(net: &NetPlan, init: i32) -> Result<Nic> {
    try_make(net, init)
        .map_err(|error| Error::other(format!("{}: no network interface: {error}", net.at)))
}

fn try_make(net: &NetPlan, init: i32) -> Result<Nic> {
    let path = format!("/proc/{init}/ns/net");
    let namespace =
        File::open(&path).map_err(|error| Error::file("open", Path::new(&path), error))?;
    let mut socket = Socket::open().map_err(fail)?;
    let bridge = match &net.bridge {
        None => None,
        Some(name) => Some(
            socket
                .find_link(name)
                .map_err(fail)?
                .ok_or_else(|| Error::other(format!("there is no bridge {name}")))?,
        ),
    };
    let mtu = bridge.as_ref().map(|bridge| bridge.mtu);
    let peer = Peer {
        name: net.name.as_ref().map_or(PeerName::NextEth, PeerName::Exact),
        namespace: Some(namespace.as_fd()),
        mtu,
        mac: None,
    };
    let host = create(
        &mut socket,
        peer,
        bridge.as_ref().map(|bridge| bridge.index),
        mtu,
    )?;
    let link = socket.link(&host).map_err(fail)?;
    let finished = socket
        .change_link(link.index, &LinkChange::new().up(true))
        .and_then(|()| {
            let inside = link.peer.unwrap_or_default();
            socket.link_at_peer(inside, link.peer_namespace)
        });
    match finished {
        Ok(inside) => Ok(Nic {
            name: inside.name,
            host: host.to_string(),
            bridge: net
                .bridge
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        }),
        Err(error) => {
            // It would go with the namespace anyway.
            let _ = socket.delete_link(link.index);
            Err(fail(error))
        }
    }
}

fn create(
    socket: &mut Socket,
    peer: Peer<'_>,
    master: Option<u32>,
    mtu: Option<u32>,
) -> Result<InterfaceName> {
    for attempt in 1.. {
        let random = berth_kernel::random::bytes::<11>()
            .map_err(|error| Error::os("get random bytes", error))?;
        let [a, b, c, d, e, suffix @ ..] = random;
        let letters: String = suffix
            .iter()
            .map(|byte| char::from(LETTERS[usize::from(*byte) % 62]))
            .collect();
        let name: InterfaceName = format!("veth{letters}")
            .parse()
            .map_err(|error: berth_common::NameError| Error::other(error.to_string()))?;
        let veth = Veth {
            name: &name,
            mac: Some(Mac::for_bridge_port([a, b, c, d, e])),
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

fn fail(error: berth_netlink::Error) -> Error {
    Error::other(error.to_string())
}
