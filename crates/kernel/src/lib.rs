//! The seam for `unsafe`: safe functions over the system calls that Berth needs.
//!
//! Everything here refers to objects by descriptor where the kernel allows it and returns
//! [`std::io::Error`] from the kernel's errno; the caller adds what it was doing.

pub mod cred;
pub mod fs;
pub mod limits;
pub mod mount;
pub mod ns;
pub mod process;
pub mod signal;
pub mod sock;
pub mod tty;
pub mod user;
