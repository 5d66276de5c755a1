//! rtnetlink, synchronous: what Berth asks the kernel about network interfaces.
//!
//! A [`Socket`] belongs to the network namespace it was opened in. Interfaces are looked up by
//! name once and then meant by index, which a rename does not change. Each call is one message
//! and its acknowledgement; errors carry the operation, the errno and the kernel's own words.
//!
//! ```no_run
//! use berth_netlink::{Address, LinkChange, Socket};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut socket = Socket::open()?;
//! let link = socket.link(&"eth0".parse()?)?;
//! socket.add_address(link.index, &Address::new("10.0.3.2".parse()?, 24)?)?;
//! socket.change_link(link.index, &LinkChange::new().up(true))?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod address;
mod bridge_vlan;
mod error;
mod link;
mod mac;
pub mod message;
mod nsid;
mod proxy;
mod route;
mod socket;
mod stacked;
mod wire;

pub use address::{Address, AddressOn};
pub use bridge_vlan::PortVlan;
pub use error::Error;
pub use link::{Bridge, Link, LinkChange, Peer, PeerName, Queues, Veth};
pub use mac::Mac;
pub use route::Route;
pub use socket::Socket;
pub use stacked::{IpvlanIsolation, IpvlanMode, MacvlanMode, Stacked, StackedKind};
