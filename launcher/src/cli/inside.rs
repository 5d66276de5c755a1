//! Going into a container.

use std::path::PathBuf;

use berth_common::ContainerName;
use clap::Args;

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
