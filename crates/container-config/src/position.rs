//! Where a value stands.

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The file as it was named: by the caller, or by the `lxc.include` that led to it.
    pub file: Arc<Path>,
    /// The line's number, from 1.
    pub line: u32,
}

impl Position {
    /// A line of a file.
    pub fn new(file: impl Into<PathBuf>, line: u32) -> Self {
        Self {
            file: Arc::from(file.into()),
            line,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}",
            crate::error::printable(&self.file.to_string_lossy()),
            self.line
        )
    }
}

/// A value and the line that gave it, for errors that are found only later (a bridge that does
/// not exist, a path that is no directory).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positioned<T> {
    /// The value.
    pub value: T,
    /// The line.
    pub at: Position,
}

impl<T> Positioned<T> {
    /// A value and its line.
    pub fn new(value: T, at: Position) -> Self {
        Self { value, at }
    }
}

impl<T> Deref for Positioned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
