//! `lxc.console.path`: what the console's other end is joined with.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use berth_kernel::sock;
use berth_kernel::tty::{self, HeldRawMode};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::log_file::open_to_append;

/// A terminal, which shows the console and types into it, or a file that gets its output.
pub enum Peer {
    /// Its settings are put back when it is dropped.
    Terminal(HeldRawMode),
    /// Never waited for.
    File(OwnedFd),
}

impl Peer {
    /// Opens what stands at a path.
    pub fn open(path: &Path) -> io::Result<Self> {
        match std::fs::metadata(path) {
            Ok(found) if !found.is_file() => {}
            _ => return open_to_append(path).map(|file| Self::File(file.into())),
        }
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let device = nix::fcntl::open(path, flags, Mode::empty())?;
        match tty::is_terminal(&device) {
            true => HeldRawMode::enter(device).map(Self::Terminal),
            false => Ok(Self::File(device)),
        }
    }

    /// Shows output, as much as it takes at once.
    pub fn push(&self, output: &[u8]) {
        // Waiting for a slow terminal would hold up the container.
        let _ = nix::unistd::write(self.fd(), output);
    }

    /// What to wait for, if something may be typed here.
    pub fn typed(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Terminal(terminal) => Some(terminal.as_fd()),
            Self::File(_) => None,
        }
    }

    /// Passes on what was typed, as much as the console takes at once; whether there may be more.
    pub fn pass_typed(&self, console: BorrowedFd<'_>) -> bool {
        let mut buffer = [0; 1024];
        match nix::unistd::read(self.fd(), &mut buffer) {
            Ok(count) if count > 0 => {
                let _ = nix::unistd::write(console, &buffer[..count]);
                true
            }
            Err(Errno::EAGAIN | Errno::EINTR) => true,
            _ => false,
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Terminal(terminal) => terminal.as_fd(),
            Self::File(file) => file.as_fd(),
        }
    }
}

/// A pipe of which one end must never wait: the read end, the write end.
pub fn patient_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = io::pipe()?;
    let write = OwnedFd::from(write);
    sock::set_nonblocking(write.as_fd(), true)?;
    Ok((read.into(), write))
}
