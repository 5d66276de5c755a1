//! Starting and stopping.

use std::time::Duration;

use berth_common::ContainerName;
use clap::Args;

use crate::commands::wait::WaitedStates;

/// Arguments of start.
#[derive(Debug, Args)]
pub struct Start {
    /// Names of the containers
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<ContainerName>,
    /// Start it in this login session's cgroup, with which it ends, instead of the lasting one
    #[arg(long)]
    pub here: bool,
    /// Do not start first what start.after of its berth.toml names
    #[arg(long)]
    pub no_deps: bool,
    /// Return when its init runs, without waiting until it is ready
    #[arg(long)]
    pub no_wait: bool,
    /// Show its console at your terminal and wait for its end: returns what its init returned.
    /// SIGINT, SIGTERM and SIGHUP stop it in order, a second one kills it
    #[arg(short = 'F', long)]
    pub foreground: bool,
    /// The key with Ctrl that, followed by q, leaves a start in the foreground; the container runs
    /// on
    #[arg(
        long,
        value_name = "KEY",
        default_value = "^a",
        requires = "foreground"
    )]
    pub escape: crate::console::Escape,
    /// Set a key for this start only, as if it were the configuration's last line; may be given
    /// several times
    #[arg(short, long, alias = "define", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[arg(short, long, hide = true, conflicts_with = "foreground")]
    #[allow(missing_docs, reason = "lxc-start's word for what is the default here")]
    pub daemon: bool,
    /// Another init for this start only, with its arguments, after --
    #[arg(last = true, value_name = "INIT")]
    pub init: Vec<std::ffi::OsString>,
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

/// Arguments of stop.
#[derive(Debug, Args)]
pub struct StopOnly {
    /// How to stop it.
    #[command(flatten)]
    pub stop: Stop,
    /// Do not kill it when its time is over: it is left to stop or not, and the code is 1
    #[arg(long, alias = "no-kill", conflicts_with_all = ["kill", "no_wait"])]
    pub nokill: bool,
    /// Have its init reboot it instead, as berth restart --reboot does
    #[arg(short, long, conflicts_with_all = ["kill", "no_wait", "nokill"])]
    pub reboot: bool,
    #[arg(long, hide = true)]
    #[allow(
        missing_docs,
        reason = "lxc-stop's word; killing waits for no lock here anyway"
    )]
    pub nolock: bool,
}

/// Arguments of stop and restart.
#[derive(Debug, Args)]
pub struct Stop {
    /// Names of the containers
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<ContainerName>,
    /// How long the container has to stop before it is killed: seconds, or with a unit as in 2min
    /// (default: stop.timeout of its berth.toml, else 60)
    #[arg(short, long, value_name = "TIME", value_parser = time)]
    pub timeout: Option<Duration>,
    /// Kill it without asking
    #[arg(short, long)]
    pub kill: bool,
    /// Only ask it to stop, and do not wait for that
    #[arg(short = 'W', long, alias = "nowait", conflicts_with_all = ["kill", "timeout"])]
    pub no_wait: bool,
}

/// Arguments of wait.
#[derive(Debug, Args)]
pub struct Wait {
    /// Name of the container
    pub name: ContainerName,
    /// The state, or several with | in between: stopped, starting, running, frozen, restarting,
    /// stopping, aborted; LXC's names count too
    #[arg(short, long, value_name = "STATE", default_value = "stopped")]
    pub state: WaitedStates,
    /// Wait until it is ready, as its berth.toml has it
    #[arg(long, conflicts_with = "state")]
    pub ready: bool,
    /// Give up after this time: seconds, or with a unit as in 2min
    #[arg(short, long, value_name = "TIME", value_parser = time)]
    pub timeout: Option<Duration>,
}

/// A duration on the command line: seconds, or numbers with units.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    berth_container_config::berth_toml::parse_duration(text).ok_or_else(|| {
        "expected seconds, or a time with units as in 90s, 2min, 1h 30min".to_owned()
    })
}
