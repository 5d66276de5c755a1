//! One place for each thing that two parts of Berth must agree on: paths, names, modes, cgroup
//! words, unit names, exit codes, how a mistake in a file is named. No dependency, no I/O.
#![forbid(unsafe_code)]

pub mod boot;
pub mod bus;
pub mod capability;
pub mod cgroup;
pub mod exit;
pub mod hash;
pub mod id;
pub mod linger;
pub mod name;
pub mod path;
pub mod position;
pub mod unit;

pub use id::{Gid, Uid};
pub use name::{ContainerName, InterfaceName, NameError};
