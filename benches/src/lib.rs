//! Measurements beside the peers.
#![forbid(unsafe_code)]
