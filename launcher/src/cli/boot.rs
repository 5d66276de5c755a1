//! Many containers at once, at boot and at shutdown.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::lives::time;

/// Arguments of autostart.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Autostart {
    /// Stop the containers instead, in reverse order
    #[arg(short, long, conflicts_with_all = ["kill", "reboot"])]
    pub shutdown: bool,
    /// Kill the containers instead, in reverse order
    #[arg(short, long, conflicts_with = "reboot")]
    pub kill: bool,
    /// Have those reboot that run
    #[arg(short, long)]
    pub reboot: bool,
    /// Only list the containers that would be started, rebooted or stopped
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
    /// How long each container has to stop before it is killed (default: stop.timeout of its
    /// berth.toml, else 60 seconds); -1: as long as it takes
    #[arg(short, long, value_name = "TIME", value_parser = grace, allow_negative_numbers = true)]
    pub timeout: Option<Grace>,
    /// Seconds that all containers together may take
    #[arg(long, value_name = "SECONDS")]
    pub total: Option<u64>,
    /// How many are started, rebooted or stopped at the same time at most (default: 16, for stops
    /// 256)
    #[arg(long, value_name = "N")]
    pub parallel: Option<NonZeroUsize>,
    /// The highest lxc.start.order first, and last at a stop, as LXC 1.0 and 1.1 had it
    #[arg(long)]
    pub descending: bool,
    /// What to do instead
    #[command(subcommand)]
    pub verb: Option<AutostartVerb>,
}

/// Verbs of autostart.
#[derive(Debug, Subcommand)]
pub enum AutostartVerb {
    /// Tell what came of the last start and of the last stop
    Status(AutostartStatus),
}

/// Arguments of autostart status.
#[derive(Debug, Args)]
pub struct AutostartStatus {
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
    /// Of all users, for root; each user's is read by a process of his own
    #[arg(long)]
    pub all_users: bool,
}

/// How long a container has to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// At most so long.
    Within(Duration),
    /// As long as it takes.
    Unbounded,
}

/// As lxc-autostart's `-t`: a negative number is without bound.
fn grace(text: &str) -> Result<Grace, String> {
    match text.parse::<i64>() {
        Ok(..0) => Ok(Grace::Unbounded),
        _ => time(text).map(Grace::Within),
    }
}
