//! The command line.

use std::path::PathBuf;

use berth_common::{ContainerName, InterfaceName};
use clap::{Args, Parser, Subcommand};

/// Containers for everybody: full system containers without sudo, from login and from boot.
#[derive(Debug, Parser)]
#[command(name = "berth", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)
    #[arg(short = 'P', long, global = true, value_name = "DIR")]
    pub lxcpath: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 it could not be done, 2 the command line was not \
understood.\nattach and exec return the command's own code, 125 if berth failed, 126 and 127 if \
the command cannot be executed or does not exist, 128+N if signal N ended it.";

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a container
    Create(Create),
    /// Start a container and return when its init runs
    Start(Start),
    /// Ask a container to stop, wait, then kill it
    Stop(Stop),
    /// Stop a container and start it again
    Restart(Stop),
    /// A root shell in a running container
    Attach(Attach),
    /// Run a command in a running container
    Exec(Exec),
    /// The containers and what they are doing
    #[command(visible_alias = "list")]
    Ls(Json),
    /// Everything about one container
    Info(Info),
    /// Remove a container and all its files
    Destroy(Destroy),
    /// Start a container at boot from now on
    Enable(OneName),
    /// Do not start a container at boot any more
    Disable(OneName),
    /// Start or stop containers as lxc-autostart does, those of equal order at once
    Autostart(Autostart),
    /// Let a user run containers: subordinate ids, a quota of network interfaces (root)
    Grant(Grant),
    /// Who may run containers, and how many network interfaces they have
    Grants(Json),
    /// Undo what grant did (root)
    Revoke(Revoke),
}

/// Arguments of create.
#[derive(Debug, Args)]
pub struct Create {
    /// Its name
    pub name: ContainerName,
    /// What to put into it: busybox, or none for a configuration only
    #[arg(short, long, default_value = "busybox")]
    pub template: String,
    /// The statically linked busybox to put into it (default: the host's)
    #[arg(long, value_name = "FILE")]
    pub busybox_path: Option<PathBuf>,
}

/// Arguments of start.
#[derive(Debug, Args)]
pub struct Start {
    /// Which
    pub name: ContainerName,
    /// In this session's cgroup instead of the lasting one: it ends with the session
    #[arg(long)]
    pub here: bool,
}

/// Arguments of stop and restart.
#[derive(Debug, Args)]
pub struct Stop {
    /// Which
    pub name: ContainerName,
    /// Seconds that its init has to stop before it is killed
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
    /// Kill it without asking
    #[arg(short, long)]
    pub kill: bool,
}

/// Arguments of attach.
#[derive(Debug, Args)]
pub struct Attach {
    /// Which
    pub name: ContainerName,
}

/// Arguments of exec.
#[derive(Debug, Args)]
pub struct Exec {
    /// Which
    pub name: ContainerName,
    /// A variable for the command
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// The directory inside to run it in
    #[arg(short = 'w', long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// The command and its arguments, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

/// Arguments of listing verbs.
#[derive(Debug, Args)]
pub struct Json {
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of info.
#[derive(Debug, Args)]
pub struct Info {
    /// Which
    pub name: ContainerName,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of destroy.
#[derive(Debug, Args)]
pub struct Destroy {
    /// Which
    pub name: ContainerName,
    /// Do not ask, and stop it first if it runs
    #[arg(short, long)]
    pub force: bool,
}

/// A container.
#[derive(Debug, Args)]
pub struct OneName {
    /// Which
    pub name: ContainerName,
}

/// Arguments of autostart.
#[derive(Debug, Args)]
pub struct Autostart {
    /// Stop instead of start, in reverse order
    #[arg(short, long, conflicts_with = "kill")]
    pub shutdown: bool,
    /// Kill instead of start
    #[arg(short, long)]
    pub kill: bool,
    /// Only say which containers would be affected
    #[arg(short = 'L', long)]
    pub list: bool,
    /// Whatever their groups are
    #[arg(short, long)]
    pub all: bool,
    /// Whether or not lxc.start.auto is set
    #[arg(short = 'A', long)]
    pub ignore_auto: bool,
    /// Groups, separated by commas; an empty one means containers without any
    #[arg(short, long, value_name = "LIST")]
    pub groups: Vec<String>,
    /// Seconds that each container has to stop before it is killed
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
    /// Seconds that all of it may take
    #[arg(long, value_name = "SECONDS")]
    pub total: Option<u64>,
}

/// Arguments of grant.
#[derive(Debug, Args)]
pub struct Grant {
    /// Who
    pub user: String,
    /// How many network interfaces at once
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub nics: u32,
    /// On which bridge
    #[arg(long, value_name = "BRIDGE", default_value = berth_common::path::DEFAULT_BRIDGE)]
    pub bridge: InterfaceName,
    /// Also let the user's containers start at boot (linger)
    #[arg(long)]
    pub boot: bool,
}

/// Arguments of revoke.
#[derive(Debug, Args)]
pub struct Revoke {
    /// Who
    pub user: String,
    /// Only this bridge's interfaces
    #[arg(long, value_name = "BRIDGE")]
    pub bridge: Option<InterfaceName>,
    /// Take the subordinate ids back although containers may still own files with them
    #[arg(long)]
    pub force: bool,
}
