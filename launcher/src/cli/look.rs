//! Looking at containers.

use berth_common::ContainerName;
use clap::Args;

/// Arguments of listing verbs.
#[derive(Debug, Args)]
pub struct Json {
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of info.
#[derive(Debug, Args)]
pub struct Info {
    /// Name of the container
    pub name: ContainerName,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}
