//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

mod boot;
mod config;
mod copies;
mod devices;
pub mod habits;
mod help;
mod host;
mod inside;
mod keep;
mod lives;
mod look;
mod net;
mod ports;
mod top;

pub use boot::*;
pub use config::*;
pub use copies::*;
pub use devices::*;
pub use host::*;
pub use inside::*;
pub use keep::*;
pub use lives::*;
pub use look::*;
pub use net::*;
pub use ports::*;
pub use top::*;

/// Containers for everybody: full system containers without sudo, from login and from boot.
#[derive(Debug, Parser)]
#[command(name = "berth", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)
    #[arg(short = 'P', long, global = true, value_name = "DIR")]
    pub lxcpath: Option<PathBuf>,
    /// Whose containers it is about, for root: berth becomes that user before it touches anything
    /// of his
    #[arg(long = "user", value_name = "NAME")]
    pub owner: Option<String>,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 it could not be done, 2 the command line was not \
understood.\nattach, exec and cgroup exec return the command's own code, 125 if berth failed, 126 and 127 if \
the command cannot be executed or does not exist, 128+N if signal N ended it.";

impl Cli {
    /// Reads a command line, the program's name first.
    pub fn of(arguments: Vec<OsString>) -> std::result::Result<Self, clap::Error> {
        let command = Self::command();
        let overview = help::overview(&command);
        let mut command = command.override_help(overview);
        let matches = command.try_get_matches_from_mut(habits::with_names_in_place(arguments))?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

impl Verb {
    /// Whether it only looks at containers, which root does as their owner.
    pub fn only_looks(&self) -> bool {
        match self {
            Self::Ls(_) | Self::Info(_) | Self::Complete(_) => true,
            Self::Autostart(options) => options.verb.is_some(),
            _ => false,
        }
    }
}

/// What somebody may have meant by a verb that does not exist.
pub fn tip(error: &clap::Error) -> Option<&'static str> {
    unknown_verb(error).and_then(habits::meant_by)
}

fn unknown_verb(error: &clap::Error) -> Option<&str> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(verb))) => Some(verb),
        _ => None,
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a container
    Create(Create),
    /// Start a container and return when it is ready
    Start(Start),
    /// Ask a container to stop, wait, then kill it
    Stop(StopOnly),
    /// Stop a container and start it again
    Restart(Restart),
    /// Have all processes of a container stand still
    #[command(alias = "pause")]
    Freeze(Names),
    /// Let a frozen container go on
    #[command(aliases = ["resume", "thaw"])]
    Unfreeze(Names),
    /// Wait until a container is in a state
    Wait(Wait),
    /// Tell what happens to your containers, as it happens
    Events(Events),
    /// Show what a container's console printed, or what its monitor wrote down
    Logs(Logs),
    /// Devices of the host in a running container: give it one, take it back, list them
    #[command(subcommand)]
    Device(Device),
    /// Let ports of the host lead into a container, now and at each start
    Publish(PublishPorts),
    /// Take that back
    Unpublish(UnpublishPorts),
    /// Open a root shell in a running container
    Attach(Attach),
    /// Run a command in a running container
    Exec(Exec),
    /// Sit down at a terminal of a running container, or show what its console printed
    Console(Console),
    /// List your containers and what they are doing
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Show everything about one container
    Info(Info),
    /// Show what running containers use, as it changes
    Top(Top),
    /// Make a container from another one: all its files, or an overlay upon them
    Copy(Copy),
    /// Keep what a container is now, and go back to it
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Give a container another name
    Rename(Rename),
    /// Copy files into a container or out of it
    Cp(Cp),
    /// Remove a container and all its files
    Destroy(Destroy),
    /// Start a container at boot from now on
    Enable(OneName),
    /// Do not start a container at boot any more
    Disable(OneName),
    /// Start all enabled containers in their order, or stop them, or tell what came of it
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
    /// The host's bridge for containers, and the addresses on it
    #[command(subcommand)]
    Net(Net),
    /// Your delegated cgroups: run commands in them, look at them
    #[command(subcommand)]
    Cgroup(Cgroup),
    /// Tell what on this host keeps Berth from doing all that it can, and what mends it; exits
    /// with 1 if something is to be mended
    Doctor(Doctor),
    /// Print what may stand in the place of the last of these words of a command line, for the
    /// completion of shells
    #[command(hide = true)]
    Complete(Complete),
}
