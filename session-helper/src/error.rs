use std::error::Error as StdError;
use std::fmt;

/// Why the helper cannot go on: what it was doing, and what came in the way.
#[derive(Debug)]
pub struct Error {
    operation: String,
    reason: Box<dyn StdError + Send + Sync>,
}

/// What the parts of the helper return.
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.operation, self.reason)
    }
}

impl StdError for Error {}

impl Error {
    /// `operation` completes "cannot …".
    pub fn new(
        operation: impl Into<String>,
        reason: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            operation: operation.into(),
            reason: reason.into(),
        }
    }
}

/// Adds to an error what was being done.
pub trait Doing<T> {
    fn doing(self, operation: &str) -> Result<T>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, operation: &str) -> Result<T> {
        self.map_err(|error| Error::new(operation, error))
    }
}
