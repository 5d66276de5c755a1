//! The host's side: grants, interfaces, cgroups, judgement.

use std::path::PathBuf;

use berth_common::InterfaceName;
use clap::{Args, Subcommand};

use super::look::Json;

/// Arguments of grant.
#[derive(Debug, Args)]
pub struct Grant {
    /// Name of the user
    pub user: String,
    /// How many network interfaces the user's containers may have at once on the bridge
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub nics: u32,
    /// Bridge of these network interfaces
    #[arg(long, value_name = "BRIDGE", default_value = berth_common::path::DEFAULT_BRIDGE)]
    pub bridge: InterfaceName,
    /// Also let the user's containers start at boot (linger)
    #[arg(long)]
    pub boot: bool,
}

/// Arguments of revoke.
#[derive(Debug, Args)]
pub struct Revoke {
    /// Name of the user
    pub user: String,
    /// Take back only the network interfaces on this bridge
    #[arg(long, value_name = "BRIDGE")]
    pub bridge: Option<InterfaceName>,
    /// Take the subordinate ids back although containers own files with them
    #[arg(long)]
    pub force: bool,
}

/// What to do about network interfaces.
#[derive(Debug, Subcommand)]
pub enum Nic {
    /// List yours, for root everybody's
    #[command(visible_alias = "ls")]
    List(Json),
    /// Tell what does not agree with what is granted; exits with 1 if anything does not
    Verify,
    /// Remove those that no container uses any more (root only)
    Gc,
    /// Tell what is suspicious in the quota file; exits with 1 if anything is
    Check {
        /// Another file than /etc/lxc/lxc-usernet
        file: Option<PathBuf>,
    },
    /// Write /run/lxc/nics anew (root only)
    View,
}

/// What to do with delegated cgroups.
#[derive(Debug, Subcommand)]
pub enum Cgroup {
    /// Run a command in your lasting cgroup, which outlives this session
    Exec(CgroupExec),
    /// Draw your delegated cgroups with owners, controllers, limits and processes
    Show(CgroupShow),
}

/// Arguments of cgroup exec.
#[derive(Debug, Args)]
pub struct CgroupExec {
    /// Run it in this login session's cgroup instead
    #[arg(long)]
    pub session: bool,
    /// The command and its arguments, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

/// Arguments of cgroup show.
#[derive(Debug, Args)]
pub struct CgroupShow {
    /// Show another user's (root only)
    #[arg(short, long, value_name = "NAME")]
    pub user: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of doctor.
#[derive(Debug, Args)]
pub struct Doctor {
    /// What to look at (default: everything)
    pub topic: Option<Topic>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// What doctor looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Topic {
    /// Whether you have delegated cgroups, and which controllers reach them
    Cgroups,
}

/// Arguments of complete.
#[derive(Debug, Args)]
pub struct Complete {
    /// The words up to the cursor, the program's name first, after --
    #[arg(last = true, value_name = "WORD")]
    pub words: Vec<std::ffi::OsString>,
}
