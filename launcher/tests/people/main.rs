//! What people do with containers all day: going in, looking on, habits.
//!
//! The tests run on private hosts in namespaces, which takes root.

mod completion;
mod devices;
mod figures;
mod foreground;
mod habits;
mod inside;
mod lxc;
mod owner;
mod pairs;
mod seat;
mod share;
mod terminal;
#[allow(dead_code, reason = "shared with other programs of tests")]
#[path = "../keys/world.rs"]
mod world;
