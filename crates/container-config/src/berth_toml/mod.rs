//! `NAME/berth.toml`: what LXC's grammar has no key for. It lies in a file of its own since liblxc
//! refuses a configuration with a key that it does not know.

mod duration;
mod edit;
mod publish;
mod section;
mod sections;

pub use duration::parse_duration;
pub use edit::{EditError, publish, unpublish};
pub use publish::{MAX_PORTS, Ports, Protocol, Publish, PublishError};

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use berth_common::ContainerName;

use crate::disk::DiskLoader;
use crate::error::{LoadError, Problem};
use crate::load::{Loader, Source};
use crate::position::{Position, Positioned};

/// The file's name in the container's directory.
pub const FILE: &str = "berth.toml";
/// The longest file that is read, in bytes.
pub const MAX_FILE: usize = 64 * 1024;

/// What a `berth.toml` says. Without one everything has its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Containers that must be ready before this one is started.
    pub after: Vec<Positioned<ContainerName>>,
    /// How it is started together with others.
    pub start: Start,
    /// How it is told that the container is ready; `None`: when its init has been executed.
    pub ready: Option<Ready>,
    /// What follows when its init ends by itself.
    pub restart: Restart,
    /// How long init has to stop; `None`: what the command says.
    pub stop_timeout: Option<Duration>,
    /// Its ports on the host.
    pub publish: Vec<Positioned<Publish>>,
    /// Whether what its console prints goes to the journal, where there is one.
    pub journal_console: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            after: Vec::new(),
            start: Start::default(),
            ready: None,
            restart: Restart::default(),
            stop_timeout: None,
            publish: Vec::new(),
            journal_console: true,
        }
    }
}

/// How a container is started together with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// How long it may take; `None`: what the command says.
    pub timeout: Option<Duration>,
    /// How often a start that failed is tried again.
    pub retries: u32,
    /// How long the first of them waits, each further one twice as long.
    pub retry_delay: Duration,
}

impl Default for Start {
    fn default() -> Self {
        Self {
            timeout: None,
            retries: 0,
            retry_delay: Duration::from_secs(2),
        }
    }
}

/// When a container counts as ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// What tells.
    pub probe: Probe,
    /// How long after one attempt the next one begins.
    pub interval: Duration,
    /// How long all of it may take.
    pub timeout: Duration,
}

/// What tells that a container is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `READY=1` from inside (sd_notify(3)).
    Notify,
    /// A command inside that ends with code 0: program and arguments, at least one.
    Command(Vec<String>),
    /// A TCP port inside that takes a connection.
    Port(u16),
}

/// When init is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Never.
    #[default]
    No,
    /// When it was killed or ended with another code than 0.
    OnFailure,
    /// However it ends, unless it was told to.
    Always,
}

impl Policy {
    /// The word in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure => "on-failure",
            Self::Always => "always",
        }
    }
}

/// What follows when init ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// When it is started again.
    pub policy: Policy,
    /// How long the first restart waits; the next one twice as long, and so on.
    pub delay: Duration,
    /// The longest that a restart waits.
    pub delay_max: Duration,
    /// So many restarts within `window`, then no more.
    pub limit: u32,
    /// The time that `limit` is for.
    pub window: Duration,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: Policy::No,
            delay: Duration::from_secs(1),
            delay_max: Duration::from_secs(60),
            limit: 5,
            window: Duration::from_secs(600),
        }
    }
}

/// Reads the file beside a container's `config`; defaults if there is none.
pub fn read(path: &Path) -> Result<Settings, LoadError> {
    match read_text(path)? {
        Some(text) => parse(&text, path).map_err(LoadError::Invalid),
        None => Ok(Settings::default()),
    }
}

/// The file's text; `None` if there is no such file.
pub fn read_text(path: &Path) -> Result<Option<String>, LoadError> {
    let failed = |error| LoadError::Read {
        path: path.to_owned(),
        error,
    };
    match DiskLoader.read(path) {
        Ok(Source::Text(text)) if text.len() > MAX_FILE => Err(failed(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is larger than 64 KiB",
        ))),
        Ok(Source::Text(text)) => Ok(Some(text)),
        Ok(Source::Directory(_)) => Err(failed(io::Error::from(io::ErrorKind::IsADirectory))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Parses a file's text; `path` is for messages. Fails with everything that is wrong with it.
pub fn parse(text: &str, path: &Path) -> Result<Settings, Vec<Problem>> {
    let mut problems = section::Problems::new(text, path);
    let settings = match toml::de::DeTable::parse(text) {
        Ok(table) => sections::settings(table.get_ref(), &mut problems),
        Err(error) => {
            problems.syntax(&error);
            Settings::default()
        }
    };
    match problems.into_list() {
        list if list.is_empty() => Ok(settings),
        list => Err(list),
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notify => f.write_str("READY=1 from inside"),
            Self::Command(command) => write!(f, "the command {}", command.join(" ")),
            Self::Port(port) => write!(f, "port {port}"),
        }
    }
}

/// A position that stands for the file as a whole.
pub(crate) fn whole(path: &Path) -> Position {
    Position::new(path, 0)
}

#[cfg(test)]
mod tests;
