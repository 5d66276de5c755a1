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
    /// Only those that are in all of these groups (lxc.group), separated by commas
    #[arg(
        short,
        long = "group",
        alias = "groups",
        value_name = "LIST",
        value_delimiter = ','
    )]
    pub groups: Vec<String>,
    /// Show these columns, separated by commas, in this order
    #[arg(
        short,
        long,
        short_alias = 'F',
        alias = "fancy-format",
        value_name = "COLUMNS",
        value_delimiter = ',',
        ignore_case = true,
        conflicts_with_all = ["json", "names"]
    )]
    pub columns: Vec<Column>,
    /// Print the names only
    #[arg(short = '1', long, alias = "line", conflicts_with = "json")]
    pub names: bool,
    /// The containers of all users, for root; each user's are listed by a process of his own
    #[arg(long, conflicts_with = "names")]
    pub all_users: bool,
    /// Show what they take on the disk instead, each and all together; this looks at every file
    #[arg(short, long, conflicts_with_all = [
        "all_users", "names", "running", "stopped", "frozen", "groups", "columns",
    ])]
    pub disk: bool,
    #[arg(short, long, hide = true)]
    #[allow(missing_docs, reason = "lxc-ls' word for what is the default here")]
    pub fancy: bool,
    #[arg(long, hide = true)]
    #[allow(missing_docs, reason = "lxc-ls' word for what is the default here")]
    pub defined: bool,
}

/// A column of ls. Each shows what the JSON has under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Column {
    /// The name
    #[value(name = "NAME")]
    Name,
    /// What it is doing
    #[value(name = "STATE")]
    State,
    /// Whether it is ready
    #[value(name = "READY")]
    Ready,
    /// Its init as the host sees it
    #[value(name = "PID")]
    Pid,
    /// Its IPv4 addresses
    #[value(name = "IPV4")]
    Ipv4,
    /// Its IPv6 addresses
    #[value(name = "IPV6")]
    Ipv6,
    /// Names of its interfaces, inside
    #[value(name = "INTERFACE", alias = "INTERFACES")]
    Interface,
    /// Its published ports
    #[value(name = "PORTS")]
    Ports,
    /// Whether it starts at boot
    #[value(name = "BOOT", alias = "AUTOSTART")]
    Boot,
    /// Its groups (lxc.group)
    #[value(name = "GROUPS")]
    Groups,
    /// Memory in use, the page cache included
    #[value(name = "MEMORY", alias = "RAM")]
    Memory,
    /// Memory that was swapped out
    #[value(name = "SWAP")]
    Swap,
    /// Whether its root is another user than the host's
    #[value(name = "UNPRIVILEGED")]
    Unprivileged,
    /// Whose it is
    #[value(name = "OWNER")]
    Owner,
}

impl Column {
    /// Its heading.
    pub const fn head(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::State => "STATE",
            Self::Ready => "READY",
            Self::Pid => "PID",
            Self::Ipv4 => "IPV4",
            Self::Ipv6 => "IPV6",
            Self::Interface => "INTERFACE",
            Self::Ports => "PORTS",
            Self::Boot => "BOOT",
            Self::Groups => "GROUPS",
            Self::Memory => "MEMORY",
            Self::Swap => "SWAP",
            Self::Unprivileged => "UNPRIVILEGED",
            Self::Owner => "OWNER",
        }
    }

    /// Where the JSON has it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Ready => "ready",
            Self::Pid => "pid",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Interface => "interfaces",
            Self::Ports => "ports",
            Self::Boot => "autostart",
            Self::Groups => "groups",
            Self::Memory => "memory",
            Self::Swap => "swap",
            Self::Unprivileged => "unprivileged",
            Self::Owner => "owner",
        }
    }
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
