use crate::FrameError;
use berth_kernel::Plain;
use std::{fmt, io};

/// What can go wrong on a [`crate::Connection`].
#[derive(Debug)]
pub enum Error {
    /// The message is too large, or what came is none.
    Frame(FrameError),
    /// A well-formed frame that has no meaning here.
    Unexpected(&'static str),
    /// A system call failed.
    Io {
        /// What was being done.
        operation: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, source }
    }

    /// Whether a time limit ran out, or a non-blocking call would have waited.
    pub fn is_would_block(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether the peer has closed its end.
    pub fn is_disconnected(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), BrokenPipe | ConnectionReset | NotConnected))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Unexpected(what) => write!(f, "the message makes no sense here: {what}"),
            Self::Io { operation, source } => {
                write!(f, "cannot {operation}: {}", Plain(source))
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Frame(error) => Some(error),
            Self::Unexpected(_) => None,
            Self::Io { source, .. } => Some(source),
        }
    }
}

impl From<FrameError> for Error {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}
