//! The boot engine: which containers are started or stopped, in which order, and what came of it.
//!
//! [`plan`] selects and sorts (pure); [`run`] works the plan off against [`Actions`], which the
//! launcher implements with child processes and tests with a virtual clock. The rules are
//! lxc-autostart's, with the exact group match of its manual page and the exit status of LXC
//! after 7.0; what goes beyond it is that containers of equal order are handled at the same time, that
//! one can wait for another (`start.after`), and that a start may be tried again.
#![forbid(unsafe_code)]

mod dependencies;
mod engine;
mod plan;
mod report;

pub use engine::{Actions, Finish, JobId, Limits, Work, run};
pub use plan::{Container, Direction, Group, Plan, Selection, plan};
pub use report::{Entry, Outcome, Report};
