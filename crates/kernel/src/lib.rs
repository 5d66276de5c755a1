//! The seam for `unsafe`: safe functions over the system calls that Berth needs.
//!
//! Everything here refers to objects by descriptor where the kernel allows it and returns
//! [`std::io::Error`] from the kernel's errno; the caller adds what it was doing.

pub mod bpf;
pub mod clock;
pub mod core_sched;
pub mod cred;
pub mod file_copy;
pub mod fs;
pub mod limits;
pub mod loop_device;
pub mod mount;
pub mod netlink_socket;
pub mod notify;
pub mod ns;
pub mod process;
pub mod random;
pub mod ready;
pub mod rlimit;
pub mod seccomp;
pub mod signal;
pub mod sock;
pub mod supervised;
pub mod tty;
pub mod user;

use std::fmt;
use std::io;

/// The kernel's reason in words, in English whatever the locale is.
pub fn error_text(errno: i32) -> &'static str {
    match errno {
        // As strerror(3) has it: “try again” would be an advice here.
        libc::EAGAIN => "Resource temporarily unavailable",
        _ => nix::errno::Errno::from_raw(errno).desc(),
    }
}

/// An error as people read it: the kernel's reason, without the number that the standard library
/// puts behind it ("(os error 2)").
pub struct Plain<'error>(pub &'error io::Error);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.raw_os_error() {
            Some(errno) => f.write_str(error_text(errno)),
            None => self.0.fmt(f),
        }
    }
}
