//! `lxc.net.N.…`

use super::{digits, expected};
use crate::error::printable;
use crate::key::Refusal;
use berth_common::InterfaceName;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Kinds of interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetType {
    /// `veth`: a pair of interfaces, one on the host's bridge.
    Veth,
    /// `empty`: a network namespace with nothing but `lo`.
    Empty,
    /// `none`: the host's network namespace.
    None,
    /// `vlan`: the packets of one VLAN of the link.
    Vlan,
    /// `macvlan`: a second hardware address on the link.
    Macvlan,
    /// `ipvlan`: further addresses behind the link's hardware address.
    Ipvlan,
    /// `phys`: the link itself.
    Phys,
}

impl NetType {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Veth => "veth",
            Self::Empty => "empty",
            Self::None => "none",
            Self::Vlan => "vlan",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
            Self::Phys => "phys",
        }
    }
}

/// The word for a kind.
pub fn net_type(text: &str) -> Result<NetType, Refusal> {
    match text {
        "veth" => Ok(NetType::Veth),
        "empty" => Ok(NetType::Empty),
        "none" => Ok(NetType::None),
        "vlan" => Ok(NetType::Vlan),
        "macvlan" => Ok(NetType::Macvlan),
        "ipvlan" => Ok(NetType::Ipvlan),
        "phys" => Ok(NetType::Phys),
        _ => expected("veth, empty, none, vlan, macvlan, ipvlan or phys"),
    }
}

/// `up`. LXC takes any value for it.
pub fn net_flags(text: &str) -> Result<(), Refusal> {
    match text {
        "up" => Ok(()),
        _ => expected("“up”"),
    }
}

/// An interface's name.
pub fn interface(text: &str) -> Result<String, Refusal> {
    match text.parse::<InterfaceName>() {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(error) => Err(Refusal::Other(error.to_string())),
    }
}

/// A number of bytes: 68 (the least that IPv4 needs) to 65535.
pub fn mtu(text: &str) -> Result<u32, Refusal> {
    match digits(text) {
        Some(mtu @ 68..=65_535) => Ok(mtu),
        _ => expected("a number of bytes from 68 to 65535"),
    }
}

/// A hardware address some of whose hexadecimal digits may be left to chance (`x`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacTemplate {
    nibbles: [Option<u8>; 12],
}

impl MacTemplate {
    /// The template of the addresses that Berth hands out: the prefix that LXC's own defaults
    /// have had since 6.0.
    pub const DEFAULT: &str = "10:66:6a:xx:xx:xx";

    /// The address if nothing is left to chance.
    pub fn fixed(&self) -> Option<[u8; 6]> {
        self.nibbles
            .iter()
            .all(Option::is_some)
            .then(|| self.fill([0; 6]))
    }

    /// The address with the open digits taken from random bytes. The bit that marks group
    /// addresses, on which no interface may be set, is cleared if it was left to chance.
    pub fn fill(&self, random: [u8; 6]) -> [u8; 6] {
        let mut out = [0; 6];
        for (i, byte) in out.iter_mut().enumerate() {
            let high = self.nibbles[2 * i].unwrap_or(random[i] >> 4);
            let low = self.nibbles[2 * i + 1].unwrap_or(match i {
                0 => random[i] & 0x0e,
                _ => random[i] & 0x0f,
            });
            *byte = high << 4 | low;
        }
        out
    }
}

impl fmt::Display for MacTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, nibble) in self.nibbles.iter().enumerate() {
            if i > 0 && i % 2 == 0 {
                f.write_str(":")?;
            }
            match nibble {
                Some(digit) => write!(f, "{digit:x}")?,
                None => f.write_str("x")?,
            }
        }
        Ok(())
    }
}

/// Six pairs of hexadecimal digits or `x`, separated by colons; no group address.
pub fn mac_template(text: &str) -> Result<MacTemplate, Refusal> {
    let refuse = || {
        Refusal::Expected("a hardware address (10:66:6a:01:02:03), with x for random digits".into())
    };
    let mut nibbles = [None; 12];
    let pairs: Vec<&str> = text.split(':').collect();
    if pairs.len() != 6 || pairs.iter().any(|pair| pair.len() != 2) {
        return Err(refuse());
    }
    for (slot, c) in nibbles
        .iter_mut()
        .zip(pairs.iter().flat_map(|pair| pair.chars()))
    {
        *slot = match c {
            'x' | 'X' => None,
            _ => Some(
                c.to_digit(16)
                    .and_then(|d| u8::try_from(d).ok())
                    .ok_or_else(refuse)?,
            ),
        };
    }
    if nibbles[1].is_some_and(|digit| digit & 1 == 1) {
        return Err(Refusal::Other(format!(
            "“{}” is a group address; the second digit must be even",
            printable(text)
        )));
    }
    Ok(MacTemplate { nibbles })
}

/// An IPv4 address with its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Address {
    /// The address.
    pub address: Ipv4Addr,
    /// The network's length in bits, at most 32.
    pub prefix: u8,
    /// The broadcast address.
    pub broadcast: Ipv4Addr,
}

impl fmt::Display for Ipv4Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.address, self.prefix, self.broadcast)
    }
}

/// `ADDRESS[/BITS] [BROADCAST]`; without bits those of the address's class, as LXC has it.
pub fn ipv4_address(text: &str) -> Result<Ipv4Address, Refusal> {
    let refuse = || Refusal::Expected("an IPv4 address and its network (10.0.3.7/24)".into());
    let mut words = text.split_whitespace();
    let (first, broadcast, rest) = (words.next(), words.next(), words.next());
    let (Some(first), None) = (first, rest) else {
        return Err(refuse());
    };
    let (address, bits) = with_prefix::<Ipv4Addr>(first, 32).ok_or_else(refuse)?;
    let prefix = bits.unwrap_or(match address.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        192..=223 => 24,
        _ => 32,
    });
    let broadcast = match broadcast {
        Some(text) => text.parse().map_err(|_| refuse())?,
        None => {
            let host_bits = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from(u32::from(address) | host_bits)
        }
    };
    Ok(Ipv4Address {
        address,
        prefix,
        broadcast,
    })
}

/// An IPv6 address with its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Address {
    /// The address.
    pub address: Ipv6Addr,
    /// The network's length in bits, at most 128.
    pub prefix: u8,
}

impl fmt::Display for Ipv6Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// `ADDRESS[/BITS]`; 64 bits by default.
pub fn ipv6_address(text: &str) -> Result<Ipv6Address, Refusal> {
    let parsed = with_prefix::<Ipv6Addr>(text, 128);
    let Some((address, bits)) = parsed else {
        return expected("an IPv6 address and its network (fd00::7/64)");
    };
    Ok(Ipv6Address {
        address,
        prefix: bits.unwrap_or(64),
    })
}

fn with_prefix<A: FromStr>(text: &str, most: u8) -> Option<(A, Option<u8>)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(digits(bits).filter(|b| *b <= most)?)),
        None => (text, None),
    };
    Some((address.parse().ok()?, bits))
}

/// Where packets go that are for nobody near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway<A> {
    /// To this address.
    Address(A),
    /// `auto`: to the bridge's first address.
    Auto,
    /// `dev`: out of the interface.
    Device,
}

/// An address, `auto` or `dev`.
pub fn gateway<A: FromStr>(text: &str) -> Result<Gateway<A>, Refusal> {
    match text {
        "auto" => Ok(Gateway::Auto),
        "dev" => Ok(Gateway::Device),
        _ => match text.parse() {
            Ok(address) => Ok(Gateway::Address(address)),
            Err(_) => expected("an address of that family, “auto” or “dev”"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hardware_addresses() {
        let fixed = mac_template("10:66:6A:01:02:ff").unwrap();
        assert_eq!(fixed.fixed(), Some([0x10, 0x66, 0x6a, 1, 2, 0xff]));
        let open = mac_template(MacTemplate::DEFAULT).unwrap();
        assert_eq!(open.fixed(), None);
        assert_eq!(
            open.fill([0xff, 0, 0, 0xab, 0xcd, 0xef]),
            [0x10, 0x66, 0x6a, 0xab, 0xcd, 0xef]
        );
        let all = mac_template("xx:xx:xx:xx:xx:xx").unwrap();
        assert_eq!(all.fill([0xff; 6]), [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff]);
        for wrong in [
            "10:66:6a:01:02",
            "10:66:6a:01:02:03:04",
            "10666a010203",
            "1:66:6a:01:02:03",
            "10:66:6a:01:02:0g",
            "01:66:6a:01:02:03",
            "xf:66:6a:01:02:03",
            "10-66-6a-01-02-03",
            "ä0:66:6a:01:02:03",
        ] {
            assert!(mac_template(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses() {
        let shown = |text| ipv4_address(text).map(|a| a.to_string());
        assert_eq!(shown("10.0.3.7/24").unwrap(), "10.0.3.7/24 10.0.3.255");
        assert_eq!(
            shown("10.0.3.7/24 10.0.3.254").unwrap(),
            "10.0.3.7/24 10.0.3.254"
        );
        assert_eq!(
            shown("192.168.1.1").unwrap(),
            "192.168.1.1/24 192.168.1.255"
        );
        assert_eq!(shown("10.0.0.1/32").unwrap(), "10.0.0.1/32 10.0.0.1");
        assert_eq!(shown("10.0.0.1/0").unwrap(), "10.0.0.1/0 255.255.255.255");
        for wrong in [
            "10.0.3",
            "10.0.3.7/33",
            "10.0.3.7/",
            "10.0.3.7/24 x",
            "10.0.3.7/24 1.2.3.4 5",
        ] {
            assert!(ipv4_address(wrong).is_err(), "{wrong}");
        }
        assert_eq!(ipv6_address("fd00::7").unwrap().to_string(), "fd00::7/64");
        assert!(ipv6_address("fd00::7/129").is_err());
        assert_eq!(
            gateway("10.0.3.1"),
            Ok(Gateway::Address(Ipv4Addr::new(10, 0, 3, 1)))
        );
        assert_eq!(gateway::<Ipv6Addr>("auto"), Ok(Gateway::Auto));
        assert!(gateway::<Ipv4Addr>("fd00::1").is_err());
    }

    #[test]
    fn types() {
        for kind in ["veth", "empty", "none", "vlan", "macvlan", "ipvlan", "phys"] {
            assert_eq!(net_type(kind).unwrap().word(), kind);
        }
        assert!(net_type("Veth").is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(a: u32, bits in 0u8..=32, b: u128, bits6 in 0u8..=128) {
            let text = format!("{}/{bits}", Ipv4Addr::from(a));
            let v4 = ipv4_address(&text).unwrap();
            prop_assert_eq!(ipv4_address(&v4.to_string()), Ok(v4));
            let v6 = Ipv6Address { address: Ipv6Addr::from(b), prefix: bits6 };
            prop_assert_eq!(ipv6_address(&v6.to_string()), Ok(v6));
        }

        #[test]
        fn templates_too(text in "[0-9a-fxX][02468aceACE](:[0-9a-fxX]{2}){5}", random: [u8; 6]) {
            let template = mac_template(&text).unwrap();
            prop_assert_eq!(template.to_string(), text.to_lowercase());
            prop_assert_eq!(template.fill(random)[0] & 1, 0);
        }
    }
}
