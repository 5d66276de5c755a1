//! Making, removing, enabling.

use std::path::PathBuf;

use crate::create::share::Share;
use berth_common::ContainerName;
use berth_container_config::berth_toml::Publish;
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
    /// Let ports of the host lead into it, as berth publish does; may be given several times
    #[arg(long, value_name = "[ADDRESS:]PORT:PORT[/udp]")]
    pub publish: Vec<Publish>,
    /// Show a directory of the host's inside, at DIR or at the same path, with your own files yours
    /// there too; may be given several times
    #[arg(long, value_name = "HOSTDIR[:DIR]")]
    pub share: Vec<Share>,
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

/// Containers.
#[derive(Debug, Args)]
pub struct Names {
    /// Names of the containers
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<ContainerName>,
}
