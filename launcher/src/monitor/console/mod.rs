//! The ends of a container's terminals that are its monitor's: what is printed there is always
//! read, so that no writer inside ever waits, and goes wherever somebody wants it.

mod followers;
mod front;
mod log_file;
mod peer;
mod ring;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use berth_kernel::sock;
use berth_session_protocol::Connection;

use super::journal;
use crate::error::{Error, Plain, Result};
use crate::start::plan::{ConsolePlan, LogPlan};
use followers::Followers;
pub use front::{Front, FrontSeat, Wish, pair as front_pair};
use log_file::LogFile;
use peer::{Peer, patient_pipe};
use ring::Ring;

/// So many bytes of a terminal's output are read at once; it is another's turn then.
const PIECE: usize = 4096;

/// The terminals of a container, over all its lives.
#[derive(Default)]
pub struct Terminals {
    /// The console first, if there is one, then /dev/tty1 and on.
    list: Vec<Terminal>,
    has_console: bool,
    log: Option<LogFile>,
    ring: Option<Ring>,
    peer: Option<Peer>,
    journal: Option<journal::Console>,
    /// Who waits in the foreground.
    front: Option<Front>,
    followers: Followers,
}

struct Terminal {
    master: OwnedFd,
    /// Only held: without anybody who has it open, the master would be ready, and have nothing to
    /// say, all the time.
    _slave: OwnedFd,
    viewer: Option<Viewer>,
}

/// Who looks at a terminal and types into it.
struct Viewer {
    /// It ends with this.
    client: Connection,
    output: OwnedFd,
}

/// What the monitor waits for.
#[derive(Clone, Copy)]
pub enum Source {
    /// A terminal printed something.
    Output(usize),
    /// Who looked at a terminal is gone.
    Viewer(usize),
    /// Something was typed at the console's peer.
    Peer,
    /// Who waits in the foreground said something, or is gone.
    Front,
    /// Who followed the console reads no more.
    Follower(usize),
}

/// What a viewer gets.
pub struct Seat<'a> {
    /// The number of the terminal, 0 for the console.
    pub number: u32,
    /// For what is typed, and the window size.
    pub master: BorrowedFd<'a>,
    /// The output.
    pub output: OwnedFd,
}

impl Terminals {
    /// Without any, for one who waits in the foreground.
    pub fn before(front: Option<Front>) -> Self {
        Self {
            front,
            ..Self::default()
        }
    }

    /// Who waits in the foreground, to be told of the end.
    pub fn take_front(&mut self) -> Option<Front> {
        self.front.take()
    }

    /// Opens what the console's output is to go to; it stays open over all lives.
    pub fn open(&mut self, plan: &ConsolePlan) -> Result<()> {
        let refused =
            |at: &str, error| Error::other(format!("{at}: cannot be used: {}", Plain(&error)));
        self.has_console = plan.exists;
        if let (None, Some(log)) = (&self.log, &plan.log_file) {
            let opened = LogFile::open(&log.path, log.limit, log.rotate);
            self.log = Some(opened.map_err(|error| refused(&log.at, error))?);
        }
        if let (None, Some(peer)) = (&self.peer, &plan.peer) {
            let opened = Peer::open(&peer.path);
            self.peer = Some(opened.map_err(|error| refused(&peer.at, error))?);
        }
        if self.ring.is_none() {
            self.ring = plan.buffer.map(Ring::new);
        }
        Ok(())
    }

    /// Has the console's output go to the journal, too, if there is one.
    pub fn tell_journal(&mut self, log: &LogPlan) {
        if self.journal.is_none() {
            self.journal = journal::Console::open(log);
        }
    }

    /// Takes master, slave, master, slave … of terminals.
    pub fn add(&mut self, ends: Vec<OwnedFd>) {
        let mut ends = ends.into_iter();
        while let (Some(master), Some(slave)) = (ends.next(), ends.next()) {
            // A reader that finds nothing must not wait: a viewer has the same open file.
            let _ = sock::set_nonblocking(master.as_fd(), true);
            self.list.push(Terminal {
                master,
                _slave: slave,
                viewer: None,
            });
        }
        let console = self.list.first().filter(|_| self.has_console);
        if let (Some(front), Some(console)) = (&self.front, console) {
            front.begin(console.master.as_fd());
        }
    }

    /// The container's life has ended. What it printed last is kept; viewers are told by the end
    /// of their connections.
    pub fn end_life(&mut self) {
        for index in 0..self.list.len() {
            // More than a terminal holds.
            for _ in 0..16 {
                if !self.pass_output(index) {
                    break;
                }
            }
        }
        if let Some(journal) = &mut self.journal {
            journal.end_line();
        }
        self.list.clear();
    }

    /// What to wait for.
    pub fn sources(&self) -> impl Iterator<Item = (Source, BorrowedFd<'_>)> {
        let outputs = self.list.iter().enumerate();
        let outputs = outputs.map(|(index, one)| (Source::Output(index), one.master.as_fd()));
        let viewers = self.list.iter().enumerate().filter_map(|(index, one)| {
            let client = one.viewer.as_ref()?.client.as_fd();
            Some((Source::Viewer(index), client))
        });
        let peer = self.peer.as_ref().filter(|_| !self.list.is_empty());
        let peer = peer.and_then(|peer| Some((Source::Peer, peer.typed()?)));
        let front = self
            .front
            .as_ref()
            .map(|front| (Source::Front, front.source()));
        let followers = self.followers.descriptors().enumerate();
        let followers = followers.map(|(index, fd)| (Source::Follower(index), fd));
        outputs
            .chain(viewers)
            .chain(peer)
            .chain(front)
            .chain(followers)
    }

    /// Deals with what happened; what who waits in the foreground wants of the container.
    pub fn serve(&mut self, source: Source) -> Option<Wish> {
        match source {
            Source::Output(index) => {
                self.pass_output(index);
            }
            // Nothing is said on this connection any more: it can only have ended.
            Source::Viewer(index) => {
                if let Some(terminal) = self.list.get_mut(index) {
                    terminal.viewer = None;
                }
            }
            Source::Follower(index) => self.followers.remove(index),
            Source::Peer => {
                let console = self.list.first().filter(|_| self.has_console);
                if let (Some(peer), Some(console)) = (&self.peer, console)
                    && !peer.pass_typed(console.master.as_fd())
                {
                    self.peer = None;
                }
            }
            Source::Front => match self.front.as_ref().map(Front::wish) {
                Some(Ok(wish)) => return wish,
                _ => self.front = None,
            },
        }
        None
    }

    /// Whether there was any output.
    fn pass_output(&mut self, index: usize) -> bool {
        let Some(terminal) = self.list.get(index) else {
            return false;
        };
        let mut buffer = [0; PIECE];
        let output = match nix::unistd::read(&terminal.master, &mut buffer) {
            Ok(count) if count > 0 => &buffer[..count],
            _ => return false,
        };
        if let Some(viewer) = &terminal.viewer {
            // Who does not look misses something, and holds up nobody.
            let _ = nix::unistd::write(&viewer.output, output);
        }
        if index == 0 && self.has_console {
            if let Some(ring) = &mut self.ring {
                ring.push(output);
            }
            if let Some(log) = &mut self.log {
                log.push(output);
            }
            if let Some(journal) = &mut self.journal {
                journal.push(output);
            }
            if let Some(peer) = &self.peer {
                peer.push(output);
            }
            if let Some(front) = &self.front {
                front.show(output);
            }
            self.followers.push(output);
        }
        true
    }

    /// Gives a client the terminal `wanted`, 0 for the console; `None`: the first `ttyN` that
    /// nobody looks at, or the console where there are none.
    pub fn seat(&mut self, wanted: Option<u32>, client: Connection) -> Seating<'_> {
        let ttys = self.list.len() - usize::from(self.has_console && !self.list.is_empty());
        let index = match self.choose(wanted, ttys) {
            Ok(index) => index,
            Err(why) => return Seating::Refused(client, why),
        };
        let (read, write) = match patient_pipe() {
            Ok(ends) => ends,
            Err(error) => {
                return Seating::Refused(client, format!("cannot make a pipe: {}", Plain(&error)));
            }
        };
        let number = index + usize::from(!self.has_console);
        let terminal = &mut self.list[index];
        let viewer = terminal.viewer.insert(Viewer {
            client,
            output: write,
        });
        let seat = Seat {
            number: u32::try_from(number).unwrap_or(u32::MAX),
            master: terminal.master.as_fd(),
            output: read,
        };
        Seating::Seated(seat, &viewer.client)
    }

    fn choose(&self, wanted: Option<u32>, ttys: usize) -> std::result::Result<usize, String> {
        let first = usize::from(self.has_console);
        let is_free = |index: &usize| {
            let terminal = self.list.get(*index);
            terminal.is_some_and(|terminal| terminal.viewer.is_none())
        };
        let index = match wanted {
            None if ttys == 0 => 0,
            None => {
                let mut indexes = first..self.list.len();
                return indexes.find(is_free).ok_or_else(|| {
                    "somebody is at each of the container's terminals (lxc.tty.max) already"
                        .to_owned()
                });
            }
            Some(0) => 0,
            Some(number) if number as usize <= ttys => first + number as usize - 1,
            Some(number) => {
                return Err(format!(
                    "the container has no terminal {number}; it has {ttys} (lxc.tty.max)"
                ));
            }
        };
        if self.list.is_empty() || (wanted.unwrap_or(0) == 0 && !self.has_console) {
            return Err("the container has no console (lxc.console.path = none)".to_owned());
        }
        match is_free(&index) {
            true => Ok(index),
            false => Err("somebody is at that terminal already".to_owned()),
        }
    }

    /// The console's last output as a file in memory; `None` if it is not kept.
    pub fn copy_of_ring(&self) -> std::io::Result<Option<OwnedFd>> {
        self.ring.as_ref().map(Ring::copy).transpose()
    }

    /// What the console printed last, if that is kept, and the end of a pipe with what it prints
    /// from now on.
    pub fn follow(&mut self) -> std::io::Result<Vec<OwnedFd>> {
        let kept = self.copy_of_ring()?;
        let stream = self.followers.add()?;
        Ok(kept.into_iter().chain([stream]).collect())
    }

    /// Forgets the console's last output, and begins a new log file.
    pub fn clear_log(&mut self) -> std::io::Result<()> {
        if let Some(ring) = &mut self.ring {
            ring.clear();
        }
        self.log.as_mut().map_or(Ok(()), LogFile::begin_anew)
    }
}

/// What became of the wish for a terminal.
pub enum Seating<'a> {
    /// The seat, and the client, who is to be told.
    Seated(Seat<'a>, &'a Connection),
    /// The client comes back.
    Refused(Connection, String),
}
