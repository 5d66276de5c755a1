//! A lock for each user: whoever stops, starves or kills his helper holds up himself alone.

use crate::Refusal;
use berth_common::{Uid, path};
use berth_kernel::cred;
use berth_kernel::fs::{self, OpenFlags, Resolve};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// The directory of the locks. Only root may enter it, so only helpers can hold a lock.
#[derive(Debug)]
pub struct LockDir(OwnedFd);

/// A user's lock; it ends when this is dropped, or with the process.
#[derive(Debug)]
#[must_use]
pub struct Lock {
    _file: OwnedFd,
}

impl LockDir {
    /// Opens the directory, and makes it if it is missing (which only root does: whoever makes it
    /// owns it).
    pub fn open() -> Result<Self, Refusal> {
        open_or_make().map(Self).map_err(|source| Refusal::System {
            operation: format!("use the lock directory {}", path::USERNIC_RUN_DIR),
            source,
        })
    }

    /// Takes the lock of one user, waiting at most `patience` for other requests of his.
    pub fn lock(&self, uid: Uid, patience: Duration) -> Result<Lock, Refusal> {
        let name = uid.to_string();
        let system = |source| Refusal::System {
            operation: format!("lock {}/{name}", path::USERNIC_RUN_DIR),
            source,
        };
        let file = fs::openat2(
            self.0.as_fd(),
            Path::new(OsStr::new(&name)),
            OpenFlags::O_RDWR | OpenFlags::O_CREAT,
            0o600,
            Resolve::BENEATH | Resolve::NO_SYMLINKS,
        )
        .map_err(system)?;
        if fs::flock_exclusive(file.as_fd(), patience).map_err(system)? {
            Ok(Lock { _file: file })
        } else {
            Err(Refusal::Busy)
        }
    }
}

impl LockDir {
    /// Leaves word that the text view of NICs is out of date, for whoever writes it: the NICs
    /// themselves are the ledger, and a request waits for no view.
    pub fn note_change(&self) {
        let Some(name) = Path::new(path::NICS_CHANGED).file_name() else {
            return;
        };
        // A full file system keeps the view as it is, and nothing else.
        let _ = fs::openat2(
            self.0.as_fd(),
            Path::new(name),
            OpenFlags::O_WRONLY | OpenFlags::O_CREAT,
            0o600,
            Resolve::BENEATH | Resolve::NO_SYMLINKS,
        );
    }
}

fn open_or_make() -> io::Result<OwnedFd> {
    let mut dir = fs::open_dir(Path::new("/"))?;
    let mut parts = Path::new(path::USERNIC_RUN_DIR)
        .components()
        .skip(1)
        .peekable();
    while let Some(part) = parts.next() {
        let mode = if parts.peek().is_some() { 0o755 } else { 0o700 };
        dir = match fs::open_dir_beneath(dir.as_fd(), Path::new(part.as_os_str())) {
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && cred::effective_uid().is_root() =>
            {
                fs::make_dir_at(dir.as_fd(), part.as_os_str(), mode)?.0
            }
            other => other?,
        };
    }
    let status = fs::status(dir.as_fd())?;
    if status.uid != 0 || status.permissions() & 0o077 != 0 {
        return Err(io::Error::other("others than root may enter it"));
    }
    Ok(dir)
}
