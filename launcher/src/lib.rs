//! Containers for everybody: starts, monitors, commands inside, state.
//!
//! The way of a start, top to bottom: [`commands::start`] (be in the lasting cgroup),
//! [`start::build`] (decide and refuse), [`monitor::start`] (cgroup, monitor),
//! `monitor::run` (namespaces, ids, NICs), [`start::child`] (mounts, confinement, exec).
#![forbid(unsafe_code)]

pub mod berthd;
pub mod cli;
pub mod commands;
pub mod complete;
pub mod config_file;
pub mod console;
pub mod copy;
pub mod create;
pub mod default_config;
pub mod destroy;
pub mod devices;
pub mod disk;
pub mod doctor;
pub mod error;
pub mod exec;
pub mod front;
pub mod grant;
pub mod hook;
pub mod lxc;
pub mod mapped;
pub mod monitor;
pub mod nic;
pub mod output;
pub mod owner;
pub mod place;
pub mod ports;
pub mod printable;
pub mod progress;
pub mod snapshot;
pub mod start;
pub mod state;
pub mod systemd;
pub mod template;
pub mod time;
pub mod transfer;
pub mod watch;
