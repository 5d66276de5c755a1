//! The boot engine: which containers, in which order.
#![forbid(unsafe_code)]
