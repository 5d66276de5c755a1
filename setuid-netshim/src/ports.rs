//! A bridge's ports as sysfs lists them: at 1,000 ports fifteen times faster than a dump.

use crate::ledger;
use berth_common::{InterfaceName, Uid};
use std::io;
use std::path::PathBuf;

/// The kernel's limit (`BR_MAX_PORTS`) is 1024 with number 0 unused.
const MAX_PORTS: usize = 1023;

fn sysfs(name: &str) -> PathBuf {
    PathBuf::from("/sys/class/net").join(name)
}

/// The index that sysfs gives an interface. sysfs shows the network namespace of whoever mounted
/// it, so it is asked before its word is taken for anything else.
pub fn index(name: &InterfaceName) -> io::Result<u32> {
    let text = std::fs::read_to_string(sysfs(name.as_str()).join("ifindex"))?;
    text.trim()
        .parse()
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

/// Names of the user's ports on a bridge, sorted. Anybody may ask.
pub fn of_user(bridge: &InterfaceName, uid: Uid) -> io::Result<Vec<String>> {
    let mut all = Vec::new();
    for port in std::fs::read_dir(sysfs(bridge.as_str()).join("brif"))? {
        if let Ok(name) = port?.file_name().into_string() {
            all.push(name);
        }
        if all.len() > MAX_PORTS {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
    }
    let mut own: Vec<String> = ledger::of_user(all.iter().map(String::as_str), uid)
        .into_iter()
        .map(Into::into)
        .collect();
    own.sort();
    Ok(own)
}

/// Whether an interface was set up. `None` if there is no such interface any more.
pub fn is_up(name: &str) -> Option<bool> {
    const IFF_UP: u32 = 1;
    let text = std::fs::read_to_string(sysfs(name).join("flags")).ok()?;
    let flags = u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()?;
    Some(flags & IFF_UP != 0)
}
