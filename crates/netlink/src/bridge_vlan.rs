//! VLANs of a bridge's ports.

use crate::link::{IFINFOMSG, ifinfomsg};
use crate::message::Request;
use crate::{Error, Socket, wire};

/// How a port belongs to a VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortVlan {
    /// Packets have their tag.
    Tagged,
    /// Packets come without a tag and leave without one.
    Untagged,
}

fn encode(kind: u16, port: u32, flags: u16, vlan: u16) -> Request {
    let mut request = Request::new(kind, wire::NLM_F_ACK);
    let mut header: [u8; IFINFOMSG] = ifinfomsg(port, None);
    header[0] = wire::AF_BRIDGE;
    request.fixed(&header);
    let spec = request.open(wire::IFLA_AF_SPEC);
    // struct bridge_vlan_info
    let [a, b] = flags.to_ne_bytes();
    let [c, d] = vlan.to_ne_bytes();
    request.attribute(wire::IFLA_BRIDGE_VLAN_INFO, &[a, b, c, d]);
    request.close(spec);
    request
}

impl Socket {
    /// Makes a bridge's port a member of a VLAN, 1 to 4094.
    pub fn add_port_vlan(&mut self, port: u32, vlan: u16, how: PortVlan) -> Result<(), Error> {
        let flags = match how {
            PortVlan::Tagged => 0,
            PortVlan::Untagged => wire::BRIDGE_VLAN_INFO_PVID | wire::BRIDGE_VLAN_INFO_UNTAGGED,
        };
        self.change(encode(wire::RTM_SETLINK, port, flags, vlan), || {
            format!("make interface {port} a member of VLAN {vlan}")
        })
    }

    /// Ends a port's membership.
    pub fn delete_port_vlan(&mut self, port: u32, vlan: u16) -> Result<(), Error> {
        self.change(encode(wire::RTM_DELLINK, port, 0, vlan), || {
            format!("take interface {port} out of VLAN {vlan}")
        })
    }
}
