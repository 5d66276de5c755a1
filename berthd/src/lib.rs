//! What needs root on a user's behalf: his lasting cgroup where no login made it, and login
//! sessions that were not handed over when they opened. Nothing else.
//!
//! It is started by the system bus when somebody asks and ends by itself. Whoever asks is who the
//! bus says he is; the methods have no arguments.
#![forbid(unsafe_code)]

pub mod config;
pub mod error;
pub mod limit;
pub mod policy;
pub mod repair;
pub mod serve;
pub mod start;
