//! What can go wrong in the launcher, and what the reader can do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use berth_common::{ContainerName, exit};

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
            Self::Other(text) | Self::Code { text, .. } => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

/// The kernel's reason without Rust's "(os error N)".
pub struct Plain<'error>(pub &'error io::Error);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.raw_os_error() {
            Some(errno) => f.write_str(nix_text(errno)),
            None => self.0.fmt(f),
        }
    }
}

fn nix_text(errno: i32) -> &'static str {
    berth_kernel::error_text(errno)
}
