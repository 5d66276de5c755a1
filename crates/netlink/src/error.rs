use crate::wire;
use berth_kernel::Plain;
use std::{fmt, io};

/// Why a request failed.
#[derive(Debug)]
pub enum Error {
    /// There was no socket to be had.
    Open(io::Error),
    /// A message could not be sent or received.
    Transport {
        /// What was asked for.
        operation: String,
        /// Why it did not travel.
        source: io::Error,
    },
    /// The kernel said no.
    Kernel {
        /// What was asked for.
        operation: String,
        /// Its errno.
        source: io::Error,
        /// Its own words, if it had any.
        text: Option<String>,
    },
    /// The kernel's answer is not what netlink(7) promises.
    Malformed {
        /// What was asked for.
        operation: String,
    },
    /// A dump was overtaken by changes again and again.
    Unstable {
        /// What was asked for.
        operation: String,
    },
    /// What was to be sent does not fit into a message, or is no value that the kernel knows.
    Invalid {
        /// What was asked for.
        operation: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Error {
    /// The kernel's errno, if it was the kernel who refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Kernel { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// Whether a thing of that name exists already.
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(wire::EEXIST)
    }

    /// Whether there is no such interface.
    pub fn is_missing(&self) -> bool {
        matches!(self.errno(), Some(wire::ENODEV | wire::ENOENT))
    }

    /// Whether the caller lacks CAP_NET_ADMIN there.
    pub fn is_not_permitted(&self) -> bool {
        self.errno() == Some(wire::EPERM)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(source) => write!(f, "cannot open a netlink socket: {}", Plain(source)),
            Self::Transport { operation, source } => {
                write!(
                    f,
                    "cannot {operation}: the netlink message failed: {}",
                    Plain(source)
                )
            }
            Self::Kernel {
                operation,
                source,
                text: Some(text),
            } => {
                write!(f, "cannot {operation}: {}: {text}", Plain(source))
            }
            Self::Kernel {
                operation,
                source,
                text: None,
            } => {
                write!(f, "cannot {operation}: {}", Plain(source))
            }
            Self::Malformed { operation } => {
                write!(
                    f,
                    "cannot {operation}: the kernel's answer is not understood"
                )
            }
            Self::Unstable { operation } => {
                write!(
                    f,
                    "cannot {operation}: interfaces changed faster than they could be read"
                )
            }
            Self::Invalid { operation, why } => write!(f, "cannot {operation}: {why}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open(source) | Self::Transport { source, .. } | Self::Kernel { source, .. } => {
                Some(source)
            }
            _ => None,
        }
    }
}
