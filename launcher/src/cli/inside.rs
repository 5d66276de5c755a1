//! Going into a container.

use std::path::PathBuf;

use berth_common::ContainerName;
use clap::Args;

/// As whom, where and how something runs in a container; the same for attach and exec.
#[derive(Debug, Args)]
pub struct Manner {
    /// Run it as this user of the container's: a name of its /etc/passwd or a uid, and after a
    /// colon another group than his, by name or gid (default: as its init is, mostly root)
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// The group, by name of the container's /etc/group or by gid; the user has no other then
    #[arg(short, long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Set a variable for the command; may be given several times
    #[arg(
        short,
        long,
        alias = "set-var",
        short_alias = 'v',
        value_name = "NAME=VALUE"
    )]
    pub env: Vec<String>,
    /// Also hand in all of your own variables but those that say who and where you are on the
    /// host (HOME, PATH, USER and the like)
    #[arg(long)]
    pub keep_env: bool,
    /// Also hand in your own variable NAME; may be given several times
    #[arg(long, value_name = "NAME")]
    pub keep_var: Vec<String>,
    /// Hand in none of your own variables but TERM, COLORTERM and NO_COLOR, and these only with a
    /// terminal: the default
    #[arg(long, conflicts_with = "keep_env")]
    pub clear_env: bool,
    /// Directory in the container to run in
    #[arg(short = 'w', long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Give it a terminal of its own, though standard input or output is none
    #[arg(short, long, overrides_with = "no_terminal")]
    pub terminal: bool,
    /// Give it your own standard input, output and error, though they are a terminal
    #[arg(short = 'T', long)]
    pub no_terminal: bool,
    /// The key with Ctrl that, followed by q, leaves at a terminal, as with console; the command is
    /// hung up then (default: none, every key is the command's)
    #[arg(long, value_name = "KEY")]
    pub escape: Option<crate::console::Escape>,
    /// Spare it what confines the container beside its namespaces, or the named parts of that:
    /// CGROUP (its cgroup with the limits), CAP (lxc.cap.drop), LSM (profiles, the filter of
    /// system calls, no_new_privs)
    #[arg(
        long,
        value_name = "PARTS",
        num_args = 0..=1,
        require_equals = true,
        value_delimiter = ',',
        default_missing_value = "CGROUP,CAP,LSM",
        ignore_case = true
    )]
    pub elevated: Vec<Part>,
}

/// What a command in a container can be spared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The container's cgroup
    #[value(name = "CGROUP")]
    Cgroup,
    /// The dropping of capabilities
    #[value(name = "CAP")]
    Capabilities,
    /// Security modules' profiles, the filter of system calls, no_new_privs
    #[value(name = "LSM")]
    Profiles,
}

/// Arguments of attach.
#[derive(Debug, Args)]
pub struct Attach {
    /// Name of the container
    pub name: ContainerName,
    /// As whom, where and how.
    #[command(flatten)]
    pub manner: Manner,
    /// A command and its arguments, after --, instead of the user's shell
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
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
    /// As whom, where and how.
    #[command(flatten)]
    pub manner: Manner,
    /// The command and its arguments, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}
