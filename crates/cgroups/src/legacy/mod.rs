//! cgroup v1, alone or beside version 2: one hierarchy for each set of controllers.
//!
//! Enough of it to give a login's processes a cgroup of the user's in hierarchies that the
//! administrator names, and to remove that again. Version 1 contains nobody: a process may be
//! moved by its owner between all cgroups that he may write to, whatever lies between them
//! (cgroups(7)). So what is given away here is for order, freezing and limits that a user sets
//! himself, not for limits set on him.

mod cgroup;
mod cpulist;
mod hierarchies;
mod removal;

pub use cgroup::DELEGATED_FILES;
pub use hierarchies::{Hierarchies, LegacyHierarchy};
pub use removal::Removal;
