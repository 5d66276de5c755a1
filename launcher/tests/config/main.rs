//! `berth config` on a private host in namespaces, which takes root.

#[allow(dead_code, reason = "the tests of keys use all of it")]
#[path = "../keys/world.rs"]
mod world;

mod change;
mod lint;
mod migrate;
