//! Streams: a connection of somebody's on the host, and one into the container.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{SockType, getsockopt, setsockopt, sockopt};

use super::pipes::{Pipes, Progress, Way};
use super::target::{self, Addresses};

/// How long the container has to take a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// A connection of which one side has said its last word, and the other one nothing for so long,
/// is over.
const HALF_CLOSED: Duration = Duration::from_secs(300);

/// A connection.
pub(super) struct Stream {
    /// By which socket it came.
    pub(super) listener: u32,
    port: u16,
    pub(super) client: OwnedFd,
    pub(super) inside: OwnedFd,
    state: State,
    up: Way,
    down: Way,
    /// When anything moved last.
    last: Instant,
}

enum State {
    /// The address of this turn is being tried.
    Connecting {
        turn: usize,
        until: Instant,
    },
    Open,
}

/// What is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It waits for its sockets.
    Waits,
    /// It has more to carry at once.
    More,
    /// Its socket inside is a new one.
    Moved,
    /// It is over.
    Over,
}

impl Stream {
    /// Begins to connect; the client comes back if nothing inside can be reached.
    pub(super) fn begin(
        listener: u32,
        port: u16,
        client: OwnedFd,
        addresses: &mut Addresses,
    ) -> Result<Self, OwnedFd> {
        target::tune(&client);
        let Some((inside, state)) = try_from(0, port, addresses) else {
            return Err(client);
        };
        Ok(Self {
            listener,
            port,
            client,
            inside,
            state,
            up: Way::default(),
            down: Way::default(),
            last: Instant::now(),
        })
    }

    /// Deals with whatever happened.
    pub(super) fn advance(&mut self, pipes: &mut Pipes, addresses: &mut Addresses) -> Fate {
        if let State::Connecting { turn, .. } = self.state {
            match is_connected(&self.inside) {
                Some(true) => {
                    target::tune(&self.inside);
                    self.state = State::Open;
                }
                None => return Fate::Waits,
                Some(false) => {
                    let Some((inside, state)) = try_from(turn + 1, self.port, addresses) else {
                        self.reset();
                        return Fate::Over;
                    };
                    (self.inside, self.state) = (inside, state);
                    return Fate::Moved;
                }
            }
        }
        let ways = self
            .up
            .carry(&self.client, &self.inside, pipes)
            .and_then(|up| Ok((up, self.down.carry(&self.inside, &self.client, pipes)?)));
        match ways {
            Err(_) => {
                self.reset();
                Fate::Over
            }
            Ok(_) if self.up.is_over() && self.down.is_over() => Fate::Over,
            Ok((up, down)) => {
                let still = Progress::Waits { moved: false };
                if (up, down) != (still, still) {
                    self.last = Instant::now();
                }
                match up == Progress::More || down == Progress::More {
                    true => Fate::More,
                    false => Fate::Waits,
                }
            }
        }
    }

    /// Whether its time is over.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        match self.state {
            State::Connecting { until, .. } => now >= until,
            State::Open if self.up.is_over() || self.down.is_over() => {
                now.saturating_duration_since(self.last) >= HALF_CLOSED
            }
            State::Open => false,
        }
    }

    /// Both sides see that it did not end in order.
    pub(super) fn reset(&self) {
        for socket in [&self.client, &self.inside] {
            reset(socket);
        }
    }
}

/// Closing it is a reset from now on.
pub(super) fn reset(socket: &OwnedFd) {
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    let _ = setsockopt(socket, sockopt::Linger, &linger);
}

/// The first address from this turn on at which a connection can be begun.
fn try_from(first: usize, port: u16, addresses: &mut Addresses) -> Option<(OwnedFd, State)> {
    let mut turn = first;
    while let Some(address) = addresses.at(turn) {
        if let Ok((inside, _)) = target::begin(address, port, SockType::Stream) {
            let until = Instant::now() + CONNECT;
            return Some((inside, State::Connecting { turn, until }));
        }
        turn += 1;
    }
    None
}

/// Whether it is, or cannot be; `None` as long as that is open.
fn is_connected(socket: &OwnedFd) -> Option<bool> {
    match getsockopt(socket, sockopt::SocketError) {
        Ok(0) => {}
        _ => return Some(false),
    }
    let fd = std::os::fd::AsRawFd::as_raw_fd(socket);
    match nix::sys::socket::getpeername::<nix::sys::socket::SockaddrStorage>(fd) {
        Ok(_) => Some(true),
        Err(Errno::ENOTCONN) => None,
        Err(_) => Some(false),
    }
}
