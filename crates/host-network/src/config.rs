//! `/etc/berth/net.toml`.

use crate::Error;
use crate::six::SixAddress;
use crate::subnet::HostAddress;
use crate::sysctl;
use berth_common::position::{key_at, line_of, one_line};
use berth_common::{InterfaceName, path};
use serde::Deserialize;
use std::fs;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::Path;
use toml::Spanned;

/// The bridge's address unless the configuration says otherwise: a corner of 10/8 that routers
/// and other container programs do not start with.
const DEFAULT_ADDRESS: &str = "10.209.0.1/24";
const DEFAULT_MTU: u32 = 1500;

/// Which firewall carries the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirewallChoice {
    /// The one that the host uses, else the first that works.
    Auto,
    /// nftables.
    Nft,
    /// iptables.
    Iptables,
}

/// What is to be set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The bridge.
    pub bridge: InterfaceName,
    /// Its address and network.
    pub address: HostAddress,
    /// Its IPv6 address and network; none if there is no IPv6.
    pub ipv6: Option<SixAddress>,
    /// Its MTU in bytes, 576 to 65535.
    pub mtu: u32,
    /// First and last address that containers are given; none if there is no DHCP.
    pub dhcp: Option<(Ipv4Addr, Ipv4Addr)>,
    /// Whether names are served on the bridge.
    pub dns: bool,
    /// The domain of the containers' names.
    pub domain: Option<String>,
    /// Whether containers reach what the host reaches, under the host's address.
    pub nat: bool,
    /// Whether containers of different users are kept apart.
    pub isolate_users: bool,
    /// Where the rules go.
    pub firewall: FirewallChoice,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    bridge: Option<Spanned<String>>,
    address: Option<Spanned<String>>,
    ipv6: Option<Spanned<String>>,
    mtu: Option<Spanned<i64>>,
    #[serde(default = "yes")]
    dhcp: bool,
    dhcp_range: Option<Spanned<String>>,
    #[serde(default = "yes")]
    dns: bool,
    domain: Option<Spanned<String>>,
    #[serde(default = "yes")]
    nat: bool,
    #[serde(default = "yes")]
    isolate_users: bool,
    firewall: Option<Spanned<String>>,
}

fn yes() -> bool {
    true
}

impl Config {
    /// Reads a file. Without one everything has its default.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(source) => return Err(Error::file("read", path)(source)),
        };
        let config = Self::parse(&text, path)?;
        Ok(Self {
            ipv6: config.ipv6.filter(|_| host_has_ipv6()),
            ..config
        })
    }

    /// Parses the text of a file; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let wrong = |at: Option<usize>, why: String| Error::Config {
            path: path.to_owned(),
            line: at.map(|at| line_of(text, at)),
            why,
        };
        let file: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map(|span| span.start);
            let why = one_line(error.message()).replace("expected i64", "expected a number");
            wrong(at, at.map_or(String::new(), |at| key_at(text, at)) + &why)
        })?;
        let because = |spanned: &Spanned<String>, why: &str| {
            wrong(
                Some(spanned.span().start),
                format!("“{}”: {why}", spanned.get_ref()),
            )
        };

        let bridge = match &file.bridge {
            Some(name) => name
                .get_ref()
                .parse::<InterfaceName>()
                .map_err(|error| wrong(Some(name.span().start), error.to_string()))?,
            None => path::DEFAULT_BRIDGE
                .parse()
                .map_err(|error| wrong(None, format!("{error}")))?,
        };
        let address: HostAddress = match &file.address {
            Some(text) => text.get_ref().parse().map_err(|why| because(text, why))?,
            None => DEFAULT_ADDRESS
                .parse()
                .map_err(|why: &str| wrong(None, why.to_owned()))?,
        };
        let ipv6 = match &file.ipv6 {
            None => Some(own_network(&bridge)),
            Some(text) => match text.get_ref().as_str() {
                "auto" => Some(own_network(&bridge)),
                "off" => None,
                address => Some(
                    address
                        .parse()
                        .map_err(|why| because(text, &format!("{why} (or auto, or off)")))?,
                ),
            },
        };
        let mtu = match &file.mtu {
            Some(mtu) => u32::try_from(*mtu.get_ref())
                .ok()
                .filter(|mtu| (576..=65_535).contains(mtu))
                .ok_or_else(|| {
                    wrong(
                        Some(mtu.span().start),
                        "the MTU must be from 576 to 65535".to_owned(),
                    )
                })?,
            None => DEFAULT_MTU,
        };
        let dhcp = match (&file.dhcp_range, file.dhcp) {
            (Some(text), true) => {
                Some(range(text.get_ref(), address).map_err(|why| because(text, why))?)
            }
            (Some(text), false) => {
                return Err(because(text, "there is no range where dhcp is false"));
            }
            (None, true) => Some(default_range(address)),
            (None, false) => None,
        };
        let domain = match &file.domain {
            Some(text) if text.get_ref().is_empty() => None,
            Some(text) if is_domain(text.get_ref()) => Some(text.get_ref().clone()),
            Some(text) => return Err(because(text, "expected a domain name, like berth.internal")),
            None => None,
        };
        let firewall = match &file.firewall {
            None => FirewallChoice::Auto,
            Some(text) => match text.get_ref().as_str() {
                "auto" => FirewallChoice::Auto,
                "nft" => FirewallChoice::Nft,
                "iptables" => FirewallChoice::Iptables,
                _ => return Err(because(text, "expected auto, nft or iptables")),
            },
        };
        Ok(Self {
            bridge,
            address,
            ipv6,
            mtu,
            dhcp,
            dns: file.dns,
            domain,
            nat: file.nat,
            isolate_users: file.isolate_users,
            firewall,
        })
    }
}

/// Whether the kernel has IPv6 and the administrator has not switched it off for all interfaces.
fn host_has_ipv6() -> bool {
    let off = |key: &str| {
        let value = sysctl::read(&format!("net/ipv6/conf/{key}/disable_ipv6"));
        value.ok().flatten().is_none_or(|value| value != "0")
    };
    !off("all") && !off("default")
}

/// Where there is no identity, the name alone decides: still the same at each boot.
fn own_network(bridge: &InterfaceName) -> SixAddress {
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    SixAddress::unique_local(id.trim(), bridge.as_str())
}

fn range(text: &str, address: HostAddress) -> Result<(Ipv4Addr, Ipv4Addr), &'static str> {
    const FORM: &str = "expected two addresses, like 10.209.0.2-10.209.0.254";
    let (first, last) = text.split_once('-').ok_or(FORM)?;
    let first: Ipv4Addr = first.trim().parse().map_err(|_| FORM)?;
    let last: Ipv4Addr = last.trim().parse().map_err(|_| FORM)?;
    if first > last {
        return Err("the first address is behind the last");
    }
    if !address.subnet.has_host(first) || !address.subnet.has_host(last) {
        return Err("not in the bridge's network, or its first or last address");
    }
    if first == address.ip && last == address.ip {
        return Err("the bridge itself has the only address");
    }
    Ok((first, last))
}

/// The longer stretch of the network beside the bridge's own address.
fn default_range(address: HostAddress) -> (Ipv4Addr, Ipv4Addr) {
    let own = address.ip.to_bits();
    let first = address.subnet.network().to_bits() + 1;
    let last = address.subnet.last().to_bits() - 1;
    let (from, to) = if last - own >= own - first {
        (own + 1, last)
    } else {
        (first, own - 1)
    };
    (from.into(), to.into())
}

/// Labels of letters, digits and inner hyphens (RFC 1123).
fn is_domain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("/etc/berth/net.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_is_the_default() {
        let config = parse("").unwrap();
        assert_eq!(config.bridge.as_str(), "berthbr0");
        assert_eq!(config.address.to_string(), "10.209.0.1/24");
        let range = (
            "10.209.0.2".parse().unwrap(),
            "10.209.0.254".parse().unwrap(),
        );
        assert_eq!(config.dhcp, Some(range));
        assert!(config.dns && config.nat && config.domain.is_none());
    }

    #[test]
    fn the_shipped_file_says_what_the_defaults_are() {
        let shipped = include_str!("../../../packaging/etc/net.toml");
        assert_eq!(parse(shipped).unwrap(), parse("").unwrap());
        let uncommented: String = shipped
            .lines()
            .filter_map(|line| line.strip_prefix("#"))
            .filter(|line| line.contains(" = "))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(
            uncommented.lines().count(),
            11,
            "every key is shown:\n{uncommented}"
        );
        assert_eq!(parse(&uncommented).unwrap(), parse("").unwrap());
    }

    #[test]
    fn everything_can_be_said() {
        let config = parse(
            "bridge = \"br-c\"\naddress = \"192.168.77.254/24\"\nmtu = 1400\n\
             dhcp-range = \"192.168.77.10 - 192.168.77.20\"\ndns = false\ndomain = \"lab.example\"\n\
             nat = false\nfirewall = \"iptables\"\n",
        )
        .unwrap();
        assert_eq!(config.bridge.as_str(), "br-c");
        assert_eq!((config.mtu, config.dns, config.nat), (1400, false, false));
        assert_eq!(config.dhcp.unwrap().1.to_string(), "192.168.77.20");
        assert_eq!(config.domain.as_deref(), Some("lab.example"));
        assert_eq!(config.firewall, FirewallChoice::Iptables);
        assert_eq!(parse("dhcp = false").unwrap().dhcp, None);
        let high = parse("address = \"10.9.9.254/24\"").unwrap().dhcp.unwrap();
        assert_eq!(
            (high.0.to_string(), high.1.to_string()),
            ("10.9.9.1".into(), "10.9.9.253".into())
        );
    }

    #[test]
    fn errors_name_file_line_and_key() {
        for (text, line, word) in [
            ("nat = true\nadress = \"x\"\n", 2, "adress"),
            ("\n\nmtu = 10\n", 3, "576"),
            (
                "mtu = \"big\"\n",
                1,
                "mtu: invalid type: string \"big\", expected a number",
            ),
            (
                "dns = 1\n",
                1,
                "dns: invalid type: integer `1`, expected a boolean",
            ),
            ("address = \"10.0.0.0/24\"\n", 1, "10.0.0.0/24"),
            ("bridge = \"a/b\"\n", 1, "a/b"),
            ("bridge = \"\"\n", 1, "empty"),
            (
                "dns = true\ndhcp-range = \"10.209.0.9\"\n",
                2,
                "two addresses",
            ),
            ("dhcp-range = \"10.209.1.2-10.209.1.9\"\n", 1, "network"),
            ("dhcp-range = \"10.209.0.9-10.209.0.2\"\n", 1, "behind"),
            ("dhcp-range = \"10.209.0.1-10.209.0.1\"\n", 1, "itself"),
            (
                "dhcp = false\ndhcp-range = \"10.209.0.2-10.209.0.9\"\n",
                2,
                "dhcp is false",
            ),
            ("domain = \"-x\"\n", 1, "domain"),
            ("domain = \"a,b\"\n", 1, "domain"),
            ("firewall = \"pf\"\n", 1, "nft"),
            ("nat = true\nnat = true\n", 2, "nat"),
            ("nat\n", 1, ""),
            ("[section]\n", 1, "section"),
        ] {
            let error = parse(text).unwrap_err();
            let start = format!("/etc/berth/net.toml:{line}: ");
            assert!(
                error.starts_with(&start) && error.contains(word),
                "{text:?}: {error}"
            );
            assert!(!error.contains('\n'), "{error:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn ranges_lie_in_the_network(bits: u32, prefix in 8u8..=30) {
            let text = format!("address = \"{}/{prefix}\"", Ipv4Addr::from_bits(bits));
            if let Ok(config) = parse(&text) {
                let (first, last) = config.dhcp.unwrap();
                let subnet = config.address.subnet;
                prop_assert!(first <= last && subnet.has_host(first) && subnet.has_host(last));
                prop_assert!(config.address.ip < first || config.address.ip > last);
            }
        }
    }
}
