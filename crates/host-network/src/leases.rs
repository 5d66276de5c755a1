//! Which addresses containers have been given.

use std::fs;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::config::Config;
use crate::dnsmasq;
use crate::error::Error;

/// One address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lease {
    /// The name that the container told; empty if none.
    pub name: String,
    /// The address.
    pub address: Ipv4Addr,
    /// The hardware address of the container's interface.
    pub mac: String,
    /// Until when it is the container's, in seconds since 1970; 0: for ever.
    pub expires: u64,
    /// On which bridge.
    pub bridge: String,
}

impl Lease {
    /// How long it goes on being the container's; none: for ever.
    pub fn left(&self) -> Option<Duration> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        (self.expires != 0).then(|| Duration::from_secs(self.expires.saturating_sub(now)))
    }
}

/// The leases that have not run out, by address.
pub fn leases(config: &Config) -> Result<Vec<Lease>, Error> {
    let path = dnsmasq::lease_file(config);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::file("read", path)(source)),
    };
    let text = String::from_utf8_lossy(&text);
    let mut all: Vec<Lease> = text
        .lines()
        .filter_map(|line| parse(line, config.bridge.as_str()))
        .filter(|lease| lease.left().is_none_or(|left| !left.is_zero()))
        .collect();
    all.sort_by_key(|lease| lease.address);
    Ok(all)
}

/// A line of dnsmasq's: when it ends, hardware address, address, name or `*`, the client's id.
fn parse(line: &str, bridge: &str) -> Option<Lease> {
    let mut words = line.split(' ');
    let expires = words.next()?.parse().ok()?;
    let (mac, address, name) = (words.next()?, words.next()?, words.next()?);
    let printable = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    Some(Lease {
        name: name.chars().filter(|c| printable(*c)).collect(),
        address: address.parse().ok()?,
        mac: mac.to_owned(),
        expires,
        bridge: bridge.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_dnsmasqs() {
        let line = "1700003600 02:00:00:00:00:01 10.209.0.5 web 01:02:00:00:00:00:01";
        let lease = parse(line, "br").unwrap();
        assert_eq!((lease.name.as_str(), lease.expires), ("web", 1_700_003_600));
        assert_eq!(lease.left(), Some(Duration::ZERO));
        let unnamed = parse("0 02:00:00:00:00:01 10.209.0.5 * *", "br").unwrap();
        assert_eq!((unnamed.name.as_str(), unnamed.left()), ("", None));
        for other in ["", "duid 00:01", "x 02:: 10.0.0.1 a *", "1 m fd00::1 a *"] {
            assert_eq!(parse(other, "br"), None, "{other}");
        }
    }
}
