//! What the kernel tells of a cgroup as it happens.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use berth_kernel::fs;

use crate::dir::value_of;
use crate::{CgroupDir, Error, Result};

/// A cgroup's `cgroup.events`. Its descriptor polls `POLLPRI` when something in it has changed
/// since it was read last, and `POLLIN` always.
#[derive(Debug)]
pub struct Events {
    file: File,
    path: PathBuf,
}

impl CgroupDir {
    /// Opens what tells of changes.
    pub fn watch_events(&self) -> Result<Events> {
        let flags = fs::OpenFlags::O_RDONLY | fs::OpenFlags::O_NOFOLLOW;
        let name = Path::new("cgroup.events");
        let opened = fs::openat2(self.as_fd(), name, flags, 0, fs::Resolve::BENEATH);
        let opened = opened.map_err(|error| self.file_error("open", "cgroup.events", error));
        Ok(Events {
            file: opened?.into(),
            path: self.path().join(name),
        })
    }
}

impl Events {
    /// Whether every process in the cgroup and below it is frozen. Reading counts a change as seen.
    pub fn is_frozen(&self) -> Result<bool> {
        let mut buffer = [0_u8; 256];
        let unreadable = || Error::Unreadable {
            path: self.path.clone(),
        };
        let length = self
            .file
            .read_at(&mut buffer, 0)
            .map_err(|_| unreadable())?;
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        match value_of(&text, "frozen") {
            Some(value) => Ok(value == 1),
            None => Err(unreadable()),
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
