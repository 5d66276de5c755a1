//! The life of a container: what its `berth.toml` says, waiting, freezing.
//!
//! These tests run on private hosts in namespaces, which takes root.

mod beside;
mod follow;
mod frozen;
mod ports;
mod ports_hostile;
mod ports_server;
mod ready;
mod restarts;
#[path = "../keys/world.rs"]
#[allow(dead_code, reason = "the tests of keys use all of it")]
mod world;
