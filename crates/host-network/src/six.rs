//! The IPv6 network of a bridge: always 64 bits, as containers' own addresses need it (RFC 4862).

use berth_common::hash::fnv1a;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

const PREFIX: u8 = 64;

/// The bridge's own address in its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SixAddress {
    /// The address.
    pub ip: Ipv6Addr,
}

/// A network of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SixSubnet(Ipv6Addr);

impl SixAddress {
    /// A unique local network (RFC 4193) for a bridge of a host: the same at each boot, another on
    /// each host and bridge. `identity` is the host's (machine-id(5)).
    pub fn unique_local(identity: &str, bridge: &str) -> Self {
        let host = hash(identity.bytes());
        let [_, _, _, a, b, c, d, e] = host.to_be_bytes();
        let [f, g, ..] = hash(bridge.bytes()).to_be_bytes();
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&[0xfd, a, b, c, d, e, f, g]);
        octets[15] = 1;
        Self { ip: octets.into() }
    }

    /// How many leading bits name the network.
    pub fn prefix(self) -> u8 {
        PREFIX
    }

    /// Its network.
    pub fn subnet(self) -> SixSubnet {
        SixSubnet((self.ip.to_bits() >> 64 << 64).into())
    }
}

/// FNV-1a and the last rounds of MurmurHash3, so that each bit depends on all.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    let mut hash = fnv1a(bytes);
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

impl FromStr for SixAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "expected an IPv6 address with its prefix, like fd12:3456:789a::1/64";
        let (ip, prefix) = text.split_once('/').ok_or(FORM)?;
        let ip: Ipv6Addr = ip.parse().map_err(|_| FORM)?;
        if prefix != "64" {
            return Err("the prefix must be 64: containers make their own addresses in it");
        }
        let first = ip.segments()[0];
        if ip.is_multicast() || first & 0xffc0 == 0xfe80 || first == 0 {
            return Err("no network of containers can have this address");
        }
        if ip.to_bits() << 64 == 0 {
            return Err("this is the network itself, not an address in it");
        }
        Ok(Self { ip })
    }
}

impl fmt::Display for SixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{PREFIX}", self.ip)
    }
}

impl SixSubnet {
    /// The network's own address, the lowest.
    pub fn network(self) -> Ipv6Addr {
        self.0
    }
}

impl fmt::Display for SixSubnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{PREFIX}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_a_hosts_and_a_bridges_own() {
        let one = SixAddress::unique_local("host", "br0");
        assert_eq!(one, SixAddress::unique_local("host", "br0"));
        assert_eq!(one.ip.octets()[0], 0xfd);
        let (other, far) = (
            SixAddress::unique_local("host", "br1"),
            SixAddress::unique_local("tsoh", "br0"),
        );
        assert_eq!(one.ip.segments()[..3], other.ip.segments()[..3]);
        assert_ne!(one.subnet(), other.subnet());
        assert_ne!(one.ip.segments()[..3], far.ip.segments()[..3]);
        assert_eq!(one.to_string().parse(), Ok(one));
    }

    #[test]
    fn addresses_that_no_network_can_have_are_refused() {
        for wrong in [
            "",
            "fd00::1",
            "fd00::1/48",
            "fd00::/64",
            "fe80::1/64",
            "ff02::1/64",
            "::1/64",
            "10.0.0.1/64",
            "fd00::1/64/64",
        ] {
            assert!(wrong.parse::<SixAddress>().is_err(), "{wrong}");
        }
        let address: SixAddress = "fd12:3456:789a:1::5/64".parse().unwrap();
        assert_eq!(address.subnet().to_string(), "fd12:3456:789a:1::/64");
    }
}
