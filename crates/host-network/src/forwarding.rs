//! Forwarding of IPv4 between interfaces, and putting it back.
//!
//! Writing `ip_forward` also rewrites every interface's `forwarding`, the default for new ones,
//! and `all/accept_redirects` (`inet_forward_change` in the kernel), so all of these are
//! remembered.

use crate::{Error, sysctl};
use serde::{Deserialize, Serialize};

const SWITCH: &str = "net/ipv4/ip_forward";
const REDIRECTS: &str = "net/ipv4/conf/all/accept_redirects";

/// What was there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    settings: Vec<(String, String)>,
}

/// Whether the host forwards.
pub fn is_on() -> Result<bool, Error> {
    Ok(sysctl::read(SWITCH)?.as_deref() == Some("1"))
}

/// What switching on is going to change.
pub fn remember() -> Result<Before, Error> {
    let mut settings = Vec::new();
    let keys = sysctl::interfaces("net/ipv4/conf")?
        .into_iter()
        // `all/forwarding` is another name of the switch itself.
        .filter(|name| name != "all")
        .map(|name| forwarding_of(&name));
    for key in keys.chain([REDIRECTS.to_owned()]) {
        if let Some(value) = sysctl::read(&key)? {
            settings.push((key, value));
        }
    }
    Ok(Before { settings })
}

fn forwarding_of(interface: &str) -> String {
    format!("net/ipv4/conf/{interface}/forwarding")
}

/// Lets the host forward.
pub fn switch_on() -> Result<(), Error> {
    if sysctl::write(SWITCH, "1")? {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "this kernel has no {SWITCH}: it cannot forward IPv4"
    )))
}

/// Puts back what was there, if the switch still stands where it was put.
pub fn put_back(before: &Before) -> Result<(), Error> {
    if !is_on()? {
        return Ok(());
    }
    sysctl::write(SWITCH, "0")?;
    let mut errors = Vec::new();
    for (key, value) in &before.settings {
        // An interface may have gone; that one needs nothing.
        match sysctl::read(key) {
            Ok(Some(now)) if now != *value => {
                errors.extend(sysctl::write(key, value).err());
            }
            Ok(_) => {}
            Err(error) => errors.push(error),
        }
    }
    Error::collect(errors)
}
