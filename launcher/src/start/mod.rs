//! Starting a container: plan, monitor, first process.

pub mod apparmor;
pub mod build;
pub mod cgroup;
pub mod child;
pub mod confinement;
pub mod filter;
pub mod fuse;
pub mod host_mounts;
pub mod image;
pub mod joined;
pub mod label;
pub mod network;
pub mod nic;
pub mod overlay;
pub mod own_program;
pub mod plan;
pub mod remains;
pub mod step;
pub mod sync;
