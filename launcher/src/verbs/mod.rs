//! The verbs: what is asked on the command line, done by the library, told to the caller.

pub mod boot;
pub mod config;
pub mod copies;
pub mod devices;
pub mod host;
pub mod inside;
pub mod keep;
pub mod list;
pub mod lives;
pub mod look;
pub mod ports;
pub mod print;
mod several;
pub mod top;
