//! Frames of the launch socket and of a monitor's command socket, both ends.
//!
//! [`Frame`] and [`Connection`] know nothing of what is said over them.
#![forbid(unsafe_code)]

mod connection;
mod error;
mod frame;

pub use connection::Connection;
pub use error::Error;
pub use frame::{Frame, FrameError, MAX_FIELDS, MAX_PACKET};
