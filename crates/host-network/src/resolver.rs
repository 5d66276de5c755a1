//! The host's own name servers, for containers that get none from us.

use std::fs;
use std::net::Ipv4Addr;

/// What the host uses itself, and what systemd-resolved uses where the first is its stub.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// Name servers of the host that a container can reach: IPv4, not the host's loopback.
pub fn servers() -> Vec<Ipv4Addr> {
    FILES
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .map(|text| parse(&text))
        .find(|servers| !servers.is_empty())
        .unwrap_or_default()
}

fn parse(text: &str) -> Vec<Ipv4Addr> {
    text.lines()
        .filter_map(|line| line.strip_prefix("nameserver"))
        .filter_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .filter(|ip: &Ipv4Addr| !ip.is_loopback() && !ip.is_unspecified())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reachable_servers() {
        let text = "# x\nsearch a\nnameserver 127.0.0.53\nnameserver\nnameserver ::1\n\
                    nameserver 9.9.9.9 # y\n nameserver 1.1.1.1\nnameserver\t192.0.2.53\n";
        let shown: Vec<String> = parse(text).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["9.9.9.9", "192.0.2.53"]);
    }
}
