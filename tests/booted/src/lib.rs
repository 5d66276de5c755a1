//! Tests on the booted host.
#![forbid(unsafe_code)]
