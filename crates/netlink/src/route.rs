//! Routes of the main table.

use crate::address::{family, octets};
use crate::message::Request;
use crate::{Error, Socket, wire};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A route to a network through an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    destination: IpAddr,
    prefix: u8,
    gateway: Option<IpAddr>,
    index: u32,
}

impl Route {
    /// The default route through this gateway, reached over this interface.
    pub fn default_through(gateway: IpAddr, index: u32) -> Self {
        let destination = match gateway {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Self {
            destination,
            prefix: 0,
            gateway: Some(gateway),
            index,
        }
    }

    /// A network (or host) that is reached directly over this interface. Bits behind the prefix
    /// must be zero, or the kernel says EINVAL.
    pub fn direct(destination: IpAddr, prefix: u8, index: u32) -> Self {
        Self {
            destination,
            prefix,
            gateway: None,
            index,
        }
    }

    fn encode(&self, kind: u16, flags: u16) -> Request {
        let scope = match (kind, self.destination, self.gateway) {
            (wire::RTM_DELROUTE, ..) => wire::RT_SCOPE_NOWHERE,
            (_, IpAddr::V4(_), None) => wire::RT_SCOPE_LINK,
            _ => wire::RT_SCOPE_UNIVERSE,
        };
        let mut request = Request::new(kind, flags);
        request.fixed(&[
            family(self.destination),
            self.prefix,
            0,
            0,
            wire::RT_TABLE_MAIN,
            wire::RTPROT_STATIC,
            scope,
            wire::RTN_UNICAST,
            0,
            0,
            0,
            0,
        ]);
        if self.prefix > 0 {
            request.attribute(wire::RTA_DST, &octets(self.destination));
        }
        if let Some(gateway) = self.gateway {
            request.attribute(wire::RTA_GATEWAY, &octets(gateway));
        }
        request.number(wire::RTA_OIF, self.index);
        request
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix {
            0 => write!(f, "the default route")?,
            prefix => write!(f, "the route to {}/{prefix}", self.destination)?,
        }
        if let Some(gateway) = self.gateway {
            write!(f, " through {gateway}")?;
        }
        write!(f, " over interface {}", self.index)
    }
}

impl Socket {
    /// Adds a route. If there is one to that network already, [`Error::is_exists`] holds.
    pub fn add_route(&mut self, route: &Route) -> Result<(), Error> {
        let flags = wire::NLM_F_ACK | wire::NLM_F_CREATE | wire::NLM_F_EXCL;
        self.change(route.encode(wire::RTM_NEWROUTE, flags), || {
            format!("add {route}")
        })
    }

    /// Removes a route.
    pub fn delete_route(&mut self, route: &Route) -> Result<(), Error> {
        self.change(route.encode(wire::RTM_DELROUTE, wire::NLM_F_ACK), || {
            format!("remove {route}")
        })
    }
}
