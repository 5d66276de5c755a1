//! The console that a start is going to give.

use std::path::PathBuf;

/// The console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsolePlan {
    /// Whether there is one.
    pub exists: bool,
    /// A terminal or file that it is joined with.
    pub peer: Option<PeerPlan>,
    /// A file that gets its output.
    pub log_file: Option<LogFilePlan>,
    /// How many bytes of its last output are kept in memory.
    pub buffer: Option<usize>,
}

/// What the console is joined with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerPlan {
    /// File, line and key, for errors.
    pub at: String,
    /// A terminal, another device, or a file.
    pub path: PathBuf,
}

/// A file that gets the console's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilePlan {
    /// File, line and key, for errors.
    pub at: String,
    /// The file; no component of it is a link.
    pub path: PathBuf,
    /// The most that it takes, in bytes.
    pub limit: Option<u64>,
    /// Whether a full one is kept beside the new one.
    pub rotate: bool,
}
