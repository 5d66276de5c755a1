//! Going through a tree by descriptors: no link is followed, no mount is entered, the number of
//! open files is bounded however deep the tree is.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use berth_kernel::file_copy::{Attributes, FileKind};
use berth_kernel::fs::{self as kernel_fs, OpenFlags, Resolve};

use crate::error::{Error, Result};

/// So many directories on the way down are open at once; those above are opened again on the way
/// up.
const MAX_OPEN: usize = 64;
/// The most entries of one directory.
const MAX_ENTRIES: usize = 1 << 24;

/// One file on the way.
pub struct Entry<'a> {
    /// The directory it is in.
    pub dir: BorrowedFd<'a>,
    /// Its name there.
    pub name: &'a OsStr,
    /// What it is.
    pub attributes: Attributes,
    /// Its path, from the top.
    pub path: &'a Path,
}

/// What happens on the way.
pub trait Visitor {
    /// A file that is not a directory.
    fn file(&mut self, entry: &Entry<'_>) -> Result<()>;
    /// A directory, before its entries; `open` is the directory itself.
    fn enter(&mut self, entry: &Entry<'_>, open: BorrowedFd<'_>) -> Result<()>;
    /// A directory, after its entries.
    fn leave(&mut self, path: &Path, open: BorrowedFd<'_>) -> Result<()>;
}

/// Goes through all that is below `top`, but for entries of `top` itself that `skipped` names.
/// `shown` is its path for messages.
pub fn walk(
    top: BorrowedFd<'_>,
    shown: &Path,
    skipped: &dyn Fn(&OsStr) -> bool,
    visitor: &mut impl Visitor,
) -> Result<()> {
    let mut names = names(top, shown)?;
    names.retain(|name| !skipped(name));
    let own = open(top, OsStr::new("."), shown)?;
    let mut descent = Descent::new(own);
    let mut levels = vec![names];
    let mut path = PathBuf::new();
    while let Some(names) = levels.last_mut() {
        let Some(name) = names.pop() else {
            levels.pop();
            if levels.is_empty() {
                break;
            }
            let failed = |error| Error::file("leave", &shown.join(&path), error);
            let left = descent.up().map_err(failed)?;
            visitor.leave(&path, left.as_fd())?;
            path.pop();
            continue;
        };
        path.push(&name);
        let failed = |what| {
            let shown = shown.join(&path);
            move |error| Error::file(what, &shown, error)
        };
        let attributes = Attributes::at(descent.here(), &name).map_err(failed("look at"))?;
        let entry = Entry {
            dir: descent.here(),
            name: &name,
            attributes,
            path: &path,
        };
        if attributes.kind() != FileKind::Directory {
            visitor.file(&entry)?;
            path.pop();
            continue;
        }
        let inner = open(descent.here(), &name, &shown.join(&path))?;
        visitor.enter(&entry, inner.as_fd())?;
        levels.push(self::names(inner.as_fd(), &shown.join(&path))?);
        descent.down(inner).map_err(failed("look at"))?;
    }
    Ok(())
}

/// Sorted backwards, so that the last one is the next: what is told is told in the same order.
fn names(dir: BorrowedFd<'_>, shown: &Path) -> Result<Vec<OsString>> {
    let listed = kernel_fs::first_names(dir, MAX_ENTRIES);
    let mut names = listed.map_err(|error| Error::file("list", shown, error))?;
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

/// Opens a directory without changing when it was read last, where that may be asked for.
fn open(dir: BorrowedFd<'_>, name: &OsStr, shown: &Path) -> Result<OwnedFd> {
    let resolve = Resolve::BENEATH | Resolve::NO_SYMLINKS | Resolve::NO_XDEV;
    let flags = OpenFlags::O_RDONLY | OpenFlags::O_DIRECTORY;
    let open = |flags| kernel_fs::openat2(dir, Path::new(name), flags, 0, resolve);
    let opened = match open(flags | OpenFlags::O_NOATIME) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => open(flags),
        other => other,
    };
    opened.map_err(|error| match error.kind() {
        std::io::ErrorKind::CrossesDevices => Error::other(format!(
            "something is mounted on {}; unmount it first",
            shown.display()
        )),
        _ => Error::file("open", shown, error),
    })
}

/// The directories from a top to where one is.
pub struct Descent {
    /// The last of them are open; each with what tells it from others.
    open: Vec<(Option<OwnedFd>, (u64, u64))>,
}

impl Descent {
    /// At the top.
    pub fn new(top: OwnedFd) -> Self {
        Self {
            open: vec![(Some(top), (0, 0))],
        }
    }

    /// Where one is.
    #[allow(clippy::missing_panics_doc, reason = "the last one is always open")]
    pub fn here(&self) -> BorrowedFd<'_> {
        let last = self.open.last().and_then(|(fd, _)| fd.as_ref());
        last.expect("the last directory of a descent is open")
            .as_fd()
    }

    /// Goes into a directory in the present one.
    pub fn down(&mut self, inner: OwnedFd) -> std::io::Result<()> {
        let level = self.open.len() - 1;
        self.open[level].1 = Attributes::of(self.here())?.id;
        if let Some(above) = level.checked_sub(MAX_OPEN) {
            self.open[above + 1].0 = None;
        }
        self.open.push((Some(inner), (0, 0)));
        Ok(())
    }

    /// Goes up, and hands over the directory that was left. It is an error if the directory above
    /// is another one by now.
    pub fn up(&mut self) -> std::io::Result<OwnedFd> {
        let moved = || std::io::Error::other("it was moved meanwhile");
        let left = self.open.pop().and_then(|(fd, _)| fd).ok_or_else(moved)?;
        let (above, id) = self.open.last_mut().ok_or_else(moved)?;
        if above.is_none() {
            let flags = OpenFlags::O_RDONLY | OpenFlags::O_DIRECTORY;
            let opened = kernel_fs::openat2(left.as_fd(), Path::new(".."), flags, 0, Resolve::ANY)?;
            if Attributes::of(opened.as_fd())?.id != *id {
                return Err(moved());
            }
            *above = Some(opened);
        }
        Ok(left)
    }
}
