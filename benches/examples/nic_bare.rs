//! The least that a helper can do, for `nic` to measure beside the real ones: it proves nothing,
//! counts nothing and locks nothing, and sends the two messages that make a NIC.
//!
//!     nic_bare create PATH NAME PID veth BRIDGE INSIDE
#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail};
use berth_netlink::{LinkChange, Peer, PeerName, Socket, Veth};
use std::fs::File;
use std::os::fd::AsFd;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let [_, _, _, _, pid, _, bridge, inside] = words.as_slice() else {
        bail!("not called by a measurement");
    };
    let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
    let mut socket = Socket::open()?;
    let bridge = socket.link(&bridge.parse()?)?;
    let host = format!("veth1000_{pid:0>4}");
    let name = host.get(..13).context("the number is too long")?.parse()?;
    socket.create_veth(&Veth {
        name: &name,
        mac: None,
        mtu: None,
        group: None,
        master: Some(bridge.index),
        peer: Peer {
            name: PeerName::Exact(&inside.parse()?),
            namespace: Some(namespace.as_fd()),
            mtu: None,
            mac: None,
            queues: berth_netlink::Queues::default(),
        },
    })?;
    let link = socket.link(&name)?;
    socket.change_link(link.index, &LinkChange::new().up(true))?;
    println!("{inside}:0:{name}:{}", link.index);
    Ok(())
}
