//! Everything a developer does: try, test, install, images, checks.
#![forbid(unsafe_code)]

fn main() {}
