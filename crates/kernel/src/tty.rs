//! Terminals: pseudo-terminals, raw mode, window size.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::sys::termios::{self, SetArg, Termios};

use crate::process::{check, owned};

/// Rows and columns, and pixels where known.
pub type WindowSize = libc::winsize;

/// A pseudo-terminal: both ends and its number in its devpts instance.
#[derive(Debug)]
pub struct PseudoTerminal {
    /// The end of the program that shows the terminal.
    pub master: OwnedFd,
    /// The end of the program that runs in it.
    pub slave: OwnedFd,
    /// The slave's name below the devpts mount.
    pub number: u32,
}

impl PseudoTerminal {
    /// Allocates one in the devpts instance mounted at the directory `devpts`. The slave is
    /// opened through the master (TIOCGPTPEER, 4.13), so no path is looked up twice.
    pub fn open(devpts: BorrowedFd<'_>) -> io::Result<Self> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = openat(devpts, c"ptmx", flags, Mode::empty())?;
        let unlock: libc::c_int = 0;
        // SAFETY: TIOCSPTLCK reads an int.
        let done = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &unlock) };
        check(done.into())?;
        let mut number: libc::c_uint = 0;
        // SAFETY: TIOCGPTN writes an unsigned int.
        let done = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &mut number) };
        check(done.into())?;
        let slave_flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        // SAFETY: TIOCGPTPEER takes open flags and returns a new descriptor.
        let slave = owned(
            unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, slave_flags) }.into(),
        )?;
        Ok(Self {
            master,
            slave,
            number,
        })
    }
}

/// Makes the terminal the controlling one of the caller, who must lead a session without one.
pub fn set_controlling(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes an int.
    let done = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) };
    check(done.into()).map(drop)
}

/// Whether the descriptor is the master of a pseudo-terminal: a descriptor from a container may
/// be anything.
pub fn is_master(fd: BorrowedFd<'_>) -> bool {
    let mut number: libc::c_uint = 0;
    let is_ptmx = nix::sys::stat::fstat(fd).is_ok_and(|found| {
        nix::sys::stat::SFlag::from_bits_truncate(found.st_mode) == nix::sys::stat::SFlag::S_IFCHR
            && found.st_rdev == libc::makedev(5, 2)
    });
    // SAFETY: TIOCGPTN writes an unsigned int; it is sent to a ptmx only.
    is_ptmx && unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGPTN, &mut number) } == 0
}

/// Whether the descriptor is a terminal.
pub fn is_terminal(fd: impl AsFd) -> bool {
    use std::io::IsTerminal;
    fd.as_fd().is_terminal()
}

/// The window size of a terminal.
pub fn window_size(terminal: BorrowedFd<'_>) -> io::Result<WindowSize> {
    let mut size = WindowSize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCGWINSZ writes a winsize.
    let done = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &mut size) };
    check(done.into())?;
    Ok(size)
}

/// Sets the window size; the foreground group gets SIGWINCH if it changed.
pub fn set_window_size(terminal: BorrowedFd<'_>, size: WindowSize) -> io::Result<()> {
    // SAFETY: TIOCSWINSZ reads a winsize.
    let done = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &size) };
    check(done.into()).map(drop)
}

/// A terminal in raw mode; dropping it restores the former settings.
#[derive(Debug)]
pub struct RawMode<'fd> {
    terminal: BorrowedFd<'fd>,
    before: Termios,
}

impl<'fd> RawMode<'fd> {
    /// Switches the terminal to raw mode (cfmakeraw(3)).
    pub fn enter(terminal: BorrowedFd<'fd>) -> io::Result<Self> {
        let before = termios::tcgetattr(terminal)?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(terminal, SetArg::TCSADRAIN, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for RawMode<'_> {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = termios::tcsetattr(self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}

/// A terminal of one's own in raw mode, in which nothing typed is echoed or means a signal.
/// Dropping it restores the former settings.
#[derive(Debug)]
pub struct HeldRawMode {
    terminal: OwnedFd,
    before: Termios,
}

impl HeldRawMode {
    /// Switches the terminal to raw mode (cfmakeraw(3)).
    pub fn enter(terminal: OwnedFd) -> io::Result<Self> {
        let before = termios::tcgetattr(&terminal)?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(&terminal, SetArg::TCSANOW, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl AsFd for HeldRawMode {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.terminal.as_fd()
    }
}

impl Drop for HeldRawMode {
    fn drop(&mut self) {
        // TCSANOW: a terminal that nobody reads would never drain.
        let _ = termios::tcsetattr(&self.terminal, SetArg::TCSANOW, &self.before);
    }
}
