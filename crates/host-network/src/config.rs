//! `/etc/berth/net.toml`.

use crate::Error;
use crate::lxc_net::LxcNet;
use crate::six::{SixAddress, SixSubnet};
use crate::subnet::{HostAddress, Subnet};
use crate::sysctl;
use berth_common::position::{key_at, line_of, one_line};
use berth_common::{InterfaceName, path};
use berth_netlink::Mac;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// The first address and the last.
pub type Range = (Ipv4Addr, Ipv4Addr);

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

/// The file that is always there, if only with defaults.
const MAIN: &str = path::NET_CONF;
/// Beside it: a file for each further bridge.
const MORE: &str = path::NET_CONF_DIR;
/// The longest name of such a file, so that tables and comments can bear it.
const LONGEST: usize = 32;

/// What is to be set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which of the networks: empty for that of net.toml, the name of its file for another.
    pub name: String,
    /// The file that says so.
    pub file: PathBuf,
    /// The bridge.
    pub bridge: InterfaceName,
    /// Its address and network.
    pub address: HostAddress,
    /// Its IPv6 address and network; none if there is no IPv6.
    pub ipv6: Option<SixAddress>,
    /// Its MTU in bytes, 576 to 65535.
    pub mtu: u32,
    /// Its hardware address, if it is not to be the host's own choice.
    pub mac: Option<Mac>,
    /// First and last address that containers are given; none if there is no DHCP.
    pub dhcp: Option<Range>,
    /// How many addresses are given away at once; none: all of the range.
    pub dhcp_max: Option<u32>,
    /// Whether an address is looked for on the bridge before it is given away.
    pub dhcp_ping: bool,
    /// Which container always gets which address: host names as containers tell them.
    pub reservations: BTreeMap<String, Ipv4Addr>,
    /// A file with more settings for dnsmasq.
    pub dnsmasq_conf: Option<PathBuf>,
    /// Whether names are served on the bridge.
    pub dns: bool,
    /// The domain of the containers' names.
    pub domain: Option<String>,
    /// Whether containers reach what the host reaches, under the host's address.
    pub nat: bool,
    /// Whether they do under their own addresses, and are reached at them.
    pub routed: bool,
    /// Whether the bridge keeps virtual LANs apart.
    pub vlan_filtering: bool,
    /// Networks of Berth's other bridges: of IPv4, and of IPv6.
    pub others: (Vec<Subnet>, Vec<SixSubnet>),
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
    dhcp_max: Option<Spanned<i64>>,
    dhcp_ping: Option<bool>,
    #[serde(default)]
    reservations: BTreeMap<Spanned<String>, Spanned<String>>,
    dnsmasq_conf: Option<Spanned<String>>,
    #[serde(default = "yes")]
    dns: bool,
    domain: Option<Spanned<String>>,
    nat: Option<bool>,
    routed: Option<Spanned<bool>>,
    #[serde(default)]
    vlan_filtering: bool,
    #[serde(default = "yes")]
    isolate_users: bool,
    firewall: Option<Spanned<String>>,
}

fn yes() -> bool {
    true
}

impl Config {
    /// Reads what is to be set up: net.toml, and each file in net.d. A file that is wrong keeps no other
    /// network from being set up.
    pub fn read_all() -> Result<(Vec<Self>, Vec<Error>), Error> {
        let lxc = LxcNet::read()?;
        let mut all = vec![Self::read(Path::new(MAIN), String::new(), &lxc)?];
        let mut errors = Vec::new();
        for (name, file) in more_files()? {
            match Self::read(&file, name, &LxcNet::default()) {
                Ok(config) => match all.iter().find(|other| other.bridge == config.bridge) {
                    None => all.push(config),
                    Some(other) => errors.push(Error::Config {
                        line: None,
                        why: format!(
                            "the bridge {} is that of {} already: name another one",
                            config.bridge,
                            other.file.display()
                        ),
                        path: config.file,
                    }),
                },
                Err(error) => errors.push(error),
            }
        }
        let networks: Vec<_> = all
            .iter()
            .map(|config| (config.address.subnet, config.ipv6.map(SixAddress::subnet)))
            .collect();
        for (at, config) in all.iter_mut().enumerate() {
            for (other, (four, six)) in networks.iter().enumerate() {
                if other != at {
                    config.others.0.push(*four);
                    config.others.1.extend(*six);
                }
            }
        }
        Ok((all, errors))
    }

    /// Reads a file. Without one everything has its default.
    fn read(path: &Path, name: String, lxc: &LxcNet) -> Result<Self, Error> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(source) => return Err(Error::file("read", path)(source)),
        };
        let config = Self::with(&text, path, lxc)?;
        if !name.is_empty() && config.bridge.as_str() == path::DEFAULT_BRIDGE {
            return Err(Error::Config {
                path: path.to_owned(),
                line: None,
                why: format!("expected a bridge of its own, as in: bridge = \"br-{name}\""),
            });
        }
        Ok(Self {
            ipv6: config.ipv6.filter(|_| host_has_ipv6()),
            name,
            ..config
        })
    }

    /// Whether the host passes on what containers send.
    pub fn forwards(&self) -> bool {
        self.nat || self.routed
    }

    /// Parses the text of a file; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        Self::with(text, path, &LxcNet::default())
    }

    /// The same, with what counts where the text says nothing.
    fn with(text: &str, path: &Path, lxc: &LxcNet) -> Result<Self, Error> {
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
            None => match &lxc.bridge {
                Some(bridge) => bridge.clone(),
                None => path::DEFAULT_BRIDGE
                    .parse()
                    .map_err(|error| wrong(None, format!("{error}")))?,
            },
        };
        let address: HostAddress = match &file.address {
            Some(text) => text.get_ref().parse().map_err(|why| because(text, why))?,
            None => match lxc.address {
                Some(address) => address,
                None => DEFAULT_ADDRESS
                    .parse()
                    .map_err(|why: &str| wrong(None, why.to_owned()))?,
            },
        };
        let ipv6 = match &file.ipv6 {
            None => lxc.ipv6.unwrap_or_else(|| Some(own_network(&bridge))),
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
                let found = range(text.get_ref(), '-', address);
                Some(found.map_err(|why| because(text, &why))?)
            }
            (Some(text), false) => {
                return Err(because(text, "there is no range where dhcp is false"));
            }
            // A range of LXC's is one of LXC's address.
            (None, true) => match lxc.dhcp_range.as_ref().filter(|_| file.address.is_none()) {
                Some(text) => Some(
                    range(&text.text, ',', address)
                        .map_err(|why| text.wrong("LXC_DHCP_RANGE", &why))?,
                ),
                None => Some(default_range(address)),
            },
            (None, false) => None,
        };
        let domain = match &file.domain {
            Some(text) if text.get_ref().is_empty() => None,
            Some(text) if is_domain(text.get_ref()) => Some(text.get_ref().clone()),
            Some(text) => return Err(because(text, "expected a domain name, like berth.internal")),
            None => match &lxc.domain {
                Some(domain) if is_domain(&domain.text) => Some(domain.text.clone()),
                Some(domain) => {
                    return Err(domain.wrong("LXC_DOMAIN", "expected a domain name, like lxc"));
                }
                None => None,
            },
        };
        let dhcp_max = match &file.dhcp_max {
            Some(max) => Some(
                u32::try_from(*max.get_ref())
                    .ok()
                    .filter(|max| *max > 0)
                    .ok_or_else(|| {
                        let at = Some(max.span().start);
                        wrong(at, "dhcp-max must be 1 or more".to_owned())
                    })?,
            ),
            None => lxc.dhcp_max,
        };
        let dnsmasq_conf = match &file.dnsmasq_conf {
            Some(text) if text.get_ref().starts_with('/') => Some(text.get_ref().into()),
            Some(text) => return Err(because(text, "expected an absolute path")),
            None => lxc.dnsmasq_conf.clone(),
        };
        let mut reservations = BTreeMap::<String, Ipv4Addr>::new();
        for (name, ip) in &file.reservations {
            if !is_domain(name.get_ref()) || name.get_ref().contains('.') {
                return Err(because(name, "expected a container's name"));
            }
            let found: Ipv4Addr = ip
                .get_ref()
                .parse()
                .map_err(|_| because(ip, "expected an IPv4 address"))?;
            if dhcp.is_none() {
                return Err(because(
                    ip,
                    "there is nothing to reserve where dhcp is false",
                ));
            }
            if !address.subnet.has_host(found) || found == address.ip {
                return Err(because(
                    ip,
                    "not an address of a container in the bridge's network",
                ));
            }
            if let Some((other, _)) = reservations.iter().find(|(_, other)| **other == found) {
                return Err(because(
                    ip,
                    &format!("that is reserved for {other} already"),
                ));
            }
            reservations.insert(name.get_ref().clone(), found);
        }
        let firewall = match &file.firewall {
            None => lxc.firewall.unwrap_or(FirewallChoice::Auto),
            Some(text) => match text.get_ref().as_str() {
                "auto" => FirewallChoice::Auto,
                "nft" => FirewallChoice::Nft,
                "iptables" => FirewallChoice::Iptables,
                _ => return Err(because(text, "expected auto, nft or iptables")),
            },
        };
        let routed = file.routed.as_ref().is_some_and(|routed| *routed.get_ref());
        let nat = file.nat.unwrap_or(!routed);
        if let (true, true, Some(routed)) = (nat, routed, &file.routed) {
            let why = "routed: containers go out under their own addresses or, with nat, under the \
                       host's, not both";
            return Err(wrong(Some(routed.span().start), why.to_owned()));
        }
        Ok(Self {
            name: String::new(),
            file: path.to_owned(),
            bridge,
            address,
            ipv6,
            mtu,
            mac: lxc.mac.filter(|_| file.bridge.is_none()),
            dhcp,
            dhcp_max,
            dhcp_ping: file.dhcp_ping.or(lxc.ping).unwrap_or(false),
            reservations,
            dnsmasq_conf,
            dns: file.dns,
            domain,
            nat,
            routed,
            vlan_filtering: file.vlan_filtering,
            others: (Vec::new(), Vec::new()),
            isolate_users: file.isolate_users,
            firewall,
        })
    }
}

/// Names and files, by name. Other files there are none of ours.
fn more_files() -> Result<Vec<(String, PathBuf)>, Error> {
    let entries = match fs::read_dir(MORE) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::file("list", MORE)(source)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::file("list", MORE))?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str());
        let is_toml = path
            .extension()
            .is_some_and(|extension| extension == "toml");
        if let (Some(name), true) = (name.filter(|name| is_name(name)), is_toml) {
            files.push((name.to_owned(), path));
        }
    }
    files.sort();
    Ok(files)
}

/// What tables and comments of firewalls take as part of theirs.
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-')
}

/// What marks everything of a network's: its tables, its rules, its processes.
pub fn mark(name: &str) -> String {
    match name {
        "" => "berth-net".to_owned(),
        name => format!("berth-net-{name}"),
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

fn range(text: &str, between: char, address: HostAddress) -> Result<Range, String> {
    let form = || format!("expected two addresses, like 10.209.0.2{between}10.209.0.254");
    let (first, last) = text.split_once(between).ok_or_else(form)?;
    let first: Ipv4Addr = first.trim().parse().map_err(|_| form())?;
    let last: Ipv4Addr = last.trim().parse().map_err(|_| form())?;
    if first > last {
        return Err("the first address is behind the last".to_owned());
    }
    if !address.subnet.has_host(first) || !address.subnet.has_host(last) {
        return Err("not in the bridge's network, or its first or last address".to_owned());
    }
    if first == address.ip && last == address.ip {
        return Err("the bridge itself has the only address".to_owned());
    }
    Ok((first, last))
}

/// The longer stretch of the network beside the bridge's own address.
fn default_range(address: HostAddress) -> Range {
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
    use crate::lxc_net::OnLine;
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
            .take_while(|line| !line.contains("[reservations]"))
            .filter_map(|line| line.strip_prefix("#"))
            .filter(|line| line.contains(" = "))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(
            uncommented.lines().count(),
            16,
            "every key is shown:\n{uncommented}"
        );
        let said = Config {
            dhcp_max: Some(253),
            dnsmasq_conf: Some("/dev/null".into()),
            ..parse("").unwrap()
        };
        assert_eq!(parse(&uncommented).unwrap(), said);
        let all = shipped.replace("#[", "[").replace("#web", "web");
        assert_eq!(parse(&all).unwrap().reservations.len(), 1);
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
    fn what_lxc_was_told_counts_where_nothing_is_said() {
        let lxc = LxcNet {
            bridge: Some("lxcbr0".parse().unwrap()),
            address: Some("10.0.3.1/24".parse().unwrap()),
            dhcp_range: Some(OnLine {
                text: "10.0.3.5,10.0.3.9".to_owned(),
                line: 4,
            }),
            ping: Some(true),
            ipv6: Some(None),
            ..LxcNet::default()
        };
        let with = |text: &str| Config::with(text, Path::new("net.toml"), &lxc).unwrap();
        let config = with("");
        assert_eq!(config.bridge.as_str(), "lxcbr0");
        assert_eq!(config.address.to_string(), "10.0.3.1/24");
        assert_eq!(config.dhcp.unwrap().1.to_string(), "10.0.3.9");
        assert!(config.dhcp_ping && config.ipv6.is_none());
        let config = with("bridge = \"br1\"\naddress = \"10.9.0.1/24\"\nipv6 = \"auto\"\n");
        assert_eq!(config.bridge.as_str(), "br1");
        assert_eq!(config.dhcp.unwrap().1.to_string(), "10.9.0.254");
        assert!(config.ipv6.is_some());
    }

    #[test]
    fn what_lxc_was_told_wrongly_has_its_line_too() {
        let on = |text: &str| {
            Some(OnLine {
                text: text.to_owned(),
                line: 7,
            })
        };
        let said = |lxc: LxcNet| {
            let error = Config::with("", Path::new("net.toml"), &lxc).unwrap_err();
            error.to_string()
        };
        for (range, word) in [
            ("10.209.0.2", "like 10.209.0.2,10.209.0.254"),
            ("10.209.1.2,10.209.1.9", "network"),
            ("10.209.0.9,10.209.0.2", "behind"),
        ] {
            let dhcp_range = on(range);
            let error = said(LxcNet {
                dhcp_range,
                ..LxcNet::default()
            });
            let start = format!("/etc/default/lxc-net:7: LXC_DHCP_RANGE “{range}”: ");
            assert!(error.starts_with(&start) && error.contains(word), "{error}");
        }
        let error = said(LxcNet {
            domain: on("-x"),
            ..LxcNet::default()
        });
        let start = "/etc/default/lxc-net:7: LXC_DOMAIN “-x”: ";
        assert!(error.starts_with(start), "{error}");
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
            ("ipv6 = \"fd00::/64\"\n", 1, "auto, or off"),
            ("dhcp-max = 0\n", 1, "dhcp-max"),
            ("nat = true\nrouted = true\n", 2, "routed"),
            ("dnsmasq-conf = \"x\"\n", 1, "absolute"),
            (
                "[reservations]\nweb = \"10.0.0.1\"\n",
                2,
                "bridge's network",
            ),
            (
                "[reservations]\nweb = \"10.209.0.1\"\n",
                2,
                "bridge's network",
            ),
            ("[reservations]\nweb = \"x\"\n", 2, "IPv4"),
            (
                "[reservations]\n\"a.b\" = \"10.209.0.3\"\n",
                2,
                "container's name",
            ),
            (
                "[reservations]\na = \"10.209.0.3\"\nb = \"10.209.0.3\"\n",
                3,
                "reserved for a",
            ),
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
