//! `berth-net`: the host's bridge for containers, with addresses (dnsmasq), names (dnsmasq) and a
//! way out (NAT).
//!
//! [`start`] sets up what [`Config`] describes and writes down each act before it is done;
//! [`stop`] undoes what was written down, whatever became of the process in between; [`status`]
//! looks at each piece itself.
#![forbid(unsafe_code)]

mod bridge;
mod config;
mod dnsmasq;
mod error;
mod firewall;
mod forwarding;
mod forwarding_six;
mod journal;
mod leases;
mod lxc_net;
mod neighbours;
mod openings;
mod program;
mod resolver;
mod routes;
mod six;
mod status;
mod subnet;
mod sysctl;
mod updown;

pub use config::{Config, FirewallChoice};
pub use error::Error;
pub use leases::{Lease, leases};
pub use six::{SixAddress, SixSubnet};
pub use status::{Piece, Status, Whole, status};
pub use subnet::{HostAddress, Subnet};
pub use updown::{Done, start, stop, stop_others};
