//! Making, removing, enabling.

use std::path::PathBuf;

use berth_common::ContainerName;
use clap::Args;

/// Arguments of create.
#[derive(Debug, Args)]
pub struct Create {
    /// Name of the new container: letters, digits and _ . + -
    pub name: ContainerName,
    /// What to put into it: busybox (a small system), or none (a configuration only)
    #[arg(short, long, default_value = "busybox")]
    pub template: String,
    /// Statically linked busybox to make the system from (default: the host's)
    #[arg(long, value_name = "FILE")]
    pub busybox_path: Option<PathBuf>,
}

/// Arguments of destroy.
#[derive(Debug, Args)]
pub struct Destroy {
    /// Name of the container
    pub name: ContainerName,
    /// Do not ask, and stop it first if it runs
    #[arg(short, long)]
    pub force: bool,
    /// Remove its snapshots along
    #[arg(short, long)]
    pub snapshots: bool,
}

/// A container.
#[derive(Debug, Args)]
pub struct OneName {
    /// Name of the container
    pub name: ContainerName,
}
