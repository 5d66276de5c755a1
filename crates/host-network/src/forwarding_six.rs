//! Forwarding of IPv6 between interfaces, and putting it back.
//!
//! A host that forwards takes router advertisements on an interface no longer, unless `accept_ra` is
//! 2 there (ip-sysctl, “accept_ra”): without that it would lose its own way out. Writing the switch
//! also rewrites every interface's `forwarding`, so all of these are remembered.

use crate::{Error, sysctl};
use serde::{Deserialize, Serialize};

const SWITCH: &str = "net/ipv6/conf/all/forwarding";
const ALWAYS: &str = "2";

/// What was there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// Who took router advertisements as a host does.
    hosts: Vec<String>,
    forwarding: Vec<(String, String)>,
}

fn key(interface: &str, setting: &str) -> String {
    format!("net/ipv6/conf/{interface}/{setting}")
}

/// Whether the host forwards.
pub fn is_on() -> Result<bool, Error> {
    Ok(sysctl::read(SWITCH)?.as_deref() == Some("1"))
}

/// What switching on is going to change.
pub fn remember(bridge: &str) -> Result<Before, Error> {
    let mut before = Before {
        hosts: Vec::new(),
        forwarding: Vec::new(),
    };
    for name in sysctl::interfaces("net/ipv6/conf")? {
        // The bridge is ours, and `all` is the switch itself.
        if name == bridge || name == "all" {
            continue;
        }
        if sysctl::read(&key(&name, "accept_ra"))?.as_deref() == Some("1") {
            before.hosts.push(name.clone());
        }
        if let Some(value) = sysctl::read(&key(&name, "forwarding"))? {
            before.forwarding.push((name, value));
        }
    }
    Ok(before)
}

/// Lets the host forward, and go on listening to routers.
pub fn switch_on(before: &Before) -> Result<(), Error> {
    for name in &before.hosts {
        sysctl::write(&key(name, "accept_ra"), ALWAYS)?;
    }
    match sysctl::write(SWITCH, "1")? {
        true => Ok(()),
        false => Err(Error::Refused(format!("this kernel has no {SWITCH}"))),
    }
}

/// Puts back what was there, as far as it still stands where it was put.
pub fn put_back(before: &Before) -> Result<(), Error> {
    let mut errors = Vec::new();
    if is_on()? {
        sysctl::write(SWITCH, "0")?;
        for (name, value) in &before.forwarding {
            errors.extend(put(&key(name, "forwarding"), |now| now != value, value).err());
        }
    }
    for name in &before.hosts {
        errors.extend(put(&key(name, "accept_ra"), |now| now == ALWAYS, "1").err());
    }
    Error::collect(errors)
}

/// An interface may have gone; that one needs nothing.
fn put(key: &str, is_ours: impl Fn(&str) -> bool, value: &str) -> Result<(), Error> {
    match sysctl::read(key)? {
        Some(now) if is_ours(&now) => sysctl::write(key, value).map(drop),
        _ => Ok(()),
    }
}
