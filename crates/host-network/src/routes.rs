//! Which networks the host reaches already.

use crate::{Error, Subnet};
use berth_netlink::Socket;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

const TABLE: &str = "/proc/net/route";
/// `RTF_REJECT` of linux/route.h: packets to there are thrown away.
const REJECT: u32 = 0x200;

/// A network that the host reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The network.
    pub subnet: Subnet,
    /// Through which interface.
    pub interface: String,
}

/// All networks that the host has routes to or addresses in, other than through `bridge`. The
/// default route does not count, nor does a route that only says that there is nothing.
pub fn taken(socket: &mut Socket, bridge: &str) -> Result<Vec<Taken>, Error> {
    let text = fs::read_to_string(TABLE).map_err(Error::file("read", Path::new(TABLE)))?;
    let mut all = parse(&text);
    let links = socket.links()?;
    for address in socket.addresses(None)? {
        let IpAddr::V4(ip) = address.ip else { continue };
        let Some(subnet) = Subnet::around(ip, address.prefix) else {
            continue;
        };
        let link = links.iter().find(|link| link.index == address.index);
        let interface = link.map_or_else(String::new, |link| link.name.clone());
        all.push(Taken { subnet, interface });
    }
    all.retain(|taken| taken.interface != bridge);
    Ok(all)
}

/// Columns: Iface Destination Gateway Flags RefCnt Use Metric Mask …; addresses are hexadecimal
/// numbers in the byte order of the machine.
fn parse(table: &str) -> Vec<Taken> {
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    let line = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let address = |column: &str| hex(column).map(|n| Ipv4Addr::from(n.to_ne_bytes()));
        let destination = address(columns.get(1)?)?;
        let flags = hex(columns.get(3)?)?;
        let mask = address(columns.get(7)?)?.to_bits();
        if mask == 0 || flags & REJECT != 0 {
            return None;
        }
        let subnet = Subnet::around(destination, u8::try_from(mask.leading_ones()).ok()?)?;
        Some(Taken {
            subnet,
            interface: (*columns.first()?).to_owned(),
        })
    };
    table.lines().skip(1).filter_map(line).collect()
}

/// Refuses `wanted` if the host reaches any of it in another way, and proposes another.
pub fn refuse_taken(wanted: Subnet, all: &[Taken], config: &Path) -> Result<(), Error> {
    let Some(clash) = all.iter().find(|taken| taken.subnet.overlaps(wanted)) else {
        return Ok(());
    };
    let subnets: Vec<Subnet> = all.iter().map(|taken| taken.subnet).collect();
    let advice = match Subnet::free(wanted.prefix(), &subnets) {
        Some(free) => {
            let first = Ipv4Addr::from_bits(free.network().to_bits() + 1);
            format!("address = \"{first}/{}\" is free: say so", free.prefix())
        }
        None => "no private network of that size is free: name a smaller one".to_owned(),
    };
    Err(Error::Refused(format!(
        "the containers' network {wanted} is taken: the host reaches {} through {}; {advice} in {}",
        clash.subnet,
        clash.interface,
        config.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    const TABLE: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
wg0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0
*\t000010AC\t00000000\t0201\t0\t0\t0\t0000F0FF\t0\t0\t0
";

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_table() {
        let shown: Vec<String> = parse(TABLE)
            .iter()
            .map(|t| format!("{} {}", t.subnet, t.interface))
            .collect();
        assert_eq!(shown, ["192.0.2.0/24 eth0", "10.0.0.0/8 wg0"]);
        for broken in [
            "",
            "x",
            "h\nwg0",
            "h\nwg0 z z z z z z z",
            "h\n\u{fffd} 1 1 1 1 1 1",
        ] {
            assert!(parse(broken).is_empty(), "{broken:?}");
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_clash_names_the_interface_and_a_free_network() {
        let wanted = Subnet::around("10.209.0.1".parse().unwrap(), 24).unwrap();
        let all = parse(TABLE);
        let error = refuse_taken(wanted, &all, Path::new("/etc/berth/net.toml")).unwrap_err();
        let text = error.to_string();
        for word in [
            "10.209.0.0/24",
            "10.0.0.0/8",
            "wg0",
            "172.16.0.1/24",
            "/etc/berth/net.toml",
        ] {
            assert!(text.contains(word), "{text}");
        }
        assert!(refuse_taken(wanted, &all[..1], Path::new("x")).is_ok());
    }
}
