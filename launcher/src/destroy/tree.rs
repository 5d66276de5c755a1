//! Removing a tree by descriptors: no link is followed, no mount is crossed, the number of open
//! files is bounded however deep the tree is.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use berth_kernel::fs::{self as kernel_fs, OpenFlags, Resolve};

use crate::error::{Error, Plain, Result};

/// So many directories are open at once. What lies deeper is moved up to the top and has its
/// turn there.
const MAX_DEPTH: usize = 32;
/// So many names are held at once.
const BATCH: usize = 1024;

/// Removes everything in a directory. `shown` is its path for messages. Goes on past what cannot
/// be removed and tells the first such thing.
pub fn empty(top: BorrowedFd<'_>, shown: &Path) -> Result<()> {
    let mut removal = Removal {
        top,
        shown: shown.to_owned(),
        moved: 0,
        failures: 0,
        first: None,
    };
    removal.empty(top, 0);
    removal
        .first
        .map_or(Ok(()), |first| Err(Error::other(first)))
}

struct Removal<'top> {
    top: BorrowedFd<'top>,
    shown: PathBuf,
    moved: u64,
    failures: u64,
    first: Option<String>,
}

impl Removal<'_> {
    /// Removes what is in `dir`, as far as it can be removed.
    fn empty(&mut self, dir: BorrowedFd<'_>, depth: usize) {
        loop {
            let names = match kernel_fs::first_names(dir, BATCH) {
                Ok(names) => names,
                Err(error) => return self.failed("list", &error),
            };
            let removed = names
                .iter()
                .filter(|name| self.remove(dir, name, depth))
                .count();
            // Without progress the same names would come again and again.
            if removed == 0 {
                return;
            }
        }
    }

    fn remove(&mut self, dir: BorrowedFd<'_>, name: &OsStr, depth: usize) -> bool {
        self.shown.push(name);
        let removed = self.remove_shown(dir, name, depth);
        self.shown.pop();
        removed
    }

    fn remove_shown(&mut self, dir: BorrowedFd<'_>, name: &OsStr, depth: usize) -> bool {
        let error = match kernel_fs::unlink_at(dir, name) {
            Ok(()) => return true,
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::NotFound => true,
            io::ErrorKind::IsADirectory => self.remove_dir(dir, name, depth),
            _ => {
                self.failed("remove", &error);
                false
            }
        }
    }

    fn remove_dir(&mut self, dir: BorrowedFd<'_>, name: &OsStr, depth: usize) -> bool {
        match kernel_fs::remove_dir_at(dir, name) {
            Ok(()) => return true,
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) => {
                self.failed("remove", &error);
                return false;
            }
        }
        if depth == MAX_DEPTH {
            return self.move_up(dir, name);
        }
        let failures = self.failures;
        match open(dir, name) {
            Ok(inner) => self.empty(inner.as_fd(), depth + 1),
            Err(error) => {
                self.failed("open", &error);
                return false;
            }
        }
        match kernel_fs::remove_dir_at(dir, name) {
            Ok(()) => true,
            // What is in it has been told already.
            Err(_) if self.failures > failures => false,
            Err(error) => {
                self.failed("remove", &error);
                false
            }
        }
    }

    /// Moves a directory to the top under a name that is free there.
    fn move_up(&mut self, dir: BorrowedFd<'_>, name: &OsStr) -> bool {
        loop {
            let free = format!(".deep-{}", self.moved);
            self.moved += 1;
            match kernel_fs::rename_new(dir, name, self.top, free.as_ref()) {
                Ok(()) => return true,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    self.failed("move", &error);
                    return false;
                }
            }
        }
    }

    fn failed(&mut self, what: &str, error: &io::Error) {
        self.failures += 1;
        self.first.get_or_insert_with(|| {
            let why = match error.kind() {
                io::ErrorKind::CrossesDevices => "something is mounted there".to_owned(),
                _ => Plain(error).to_string(),
            };
            format!("cannot {what} {}: {why}", self.shown.display())
        });
    }
}

/// Opens a directory, of whatever mode, without following a link or entering a mount.
fn open(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let resolve = Resolve::BENEATH | Resolve::NO_SYMLINKS | Resolve::NO_XDEV;
    let open = |flags: OpenFlags| {
        kernel_fs::openat2(
            dir,
            Path::new(name),
            flags | OpenFlags::O_DIRECTORY,
            0,
            resolve,
        )
    };
    let inner = match open(OpenFlags::O_RDONLY) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let closed = open(OpenFlags::O_PATH)?;
            let path = kernel_fs::descriptor_path(closed.as_fd());
            std::fs::set_permissions(path, Permissions::from_mode(0o700))?;
            open(OpenFlags::O_RDONLY)?
        }
        other => other?,
    };
    // A directory that is not writable keeps its entries, unless the caller has rights over it.
    let mode = kernel_fs::status(inner.as_fd())?.permissions();
    if mode & 0o300 != 0o300 {
        // If this fails, the removal of its entries tells.
        let _ = kernel_fs::chmod(inner.as_fd(), 0o700);
    }
    Ok(inner)
}
