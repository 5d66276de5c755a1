//! The bridge and its address.

use crate::config::Config;
use crate::error::Error;
use crate::journal::{Act, Journal};
use crate::sysctl;
use berth_common::InterfaceName;
use berth_common::hash::fnv1a;
use berth_netlink::{Address, Bridge, Link, LinkChange, Mac, Socket};
use std::fs;
use std::net::IpAddr;

/// `EOPNOTSUPP`: the kernel does not know this kind of interface and found no module for it.
const NOT_SUPPORTED: i32 = 95;

/// The bridge of this name, if there is one. Another interface of that name is an error.
pub fn find(socket: &mut Socket, config: &Config) -> Result<Option<Link>, Error> {
    let name = &config.bridge;
    let link = socket.find_link(name)?;
    match link {
        Some(link) if link.kind.as_deref() != Some("bridge") => Err(Error::Refused(format!(
            "{name} is no bridge but another interface: name another bridge in {}",
            config.file.display()
        ))),
        link => Ok(link),
    }
}

/// The bridge exists, is set up as we want it, and is up. A bridge that somebody else made keeps
/// its settings.
pub fn ensure(
    socket: &mut Socket,
    config: &Config,
    journal: &mut Journal,
    done: &mut Vec<String>,
) -> Result<Link, Error> {
    let name = &config.bridge;
    let act = Act::Bridge {
        name: name.to_string(),
    };
    if find(socket, config)?.is_none() {
        journal.record(act.clone())?;
        let bridge = Bridge {
            name,
            mac: Some(config.mac.unwrap_or_else(|| mac_of(name))),
            // Only a change of the MTU makes it stay whatever ports come and go (the kernel's
            // BROPT_MTU_SET_BY_USER), so it is created with another one.
            mtu: Some(config.mtu - 1),
            vlan_filtering: config.vlan_filtering,
        };
        if let Err(error) = socket.create_bridge(&bridge) {
            journal.forget(&act)?;
            return Err(not_created(config, error));
        }
        done.push(format!("created the bridge {name}"));
    }
    let link = socket.link(name)?;
    if journal.state.acts.contains(&act) {
        harden(name, config.ipv6.is_some())?;
        if link.mtu != config.mtu {
            socket.change_link(link.index, &LinkChange::new().mtu(config.mtu))?;
        }
    }
    if !link.is_up() {
        socket.change_link(link.index, &LinkChange::new().up(true))?;
        done.push(format!("set {name} up"));
    }
    Ok(link)
}

/// What that means to whom has to do something about it.
fn not_created(config: &Config, error: berth_netlink::Error) -> Error {
    let name = &config.bridge;
    if error.errno() != Some(NOT_SUPPORTED) {
        return error.into();
    }
    Error::Refused(match config.vlan_filtering {
        true => format!(
            "cannot create the bridge {name}: this kernel has no bridges, or none that keep \
             virtual LANs apart (vlan-filtering = true in {})",
            config.file.display()
        ),
        false => format!(
            "cannot create the bridge {name}: this kernel has no bridges (modprobe bridge tells why)"
        ),
    })
}

/// Whoever is root in a container speaks to the host on this interface. No router advertisements
/// (one would give the host a default route), no redirects, no foreign source addresses; no looking
/// for doubles of the bridge's own addresses, which a container could claim to be.
fn harden(name: &InterfaceName, ipv6: bool) -> Result<(), Error> {
    for setting in ["accept_ra", "autoconf", "accept_redirects", "accept_dad"] {
        sysctl::write(&format!("net/ipv6/conf/{name}/{setting}"), "0")?;
    }
    let disabled = if ipv6 { "0" } else { "1" };
    sysctl::write(&format!("net/ipv6/conf/{name}/disable_ipv6"), disabled)?;
    for (setting, value) in [
        ("accept_redirects", "0"),
        ("send_redirects", "0"),
        ("rp_filter", "1"),
    ] {
        sysctl::write(&format!("net/ipv4/conf/{name}/{setting}"), value)?;
    }
    Ok(())
}

/// The same at each boot, another on each host and bridge: locally administered, of a machine's
/// identity (machine-id(5)) and the name.
fn mac_of(name: &InterfaceName) -> Mac {
    // Where there is no identity, the name alone decides: still the same at each boot.
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    mac_from(id.trim(), name.as_str())
}

fn mac_from(id: &str, name: &str) -> Mac {
    // Nothing here has to be secret, and the identity does not shine through 40 bits of it.
    let hash = fnv1a(id.bytes().chain([0]).chain(name.bytes()));
    let [a, b, c, d, e, f, g, h] = hash.to_be_bytes();
    Mac([0x02, a ^ f, b ^ g, c ^ h, d, e])
}

/// Whether the bridge has the address.
pub fn has_address(
    socket: &mut Socket,
    link: &Link,
    (ip, prefix): (IpAddr, u8),
) -> Result<bool, Error> {
    Ok(socket
        .addresses(Some(link.index))?
        .iter()
        .any(|found| found.ip == ip && found.prefix == prefix))
}

/// The addresses that the configuration asks for.
pub fn wanted_addresses(config: &Config) -> Vec<(IpAddr, u8)> {
    let four = (config.address.ip.into(), config.address.subnet.prefix());
    let six = config.ipv6.map(|six| (six.ip.into(), six.prefix()));
    [four].into_iter().chain(six).collect()
}

/// The bridge has its addresses.
pub fn ensure_addresses(
    socket: &mut Socket,
    config: &Config,
    link: &Link,
    journal: &mut Journal,
    done: &mut Vec<String>,
) -> Result<(), Error> {
    for (ip, prefix) in wanted_addresses(config) {
        if has_address(socket, link, (ip, prefix))? {
            continue;
        }
        journal.record(Act::Address {
            bridge: config.bridge.to_string(),
            address: format!("{ip}/{prefix}"),
        })?;
        let address = Address::new(ip, prefix)?.no_dad();
        match socket.add_address(link.index, &address) {
            Err(error) if !error.is_exists() => return Err(error.into()),
            _ => done.push(format!("gave {} the address {ip}/{prefix}", config.bridge)),
        }
    }
    Ok(())
}

/// Takes the address away, unless containers are attached: the names of their ports.
pub fn remove_address(
    socket: &mut Socket,
    bridge: &str,
    address: &str,
) -> Result<Vec<String>, Error> {
    let Some(link) = recorded(socket, bridge)? else {
        return Ok(Vec::new());
    };
    let ports: Vec<String> = socket
        .ports(link.index)?
        .into_iter()
        .filter(|port| port.kind.as_deref() == Some("veth"))
        .map(|port| port.name)
        .collect();
    if !ports.is_empty() {
        return Ok(ports);
    }
    let parsed = address
        .split_once('/')
        .and_then(|(ip, prefix)| Some((ip.parse().ok()?, prefix.parse().ok()?)));
    let Some((ip, prefix)) = parsed else {
        return Err(Error::Refused(format!("{address} is no address")));
    };
    if has_address(socket, &link, (ip, prefix))? {
        let address = Address::new(ip, prefix)?;
        socket.delete_address(link.index, &address)?;
    }
    Ok(Vec::new())
}

/// Deletes the bridge, unless it has ports: their names.
pub fn remove(socket: &mut Socket, name: &str) -> Result<Vec<String>, Error> {
    let Some(link) = recorded(socket, name)? else {
        return Ok(Vec::new());
    };
    let ports: Vec<String> = socket
        .ports(link.index)?
        .into_iter()
        .map(|port| port.name)
        .collect();
    if ports.is_empty() {
        socket.delete_link(link.index)?;
    }
    Ok(ports)
}

/// A bridge named by the state file.
fn recorded(socket: &mut Socket, name: &str) -> Result<Option<Link>, Error> {
    let name: InterfaceName = name
        .parse()
        .map_err(|error| Error::Refused(format!("{error}")))?;
    let link = socket.find_link(&name)?;
    Ok(link.filter(|link| link.kind.as_deref() == Some("bridge")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::Path;

    #[test]
    fn a_kernel_without_bridges_is_told_from_other_refusals() {
        let said = |errno: i32, text: &str| {
            let error = berth_netlink::Error::Kernel {
                operation: "create the bridge".to_owned(),
                source: io::Error::from_raw_os_error(errno),
                text: None,
            };
            not_created(&Config::parse(text, Path::new("net.toml")).unwrap(), error).to_string()
        };
        let plain = said(NOT_SUPPORTED, "");
        assert!(plain.contains("no bridges (modprobe bridge"), "{plain}");
        let lans = said(NOT_SUPPORTED, "vlan-filtering = true");
        assert!(lans.contains("vlan-filtering = true in net.toml"), "{lans}");
        let full = said(28, "");
        assert!(
            full.contains("No space left") && !full.contains("modprobe"),
            "{full}"
        );
    }

    #[test]
    fn addresses_are_a_single_hosts_and_differ() {
        let one = mac_from("a", "berthbr0");
        assert_eq!(one, mac_from("a", "berthbr0"));
        assert_ne!(one, mac_from("b", "berthbr0"));
        assert_ne!(one, mac_from("a", "berthbr1"));
        for i in 0..100 {
            let mac = mac_from(&i.to_string(), "x");
            assert!(!mac.is_group() && mac.0[0] & 2 == 2, "{mac}");
        }
    }
}
