//! The part of `cargo metadata` that the checks need.

use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// All packages of the dependency graph.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// Workspace members and everything they depend on.
    pub packages: Vec<Package>,
}

/// One package.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Name on the registry.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// SPDX expression.
    pub license: Option<String>,
    /// What it is made of.
    pub targets: Vec<Target>,
}

/// A library, program, build script.
#[derive(Debug, Deserialize)]
pub struct Target {
    /// `lib`, `bin`, `custom-build`, `proc-macro`, …
    pub kind: Vec<String>,
}

impl Metadata {
    /// Asks cargo, for the machine at hand.
    pub fn read(workspace: &Workspace) -> Result<Self> {
        let mut cargo = workspace.cargo();
        cargo.args(["metadata", "--format-version=1", "--locked"]);
        let output = cargo.output().context("cannot run cargo metadata")?;
        if !output.status.success() {
            bail!(
                "cargo metadata: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        serde_json::from_slice(&output.stdout).context("cannot understand cargo metadata")
    }
}

impl Package {
    /// Whether it has a target of this kind.
    pub fn has(&self, kind: &str) -> bool {
        self.targets
            .iter()
            .any(|target| target.kind.iter().any(|k| k == kind))
    }
}
