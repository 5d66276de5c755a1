//! Why a request was not fulfilled.

use berth_common::bus;
use std::fmt;

/// What the caller is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Policy or the state of things speaks against it.
    Refused(String),
    /// Too much is asked at a time.
    Busy(String),
    /// It was tried and did not work.
    Failed(String),
}

impl Refusal {
    /// The error's name on the bus.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refused(_) => bus::REFUSED,
            Self::Busy(_) => bus::BUSY,
            Self::Failed(_) => bus::FAILED,
        }
    }

    /// From anything that went wrong on the way.
    pub fn failed(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) | Self::Busy(why) | Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Refusal {}
