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

/// Arguments of ls.
#[derive(Debug, Args)]
pub struct Ls {
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
    /// Only those that run, or are frozen
    #[arg(long, alias = "active")]
    pub running: bool,
    /// Only those that are stopped
    #[arg(long)]
    pub stopped: bool,
    /// Only those that are frozen
    #[arg(long)]
    pub frozen: bool,
    /// Print the names only
    #[arg(short = '1', long, conflicts_with = "json")]
    pub names: bool,
    /// The containers of all users, for root; each user's are listed by a process of his own
    #[arg(long, conflicts_with = "names")]
    pub all_users: bool,
    /// Show what they take on the disk instead, each and all together; this looks at every file
    #[arg(short, long, conflicts_with_all = ["all_users", "names", "running", "stopped", "frozen"])]
    pub disk: bool,
    #[arg(short, long, hide = true)]
    #[allow(missing_docs, reason = "lxc-ls' word for what is the default here")]
    pub fancy: bool,
}

/// Arguments of events.
#[derive(Debug, Args)]
pub struct Events {
    /// Containers to follow (default: all, new ones too)
    pub names: Vec<ContainerName>,
    /// Print a line of JSON for each, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of logs.
#[derive(Debug, Args)]
pub struct Logs {
    /// Name of the container
    pub name: ContainerName,
    /// Go on with what comes, until the container stops
    #[arg(short, long)]
    pub follow: bool,
    /// Begin with so many of the last lines only
    #[arg(short = 'l', long, value_name = "N")]
    pub lines: Option<usize>,
    /// Show what its monitor wrote down instead: starts, ends, what failed
    #[arg(short, long)]
    pub monitor: bool,
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
