//! berth-net: the host's bridge for containers.
#![forbid(unsafe_code)]
