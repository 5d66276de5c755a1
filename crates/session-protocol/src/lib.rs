//! Frames of the launch socket and of a monitor's command socket, both ends.
//!
//! [`Frame`] and [`Connection`] know nothing of what is said over them: [`launch`] is what a user's
//! launch socket speaks, [`client`] its caller's end.
#![forbid(unsafe_code)]

pub mod client;
mod connection;
mod error;
mod frame;
pub mod launch;

pub use connection::Connection;
pub use error::Error;
pub use frame::{Frame, FrameError, MAX_FIELDS, MAX_PACKET};
