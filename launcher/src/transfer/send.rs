//! The side that reads.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use berth_kernel::file_copy::{self, Attributes, FileKind};
use berth_kernel::fs::{self as kernel_fs, OpenFlags, Resolve};

use super::split;
use super::stream::{Head, Item, PIECE};
use crate::copy::walk::{Entry, Visitor, walk};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// What is sent: an open file or directory.
pub struct Source {
    open: OwnedFd,
    name: OsString,
    shown: PathBuf,
}

impl Source {
    /// By a path on the host, with the caller's rights.
    pub fn host(path: &Path) -> Result<Self> {
        Self::open(None, path)
    }

    /// By a path that leads nowhere but within the container's root.
    pub fn inside(root: OwnedFd, path: &Path) -> Result<Self> {
        Self::open(Some(root), path)
    }

    fn open(root: Option<OwnedFd>, path: &Path) -> Result<Self> {
        // Nothing that could wait for somebody, or does something when it is opened.
        let held = OpenFlags::O_PATH;
        let at = |flags| match &root {
            None => kernel_fs::openat2(nix::fcntl::AT_FDCWD, path, flags, 0, Resolve::ANY),
            Some(root) => {
                let resolve = Resolve::IN_ROOT | Resolve::NO_MAGICLINKS;
                kernel_fs::openat2(root.as_fd(), path, flags, 0, resolve)
            }
        };
        let failed = |error| Error::file("read", path, error);
        let found = Attributes::of(at(held).map_err(failed)?.as_fd()).map_err(failed)?;
        require_plain(&found, path)?;
        let open = at(OpenFlags::O_RDONLY | OpenFlags::O_NONBLOCK | OpenFlags::O_NOCTTY)
            .map_err(failed)?;
        require_plain(&Attributes::of(open.as_fd()).map_err(failed)?, path)?;
        Ok(Self {
            open,
            name: split(path).1.unwrap_or_default(),
            shown: path.to_owned(),
        })
    }
}

/// Directories, files and links are files to people.
fn require_plain(found: &Attributes, shown: &Path) -> Result<()> {
    let what = match found.kind() {
        FileKind::Regular | FileKind::Directory | FileKind::Link => return Ok(()),
        FileKind::CharacterDevice | FileKind::BlockDevice => "a device",
        FileKind::Fifo => "a named pipe",
        FileKind::Socket => "a socket",
    };
    Err(Error::other(format!(
        "{} is {what} and cannot be copied like this",
        shown.display()
    )))
}

/// Sends it. What cannot be sent is refused before the first byte.
pub fn send(pipe: File, source: &Source) -> Result<()> {
    let failed = |error| Error::file("read", &source.shown, error);
    let attributes = Attributes::of(source.open.as_fd()).map_err(failed)?;
    let mut sending = Sending {
        pipe: BufWriter::with_capacity(PIECE, pipe),
        shown: source.shown.clone(),
        progress: Progress::new("copying", 0),
    };
    let head = head(source.name.clone(), &attributes);
    if attributes.kind() == FileKind::Directory {
        let mut check = Check {
            shown: source.shown.clone(),
            bytes: 0,
        };
        walk(source.open.as_fd(), &source.shown, &|_| false, &mut check)?;
        sending.progress = Progress::new("copying", check.bytes);
        Item::Directory(head).write(&mut sending.pipe)?;
        walk(source.open.as_fd(), &source.shown, &|_| false, &mut sending)?;
        Item::Up.write(&mut sending.pipe)?;
    } else {
        sending.progress = Progress::new("copying", attributes.size);
        let file = source.open.try_clone().map_err(failed)?;
        sending.content(head, File::from(file), &source.shown)?;
    }
    Item::End.write(&mut sending.pipe)?;
    sending
        .pipe
        .flush()
        .map_err(|error| Error::os("write to a pipe", error))
}

fn head(name: OsString, attributes: &Attributes) -> Head {
    Head {
        name,
        mode: attributes.permissions() & 0o777,
        modified: attributes.modified_seconds(),
        size: attributes.size,
    }
}

struct Check {
    shown: PathBuf,
    bytes: u64,
}

impl Visitor for Check {
    fn file(&mut self, entry: &Entry<'_>) -> Result<()> {
        self.bytes = self.bytes.saturating_add(entry.attributes.size);
        require_plain(&entry.attributes, &self.shown.join(entry.path))
    }

    fn enter(&mut self, _: &Entry<'_>, _: BorrowedFd<'_>) -> Result<()> {
        Ok(())
    }

    fn leave(&mut self, _: &Path, _: BorrowedFd<'_>) -> Result<()> {
        Ok(())
    }
}

struct Sending {
    pipe: BufWriter<File>,
    shown: PathBuf,
    progress: Progress,
}

impl Sending {
    fn content(&mut self, head: Head, file: File, shown: &Path) -> Result<()> {
        self.progress.file();
        Item::File(head).write(&mut self.pipe)?;
        let mut at = 0;
        let mut buffer = vec![0; PIECE];
        loop {
            let failed = |error| Error::file("read", shown, error);
            at = file_copy::skip_hole(file.as_fd(), at).map_err(failed)?;
            let read = match file.read_at(&mut buffer, at) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                other => other.map_err(failed)?,
            };
            let piece = &buffer[..read];
            if read == 0 {
                break;
            }
            Item::Piece(at, piece.to_vec()).write(&mut self.pipe)?;
            at += read as u64;
            self.progress.bytes(read as u64);
        }
        Item::EndOfFile(at).write(&mut self.pipe)
    }
}

impl Visitor for Sending {
    fn file(&mut self, entry: &Entry<'_>) -> Result<()> {
        let shown = self.shown.join(entry.path);
        require_plain(&entry.attributes, &shown)?;
        let head = head(entry.name.to_owned(), &entry.attributes);
        let failed = |error| Error::file("read", &shown, error);
        if entry.attributes.kind() == FileKind::Link {
            let target = file_copy::read_link_at(entry.dir, entry.name).map_err(failed)?;
            return Item::Link(head, target).write(&mut self.pipe);
        }
        let flags = OpenFlags::O_RDONLY | OpenFlags::O_NONBLOCK | OpenFlags::O_NOCTTY;
        let resolve = Resolve::BENEATH | Resolve::NO_SYMLINKS | Resolve::NO_XDEV;
        let file = kernel_fs::openat2(entry.dir, Path::new(entry.name), flags, 0, resolve)
            .map_err(failed)?;
        // It may be another one by now.
        require_plain(&Attributes::of(file.as_fd()).map_err(failed)?, &shown)?;
        self.content(head, File::from(file), &shown)
    }

    fn enter(&mut self, entry: &Entry<'_>, _: BorrowedFd<'_>) -> Result<()> {
        let head = head(entry.name.to_owned(), &entry.attributes);
        Item::Directory(head).write(&mut self.pipe)
    }

    fn leave(&mut self, _: &Path, _: BorrowedFd<'_>) -> Result<()> {
        Item::Up.write(&mut self.pipe)
    }
}
