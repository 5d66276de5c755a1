//! Datagrams: a socket into the container for each client of a port.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::SockType;

use super::datagram::{self, Local};
use super::target::{self, Addresses};

/// More clients at once are not served.
pub(super) const MAX_FLOWS: usize = 512;
/// A client who is answered is known for so long after the last datagram.
const ANSWERED: Duration = Duration::from_secs(120);
/// One who is not.
const UNANSWERED: Duration = Duration::from_secs(15);
/// When there are too many clients, one who was silent for so long makes place.
const SILENT: Duration = Duration::from_secs(5);
/// So many datagrams are taken from a socket before it is another's turn.
const AT_ONCE: usize = 32;

/// A client of a port.
pub(super) struct Flow {
    pub(super) listener: u32,
    client: SocketAddr,
    /// The host's address to which he speaks.
    host: Option<Local>,
    inside: UdpSocket,
    last: Instant,
    answered: bool,
}

/// The clients of all ports.
#[derive(Default)]
pub(super) struct Flows {
    list: Vec<Option<Flow>>,
    by_client: HashMap<(u32, SocketAddr, Option<Local>), usize>,
}

impl Flows {
    pub(super) fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }

    pub(super) fn socket(&self, index: usize) -> Option<BorrowedFd<'_>> {
        let flow = self.list.get(index)?.as_ref()?;
        Some(flow.inside.as_fd())
    }

    /// Takes datagrams of clients; the places in the list of flows that are new.
    pub(super) fn take_from_clients(
        &mut self,
        listener: (u32, u16),
        socket: &UdpSocket,
        buffer: &mut [u8],
        addresses: &mut Addresses,
    ) -> Vec<usize> {
        let mut made = Vec::new();
        for _ in 0..AT_ONCE {
            let received = match datagram::receive(socket, buffer) {
                Ok(received) => received,
                // A former answer did not arrive; that is all it says.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(_) => return made,
            };
            let datagram = &buffer[..received.length];
            let parties = (listener.0, received.client, received.to);
            if let Some(index) = self.by_client.get(&parties).copied() {
                if self.pass_on(index, datagram) {
                    continue;
                }
                self.remove(index);
            }
            made.extend(self.begin(parties, listener.1, datagram, addresses));
        }
        made
    }

    fn pass_on(&mut self, index: usize, datagram: &[u8]) -> bool {
        let Some(Some(flow)) = self.list.get_mut(index) else {
            return false;
        };
        flow.last = Instant::now();
        is_taken(&flow.inside, datagram)
    }

    /// Makes a flow whose first datagram is this one.
    fn begin(
        &mut self,
        (listener, client, host): (u32, SocketAddr, Option<Local>),
        port: u16,
        datagram: &[u8],
        addresses: &mut Addresses,
    ) -> Option<usize> {
        if self.by_client.len() >= MAX_FLOWS {
            self.make_place()?;
        }
        let mut turn = 0;
        let inside = loop {
            let address = addresses.at(turn)?;
            turn += 1;
            let Ok((socket, _)) = target::begin(address, port, SockType::Datagram) else {
                continue;
            };
            let socket = UdpSocket::from(socket);
            if is_taken(&socket, datagram) {
                break socket;
            }
        };
        let flow = Flow {
            listener,
            client,
            host,
            inside,
            last: Instant::now(),
            answered: false,
        };
        let index = match self.list.iter().position(Option::is_none) {
            Some(index) => index,
            None => {
                self.list.push(None);
                self.list.len() - 1
            }
        };
        self.list[index] = Some(flow);
        self.by_client.insert((listener, client, host), index);
        Some(index)
    }

    /// Removes the one that was silent for the longest time, if that was long enough.
    fn make_place(&mut self) -> Option<()> {
        let flows = self.list.iter().enumerate();
        let flows = flows.filter_map(|(index, flow)| Some((flow.as_ref()?.last, index)));
        let (last, index) = flows.min()?;
        (last.elapsed() >= SILENT).then(|| self.remove(index))
    }

    /// Passes answers on to `host`: by which socket, what, to whom, and from which address.
    pub(super) fn take_from_inside(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        host: impl Fn(u32, &[u8], SocketAddr, Option<Local>),
    ) {
        let Some(Some(flow)) = self.list.get_mut(index) else {
            return;
        };
        for _ in 0..AT_ONCE {
            match flow.inside.recv(buffer) {
                Ok(length) => {
                    flow.last = Instant::now();
                    flow.answered = true;
                    host(flow.listener, &buffer[..length], flow.client, flow.host);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Nobody listens there any more.
                Err(_) => {
                    return self.remove(index);
                }
            }
        }
    }

    fn remove(&mut self, index: usize) {
        if let Some(flow) = self.list.get_mut(index).and_then(Option::take) {
            self.by_client
                .remove(&(flow.listener, flow.client, flow.host));
        }
    }

    /// Removes those whose time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        self.remove_where(|flow| {
            let limit = match flow.answered {
                true => ANSWERED,
                false => UNANSWERED,
            };
            now.saturating_duration_since(flow.last) >= limit
        });
    }

    pub(super) fn remove_where(&mut self, is_meant: impl Fn(&Flow) -> bool) {
        for index in 0..self.list.len() {
            if self.list[index].as_ref().is_some_and(&is_meant) {
                self.remove(index);
            }
        }
    }
}

/// Sends a datagram; `false` if nobody is there for it. A full queue loses it, as the network may.
fn is_taken(socket: &UdpSocket, datagram: &[u8]) -> bool {
    match socket.send(datagram) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
        Err(_) => return false,
    }
    // On the loopback the refusal is there before the call returns.
    matches!(socket.take_error(), Ok(None))
}
