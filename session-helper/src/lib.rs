//! Holds a user's lasting delegated cgroup and launches commands into it: the program's parts.
#![forbid(unsafe_code)]

pub mod ask;
mod attach;
pub mod command;
mod error;
pub mod hold;
mod idle;
pub mod serve;
mod session;
pub mod shutdown;

pub use error::{Error, Result};
pub use session::Owner;
