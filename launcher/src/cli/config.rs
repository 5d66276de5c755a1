//! Configurations.

use berth_common::ContainerName;
use clap::{Args, Subcommand};

/// What to do with configurations.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Print what a configuration says, with everything that it includes: a line for each value;
    /// exits with 1 if there is none
    Get(ConfigGet),
    /// Change a key and nothing else; refused if the container could not be started like that
    Set(ConfigSet),
    /// Tell everything that is wrong or suspicious; exits with 1 if anything is wrong, and with 0
    /// if there are warnings only
    Lint(ConfigLint),
    /// Bring a configuration of an earlier LXC up to date, once you have seen what changes; exits
    /// with 1 if something is left to be done by hand
    Migrate(ConfigMigrate),
}

/// Arguments of config get.
#[derive(Debug, Args)]
pub struct ConfigGet {
    /// Name of the container
    pub name: ContainerName,
    /// The key, as in lxc.uts.name; lxc.net.0 means all keys of that interface (default: all keys
    /// that are set, with their names)
    pub key: Option<String>,
    /// Print the file and the line of each value before it
    #[arg(long)]
    pub origin: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of config set.
#[derive(Debug, Args)]
pub struct ConfigSet {
    /// Name of the container
    pub name: ContainerName,
    /// The key
    pub key: String,
    /// The value; an empty one clears the key, whatever includes say of it
    #[arg(allow_hyphen_values = true)]
    pub value: String,
    /// Add the value to those that the key has
    #[arg(long)]
    pub append: bool,
}

/// Arguments of config lint.
#[derive(Debug, Args)]
pub struct ConfigLint {
    /// Containers, or files (with a slash in their path)
    #[arg(required = true, value_name = "NAME|FILE")]
    pub targets: Vec<String>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of config migrate.
#[derive(Debug, Args)]
pub struct ConfigMigrate {
    /// A container, or a file (with a slash in its path)
    #[arg(value_name = "NAME|FILE")]
    pub target: String,
    /// Do it without asking
    #[arg(short, long, conflicts_with = "dry_run")]
    pub yes: bool,
    /// Only show what would change
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// The LXC that the file is of: before 2.0 the highest lxc.start.order came first, so its sign
    /// is changed
    #[arg(long, value_name = "VERSION")]
    pub from: Option<FormerVersion>,
}

/// Versions of LXC whose configurations are migrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum FormerVersion {
    #[value(name = "1.0")]
    V1_0,
    #[value(name = "1.1")]
    V1_1,
    #[value(name = "2.0")]
    V2_0,
    #[value(name = "2.1")]
    V2_1,
    #[value(name = "3.0")]
    V3_0,
    #[value(name = "4.0")]
    V4_0,
    #[value(name = "5.0")]
    V5_0,
    #[value(name = "6.0")]
    V6_0,
}

impl FormerVersion {
    /// Whether it started the highest `lxc.start.order` first.
    pub fn starts_highest_first(self) -> bool {
        matches!(self, Self::V1_0 | Self::V1_1)
    }
}
