//! Addresses of interfaces.

use crate::message::{Attributes, Message, Request, u32_at};
use crate::{Error, Socket, wire};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const IFADDRMSG: usize = 8;

/// An address with its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    ip: IpAddr,
    prefix: u8,
    broadcast: Option<Ipv4Addr>,
    no_dad: bool,
}

impl Address {
    /// `ip`/`prefix`. An IPv4 address gets the broadcast address of its network where it has one
    /// (prefixes up to 30). Fails when the prefix is longer than the address.
    pub fn new(ip: IpAddr, prefix: u8) -> Result<Self, Error> {
        let (longest, broadcast) = match ip {
            IpAddr::V4(v4) => (
                32,
                (1..=30)
                    .contains(&prefix)
                    .then(|| v4 | Ipv4Addr::from(u32::MAX >> prefix)),
            ),
            IpAddr::V6(_) => (128, None),
        };
        if prefix > longest {
            return Err(Error::Invalid {
                operation: format!("use the address {ip}/{prefix}"),
                why: "the prefix is longer than the address",
            });
        }
        Ok(Self {
            ip,
            prefix,
            broadcast,
            no_dad: false,
        })
    }

    /// With another broadcast address (IPv4).
    #[must_use]
    pub fn broadcast(self, broadcast: Ipv4Addr) -> Self {
        Self {
            broadcast: Some(broadcast),
            ..self
        }
    }

    /// Usable at once, without duplicate address detection (IPv6).
    #[must_use]
    pub fn no_dad(self) -> Self {
        Self {
            no_dad: true,
            ..self
        }
    }

    /// The address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// How many leading bits name the network.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    fn encode(&self, request: &mut Request, index: u32) {
        let mut header = [0; IFADDRMSG];
        header[0] = family(self.ip);
        header[1] = self.prefix;
        header[2] = if self.no_dad { wire::IFA_F_NODAD } else { 0 };
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        request.fixed(&header);
        let bytes = octets(self.ip);
        request.attribute(wire::IFA_LOCAL, &bytes);
        request.attribute(wire::IFA_ADDRESS, &bytes);
        if let (IpAddr::V4(_), Some(broadcast)) = (self.ip, self.broadcast) {
            request.attribute(wire::IFA_BROADCAST, &broadcast.octets());
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// An address that an interface has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressOn {
    /// The interface.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// How many leading bits name the network.
    pub prefix: u8,
}

impl AddressOn {
    fn decode(message: &Message) -> Option<Self> {
        if message.kind != wire::RTM_NEWADDR || message.payload.len() < IFADDRMSG {
            return None;
        }
        let (mut local, mut address) = (None, None);
        for (kind, value) in Attributes::behind(message.payload, IFADDRMSG) {
            match kind {
                wire::IFA_LOCAL => local = ip(message.payload[0], value),
                wire::IFA_ADDRESS => address = ip(message.payload[0], value),
                _ => {}
            }
        }
        // On a point-to-point interface IFA_ADDRESS is the other end's.
        let ip = local.or(address)?;
        Some(Self {
            index: u32_at(message.payload, 4)?,
            ip,
            prefix: message.payload[1],
        })
    }
}

pub(crate) fn family(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => wire::AF_INET,
        IpAddr::V6(_) => wire::AF_INET6,
    }
}

pub(crate) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn ip(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        wire::AF_INET => <[u8; 4]>::try_from(value)
            .ok()
            .map(|b| Ipv4Addr::from(b).into()),
        wire::AF_INET6 => <[u8; 16]>::try_from(value)
            .ok()
            .map(|b| Ipv6Addr::from(b).into()),
        _ => None,
    }
}

impl Socket {
    /// Gives an interface an address. If it has it already, [`Error::is_exists`] holds.
    pub fn add_address(&mut self, index: u32, address: &Address) -> Result<(), Error> {
        let flags = wire::NLM_F_ACK | wire::NLM_F_CREATE | wire::NLM_F_EXCL;
        let mut request = Request::new(wire::RTM_NEWADDR, flags);
        address.encode(&mut request, index);
        self.change(request, || format!("add {address} to interface {index}"))
    }

    /// Takes an address from an interface.
    pub fn delete_address(&mut self, index: u32, address: &Address) -> Result<(), Error> {
        let mut request = Request::new(wire::RTM_DELADDR, wire::NLM_F_ACK);
        address.encode(&mut request, index);
        self.change(request, || {
            format!("remove {address} from interface {index}")
        })
    }

    /// The addresses of an interface, or of all (`None`).
    pub fn addresses(&mut self, index: Option<u32>) -> Result<Vec<AddressOn>, Error> {
        let request = || {
            let mut request = Request::new(wire::RTM_GETADDR, wire::NLM_F_DUMP);
            let mut header = [0; IFADDRMSG];
            header[0] = wire::AF_UNSPEC;
            header[4..8].copy_from_slice(&index.unwrap_or(0).to_ne_bytes());
            request.fixed(&header);
            request
        };
        let mut found = self.dump(request, || "list addresses".to_owned(), AddressOn::decode)?;
        found.retain(|address| index.is_none_or(|index| index == address.index));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn broadcast_addresses_and_prefixes() {
        let broadcast = |text: &str, prefix| {
            Address::new(text.parse().unwrap(), prefix)
                .unwrap()
                .broadcast
                .map(|b| b.to_string())
        };
        assert_eq!(broadcast("10.0.3.2", 24).as_deref(), Some("10.0.3.255"));
        assert_eq!(broadcast("10.0.3.2", 30).as_deref(), Some("10.0.3.3"));
        assert_eq!(broadcast("10.0.3.2", 31), None);
        assert_eq!(broadcast("10.0.3.2", 32), None);
        assert_eq!(broadcast("fd00::1", 64), None);
        assert!(Address::new("10.0.3.2".parse().unwrap(), 33).is_err());
        assert!(Address::new("fd00::1".parse().unwrap(), 129).is_err());
    }

    proptest! {
        #[test]
        fn hostile_descriptions_do_not_panic(
            payload in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let message =
                Message { kind: wire::RTM_NEWADDR, flags: 0, sequence: 0, payload: &payload };
            let _ = AddressOn::decode(&message);
        }
    }
}
