//! The console's settings.

use crate::position::Positioned;
use crate::value::ConsolePeer;
use std::path::PathBuf;

/// `lxc.console.…`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Console {
    /// `path`
    pub peer: Option<Positioned<ConsolePeer>>,
    /// `logfile`
    pub log_file: Option<Positioned<PathBuf>>,
    /// `size`: the most that the log file takes, in bytes; `None`: without a limit
    pub log_size: Option<Positioned<Option<u64>>>,
    /// `rotate`, false by default: whether a full log file is kept as `.1` and a new one begun
    pub rotate: Option<Positioned<bool>>,
    /// `buffer.size`, in bytes; `None`: no buffer, which is the default
    pub buffer_size: Option<Positioned<Option<usize>>>,
}
