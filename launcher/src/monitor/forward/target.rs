//! Where in the container a connection goes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};

use crate::monitor::inside;

/// The container's addresses are asked for no more often than this.
const FRESH: Duration = Duration::from_secs(1);

/// The container's addresses in the order in which they are tried.
pub(super) struct Addresses {
    list: Vec<IpAddr>,
    asked: Option<Instant>,
}

impl Addresses {
    pub(super) fn new() -> Self {
        Self {
            list: vec![
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ],
            asked: None,
        }
    }

    /// The one to be tried at this turn, from 0.
    pub(super) fn at(&mut self, turn: usize) -> Option<IpAddr> {
        let is_fresh = self.asked.is_some_and(|asked| asked.elapsed() < FRESH);
        if turn >= 2 && !is_fresh {
            self.list = inside::addresses();
            self.asked = Some(Instant::now());
        }
        self.list.get(turn).copied()
    }
}

/// Begins a connection: the socket, and whether it is connected already.
pub(super) fn begin(address: IpAddr, port: u16, kind: SockType) -> nix::Result<(OwnedFd, bool)> {
    let family = match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, kind, flags, None)?;
    let address = SockaddrStorage::from(SocketAddr::new(address, port));
    match connect(socket.as_raw_fd(), &address) {
        Ok(()) => Ok((socket, true)),
        Err(Errno::EINPROGRESS) => Ok((socket, false)),
        Err(errno) => Err(errno),
    }
}

/// Has the kernel find out that the other side is gone, and send small pieces at once. What an
/// option cannot do costs nothing else.
pub(super) fn tune(socket: &OwnedFd) {
    let _ = setsockopt(socket, sockopt::TcpNoDelay, &true);
    let _ = setsockopt(socket, sockopt::KeepAlive, &true);
    let _ = setsockopt(socket, sockopt::TcpKeepIdle, &120);
    let _ = setsockopt(socket, sockopt::TcpKeepInterval, &30);
    let _ = setsockopt(socket, sockopt::TcpKeepCount, &4);
}
