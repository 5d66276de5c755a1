//! Starting and stopping.

use berth_common::ContainerName;
use clap::Args;

/// Arguments of start.
#[derive(Debug, Args)]
pub struct Start {
    /// Name of the container
    pub name: ContainerName,
    /// Start it in this login session's cgroup, with which it ends, instead of the lasting one
    #[arg(long)]
    pub here: bool,
}

/// Arguments of restart.
#[derive(Debug, Args)]
pub struct Restart {
    /// How to stop it.
    #[command(flatten)]
    pub stop: Stop,
    /// Have its init reboot it instead (lxc.signal.reboot), under the monitor, in the cgroup and
    /// with the configuration that it has; --timeout is for that
    #[arg(short, long, conflicts_with = "kill")]
    pub reboot: bool,
}

/// Arguments of stop and restart.
#[derive(Debug, Args)]
pub struct Stop {
    /// Name of the container
    pub name: ContainerName,
    /// Seconds that the container has to stop before it is killed
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
    /// Kill it without asking
    #[arg(short, long)]
    pub kill: bool,
}

/// Arguments of autostart.
#[derive(Debug, Args)]
pub struct Autostart {
    /// Stop the containers instead, in reverse order
    #[arg(short, long, conflicts_with = "kill")]
    pub shutdown: bool,
    /// Kill the containers instead, in reverse order
    #[arg(short, long)]
    pub kill: bool,
    /// Only list the containers that would be started or stopped
    #[arg(short = 'L', long)]
    pub list: bool,
    /// Take containers of all groups
    #[arg(short, long)]
    pub all: bool,
    /// Take also containers that are not enabled (lxc.start.auto)
    #[arg(short = 'A', long)]
    pub ignore_auto: bool,
    /// Take containers of these groups (lxc.group), separated by commas; an empty name means
    /// those without a group, which is the default
    #[arg(short, long, value_name = "LIST")]
    pub groups: Vec<String>,
    /// Seconds that each container has to stop before it is killed
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
    /// Seconds that all containers together may take
    #[arg(long, value_name = "SECONDS")]
    pub total: Option<u64>,
}
