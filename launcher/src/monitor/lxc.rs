//! LXC's command socket, as far as its tools need it to see a container that runs under Berth and to
//! stop it. While it is bound, LXC does not start the container a second time.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use super::run::is_trusted;
use crate::error::{Error, Result};
use crate::lxc::protocol::{self, Command, Response};
use crate::start::plan::StartPlan;
use crate::state::State;

/// More at once are turned away.
const MAX_TALKS: usize = 64;
/// The longest request that is listened to, in bytes.
const LONGEST: usize = protocol::REQUEST_LEN + 4 * protocol::STATES;

/// What the monitor says of the container.
#[derive(Clone, Copy)]
pub struct Facts {
    pub state: State,
    pub init: i32,
}

/// What the monitor waits for.
#[derive(Clone, Copy)]
pub enum Source {
    Listener,
    Talk(usize),
}

/// A connection whose request has not come yet.
struct Talk {
    peer: UnixStream,
    heard: Vec<u8>,
}

/// The socket and who talks there.
#[derive(Default)]
pub struct Desk {
    listener: Option<UnixListener>,
    talks: Vec<Talk>,
    /// To be told of the end.
    waiting: Vec<UnixStream>,
    /// For whom the end of the connection is the answer.
    held: Vec<UnixStream>,
}

impl Desk {
    /// Binds the socket. If somebody else listens there and is the owner or root, the container runs
    /// under LXC; anybody else only keeps LXC's tools from seeing it.
    pub fn open(plan: &StartPlan) -> Result<Self> {
        let name = protocol::socket_name(&plan.lxcpath, &plan.name);
        let Ok(address) = SocketAddr::from_abstract_name(name) else {
            return Ok(Self::default());
        };
        if let Ok(listener) = UnixListener::bind_addr(&address) {
            let listener = listener.set_nonblocking(true).is_ok().then_some(listener);
            return Ok(Self {
                listener,
                ..Self::default()
            });
        }
        let other = UnixStream::connect_addr(&address);
        match other.is_ok_and(|other| is_trusted(other.as_fd())) {
            true => Err(Error::UnderLxc(plan.name.clone())),
            false => Ok(Self::default()),
        }
    }

    pub fn sources(&self) -> impl Iterator<Item = (Source, BorrowedFd<'_>)> {
        let listener = self.listener.iter();
        let listener = listener.map(|listener| (Source::Listener, listener.as_fd()));
        let talks = self.talks.iter().enumerate();
        listener.chain(talks.map(|(index, talk)| (Source::Talk(index), talk.peer.as_fd())))
    }

    /// Deals with what happened, the highest index first; whether the container is to be killed.
    pub fn serve(&mut self, source: Source, facts: Facts) -> bool {
        match source {
            Source::Listener => {
                let accepted = self.listener.as_ref().map(UnixListener::accept);
                if let Some(Ok((peer, _))) = accepted
                    && self.talks.len() + self.waiting.len() + self.held.len() < MAX_TALKS
                    && is_trusted(peer.as_fd())
                    && peer.set_nonblocking(true).is_ok()
                {
                    let heard = Vec::new();
                    self.talks.push(Talk { peer, heard });
                }
                false
            }
            Source::Talk(index) => {
                let mut talk = self.talks.swap_remove(index);
                match talk.hear() {
                    Heard::More => self.talks.push(talk),
                    Heard::Gone => {}
                    Heard::All(number, data) => {
                        return self.answer(talk.peer, number, &data, facts);
                    }
                }
                false
            }
        }
    }

    fn answer(&mut self, mut peer: UnixStream, number: i32, data: &[u8], facts: Facts) -> bool {
        let (mut result, mut value) = (0, 0);
        let mut waits = false;
        match Command::of(number) {
            Some(Command::Stop) => {
                self.held.push(peer);
                return true;
            }
            Some(Command::GetState) => value = protocol::number_of(facts.state).into(),
            Some(Command::GetInitPid) => value = u64::try_from(facts.init).unwrap_or_default(),
            Some(Command::AddStateClient) => {
                let now = usize::from(protocol::number_of(facts.state));
                let wanted = data.get(now * 4..now * 4 + 4);
                waits = wanted.is_none_or(|flag| flag == [0; 4]);
                let answer = if waits { protocol::STATES } else { now };
                result = i32::try_from(answer).unwrap_or_default();
            }
            None => result = -nix::libc::ENOSYS,
        }
        let told = peer.write_all(&Response { result, value }.bytes());
        if waits && told.is_ok() {
            self.waiting.push(peer);
        }
        false
    }

    /// The container has ended.
    pub fn end(self, plan: &StartPlan) {
        // Whoever is told looks whether it could start anew.
        drop(self.listener);
        let message = protocol::state_message(&plan.name, State::Stopped);
        for mut peer in self.waiting {
            let _ = peer.write_all(&message);
        }
    }
}

enum Heard {
    More,
    All(i32, Vec<u8>),
    Gone,
}

impl Talk {
    fn hear(&mut self) -> Heard {
        let mut buffer = [0; LONGEST];
        let room = LONGEST - self.heard.len();
        match self.peer.read(&mut buffer[..room]) {
            Ok(count @ 1..) => self.heard.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Heard::More,
            Ok(0) | Err(_) => return Heard::Gone,
        }
        let Some((number, len)) = protocol::head_of(&self.heard) else {
            return Heard::More;
        };
        match self.heard.len().checked_sub(protocol::REQUEST_LEN + len) {
            Some(_) => Heard::All(number, self.heard.split_off(protocol::REQUEST_LEN)),
            // What is longer is nothing that is known here.
            None if protocol::REQUEST_LEN + len > LONGEST => Heard::All(-1, Vec::new()),
            None => Heard::More,
        }
    }
}
