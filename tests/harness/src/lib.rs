//! Boots a real Debian under User Mode Linux and drives it.
#![forbid(unsafe_code)]
