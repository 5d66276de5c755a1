//! The forwarder's event loop.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use berth_container_config::berth_toml::Protocol;
use berth_kernel::rlimit::Limited;
use berth_kernel::sock;
use berth_session_protocol::{Connection, Frame};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::datagram;
use super::pipes::Pipes;
use super::target::Addresses;
use super::tcp::{self, Fate, Stream};
use super::udp::{Flows, MAX_FLOWS};
use super::{ADD, REMOVE};
use crate::ports::Listening;

/// More connections at once are refused.
const MAX_STREAMS: u64 = 1024;
/// What one takes: two sockets, and a pipe in each direction.
const PER_STREAM: u64 = 6;
/// Descriptors for everything else.
const OTHERS: u64 = 1152;
/// So many connections are taken before it is another's turn.
const ACCEPTED_AT_ONCE: usize = 32;
/// How often times are looked at while there is somebody.
const TICK: Duration = Duration::from_secs(2);
/// The longest datagram (udp(7)).
const DATAGRAM: usize = 65_535;

/// A socket that listens on the host.
pub(super) struct Gate {
    port: u16,
    socket: Socket,
}

enum Socket {
    Tcp(OwnedFd),
    Udp(UdpSocket),
}

impl Gate {
    pub(super) fn new(protocol: Protocol, port: u16, socket: OwnedFd) -> Self {
        let socket = match protocol {
            Protocol::Tcp => Socket::Tcp(socket),
            Protocol::Udp => Socket::Udp(socket.into()),
        };
        Self { port, socket }
    }

    /// One with a descriptor of its own.
    pub(super) fn of(listening: &Listening) -> std::io::Result<Self> {
        let socket = listening.as_fd().try_clone_to_owned()?;
        Ok(Self::new(
            listening.publish.protocol,
            listening.port,
            socket,
        ))
    }
}

impl AsFd for Gate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Udp(socket) => socket.as_fd(),
        }
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Control,
    Gate(u32),
    Stream(usize),
    Flow(usize),
}

impl Token {
    fn number(self) -> u64 {
        match self {
            Self::Control => 0,
            Self::Gate(number) => 1 << 32 | u64::from(number),
            Self::Stream(index) => 2 << 32 | index as u64,
            Self::Flow(index) => 3 << 32 | index as u64,
        }
    }

    fn of(number: u64) -> Self {
        let low = number as u32;
        match number >> 32 {
            0 => Self::Control,
            1 => Self::Gate(low),
            2 => Self::Stream(low as usize),
            _ => Self::Flow(low as usize),
        }
    }
}

/// Everything that the forwarder keeps.
pub(super) struct Server {
    epoll: Epoll,
    gates: HashMap<u32, Gate>,
    streams: Vec<Option<Stream>>,
    count: u64,
    most: u64,
    flows: Flows,
    pipes: Pipes,
    addresses: Addresses,
    buffer: Vec<u8>,
    /// What has more to do, although the kernel says no more about it.
    again: Vec<Token>,
}

const ONCE: EpollFlags = EpollFlags::EPOLLIN
    .union(EpollFlags::EPOLLOUT)
    .union(EpollFlags::EPOLLRDHUP)
    .union(EpollFlags::EPOLLET);

impl Server {
    pub(super) fn new(control: &Connection, gates: Vec<(u32, Gate)>) -> std::io::Result<Self> {
        control.set_nonblocking(true)?;
        let limit = Limited::by_name("nofile")
            .map_or(Ok((0, 0)), Limited::get)?
            .0;
        let mut server = Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            gates: HashMap::new(),
            streams: Vec::new(),
            count: 0,
            most: (limit.saturating_sub(OTHERS) / PER_STREAM).clamp(1, MAX_STREAMS),
            flows: Flows::default(),
            pipes: Pipes::default(),
            addresses: Addresses::new(),
            buffer: vec![0; DATAGRAM],
            again: Vec::new(),
        };
        server.watch(control.as_fd(), Token::Control, EpollFlags::EPOLLIN)?;
        for (number, gate) in gates {
            server.open(number, gate)?;
        }
        Ok(server)
    }

    fn watch(&self, fd: BorrowedFd<'_>, token: Token, what: EpollFlags) -> nix::Result<()> {
        self.epoll.add(fd, EpollEvent::new(what, token.number()))
    }

    fn open(&mut self, number: u32, gate: Gate) -> nix::Result<()> {
        self.watch(gate.as_fd(), Token::Gate(number), EpollFlags::EPOLLIN)?;
        self.gates.insert(number, gate);
        Ok(())
    }

    /// Works until the monitor ends; the exit code.
    pub(super) fn run(&mut self, control: &Connection) -> u8 {
        let mut events = vec![EpollEvent::empty(); 64];
        let mut tick = Instant::now();
        loop {
            let count = match self.epoll.wait(&mut events, self.patience()) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(_) => return 1,
            };
            let mut tokens = std::mem::take(&mut self.again);
            tokens.extend(events[..count].iter().map(|event| Token::of(event.data())));
            for token in tokens {
                match token {
                    Token::Control => {
                        if !self.obey(control) {
                            return 0;
                        }
                    }
                    Token::Gate(number) => self.serve_gate(number),
                    Token::Stream(index) => self.serve_stream(index),
                    Token::Flow(index) => self.serve_flow(index),
                }
            }
            if tick.elapsed() >= TICK {
                tick = Instant::now();
                self.look_at_times(tick);
            }
        }
    }

    fn patience(&self) -> EpollTimeout {
        if !self.again.is_empty() {
            return EpollTimeout::ZERO;
        }
        match self.count == 0 && self.flows.is_empty() {
            true => EpollTimeout::NONE,
            false => EpollTimeout::try_from(TICK).unwrap_or(EpollTimeout::NONE),
        }
    }

    /// Does what the monitor says; `false` when it says nothing any more.
    fn obey(&mut self, control: &Connection) -> bool {
        loop {
            match control.recv() {
                Ok(Some((frame, fds))) => {
                    // The monitor's words are understood; what is not does no harm.
                    let _ = self.change(&frame, fds);
                }
                Err(error) if error.is_would_block() => return true,
                Ok(None) | Err(_) => return false,
            }
        }
    }

    fn change(&mut self, frame: &Frame, fds: Vec<OwnedFd>) -> Option<()> {
        let field = |index: usize| frame.fields.get(index).map(Vec::as_slice);
        let number = u32::from_le_bytes(field(0)?.try_into().ok()?);
        match frame.kind {
            ADD => {
                let port = u16::from_le_bytes(field(1)?.try_into().ok()?);
                let protocol = std::str::from_utf8(field(2)?).ok()?.parse().ok()?;
                let gate = Gate::new(protocol, port, fds.into_iter().next()?);
                self.open(number, gate).ok()
            }
            REMOVE => {
                self.close(number);
                Some(())
            }
            _ => None,
        }
    }

    fn close(&mut self, number: u32) {
        self.gates.remove(&number);
        self.flows.remove_where(|flow| flow.listener == number);
        for index in 0..self.streams.len() {
            if let Some(stream) = &self.streams[index]
                && stream.listener == number
            {
                stream.reset();
                self.end_stream(index);
            }
        }
    }

    fn serve_gate(&mut self, number: u32) {
        let Some(gate) = self.gates.get(&number) else {
            return;
        };
        let port = gate.port;
        match &gate.socket {
            Socket::Tcp(_) => self.accept(number, port),
            Socket::Udp(socket) => {
                let listener = (number, port);
                let (buffer, addresses) = (&mut self.buffer, &mut self.addresses);
                let made = self
                    .flows
                    .take_from_clients(listener, socket, buffer, addresses);
                for index in made {
                    if let Some(socket) = self.flows.socket(index) {
                        let _ = self.watch(socket, Token::Flow(index), EpollFlags::EPOLLIN);
                    }
                }
            }
        }
    }

    fn accept(&mut self, number: u32, port: u16) {
        for _ in 0..ACCEPTED_AT_ONCE {
            let Some(Socket::Tcp(socket)) = self.gates.get(&number).map(|gate| &gate.socket) else {
                return;
            };
            let Ok(client) = sock::accept(socket.as_fd()) else {
                return;
            };
            if self.count >= self.most || sock::set_nonblocking(client.as_fd(), true).is_err() {
                tcp::reset(&client);
                continue;
            }
            self.begin_stream(number, port, client);
        }
    }

    fn begin_stream(&mut self, number: u32, port: u16, client: OwnedFd) {
        let stream = match Stream::begin(number, port, client, &mut self.addresses) {
            Ok(stream) => stream,
            Err(client) => return tcp::reset(&client),
        };
        let index = match self.streams.iter().position(Option::is_none) {
            Some(index) => index,
            None => {
                self.streams.push(None);
                self.streams.len() - 1
            }
        };
        let token = Token::Stream(index);
        let watched = self
            .watch(stream.client.as_fd(), token, ONCE)
            .and_then(|()| self.watch(stream.inside.as_fd(), token, ONCE));
        if watched.is_err() {
            return stream.reset();
        }
        self.streams[index] = Some(stream);
        self.count += 1;
    }

    fn serve_stream(&mut self, index: usize) {
        let Some(Some(stream)) = self.streams.get_mut(index) else {
            return;
        };
        match stream.advance(&mut self.pipes, &mut self.addresses) {
            Fate::Waits => {}
            Fate::More => self.again.push(Token::Stream(index)),
            Fate::Over => self.end_stream(index),
            Fate::Moved => {
                let event = EpollEvent::new(ONCE, Token::Stream(index).number());
                if self.epoll.add(&stream.inside, event).is_err() {
                    stream.reset();
                    self.end_stream(index);
                }
            }
        }
    }

    fn end_stream(&mut self, index: usize) {
        if self.streams[index].take().is_some() {
            self.count -= 1;
        }
    }

    fn serve_flow(&mut self, index: usize) {
        let gates = &self.gates;
        let host = |number: u32, datagram: &[u8], client, from| {
            if let Some(Socket::Udp(socket)) = gates.get(&number).map(|gate| &gate.socket) {
                datagram::answer(socket, datagram, client, from);
            }
        };
        self.flows.take_from_inside(index, &mut self.buffer, host);
    }

    fn look_at_times(&mut self, now: Instant) {
        self.flows.expire(now);
        for index in 0..self.streams.len() {
            if let Some(stream) = &self.streams[index]
                && stream.is_late(now)
            {
                stream.reset();
                self.end_stream(index);
            }
        }
    }
}

/// All that is kept fits the limit of descriptors.
const _: () = assert!(OTHERS as usize > MAX_FLOWS + 512 + 64);
