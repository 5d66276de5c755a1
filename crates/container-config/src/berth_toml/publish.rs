//! Ports of a container on the host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The most ports of one container that are on the host: each takes descriptors of its forwarder.
pub const MAX_PORTS: usize = 256;

/// How a port is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Streams.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
}

impl Protocol {
    /// The word in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Protocol {
    type Err = PublishError;

    fn from_str(text: &str) -> Result<Self, PublishError> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            _ => Err(PublishError("tcp or udp")),
        }
    }
}

/// What would have been right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishError(pub &'static str);

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.0)
    }
}

impl std::error::Error for PublishError {}

/// One port, or several that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports {
    first: u16,
    last: u16,
}

const PORTS: PublishError =
    PublishError("a port from 1 to 65535, or several as 8080-8090 (at most 256)");

impl Ports {
    /// One.
    pub fn one(port: u16) -> Result<Self, PublishError> {
        match port {
            0 => Err(PORTS),
            port => Ok(Self {
                first: port,
                last: port,
            }),
        }
    }

    /// The first one.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// How many.
    pub const fn count(self) -> usize {
        (self.last - self.first) as usize + 1
    }

    /// Whether some port is in both.
    pub const fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }
}

impl FromStr for Ports {
    type Err = PublishError;

    fn from_str(text: &str) -> Result<Self, PublishError> {
        let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
            true => text
                .parse::<u16>()
                .ok()
                .filter(|port| *port > 0)
                .ok_or(PORTS),
            false => Err(PORTS),
        };
        let (first, last) = match text.split_once('-') {
            None => (number(text)?, number(text)?),
            Some((first, last)) => (number(first)?, number(last)?),
        };
        let ports = Self { first, last };
        match first <= last && usize::from(last - first) < MAX_PORTS {
            true => Ok(ports),
            false => Err(PORTS),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// Ports of the host that lead to as many of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Publish {
    /// The address of the host; `None`: each that it has, of both kinds.
    pub address: Option<IpAddr>,
    /// The host's ports.
    pub host: Ports,
    /// The container's.
    pub container: Ports,
    /// How they are spoken to.
    pub protocol: Protocol,
}

impl Publish {
    /// Address and ports of the host, as `8080`, `127.0.0.1:8080`, `[::1]:8080-8090`.
    pub fn parse_host(text: &str) -> Result<(Option<IpAddr>, Ports), PublishError> {
        const FORM: PublishError = PublishError(
            "a port of the host, with an address before it if it is to be one only: 8080, \
             127.0.0.1:8080, [::1]:8080",
        );
        if let Some(rest) = text.strip_prefix('[') {
            let (address, ports) = rest.split_once("]:").ok_or(FORM)?;
            let address: Ipv6Addr = address.parse().map_err(|_| FORM)?;
            return Ok((Some(address.into()), ports.parse()?));
        }
        match text.rsplit_once(':') {
            None => Ok((None, text.parse()?)),
            Some((address, ports)) => {
                let address: Ipv4Addr = address.parse().map_err(|_| FORM)?;
                Ok((Some(address.into()), ports.parse()?))
            }
        }
    }

    /// Puts both sides together.
    pub fn new(
        (address, host): (Option<IpAddr>, Ports),
        container: Ports,
        protocol: Protocol,
    ) -> Result<Self, PublishError> {
        match host.count() == container.count() {
            true => Ok(Self {
                address,
                host,
                container,
                protocol,
            }),
            false => Err(PublishError(
                "as many ports of the host as of the container",
            )),
        }
    }

    /// The host's side, as [`Publish::parse_host`] takes it.
    pub fn host_side(&self) -> String {
        match self.address {
            None => self.host.to_string(),
            Some(IpAddr::V4(address)) => format!("{address}:{}", self.host),
            Some(IpAddr::V6(address)) => format!("[{address}]:{}", self.host),
        }
    }

    /// Whether some port of the host is meant by both.
    pub fn collides(&self, other: &Self) -> bool {
        let same_address = match (self.address, other.address) {
            (None, _) | (_, None) => true,
            (Some(one), Some(other)) => {
                one.is_ipv4() == other.is_ipv4()
                    && (one == other || one.is_unspecified() || other.is_unspecified())
            }
        };
        same_address && self.protocol == other.protocol && self.host.overlaps(other.host)
    }

    /// Each port of the host with the container's that it leads to.
    pub fn pairs(&self) -> impl Iterator<Item = (u16, u16)> {
        self.host.iter().zip(self.container.iter())
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host_side(), self.container)?;
        match self.protocol {
            Protocol::Tcp => Ok(()),
            Protocol::Udp => f.write_str("/udp"),
        }
    }
}

/// `[ADDRESS:]HOST:CONTAINER[/PROTOCOL]`.
impl FromStr for Publish {
    type Err = PublishError;

    fn from_str(text: &str) -> Result<Self, PublishError> {
        let (text, protocol) = match text.split_once('/') {
            None => (text, Protocol::Tcp),
            Some((text, protocol)) => (text, protocol.parse()?),
        };
        let (host, container) = text.rsplit_once(':').ok_or(PublishError(
            "a port of the host and one of the container, as in 8080:80 or 127.0.0.1:8080:80",
        ))?;
        Self::new(Self::parse_host(host)?, container.parse()?, protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_sides_of_a_port() {
        for (text, again) in [
            ("8080:80", "8080:80"),
            ("8080:80/tcp", "8080:80"),
            ("53:53/udp", "53:53/udp"),
            ("127.0.0.1:8080:80", "127.0.0.1:8080:80"),
            ("[::1]:8080:80", "[::1]:8080:80"),
            ("[0::0]:8080-8090:80-90", "[::]:8080-8090:80-90"),
        ] {
            let publish: Publish = text.parse().unwrap();
            assert_eq!(publish.to_string(), again);
            assert_eq!(again.parse::<Publish>().unwrap(), publish);
        }
        for wrong in [
            "",
            "80",
            ":80",
            "80:",
            "0:80",
            "80:0",
            "65536:80",
            "+80:80",
            "8080:80/sctp",
            "::1:8080:80",
            "[::1]8080:80",
            "[::1:8080:80",
            "localhost:8080:80",
            "8080-8090:80",
            "8090-8080:90-80",
            "1-1000:1-1000",
            "1-:1-",
            "-1:1",
            "127.0.0.1:80",
        ] {
            assert!(wrong.parse::<Publish>().is_err(), "{wrong}");
        }
        let both: Publish = "8080-8082:80-82".parse().unwrap();
        let pairs: Vec<_> = both.pairs().collect();
        assert_eq!(pairs, [(8080, 80), (8081, 81), (8082, 82)]);
    }

    #[test]
    fn ports_that_two_want() {
        let collide = |one: &str, other: &str| {
            let (one, other): (Publish, Publish) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(one.collides(&other), other.collides(&one));
            one.collides(&other)
        };
        assert!(collide("80:80", "80:81"));
        assert!(collide("80:80", "127.0.0.1:80:80"));
        assert!(collide("0.0.0.0:80:80", "127.0.0.1:80:80"));
        assert!(collide("80-90:80-90", "85:1"));
        assert!(!collide("0.0.0.0:80:80", "[::]:80:80"));
        assert!(!collide("127.0.0.1:80:80", "127.0.0.2:80:80"));
        assert!(!collide("80:80", "80:80/udp"));
        assert!(!collide("80:80", "81:80"));
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(text in "[0-9\\[\\]:./a-z-]{0,30}") {
            if let Ok(publish) = text.parse::<Publish>() {
                prop_assert_eq!(publish.to_string().parse::<Publish>(), Ok(publish));
            }
        }
    }
}
