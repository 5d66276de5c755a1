//! Why the network could not be set up or taken down.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Each message says what failed, on what, why, and what helps.
#[derive(Debug)]
pub enum Error {
    /// The configuration is wrong.
    Config {
        /// The file.
        path: PathBuf,
        /// The line, from 1; none if the file as a whole is meant.
        line: Option<usize>,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// A file could not be read or written.
    File {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The kernel refused a change to an interface.
    Netlink(berth_netlink::Error),
    /// A program could not be run.
    Program {
        /// Which.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Anything that a sentence says best.
    Refused(String),
    /// Some of it failed, and undoing did too.
    Several(Vec<Error>),
}

impl Error {
    pub(crate) fn file(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            operation,
            path,
            source,
        }
    }

    /// One error of several, or nothing if there is none.
    pub fn collect(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config {
                path,
                line: Some(line),
                why,
            } => {
                write!(f, "{}:{line}: {why}", path.display())
            }
            Self::Config {
                path,
                line: None,
                why,
            } => write!(f, "{}: {why}", path.display()),
            Self::File {
                operation,
                path,
                source,
            } => {
                write!(f, "cannot {operation} {}: {source}", path.display())
            }
            Self::Netlink(source) => source.fmt(f),
            Self::Program { program, source } => {
                write!(f, "cannot run {}: {source}", program.display())
            }
            Self::Refused(why) => f.write_str(why),
            Self::Several(all) => {
                for (i, error) in all.iter().enumerate() {
                    let divider = if i == 0 { "" } else { "\n" };
                    write!(f, "{divider}{error}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } | Self::Program { source, .. } => Some(source),
            Self::Netlink(source) => Some(source),
            _ => None,
        }
    }
}

impl From<berth_netlink::Error> for Error {
    fn from(source: berth_netlink::Error) -> Self {
        Self::Netlink(source)
    }
}
