//! Who follows what the console prints, without sitting at it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::peer::patient_pipe;

/// More at once are turned away.
const MOST: usize = 16;

/// The pipes of all of them.
#[derive(Default)]
pub(super) struct Followers(Vec<OwnedFd>);

impl Followers {
    /// Takes one more; the end from which he reads.
    pub(super) fn add(&mut self) -> io::Result<OwnedFd> {
        if self.0.len() >= MOST {
            return Err(io::Error::other("too many follow it already"));
        }
        let (read, write) = patient_pipe()?;
        self.0.push(write);
        Ok(read)
    }

    /// Passes output on. Who does not read misses something, and holds up nobody.
    pub(super) fn push(&self, output: &[u8]) {
        for follower in &self.0 {
            let _ = nix::unistd::write(follower, output);
        }
    }

    /// What to wait for: that one of them reads no more.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(AsFd::as_fd)
    }

    /// One of them reads no more.
    pub(super) fn remove(&mut self, index: usize) {
        if index < self.0.len() {
            self.0.swap_remove(index);
        }
    }
}
