//! The caller's own streams for a command without a terminal.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use berth_kernel::tty;
use nix::poll::{PollFd, PollFlags};

use super::{MAX_PENDING, copy_output, has_output, read_input, write_pending};
use crate::error::{Error, Result};

/// How many pieces of 16 KiB of a command's last output are copied.
const MAX_REST: usize = 16;

/// One that is a terminal is not handed over, since whoever has it open reads what is typed there,
/// also when the command has ended; what goes through it is copied through a pipe.
#[derive(Default)]
pub(super) struct Streams {
    /// Where output comes from and goes to.
    copied: Vec<(OwnedFd, OwnedFd)>,
    /// Where what is typed goes, until its end.
    typed: Option<OwnedFd>,
    pending: VecDeque<u8>,
    ended: bool,
}

impl Streams {
    /// What the command gets: standard input, output, error.
    pub fn prepare(&mut self) -> Result<Vec<OwnedFd>> {
        let fail = |error| Error::os("set up the standard streams", error);
        let clone = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map_err(fail);
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let mut given = Vec::new();
        if tty::is_terminal(stdin.as_fd()) {
            let (read, write) = std::io::pipe().map_err(fail)?;
            berth_kernel::sock::set_nonblocking(write.as_fd(), true).map_err(fail)?;
            self.typed = Some(write.into());
            given.push(read.into());
        } else {
            given.push(clone(stdin.as_fd())?);
        }
        for stream in [stdout.as_fd(), stderr.as_fd()] {
            if tty::is_terminal(stream) {
                let (read, write) = std::io::pipe().map_err(fail)?;
                self.copied.push((read.into(), clone(stream)?));
                given.push(write.into());
            } else {
                given.push(clone(stream)?);
            }
        }
        Ok(given)
    }

    /// What to wait for, beside others.
    pub fn watched<'fd>(&'fd self, stdin: BorrowedFd<'fd>) -> Vec<PollFd<'fd>> {
        let from =
            |(from, _): &'fd (OwnedFd, OwnedFd)| PollFd::new(from.as_fd(), PollFlags::POLLIN);
        let mut fds: Vec<PollFd<'fd>> = self.copied.iter().map(from).collect();
        if let Some(typed) = &self.typed {
            if self.reads() {
                fds.push(PollFd::new(stdin, PollFlags::POLLIN));
            }
            // Without anything to write, only that nobody reads any more is of interest.
            let wanted = match self.pending.is_empty() {
                true => PollFlags::empty(),
                false => PollFlags::POLLOUT,
            };
            fds.push(PollFd::new(typed.as_fd(), wanted));
        }
        fds
    }

    fn reads(&self) -> bool {
        !self.ended && self.pending.len() < MAX_PENDING
    }

    /// Deals with what happened to [`Streams::watched`].
    pub fn advance(&mut self, stdin: BorrowedFd<'_>, ready: &[bool]) -> Result<()> {
        let mut ready = ready.iter().copied();
        self.copied
            .retain(|(from, to)| ready.next() != Some(true) || copy_output(from, to.as_fd()));
        let Some(typed) = &self.typed else {
            return Ok(());
        };
        if self.reads() && ready.next() == Some(true) {
            self.ended = !read_input(stdin, &mut self.pending)?;
        }
        let broken = ready.next() == Some(true) && self.pending.is_empty();
        write_pending(typed, &mut self.pending);
        if broken || (self.ended && self.pending.is_empty()) {
            self.typed = None;
        }
        Ok(())
    }

    /// What the command printed last is still on its way; what others inside print now is not
    /// asked for without end.
    pub fn copy_rest(&self) {
        for (from, to) in &self.copied {
            copy_rest(from, to.as_fd());
        }
    }
}

pub(crate) fn copy_rest(from: &OwnedFd, to: BorrowedFd<'_>) {
    for _ in 0..MAX_REST {
        if !has_output(from) || !copy_output(from, to) {
            return;
        }
    }
}
