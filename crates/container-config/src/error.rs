//! What can be wrong with a configuration, and what is merely odd.

use crate::position::Position;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Text for a message: control characters replaced, long text cut.
pub(crate) fn printable(text: &str) -> String {
    const MAX: usize = 160;
    let clean = |c: char| if c.is_control() { '?' } else { c };
    if text.chars().count() <= MAX {
        return text.chars().map(clean).collect();
    }
    text.chars()
        .map(clean)
        .take(MAX)
        .chain("…".chars())
        .collect()
}

/// One thing that is wrong, where, and with which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line; line 0 stands for the file as a whole.
    pub at: Position,
    /// The key as it was written; none where the line has no key.
    pub key: Option<String>,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, &self.at, self.key.as_deref(), &self.message)
    }
}

/// `FILE:LINE: KEY: what`, without what there is not.
fn write_line(
    f: &mut fmt::Formatter<'_>,
    at: &Position,
    key: Option<&str>,
    message: &str,
) -> fmt::Result {
    match at.line {
        0 => write!(f, "{}: ", printable(&at.file.to_string_lossy()))?,
        _ => write!(f, "{at}: ")?,
    }
    if let Some(key) = key {
        write!(f, "{}: ", printable(key))?;
    }
    f.write_str(message)
}

/// Something that LXC ignores without a word and that is probably a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The line.
    pub at: Position,
    /// The key as it was written; none where the line has no key.
    pub key: Option<String>,
    /// What is odd about it.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, &self.at, self.key.as_deref(), &self.message)
    }
}

/// Why a configuration could not be had.
#[derive(Debug)]
pub enum LoadError {
    /// The top-level file could not be read.
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The files have problems: all of them, in reading order, at least one.
    Invalid(Vec<Problem>),
}

impl LoadError {
    /// Whether the reason is that there is no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Why a file could not be read, without the number that the standard library puts behind it.
pub(crate) fn reason(error: &io::Error) -> String {
    let mut text = error.to_string();
    if error.raw_os_error().is_some()
        && let Some(number) = text.rfind(" (os error ")
    {
        text.truncate(number);
    }
    text
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => {
                write!(
                    f,
                    "cannot read {}: {}",
                    printable(&path.to_string_lossy()),
                    reason(error)
                )
            }
            Self::Invalid(problems) => {
                for (i, problem) in problems.iter().enumerate() {
                    if i > 0 {
                        f.write_str("\n")?;
                    }
                    problem.fmt(f)?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { error, .. } => Some(error),
            Self::Invalid(_) => None,
        }
    }
}
