//! Pipes through which bytes go from socket to socket without passing through the process.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, SpliceFFlags, splice};
use nix::sys::socket::{Shutdown, shutdown};
use nix::unistd::pipe2;

/// So much goes through a pipe at once: its capacity (pipe(7)).
const CAPACITY: usize = 64 * 1024;
/// A way that always has something to carry lets the others go on after so many turns.
const TURNS: usize = 16;
/// So many empty pipes are kept.
const KEPT: usize = 32;

/// Empty pipes: a connection has one only while there are bytes on their way.
#[derive(Default)]
pub(super) struct Pipes(Vec<Pipe>);

struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipes {
    fn take(&mut self) -> nix::Result<Pipe> {
        if let Some(pipe) = self.0.pop() {
            return Ok(pipe);
        }
        let (read, write) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        Ok(Pipe { read, write })
    }

    fn give_back(&mut self, pipe: Pipe) {
        if self.0.len() < KEPT {
            self.0.push(pipe);
        }
    }
}

/// One direction of a connection.
#[derive(Default)]
pub(super) struct Way {
    pipe: Option<Pipe>,
    /// Bytes in the pipe.
    pending: usize,
    /// Whether the source has said its last word.
    ended: bool,
    /// Whether the target was told so.
    is_over: bool,
}

/// How far a turn came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Until one of the sockets has something new to say.
    Waits {
        /// Whether any byte moved.
        moved: bool,
    },
    /// There is more to carry at once.
    More,
}

impl Way {
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Carries what there is. An error is the connection's end.
    pub(super) fn carry(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        pipes: &mut Pipes,
    ) -> nix::Result<Progress> {
        let mut moved = false;
        for _ in 0..TURNS {
            if self.is_over {
                return Ok(Progress::Waits { moved });
            }
            if self.pending == 0 && !self.ended {
                match self.fill(from, pipes)? {
                    Some(count) => moved |= count > 0,
                    None => return Ok(Progress::Waits { moved }),
                }
            }
            if self.pending > 0 && !self.empty(to)? {
                return Ok(Progress::Waits { moved });
            }
            if self.pending > 0 {
                continue;
            }
            if let Some(pipe) = self.pipe.take() {
                pipes.give_back(pipe);
            }
            if self.ended {
                self.is_over = true;
                match shutdown(std::os::fd::AsRawFd::as_raw_fd(to), Shutdown::Write) {
                    // It is gone already.
                    Ok(()) | Err(Errno::ENOTCONN) => {}
                    Err(errno) => return Err(errno),
                }
            }
        }
        Ok(Progress::More)
    }

    /// Takes from the source; `None` if it has nothing to say yet.
    fn fill(&mut self, from: &OwnedFd, pipes: &mut Pipes) -> nix::Result<Option<usize>> {
        let pipe = match &self.pipe {
            Some(pipe) => pipe,
            None => self.pipe.insert(pipes.take()?),
        };
        match splice(from, None, &pipe.write, None, CAPACITY, FLAGS) {
            Ok(0) => {
                self.ended = true;
                Ok(Some(0))
            }
            Ok(count) => {
                self.pending = count;
                Ok(Some(count))
            }
            Err(Errno::EAGAIN) => {
                if let Some(pipe) = self.pipe.take() {
                    pipes.give_back(pipe);
                }
                Ok(None)
            }
            Err(Errno::EINTR) => Ok(Some(0)),
            Err(errno) => Err(errno),
        }
    }

    /// Gives to the target; `false` if it takes no more now.
    fn empty(&mut self, to: &OwnedFd) -> nix::Result<bool> {
        let Some(pipe) = &self.pipe else {
            return Ok(true);
        };
        match splice(&pipe.read, None, to, None, self.pending, FLAGS) {
            Ok(count) => {
                self.pending = self.pending.saturating_sub(count);
                Ok(true)
            }
            Err(Errno::EAGAIN) => Ok(false),
            Err(Errno::EINTR) => Ok(true),
            Err(errno) => Err(errno),
        }
    }
}

const FLAGS: SpliceFFlags = SpliceFFlags::SPLICE_F_MOVE.union(SpliceFFlags::SPLICE_F_NONBLOCK);
