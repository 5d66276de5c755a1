//! Holds a user's lasting delegated cgroup and launches commands into it.
#![forbid(unsafe_code)]

fn main() {}
