//! Directories for tests.

use std::fs;
use std::path::PathBuf;

/// A directory in the build directory that is gone afterwards.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// An empty one, for one test of this process.
    pub fn new(name: &str) -> Self {
        let dir = berth_test_harness::target_dir().unwrap().join("tmp");
        let path = dir.join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
