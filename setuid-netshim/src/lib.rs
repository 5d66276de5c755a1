//! The setuid NIC helper: one veth on a bridge, within a quota.
#![forbid(unsafe_code)]
