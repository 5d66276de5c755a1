//! Copying a tree so that nothing of it is lost: content with its holes, names of the same file,
//! owners, modes, times, access lists, capabilities and other attributes, special files.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use berth_common::{Gid, Uid};
use berth_kernel::file_copy::{self, Attributes, FileKind};
use berth_kernel::fs::{self as kernel_fs, OpenFlags, Resolve};

use super::walk::{Descent, Entry, Visitor, walk};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// The attribute of SELinux: the kernel gives it by its own rules where the caller may not set it.
const SELINUX: &std::ffi::CStr = c"security.selinux";
/// What a file's owner is shown as whose id has no name in the present user namespace.
const OVERFLOW_ID: u32 = 65_534;

/// A copy on its way.
pub struct Copying<'a> {
    shown: PathBuf,
    top: BorrowedFd<'a>,
    to: Descent,
    /// Directories that are being filled; their own attributes come last, since files in them
    /// change their times and would inherit their access lists.
    open: Vec<Attributes>,
    /// Files of several names: where the first one went.
    names: HashMap<(u64, u64), PathBuf>,
    can_share: bool,
    progress: &'a mut Progress,
}

/// Copies all below `from` to below `to`, but for entries of `from` itself that `skipped` names,
/// and what `from` itself is if `with_top`. `shown` is its path for messages.
pub fn copy_tree(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    shown: &Path,
    skipped: &dyn Fn(&OsStr) -> bool,
    with_top: bool,
    progress: &mut Progress,
) -> Result<()> {
    let failed = |error| Error::file("copy", shown, error);
    let top = kernel_fs::open_dir_beneath(to, Path::new(".")).map_err(failed)?;
    let mut copying = Copying {
        shown: shown.to_owned(),
        top: to,
        to: Descent::new(top),
        open: Vec::new(),
        names: HashMap::new(),
        can_share: true,
        progress,
    };
    walk(from, shown, skipped, &mut copying)?;
    if with_top {
        let attributes = Attributes::of(from).map_err(failed)?;
        give(from, to, &attributes).map_err(failed)?;
    }
    Ok(())
}

impl Copying<'_> {
    fn failed(&self, what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
        let shown = self.shown.join(path);
        move |error| match error.kind() {
            io::ErrorKind::StorageFull => {
                Error::other(format!("cannot copy {}: the disk is full", shown.display()))
            }
            io::ErrorKind::QuotaExceeded => Error::other(format!(
                "cannot copy {}: the quota of whom it belongs to is used up",
                shown.display()
            )),
            _ => Error::file(what, &shown, error),
        }
    }

    /// One name more of a file that was copied already.
    fn is_linked(&mut self, entry: &Entry<'_>) -> Result<bool> {
        if entry.attributes.links < 2 {
            return Ok(false);
        }
        let Some(first) = self.names.get(&entry.attributes.id) else {
            let path = entry.path.to_owned();
            self.names.insert(entry.attributes.id, path);
            return Ok(false);
        };
        file_copy::link_at(self.top, first, self.to.here(), entry.name)
            .map_err(self.failed("make a second name of", entry.path))?;
        Ok(true)
    }

    fn content(&mut self, entry: &Entry<'_>) -> Result<OwnedFd> {
        let from = open_source(entry, &self.shown)?;
        let flags = OpenFlags::O_RDWR | OpenFlags::O_CREAT | OpenFlags::O_EXCL;
        let to = kernel_fs::openat2(
            self.to.here(),
            Path::new(entry.name),
            flags,
            0o600,
            Resolve::BENEATH,
        )
        .map_err(self.failed("make a copy of", entry.path))?;
        let size = entry.attributes.size;
        self.can_share = self.can_share && size > 0;
        if size > 0 {
            self.can_share = file_copy::share_content(from.as_fd(), to.as_fd())
                .map_err(self.failed("copy", entry.path))?;
            if !self.can_share {
                let progress = &mut *self.progress;
                let copied = file_copy::copy_content(from.as_fd(), to.as_fd(), size, |bytes| {
                    progress.bytes(bytes);
                });
                copied.map_err(self.failed("copy", entry.path))?;
            }
        }
        give(from.as_fd(), to.as_fd(), &entry.attributes)
            .map_err(self.failed("copy the attributes of", entry.path))?;
        Ok(to)
    }

    /// What has no content: a link, a pipe, a socket, a device.
    fn special(&mut self, entry: &Entry<'_>) -> Result<()> {
        let here = self.to.here();
        let made = match entry.attributes.kind() {
            FileKind::Link => file_copy::read_link_at(entry.dir, entry.name)
                .and_then(|target| file_copy::make_link_at(&target, here, entry.name)),
            _ => file_copy::make_node_at(here, entry.name, &entry.attributes),
        };
        made.map_err(self.failed("make a copy of", entry.path))?;
        let copied = file_copy::hold_at(entry.dir, entry.name).and_then(|from| {
            let to = file_copy::hold_at(here, entry.name)?;
            give_held(
                from.as_fd(),
                here,
                entry.name,
                to.as_fd(),
                &entry.attributes,
            )
        });
        copied.map_err(self.failed("copy the attributes of", entry.path))
    }
}

impl Visitor for Copying<'_> {
    fn file(&mut self, entry: &Entry<'_>) -> Result<()> {
        self.progress.file();
        if self.is_linked(entry)? {
            return Ok(());
        }
        match entry.attributes.kind() {
            FileKind::Regular => self.content(entry).map(drop),
            _ => self.special(entry),
        }
    }

    fn enter(&mut self, entry: &Entry<'_>, _: BorrowedFd<'_>) -> Result<()> {
        self.progress.file();
        let made = kernel_fs::make_dir_at(self.to.here(), entry.name, 0o700)
            .map_err(self.failed("make a copy of", entry.path))?;
        self.to
            .down(made.0)
            .map_err(self.failed("copy", entry.path))?;
        self.open.push(entry.attributes);
        Ok(())
    }

    fn leave(&mut self, path: &Path, open: BorrowedFd<'_>) -> Result<()> {
        let to = self.to.up().map_err(self.failed("copy", path))?;
        let Some(attributes) = self.open.pop() else {
            return Ok(());
        };
        give(open, to.as_fd(), &attributes).map_err(self.failed("copy the attributes of", path))
    }
}

/// Opens a file to read it without changing when that was done last. That takes a right over the
/// file which nobody has over a file of unknown ids: its copy would belong to somebody else.
fn open_source(entry: &Entry<'_>, shown: &Path) -> Result<File> {
    let flags = OpenFlags::O_RDONLY | OpenFlags::O_NONBLOCK | OpenFlags::O_NOCTTY;
    let resolve = Resolve::BENEATH | Resolve::NO_SYMLINKS;
    let open = |flags| kernel_fs::openat2(entry.dir, Path::new(entry.name), flags, 0, resolve);
    let opened = match open(flags | OpenFlags::O_NOATIME) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            if entry.attributes.uid == OVERFLOW_ID {
                return Err(Error::other(format!(
                    "{} belongs to an id that is not the container's; its copy would belong to \
                     somebody else",
                    shown.join(entry.path).display()
                )));
            }
            open(flags)
        }
        other => other,
    };
    opened
        .map(File::from)
        .map_err(|error| Error::file("read", &shown.join(entry.path), error))
}

/// Gives an open file or directory what another one has. The order is the kernel's: a new owner
/// takes set-id bits and capabilities away, and everything but times changes times.
pub fn give(from: BorrowedFd<'_>, to: BorrowedFd<'_>, attributes: &Attributes) -> io::Result<()> {
    let (uid, gid) = owner(attributes)?;
    kernel_fs::chown(to, Some(uid), Some(gid))?;
    kernel_fs::chmod(to, attributes.permissions())?;
    give_xattrs(from, to)?;
    attributes.set_times(to)
}

/// The same for what cannot be opened but held.
fn give_held(
    from: BorrowedFd<'_>,
    dir: BorrowedFd<'_>,
    name: &OsStr,
    to: BorrowedFd<'_>,
    attributes: &Attributes,
) -> io::Result<()> {
    let (uid, gid) = owner(attributes)?;
    kernel_fs::chown_at(dir, name, Some(uid), Some(gid))?;
    if attributes.kind() != FileKind::Link {
        kernel_fs::chmod_at(dir, name, attributes.permissions())?;
    }
    give_xattrs(from, to)?;
    attributes.set_times(to)
}

fn owner(attributes: &Attributes) -> io::Result<(Uid, Gid)> {
    let none = || io::Error::from(io::ErrorKind::InvalidData);
    let uid = Uid::new(attributes.uid).ok_or_else(none)?;
    let gid = Gid::new(attributes.gid).ok_or_else(none)?;
    Ok((uid, gid))
}

fn give_xattrs(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    for name in file_copy::xattr_names(from)? {
        let Some(value) = file_copy::xattr_value(from, &name)? else {
            continue;
        };
        match file_copy::set_xattr_value(to, &name, &value) {
            Err(_) if name.as_c_str() == SELINUX => {}
            Err(error) => {
                return Err(io::Error::new(
                    error.kind(),
                    format!(
                        "the attribute {}: {}",
                        name.to_string_lossy(),
                        crate::error::Plain(&error)
                    ),
                ));
            }
            Ok(()) => {}
        }
    }
    Ok(())
}
