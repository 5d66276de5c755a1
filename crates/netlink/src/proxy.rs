//! Neighbour proxies: addresses for which an interface answers though they are elsewhere.

use crate::address::{family, octets};
use crate::message::Request;
use crate::{Error, Socket, wire};
use std::net::IpAddr;

/// `struct ndmsg`
const NDMSG: usize = 12;

fn encode(kind: u16, flags: u16, index: u32, ip: IpAddr) -> Request {
    let mut request = Request::new(kind, wire::NLM_F_ACK | flags);
    let mut header = [0; NDMSG];
    header[0] = family(ip);
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..10].copy_from_slice(&wire::NUD_PERMANENT.to_ne_bytes());
    header[10] = wire::NTF_PROXY;
    request.fixed(&header);
    request.attribute(wire::NDA_DST, &octets(ip));
    request
}

impl Socket {
    /// Has an interface answer ARP or neighbour solicitations for an address, if it forwards (and
    /// for IPv6 has `proxy_ndp`). One that is there already is no error.
    pub fn add_proxy(&mut self, index: u32, ip: IpAddr) -> Result<(), Error> {
        let request = encode(wire::RTM_NEWNEIGH, wire::NLM_F_CREATE, index, ip);
        self.change(request, || format!("answer for {ip} on interface {index}"))
    }

    /// Ends that. If there was none, [`Error::is_missing`] holds.
    pub fn delete_proxy(&mut self, index: u32, ip: IpAddr) -> Result<(), Error> {
        self.change(encode(wire::RTM_DELNEIGH, 0, index, ip), || {
            format!("stop answering for {ip} on interface {index}")
        })
    }
}
