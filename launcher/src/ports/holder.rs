//! Who has a port that cannot be had.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use berth_common::ContainerName;
use berth_container_config::berth_toml::{Protocol, Publish};
use nix::errno::Errno;

use super::BindError;
use crate::commands::load_settings;
use crate::place::Place;
use crate::printable::cell;
use crate::state::Runtime;

/// More processes are not looked at.
const MAX_PROCESSES: usize = 65_536;

/// The sentence about a port that container `name` cannot have.
pub fn explain(place: &Place, name: &ContainerName, error: &BindError) -> String {
    let BindError {
        address,
        protocol,
        errno,
    } = error;
    let port = format!("{protocol} port {} of the host", address.port());
    match errno {
        Errno::EACCES | Errno::EPERM => format!(
            "{port} cannot be had: ports below {} are root's (sysctl \
             net.ipv4.ip_unprivileged_port_start says so); choose a higher one",
            first_of_users()
        ),
        Errno::EADDRINUSE => format!(
            "{port} is in use by {}; choose another one",
            holder(place, name, error)
        ),
        Errno::EADDRNOTAVAIL => format!(
            "{port} cannot be had: the host has no address {}",
            address.ip()
        ),
        other => format!("{port} cannot be had: {}", other.desc()),
    }
}

fn first_of_users() -> u16 {
    let file = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let text = fs::read_to_string(file).unwrap_or_default();
    text.trim().parse().unwrap_or(1024)
}

fn holder(place: &Place, name: &ContainerName, error: &BindError) -> String {
    if let Some((other, publish)) = container(place, name, error) {
        return format!("container “{other}”, which publishes {publish}");
    }
    match process(error) {
        Some((pid, program)) => format!("process {pid} ({})", cell(&program)),
        None => "another user's program".to_owned(),
    }
}

/// A container of the same owner that runs and has it.
fn container(
    place: &Place,
    name: &ContainerName,
    error: &BindError,
) -> Option<(ContainerName, Publish)> {
    let others = place
        .names()
        .ok()?
        .into_iter()
        .filter(|other| other != name);
    for other in others {
        let Ok(settings) = load_settings(place, &other) else {
            continue;
        };
        let has_it = |publish: &&_| takes(publish, error);
        let list = settings
            .publish
            .iter()
            .map(|one| one.value)
            .collect::<Vec<_>>();
        let Some(publish) = list.iter().find(has_it) else {
            continue;
        };
        let state = Runtime::new(place.runtime_dir(&other)).state();
        if state.is_ok_and(|(state, _)| state.is_active()) {
            return Some((other, *publish));
        }
    }
    None
}

fn takes(publish: &Publish, error: &BindError) -> bool {
    let address = error.address.ip();
    publish.protocol == error.protocol
        && publish.host.iter().any(|port| port == error.address.port())
        && publish.address.is_none_or(|own| {
            own.is_ipv4() == address.is_ipv4()
                && (own == address || own.is_unspecified() || address.is_unspecified())
        })
}

/// A process whose descriptors may be looked at: its number and its program.
fn process(error: &BindError) -> Option<(i32, String)> {
    let inode = inode_of(error.address, error.protocol)?;
    let link = format!("socket:[{inode}]");
    for entry in fs::read_dir("/proc").ok()?.flatten().take(MAX_PROCESSES) {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let has_it = |fd: fs::DirEntry| {
            fs::read_link(fd.path()).is_ok_and(|target| target == Path::new(&link))
        };
        let Ok(mut fds) = fs::read_dir(entry.path().join("fd")) else {
            continue;
        };
        if fds.any(|fd| fd.is_ok_and(has_it)) {
            let program = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some((pid, program.trim().to_owned()));
        }
    }
    None
}

/// The socket at an address, by the kernel's table: local address, a state (0A listens, 07 is a
/// datagram socket) and the inode in the tenth field (proc(5), /proc/net/tcp).
fn inode_of(address: SocketAddr, protocol: Protocol) -> Option<u64> {
    let wanted_state = match protocol {
        Protocol::Tcp => "0A",
        Protocol::Udp => "07",
    };
    let port = format!(":{:04X}", address.port());
    // One of IPv6 may have taken the port of IPv4, too.
    ["", "6"].iter().find_map(|version| {
        let table = fs::read_to_string(format!("/proc/net/{protocol}{version}")).ok()?;
        table.lines().skip(1).find_map(|line| {
            let mut fields = line.split_whitespace();
            let local = fields.nth(1)?;
            let state = fields.nth(1)?;
            let inode = fields.nth(5)?;
            (local.ends_with(&port) && state == wanted_state)
                .then(|| inode.parse().ok())
                .flatten()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn a_socket_of_ones_own_is_found() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        for (address, protocol) in [
            (tcp.local_addr().unwrap(), Protocol::Tcp),
            (udp.local_addr().unwrap(), Protocol::Udp),
        ] {
            let found = process(&BindError {
                address,
                protocol,
                errno: Errno::EADDRINUSE,
            });
            assert_eq!(found.map(|(pid, _)| pid), Some(std::process::id() as i32));
        }
    }
}
