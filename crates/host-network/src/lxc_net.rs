//! What `/etc/default/lxc-net` says about LXC's bridge, for hosts that come from there.
//!
//! The file is a piece of shell that sets variables. Those that it sets to a plain value count where
//! `net.toml` says nothing, as long as LXC's own lxc-net has not set its bridge up.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use berth_common::InterfaceName;
use berth_netlink::Mac;

use crate::config::FirewallChoice;
use crate::error::Error;
use crate::six::SixAddress;
use crate::subnet::HostAddress;

const FILE: &str = "/etc/default/lxc-net";
/// LXC's own lxc-net has set up its bridge.
const IS_UP: &str = "/run/lxc/network_up";

/// A value that is looked at where more is known, and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnLine {
    /// The value.
    pub text: String,
    /// From 1.
    pub line: usize,
}

impl OnLine {
    /// What is wrong with it, as the value of this variable.
    pub fn wrong(&self, variable: &str, why: &str) -> Error {
        Error::Config {
            path: PathBuf::from(FILE),
            line: Some(self.line),
            why: format!("{variable} “{}”: {why}", self.text),
        }
    }
}

/// What the file sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LxcNet {
    /// `LXC_BRIDGE`
    pub bridge: Option<InterfaceName>,
    /// `LXC_BRIDGE_MAC`
    pub mac: Option<Mac>,
    /// `LXC_ADDR` with `LXC_NETMASK` or the prefix of `LXC_NETWORK`
    pub address: Option<HostAddress>,
    /// `LXC_DHCP_RANGE`, two addresses with a comma between; whether they fit the bridge's network is
    /// for who knows that.
    pub dhcp_range: Option<OnLine>,
    /// `LXC_DHCP_MAX`
    pub dhcp_max: Option<u32>,
    /// `LXC_DHCP_CONFILE`
    pub dnsmasq_conf: Option<PathBuf>,
    /// `LXC_DHCP_PING`
    pub ping: Option<bool>,
    /// `LXC_DOMAIN`
    pub domain: Option<OnLine>,
    /// `LXC_USE_NFT`
    pub firewall: Option<FirewallChoice>,
    /// `LXC_IPV6_ENABLE`, `LXC_IPV6_ADDR`; the inner one: none if there is to be no IPv6.
    pub ipv6: Option<Option<SixAddress>>,
}

impl LxcNet {
    /// Reads the file, if LXC does not act on it itself.
    pub fn read() -> Result<Self, Error> {
        let path = Path::new(FILE);
        if Path::new(IS_UP).exists() {
            return Ok(Self::default());
        }
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::file("read", path)(source)),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let variables = Variables::of(text, path);
        if variables.switch("USE_LXC_BRIDGE")? == Some(false) {
            return Ok(Self::default());
        }
        let own = "LXC_IPV6_ADDR";
        let ipv6 = match (variables.switch("LXC_IPV6_ENABLE")?, variables.get(own)) {
            (Some(false), _) => Some(None),
            (_, None) => None,
            (_, Some(address)) => {
                let parse = |text: &str| match text.parse::<Ipv6Addr>() {
                    Ok(ip) => format!("{ip}/64").parse().map_err(str::to_owned),
                    Err(_) => Err("expected an IPv6 address".to_owned()),
                };
                variables.parsed("LXC_IPV6_MASK", |text| match text {
                    "64" => Ok(()),
                    _ => Err("the prefix must be 64".to_owned()),
                })?;
                Some(Some(variables.value(own, &address, parse)?))
            }
        };
        Ok(Self {
            bridge: variables.parsed("LXC_BRIDGE", |text| {
                text.parse()
                    .map_err(|error: berth_common::NameError| error.to_string())
            })?,
            mac: variables.parsed("LXC_BRIDGE_MAC", |text| {
                let mac = text.parse::<Mac>().ok().filter(|mac| !mac.is_group());
                mac.ok_or_else(|| "expected an Ethernet address of one host".to_owned())
            })?,
            address: variables.address()?,
            dhcp_range: variables.on_line("LXC_DHCP_RANGE"),
            dhcp_max: variables.parsed("LXC_DHCP_MAX", |text| {
                let max = text.parse().ok().filter(|max| *max > 0);
                max.ok_or_else(|| "expected a number of leases".to_owned())
            })?,
            dnsmasq_conf: variables.parsed("LXC_DHCP_CONFILE", |text| {
                let path = PathBuf::from(text);
                match path.is_absolute() {
                    true => Ok(path),
                    false => Err("expected an absolute path".to_owned()),
                }
            })?,
            ping: variables.switch("LXC_DHCP_PING")?,
            domain: variables.on_line("LXC_DOMAIN"),
            firewall: variables.switch("LXC_USE_NFT")?.and_then(|nft| match nft {
                true => None,
                false => Some(FirewallChoice::Iptables),
            }),
            ipv6,
        })
    }
}

struct Variables<'a> {
    path: &'a Path,
    /// Name, value, line from 1; the last setting of each counts.
    all: Vec<(&'a str, String, usize)>,
}

impl<'a> Variables<'a> {
    fn of(text: &'a str, path: &'a Path) -> Self {
        let mut all = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let line = line.strip_prefix("export ").unwrap_or(line);
            let Some((name, rest)) = line.split_once('=') else {
                continue;
            };
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_name) {
                continue;
            }
            if let Some(value) = plain(rest) {
                all.push((name, value.to_owned(), number + 1));
            }
        }
        Self { path, all }
    }

    fn found(&self, name: &str) -> Option<&(&'a str, String, usize)> {
        self.all.iter().rev().find(|(other, ..)| *other == name)
    }

    /// An empty value is as good as none.
    fn get(&self, name: &str) -> Option<String> {
        let value = &self.found(name)?.1;
        (!value.is_empty()).then(|| value.clone())
    }

    fn value<T>(
        &self,
        name: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Error> {
        parse(text).map_err(|why| Error::Config {
            path: self.path.to_owned(),
            line: self.found(name).map(|(_, _, line)| *line),
            why: format!("{name} “{text}”: {why}"),
        })
    }

    fn parsed<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        let text = self.get(name);
        text.map(|text| self.value(name, &text, parse)).transpose()
    }

    fn on_line(&self, name: &str) -> Option<OnLine> {
        let text = self.get(name)?;
        let line = self.found(name)?.2;
        Some(OnLine { text, line })
    }

    /// lxc-net compares with `true` and nothing else.
    fn switch(&self, name: &str) -> Result<Option<bool>, Error> {
        self.parsed(name, |text| Ok(text == "true"))
    }

    fn address(&self) -> Result<Option<HostAddress>, Error> {
        let Some(ip) = self.get("LXC_ADDR") else {
            return Ok(None);
        };
        let mask = self.parsed("LXC_NETMASK", |text| {
            let mask = text.parse::<Ipv4Addr>().map(Ipv4Addr::to_bits);
            let contiguous = |mask: &u32| mask.leading_ones() == mask.count_ones();
            match mask.ok().filter(contiguous) {
                Some(mask) => Ok(mask.leading_ones()),
                None => Err("expected a netmask, like 255.255.255.0".to_owned()),
            }
        })?;
        let network = self.parsed("LXC_NETWORK", |text| {
            let prefix = text
                .split_once('/')
                .and_then(|(_, prefix)| prefix.parse().ok());
            prefix.ok_or_else(|| "expected a network, like 10.0.3.0/24".to_owned())
        })?;
        let prefix = mask.or(network).unwrap_or(24_u32);
        let parse = |_: &str| format!("{ip}/{prefix}").parse().map_err(str::to_owned);
        self.value("LXC_ADDR", &ip, parse).map(Some)
    }
}

/// The value behind an equals sign, if no shell is needed to know it.
fn plain(rest: &str) -> Option<&str> {
    let special = |c: char| "$`\\\"'&|;<>()*?[]{}~".contains(c);
    for quote in ['"', '\''] {
        if let Some(inner) = rest.strip_prefix(quote) {
            let (value, after) = inner.split_once(quote)?;
            let after = after.trim_start();
            let ends = after.is_empty() || after.starts_with('#');
            let is_plain = quote == '\'' || !value.contains(['$', '`', '\\']);
            return (ends && is_plain).then_some(value);
        }
    }
    let value = rest.split_whitespace().next().unwrap_or_default();
    let after = rest[value.len()..].trim_start();
    // A command behind it would have the variable to itself.
    let ends = after.is_empty() || after.starts_with('#');
    (ends && !value.contains(special) && !rest.starts_with(char::is_whitespace)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<LxcNet, String> {
        LxcNet::parse(text, Path::new(FILE)).map_err(|error| error.to_string())
    }

    #[test]
    fn plain_values_count() {
        let found = parse(
            "# LXC's\nUSE_LXC_BRIDGE=\"true\"\nLXC_BRIDGE='br-lxc' # mine\nexport LXC_ADDR=10.5.0.1\n\
             LXC_NETMASK=\"255.255.0.0\"\nLXC_NETWORK=\"10.5.0.0/16\"\nLXC_DHCP_RANGE=\"10.5.0.9,10.5.0.99\"\n\
             LXC_DHCP_MAX=\"7\"\nLXC_DHCP_CONFILE=/etc/lxc/dnsmasq.conf\nLXC_DHCP_PING=\"false\"\n\
             LXC_DOMAIN=\"lxc\"\nLXC_USE_NFT=false\nLXC_IPV6_ADDR=fd42::1\nLXC_IPV6_MASK=64\n\
             LXC_BRIDGE_MAC=00:16:3e:00:00:01\n[ -f /x ] && . /x\n",
        )
        .unwrap();
        assert_eq!(found.bridge.unwrap().as_str(), "br-lxc");
        assert_eq!(found.address.unwrap().to_string(), "10.5.0.1/16");
        assert_eq!(found.dhcp_range.unwrap().text, "10.5.0.9,10.5.0.99");
        assert_eq!((found.dhcp_max, found.ping), (Some(7), Some(false)));
        let domain = found.domain.unwrap();
        assert_eq!((&*domain.text, domain.line), ("lxc", 11));
        assert_eq!(found.firewall, Some(FirewallChoice::Iptables));
        assert_eq!(found.ipv6.unwrap().unwrap().to_string(), "fd42::1/64");
        assert_eq!(found.mac.unwrap().to_string(), "00:16:3e:00:00:01");
        assert_eq!(
            found.dnsmasq_conf.as_deref(),
            Some(Path::new("/etc/lxc/dnsmasq.conf"))
        );
    }

    #[test]
    fn what_takes_a_shell_and_what_is_switched_off_counts_for_nothing() {
        for text in [
            "",
            "USE_LXC_BRIDGE=\"true\"\n",
            "USE_LXC_BRIDGE=false\nLXC_BRIDGE=br9\n",
            "LXC_BRIDGE=$X\nLXC_ADDR=\"`x`\"\nLXC_DOMAIN=\n#LXC_DOMAIN=x\nLXC_BRIDGE=x command\n",
            "LXC_BRIDGE=\"unfinished\nLXC_BRIDGE= br9\n",
        ] {
            assert_eq!(parse(text).unwrap(), LxcNet::default(), "{text}");
        }
        assert_eq!(parse("LXC_IPV6_ENABLE=false").unwrap().ipv6, Some(None));
    }

    #[test]
    fn errors_name_file_line_and_variable() {
        for (text, line, word) in [
            ("LXC_BRIDGE=a/b\n", 1, "LXC_BRIDGE"),
            ("\nLXC_ADDR=10.5.0.0\n", 2, "LXC_ADDR"),
            ("LXC_ADDR=10.5.0.1\nLXC_NETMASK=255.0.255.0\n", 2, "netmask"),
            ("LXC_DHCP_MAX=0\n", 1, "LXC_DHCP_MAX"),
            ("LXC_DHCP_CONFILE=x\n", 1, "absolute"),
            ("LXC_IPV6_ADDR=fe80::1\n", 1, "LXC_IPV6_ADDR"),
            ("LXC_IPV6_ADDR=fd00::1\nLXC_IPV6_MASK=48\n", 2, "64"),
            ("LXC_BRIDGE_MAC=01:00:00:00:00:00\n", 1, "LXC_BRIDGE_MAC"),
        ] {
            let error = parse(text).unwrap_err();
            let start = format!("/etc/default/lxc-net:{line}: ");
            assert!(
                error.starts_with(&start) && error.contains(word),
                "{text}: {error}"
            );
        }
    }
}
