//! Making files below the working directory.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A tree that is being filled, by a process whose working directory is its top. All paths are
/// relative to that; modes are set whatever the umask is.
#[derive(Debug)]
pub struct Tree {
    shown: PathBuf,
}

impl Tree {
    /// Goes into an open directory. `shown` is its path in error messages.
    pub fn enter(dir: BorrowedFd<'_>, shown: &Path) -> Result<Self> {
        std::env::set_current_dir(berth_kernel::fs::descriptor_path(dir))
            .map_err(|error| Error::file("enter", shown, error))?;
        Ok(Self {
            shown: shown.to_owned(),
        })
    }

    /// Makes a directory, and those above it that are missing.
    pub fn dir(&self, path: &str, mode: u32) -> Result<()> {
        let made = fs::create_dir_all(path)
            .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)));
        made.map_err(|error| self.error("make directory", path, error))
    }

    /// Writes a new file.
    pub fn file(&self, path: &str, mode: u32, content: &str) -> Result<()> {
        let written = new_file(path, mode).and_then(|mut file| file.write_all(content.as_bytes()));
        written.map_err(|error| self.error("write", path, error))
    }

    /// Copies an open file, from its beginning.
    pub fn copy(&self, path: &str, mode: u32, mut source: &File) -> Result<()> {
        let copied = source.seek(SeekFrom::Start(0)).and_then(|_| {
            let mut file = new_file(path, mode)?;
            io::copy(&mut source.take(u64::MAX), &mut file)
        });
        copied
            .map(drop)
            .map_err(|error| self.error("write", path, error))
    }

    /// Makes a symbolic link.
    pub fn link(&self, path: &str, target: &str) -> Result<()> {
        symlink(target, path).map_err(|error| self.error("make the link", path, error))
    }

    /// Waits until all of it is on the disk, so that a power cut after this leaves no empty
    /// files.
    pub fn sync(&self) -> Result<()> {
        let synced =
            File::open(".").and_then(|top| berth_kernel::fs::sync_file_system(top.as_fd()));
        synced.map_err(|error| Error::file("write", &self.shown, error))
    }

    fn error(&self, what: &'static str, path: &str, error: io::Error) -> Error {
        Error::file(what, &self.shown.join(path), error)
    }
}

fn new_file(path: &str, mode: u32) -> io::Result<File> {
    let file = File::options().write(true).create_new(true).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}
