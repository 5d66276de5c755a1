//! The few D-Bus calls to systemd, logind and `berthd`, and readiness notification. Every answer
//! is waited for with a limit.
#![forbid(unsafe_code)]

mod berthd;
mod bus;
mod login;
mod manager;

pub use berth_kernel::notify::{NotifyError, READY, notify};
pub use berthd::{AskError, Wish, ask};
pub use bus::{BusError, Caller, SystemBus};
pub use login::Session;
pub use manager::{UnitState, attach_processes_to_unit};
