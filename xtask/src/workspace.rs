//! Where things are.

use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;

/// The checkout and its build directory.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The checkout.
    pub root: PathBuf,
    /// Cargo's target directory.
    pub target: PathBuf,
    /// Where test images are.
    pub images: PathBuf,
}

impl Workspace {
    /// The workspace that this program was built from.
    pub fn find() -> Result<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask lies in the checkout")?
            .to_owned();
        let target = berth_test_harness::target_dir()?;
        let images = berth_test_harness::images_dir()?;
        Ok(Self {
            root,
            target,
            images,
        })
    }

    /// Cargo, in this checkout and with this build directory.
    pub fn cargo(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target);
        command
    }
}
