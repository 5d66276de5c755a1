//! Values: how each is written and what it means.
//!
//! Each parser takes the trimmed, not empty text of one line.

mod basic;
mod cgroup;
mod devices;
mod hook;
mod idmap;
mod limit;
mod link;
mod mount;
mod mount_auto;
mod namespace;
mod net;
mod parameter;
mod process;
mod rootfs;
mod security;
mod signal;
mod size;

pub use basic::*;
pub use cgroup::*;
pub use devices::*;
pub use hook::*;
pub use idmap::*;
pub use limit::*;
pub use link::*;
pub use mount::*;
pub use mount_auto::*;
pub use namespace::*;
pub use net::*;
pub use parameter::*;
pub use process::*;
pub use rootfs::*;
pub use security::*;
pub use signal::*;
pub use size::*;

use crate::key::Refusal;

/// Short for the commonest refusal.
pub(crate) fn expected<T>(what: &'static str) -> Result<T, Refusal> {
    Err(Refusal::Expected(what.into()))
}

/// A plain decimal number: digits alone.
pub(crate) fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then_some(())?;
    text.parse().ok()
}
