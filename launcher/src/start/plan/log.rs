//! What is written down of a container's life, and where.

use std::path::PathBuf;

use berth_container_config::LogLevel;
use berth_container_config::value::Facility;

/// What is written down of a container's life, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPlan {
    /// The container, as the system's log names it.
    pub name: String,
    /// Name and number of its owner.
    pub owner: (String, u32),
    /// The file.
    pub file: PathBuf,
    /// What matters less than this is left out.
    pub level: LogLevel,
    /// As what the system's log gets it; `None`: it does not, where there is no journal.
    pub syslog: Option<Facility>,
}
