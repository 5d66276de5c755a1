//! Tests on the booted host; what they share.
#![forbid(unsafe_code)]

pub mod attempt;
pub mod debian;
pub mod lxc;
pub mod session;
pub mod units;
