//! IPv4 networks: arithmetic, and a search for a free one.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subnet {
    network: u32,
    prefix: u8,
}

impl Subnet {
    /// The network of `prefix` bits (at most 32) in which `address` lies.
    pub fn around(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        (prefix <= 32).then(|| Self {
            network: address.to_bits() & mask(prefix),
            prefix,
        })
    }

    /// How many leading bits name the network.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The network's own address, the lowest.
    pub fn network(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network)
    }

    /// The highest address: broadcast, where the network has one.
    pub fn last(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network | !mask(self.prefix))
    }

    /// Whether an address lies in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.network
    }

    /// Whether an address in it can be a host's: neither the network's nor broadcast.
    pub fn has_host(self, address: Ipv4Addr) -> bool {
        self.contains(address)
            && (self.prefix >= 31 || (address != self.network() && address != self.last()))
    }

    /// Whether any address lies in both.
    pub fn overlaps(self, other: Self) -> bool {
        let shorter = mask(self.prefix.min(other.prefix));
        self.network & shorter == other.network & shorter
    }

    /// A private network (RFC 1918) of this prefix, 8 to 30 bits, that overlaps none of `taken`.
    /// The blocks that routers and container programs like best come last.
    pub fn free(prefix: u8, taken: &[Self]) -> Option<Self> {
        let blocks = [
            // 10.209.0.0 up to 10.255.255.255
            (0x0ad1_0000_u32, 0x0aff_ffff_u32),
            // 172.16.0.0/12
            (0xac10_0000, 0xac1f_ffff),
            // 10.0.0.0 up to 10.208.255.255
            (0x0a00_0000, 0x0ad0_ffff),
            // 192.168.0.0/16
            (0xc0a8_0000, 0xc0a8_ffff),
        ];
        let host_bits = !mask(prefix);
        for (first, last) in blocks {
            let mut at = first & mask(prefix);
            if at < first {
                at = (first | host_bits).checked_add(1)?;
            }
            while at | host_bits <= last {
                let candidate = Self {
                    network: at,
                    prefix,
                };
                match taken.iter().find(|other| candidate.overlaps(**other)) {
                    None => return Some(candidate),
                    // Past the end of what is in the way.
                    Some(other) => {
                        let end = other.last().to_bits() | host_bits;
                        match end.checked_add(1) {
                            Some(next) => at = next,
                            None => break,
                        }
                    }
                }
            }
        }
        None
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network(), self.prefix)
    }
}

/// An address with its network: `10.209.0.1/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostAddress {
    /// The address.
    pub ip: Ipv4Addr,
    /// Its network.
    pub subnet: Subnet,
}

impl FromStr for HostAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "expected an IPv4 address with its prefix, like 10.209.0.1/24";
        let (ip, prefix) = text.split_once('/').ok_or(FORM)?;
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return Err(FORM);
        }
        let ip: Ipv4Addr = ip.parse().map_err(|_| FORM)?;
        let prefix: u8 = prefix.parse().map_err(|_| FORM)?;
        if !(8..=30).contains(&prefix) {
            return Err("the prefix must be from 8 to 30");
        }
        let subnet = Subnet::around(ip, prefix).ok_or(FORM)?;
        if ip.is_multicast() || ip.is_loopback() || ip.octets()[0] == 0 || ip.octets()[0] >= 240 {
            return Err("no interface can have this address");
        }
        if !subnet.has_host(ip) {
            return Err("this is the network's first or last address, which no host can have");
        }
        Ok(Self { ip, subnet })
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.subnet.prefix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> Subnet {
        let (ip, prefix) = text.split_once('/').unwrap();
        Subnet::around(ip.parse().unwrap(), prefix.parse().unwrap()).unwrap()
    }

    #[test]
    fn networks() {
        let n = net("10.209.0.77/24");
        assert_eq!(n.to_string(), "10.209.0.0/24");
        assert_eq!(n.last().to_string(), "10.209.0.255");
        assert!(n.overlaps(net("10.0.0.0/8")) && net("10.0.0.0/8").overlaps(n));
        assert!(n.overlaps(net("0.0.0.0/0")) && !n.overlaps(net("10.209.1.0/24")));
        assert!(!n.has_host(n.network()) && !n.has_host(n.last()));
    }

    #[test]
    fn host_addresses() {
        assert_eq!(
            "10.0.3.1/24".parse::<HostAddress>().unwrap().to_string(),
            "10.0.3.1/24"
        );
        for bad in [
            "",
            "10.0.3.1",
            "10.0.3.1/",
            "10.0.3.1/+24",
            "10.0.3.1/33",
            "10.0.3.1/31",
            "10.0.3.1/7",
            "10.0.3.0/24",
            "10.0.3.255/24",
            "127.0.0.1/8",
            "224.0.0.1/24",
            "0.0.0.1/24",
            "x/24",
            "fd00::1/64",
            "10.0.3.1/24/24",
            "010.0.3.1/24",
            "10.0.3.1/256",
        ] {
            assert!(bad.parse::<HostAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_free_network_is_found_beside_what_is_taken() {
        assert_eq!(Subnet::free(24, &[]), Some(net("10.209.0.0/24")));
        assert_eq!(
            Subnet::free(24, &[net("10.209.0.0/23")]),
            Some(net("10.209.2.0/24"))
        );
        assert_eq!(
            Subnet::free(24, &[net("10.0.0.0/8")]),
            Some(net("172.16.0.0/24"))
        );
        let private = [
            net("10.0.0.0/8"),
            net("172.16.0.0/12"),
            net("192.168.0.0/16"),
        ];
        assert_eq!(Subnet::free(24, &private), None);
        assert_eq!(
            Subnet::free(8, &[]),
            None,
            "no block has room for that beside the others"
        );
        assert_eq!(Subnet::free(24, &[net("0.0.0.0/0")]), None);
    }

    proptest! {
        #[test]
        fn what_is_free_overlaps_nothing(
            prefix in 8u8..=30,
            taken in prop::collection::vec((any::<u32>(), 1u8..=32), 0..20),
        ) {
            let taken: Vec<Subnet> = taken
                .into_iter()
                .filter_map(|(bits, prefix)| {
                    Subnet::around(Ipv4Addr::from_bits(bits & 0x1fff_ffff), prefix)
                })
                .collect();
            if let Some(free) = Subnet::free(prefix, &taken) {
                prop_assert!(taken.iter().all(|other| !free.overlaps(*other)));
                prop_assert!(free.network().is_private() && free.last().is_private());
                prop_assert_eq!(free.prefix(), prefix);
            }
        }

        #[test]
        fn overlap_is_sharing_an_address(a: u32, b: u32, p in 0u8..=32, q in 0u8..=32) {
            let a = Subnet::around(a.into(), p).unwrap();
            let b = Subnet::around(b.into(), q).unwrap();
            let shares = a.contains(b.network()) || b.contains(a.network());
            prop_assert_eq!(a.overlaps(b), shares);
            prop_assert_eq!(b.overlaps(a), shares);
        }

        #[test]
        fn addresses_print_as_they_parse(bits: u32, prefix in 0u8..40) {
            let text = format!("{}/{prefix}", Ipv4Addr::from_bits(bits));
            if let Ok(address) = text.parse::<HostAddress>() {
                prop_assert_eq!(address.to_string(), text);
            }
        }
    }
}
