//! The few D-Bus calls to systemd, and readiness notification.
#![forbid(unsafe_code)]

mod manager;
mod notify;

pub use manager::{BusError, attach_processes_to_unit};
pub use notify::{NotifyError, READY, notify};
