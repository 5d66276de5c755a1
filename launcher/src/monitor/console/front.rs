//! A start in the foreground: who waits for the container's end sees its console from the first
//! byte on, over all its lives, and is told how it ended.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use berth_common::exit;
use berth_kernel::process::Exit;
use berth_session_protocol::Connection;
use nix::sys::signal::Signal;

use super::peer::patient_pipe;
use crate::error::{Error, Result};
use crate::monitor::protocol::{Answer, Request};

/// The monitor's ends.
pub struct Front {
    client: Connection,
    output: OwnedFd,
}

/// The starter's ends.
pub struct FrontSeat {
    /// Brings the console's master at the beginning of each life, and how the last one ended.
    pub monitor: Connection,
    /// What the console prints.
    pub output: OwnedFd,
}

/// Both.
pub fn pair() -> Result<(Front, FrontSeat)> {
    let (theirs, ours) =
        Connection::pair().map_err(|error| Error::os("make a socket pair", error))?;
    theirs
        .set_nonblocking(true)
        .map_err(|error| Error::os("set up a socket", error))?;
    let (read, write) = patient_pipe().map_err(|error| Error::os("make a pipe", error))?;
    let front = Front {
        client: theirs,
        output: write,
    };
    let seat = FrontSeat {
        monitor: ours,
        output: read,
    };
    Ok((front, seat))
}

/// What who waits wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The container stops in order.
    Stop,
    /// It is killed.
    Kill,
}

impl Front {
    /// What the monitor keeps open for it.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.client.as_fd(), self.output.as_fd()]
    }

    pub(super) fn source(&self) -> BorrowedFd<'_> {
        self.client.as_fd()
    }

    /// A life has begun.
    pub(super) fn begin(&self, console: BorrowedFd<'_>) {
        // One who is gone is noticed at the next turn.
        let _ = self
            .client
            .send(&Answer::Seated(0, Vec::new()).frame(), &[console]);
    }

    /// Who does not look misses something, and holds up nobody.
    pub(super) fn show(&self, output: &[u8]) {
        let _ = nix::unistd::write(&self.output, output);
    }

    /// What is wanted; an error when nobody waits any more. The container outlives him.
    pub(super) fn wish(&self) -> std::result::Result<Option<Wish>, ()> {
        match self.client.recv() {
            Ok(Some((frame, fds))) => Ok(match Request::of(frame, fds) {
                Some(Request::Stop) => Some(Wish::Stop),
                Some(Request::Kill) => Some(Wish::Kill),
                _ => None,
            }),
            Err(error) if error.is_would_block() => Ok(None),
            Ok(None) | Err(_) => Err(()),
        }
    }

    /// The container has ended.
    pub fn end(self, how: Option<Exit>) {
        let code = how.map_or(exit::FAILED, code);
        let _ = self.client.send(&Answer::Exited(code).frame(), &[]);
    }
}

/// As lxc-start(1) has it: init's own code, 128 and the signal that ended it, 0 for a container
/// that halted itself.
fn code(how: Exit) -> u8 {
    let of_reboot = [Signal::SIGINT as i32, Signal::SIGHUP as i32];
    match how {
        Exit::Signal(number) if of_reboot.contains(&number) => exit::OK,
        other => other.shell_code(),
    }
}
