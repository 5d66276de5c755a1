//! `berth cgroup`: commands in the caller's delegated cgroups, and what those look like.

pub mod draw;
pub mod exec;
pub mod show;
