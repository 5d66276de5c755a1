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
understood.\nattach, exec and cgroup exec return the command's own code, 125 if berth failed, 126 and 127 if \
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
    Restart(Restart),
    /// Open a root shell in a running container
    Attach(Attach),
    /// Run a command in a running container
    Exec(Exec),
    /// Sit down at a terminal of a running container, or show what its console printed
    Console(Console),
    /// List your containers and what they are doing
    #[command(visible_alias = "list")]
    Ls(Json),
    /// Show everything about one container
    Info(Info),
    /// Remove a container and all its files
    Destroy(Destroy),
    /// Start a container at boot from now on
    Enable(OneName),
    /// Do not start a container at boot any more
    Disable(OneName),
    /// Start all enabled containers in their order, or stop them, as lxc-autostart does
    Autostart(Autostart),
    /// Configurations of containers: read, change, judge, bring up to date
    #[command(subcommand)]
    Config(Config),
    /// Let a user run containers: subordinate ids and a quota of network interfaces (root only)
    Grant(Grant),
    /// List who may have how many network interfaces, and how many they have
    Grants(Json),
    /// Undo what grant did (root only)
    Revoke(Revoke),
    /// Network interfaces that users' containers have on this host
    #[command(subcommand)]
    Nic(Nic),
    /// Your delegated cgroups: run commands in them, look at them
    #[command(subcommand)]
    Cgroup(Cgroup),
    /// Tell what on this host keeps Berth from doing all that it can, and what mends it; exits
    /// with 1 if something is to be mended
    Doctor(Doctor),
}

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

/// Arguments of attach.
#[derive(Debug, Args)]
pub struct Attach {
    /// Name of the container
    pub name: ContainerName,
}

/// Arguments of console.
#[derive(Debug, Args)]
pub struct Console {
    /// Name of the container
    pub name: ContainerName,
    /// The terminal: 0 is the console, 1 is /dev/tty1 and so on (default: the first /dev/ttyN at
    /// which nobody sits, or the console if the container has none)
    #[arg(short, long, value_name = "N")]
    pub tty: Option<u32>,
    /// The key with Ctrl that begins a command: followed by q it leaves
    #[arg(short, long, value_name = "KEY", default_value = "^a")]
    pub escape: crate::console::Escape,
    /// Print what the console printed last, as far as the configuration has it kept
    #[arg(long, conflicts_with_all = ["tty", "escape"])]
    pub show_log: bool,
    /// Forget what the console printed
    #[arg(long, conflicts_with_all = ["tty", "escape"])]
    pub clear_log: bool,
}

/// Arguments of exec.
#[derive(Debug, Args)]
pub struct Exec {
    /// Name of the container
    pub name: ContainerName,
    /// Set a variable for the command; may be given several times
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Directory in the container to run the command in
    #[arg(short = 'w', long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// The command and its arguments, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

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

/// Arguments of destroy.
#[derive(Debug, Args)]
pub struct Destroy {
    /// Name of the container
    pub name: ContainerName,
    /// Do not ask, and stop it first if it runs
    #[arg(short, long)]
    pub force: bool,
}

/// A container.
#[derive(Debug, Args)]
pub struct OneName {
    /// Name of the container
    pub name: ContainerName,
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
