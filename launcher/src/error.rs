//! What can go wrong in the launcher, and what the reader can do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use berth_common::{ContainerName, exit};

use crate::start::step::Step;
use crate::state::State;

pub use berth_kernel::Plain;

/// An error of the launcher. Its text is complete: what failed, on what, why, what to do.
#[derive(Debug)]
pub enum Error {
    /// An operation on a file failed.
    File {
        /// What was being done, as in "read".
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// An operation without a file failed.
    Os {
        /// What was being done, as in "make a socket pair".
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// There is no such container.
    NoSuchContainer {
        /// Its name.
        name: ContainerName,
        /// Where it was looked for.
        lxcpath: PathBuf,
        /// The most similar name of one that exists.
        nearest: Option<String>,
    },
    /// The container runs already.
    AlreadyRunning(ContainerName),
    /// The container runs under LXC.
    UnderLxc(ContainerName),
    /// The container does not run.
    NotRunning {
        /// Its name.
        name: ContainerName,
        /// What it is instead, as `berth ls` shows it.
        state: &'static str,
    },
    /// A start failed.
    Start {
        /// In which of its steps.
        step: Step,
        /// Why; complete but for the step.
        why: String,
    },
    /// Something else; the text is complete.
    Other(String),
    /// The same with an exit code of its own.
    Code {
        /// The exit code.
        code: u8,
        /// What happened.
        text: String,
    },
}

/// Result of the launcher's functions.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with a complete text.
    pub fn other(text: impl Into<String>) -> Self {
        Self::Other(text.into())
    }

    /// A container that would have to run, and what it is instead.
    pub fn not_running(name: &ContainerName, state: State) -> Self {
        Self::NotRunning {
            name: name.clone(),
            state: state.word(),
        }
    }

    /// An operation on a file that failed.
    pub fn file(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            what,
            path: path.to_owned(),
            source,
        }
    }

    /// An operation without a file that failed.
    pub fn os(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Os {
            what: what.into(),
            source: source.into(),
        }
    }

    /// A process that could not be made; which limits may be the reason.
    pub fn process(what: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(nix::libc::EAGAIN) => Self::other(format!(
                "cannot {what}: {} (ulimit -u, pids.max of the cgroup or a unit's TasksMax= allows \
                 no more processes)",
                Plain(&source)
            )),
            Some(nix::libc::ENOMEM) => Self::other(format!(
                "cannot {what}: {} (memory.max of the cgroup or the host has no more, or the pid \
                 namespace is at its end)",
                Plain(&source)
            )),
            _ => Self::os(what, source),
        }
    }

    /// The same as the failure of a start, unless its step is known already.
    pub fn in_step(self, step: Option<Step>) -> Self {
        match (self, step) {
            (known @ (Self::Start { .. } | Self::AlreadyRunning(_)), _) | (known, None) => known,
            (error, Some(step)) => Self::Start {
                step,
                why: error.to_string(),
            },
        }
    }

    /// The program's exit code for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Code { code, .. } => *code,
            _ => exit::FAILED,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { what, path, source } => {
                write!(f, "cannot {what} {}: {}", path.display(), Plain(source))
            }
            Self::Os { what, source } => write!(f, "cannot {what}: {}", Plain(source)),
            Self::NoSuchContainer {
                name,
                lxcpath,
                nearest,
            } => {
                write!(f, "there is no container “{name}” in {}", lxcpath.display())?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean “{nearest}”?"),
                    None => write!(f, " (`berth ls` shows yours)"),
                }
            }
            Self::UnderLxc(name) => write!(
                f,
                "container “{name}” runs under LXC (berth stop {name} ends it there, too; lxc-attach \
                 -n {name} goes into it)"
            ),
            Self::AlreadyRunning(name) => write!(f, "container “{name}” runs already"),
            Self::NotRunning { name, state } => {
                write!(f, "container “{name}” does not run, it is {state}")?;
                write!(f, " (start it with: berth start {name})")
            }
            // Whoever reads of a key, or of what was being made, knows what was being done.
            Self::Start { step, why } if why.contains("lxc.") || why.contains(step.object()) => {
                f.write_str(why)
            }
            Self::Start { step, why } => write!(f, "{why} (while {step})"),
            Self::Other(text) | Self::Code { text, .. } => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}
