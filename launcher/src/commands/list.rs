//! `berth ls`: the containers and what they are doing.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use berth_common::ContainerName;
use serde::Serialize;

use super::load_config;
use crate::error::Result;
use crate::place::Place;
use crate::state::{Record, Runtime, State};

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// Its init as the host sees it.
    pub pid: Option<i32>,
    /// Its IPv4 addresses, without the loopback.
    pub ipv4: Vec<Ipv4Addr>,
    /// Its IPv6 addresses, without loopback and link-local.
    pub ipv6: Vec<Ipv6Addr>,
    /// Whether it starts at boot.
    pub autostart: bool,
    /// What is wrong with its configuration, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// All containers of a place, by name.
pub fn list(place: &Place) -> Result<Vec<Line>> {
    place
        .names()?
        .iter()
        .map(|name| line(place, name))
        .collect()
}

/// One container.
pub fn line(place: &Place, name: &ContainerName) -> Result<Line> {
    let (state, record) = Runtime::new(place.runtime_dir(name)).state()?;
    let (autostart, problem) = match load_config(place, name) {
        Ok((config, _)) => (config.starts_at_boot(), None),
        Err(error) => (false, Some(error.to_string())),
    };
    let pid = init_of(state, record.as_ref());
    Ok(Line {
        name: name.to_string(),
        state,
        pid,
        ipv4: pid.map(ipv4_of).unwrap_or_default(),
        ipv6: pid.map(ipv6_of).unwrap_or_default(),
        autostart,
        problem,
    })
}

/// Init's process number while it means init.
pub fn init_of(state: State, record: Option<&Record>) -> Option<i32> {
    matches!(state, State::Running | State::Stopping)
        .then(|| record.and_then(|record| record.init))
        .flatten()
}

/// The container's addresses from the kernel's own table of them: nothing has to be entered.
pub fn ipv4_of(init: i32) -> Vec<Ipv4Addr> {
    let table = std::fs::read_to_string(format!("/proc/{init}/net/fib_trie"));
    local_addresses(&table.unwrap_or_default())
}

/// In fib_trie an address stands on a line before the one that says `/32 host LOCAL`.
fn local_addresses(fib_trie: &str) -> Vec<Ipv4Addr> {
    let mut found = BTreeSet::new();
    let mut last = None;
    for line in fib_trie.lines() {
        let line = line.trim_start();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(last.filter(|address| !address.is_loopback()));
        }
    }
    found.into_iter().collect()
}

/// Global IPv6 addresses of a process's network namespace.
pub fn ipv6_of(init: i32) -> Vec<Ipv6Addr> {
    let table = std::fs::read_to_string(format!("/proc/{init}/net/if_inet6"));
    global_addresses(&table.unwrap_or_default())
}

/// Lines of if_inet6: address, index, prefix, scope (0: global), flags, interface.
fn global_addresses(if_inet6: &str) -> Vec<Ipv6Addr> {
    let mut found: Vec<Ipv6Addr> = if_inet6
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let address = u128::from_str_radix(fields.next()?, 16).ok()?;
            (fields.nth(2)? == "00").then(|| Ipv6Addr::from(address))
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_from_the_kernels_tables() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
                    Local:\n  +-- 0.0.0.0/0 2 0 2\n     +-- 10.209.0.0/24 2 0 2\n        |-- \
                    10.209.0.0\n           /24 link UNICAST\n        |-- 10.209.0.57\n           \
                    /32 host LOCAL\n        |-- 10.209.0.255\n           /32 link BROADCAST\n     \
                    |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(local_addresses(trie), [Ipv4Addr::new(10, 209, 0, 57)]);
        let six = "00000000000000000000000000000001 01 80 10 80       lo\n\
                   fe800000000000000216fffffe000001 02 40 20 80     eth0\n\
                   fd000000000000000000000000000005 02 40 00 80     eth0\n";
        assert_eq!(
            global_addresses(six),
            ["fd00::5".parse::<Ipv6Addr>().unwrap()]
        );
        assert!(local_addresses("garbage |-- \n/32 host LOCAL").is_empty());
    }
}
