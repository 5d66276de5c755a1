//! The container's log file: a line for what its monitor did or could not do.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Above this size (bytes) the log starts anew.
const LARGEST: u64 = 256 * 1024;

/// Appends a line. A log that cannot be written changes nothing for the container.
pub fn line(file: &Path, text: &str) {
    let now = crate::time::utc(crate::state::now());
    let full = std::fs::symlink_metadata(file).is_ok_and(|found| found.len() > LARGEST);
    let opened = File::options()
        .create(true)
        .append(!full)
        .write(true)
        .truncate(full)
        .mode(0o640)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits() | nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(file);
    if let Ok(mut log) = opened {
        let _ = log.write_all(format!("{now} {text}\n").as_bytes());
    }
}
