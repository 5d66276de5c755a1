//! Sockets that listen on the host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use berth_container_config::berth_toml::{Protocol, Publish};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind as bind_socket, listen,
    setsockopt, socket, sockopt,
};

/// So many connections wait to be taken.
const BACKLOG: i32 = 256;

/// A socket of the host, and the container's port that it leads to.
#[derive(Debug)]
pub struct Listening {
    /// Which line of the `berth.toml` it is of.
    pub publish: Publish,
    /// The container's port.
    pub port: u16,
    socket: OwnedFd,
}

/// A port that cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// The kernel's reason.
    pub errno: Errno,
}

impl Listening {
    /// The socket with another one's descriptor.
    pub fn new(publish: Publish, port: u16, socket: OwnedFd) -> Self {
        Self {
            publish,
            port,
            socket,
        }
    }
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Binds all ports of all of these, or none.
pub fn bind_all<'p>(
    list: impl IntoIterator<Item = &'p Publish>,
) -> Result<Vec<Listening>, BindError> {
    let mut sockets = Vec::new();
    for publish in list {
        sockets.extend(bind(publish)?);
    }
    Ok(sockets)
}

/// Binds all ports of one.
pub fn bind(publish: &Publish) -> Result<Vec<Listening>, BindError> {
    const ALL: [IpAddr; 2] = [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    ];
    let mut sockets = Vec::new();
    for (host, port) in publish.pairs() {
        let addresses = match &publish.address {
            Some(address) => std::slice::from_ref(address),
            None => &ALL,
        };
        for address in addresses {
            let address = SocketAddr::new(*address, host);
            match bind_one(address, publish.protocol) {
                Ok(socket) => sockets.push(Listening::new(*publish, port, socket)),
                // A host without IPv6, if that was not asked for by itself.
                Err(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL)
                    if publish.address.is_none() && address.is_ipv6() => {}
                Err(errno) => {
                    return Err(BindError {
                        address,
                        protocol: publish.protocol,
                        errno,
                    });
                }
            }
        }
    }
    Ok(sockets)
}

fn bind_one(address: SocketAddr, protocol: Protocol) -> nix::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let kind = match protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::Datagram,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, kind, flags, None)?;
    if address.is_ipv6() {
        // Each kind of address has a socket of its own.
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    if protocol == Protocol::Udp && address.ip().is_unspecified() {
        // Answers are to come from the address to which a client spoke.
        match address {
            SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
    }
    if protocol == Protocol::Tcp {
        // Connections of a former start that linger do not count.
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    }
    bind_socket(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    if protocol == Protocol::Tcp {
        listen(&socket, Backlog::new(BACKLOG)?)?;
    }
    Ok(socket)
}
