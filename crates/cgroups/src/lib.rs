//! cgroup v2: the host's layout, delegated trees, limits. Of v1 what a login needs: [`legacy`].
//!
//! A [`Hierarchy`] is the mounted tree, a [`CgroupDir`] an open cgroup in it. A
//! [`DelegatedBase`] is a cgroup that belongs to a user: he may make children in it and move
//! processes inside it, and its own processes sit in its leaf, `init.scope`.
//!
//! The crate is linked into programs that run as root inside a login: it asks no name service,
//! starts no thread, opens no socket, and every loop in it is bounded.
#![forbid(unsafe_code)]

mod base;
mod delegation;
pub mod devices;
mod dir;
mod error;
mod events;
mod hierarchy;
mod leaf;
pub mod legacy;
mod limits;
mod own_tree;
mod path;
pub mod session;
pub mod slice;
mod statistics;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod tree;
mod user_limits;

pub use base::{DelegatedBase, lasting_paths};
pub use delegation::DelegationSet;
pub use dir::{CgroupDir, Controllers};
pub use error::{Error, Result};
pub use events::Events;
pub use hierarchy::Hierarchy;
pub use limits::LimitSetting;
pub use own_tree::{CONTROLLERS, OwnBase, OwnTree};
pub use path::CgroupPath;
pub use statistics::{MEMORY_EVENTS, Statistics};
pub use user_limits::{
    LimitProblem, MAX_FILE as MAX_LIMITS_FILE, UserLimit, Who, is_in_group, limits_of,
    parse_user_limits,
};
