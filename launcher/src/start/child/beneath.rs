//! Paths inside the container, every one resolved below its root, and words for what failed.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use berth_kernel::fs::{self, Resolve};
use berth_kernel::mount::{Attributes, DetachedMount};
use nix::fcntl::OFlag;

use crate::error::Plain;

pub(super) const NO_PROGRAMS: Attributes = Attributes::NO_SUID;

/// What failed, for the person who started the container.
pub(super) type Failure = String;

/// Opens something below `root`; links lead nowhere but below it.
pub(crate) fn open_beneath(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let path = path.strip_prefix("/").unwrap_or(path);
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    fs::openat2(
        root,
        path,
        OFlag::O_PATH,
        0,
        Resolve::IN_ROOT | Resolve::NO_MAGICLINKS,
    )
}

/// Attaches a mount at a directory of the container, made if it is missing.
pub(super) fn attach(
    mount: &DetachedMount,
    root: BorrowedFd<'_>,
    name: &'static str,
) -> Result<(), Failure> {
    let target = match open_beneath(root, Path::new(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_all(root, Path::new(name), true)
        }
        other => other,
    };
    target
        .and_then(|target| mount.attach(target.as_fd()))
        .map_err(|error| format!("cannot mount /{name} of the container: {}", Plain(&error)))
}

/// Makes a path below `root` step by step; links on the way lead nowhere but below `root`.
pub(crate) fn make_all(root: BorrowedFd<'_>, path: &Path, directory: bool) -> io::Result<OwnedFd> {
    let mut at = root.try_clone_to_owned()?;
    let mut parts = path
        .components()
        .filter_map(|part| match part {
            std::path::Component::Normal(name) => Some(name),
            _ => None,
        })
        .peekable();
    let mut done = std::path::PathBuf::new();
    while let Some(name) = parts.next() {
        done.push(name);
        at = match open_beneath(root, &done) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if parts.peek().is_none() && !directory {
                    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
                    let mode = nix::sys::stat::Mode::from_bits_truncate(0o644);
                    nix::fcntl::openat(&at, name, flags | OFlag::O_CLOEXEC, mode)?
                } else {
                    fs::make_dir_at(at.as_fd(), name, 0o755)?.0
                }
            }
            other => other?,
        };
    }
    Ok(at)
}

pub(super) fn make_file(dir: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::openat(
        dir,
        name,
        flags,
        nix::sys::stat::Mode::from_bits_truncate(0o666),
    )?)
}

pub(super) fn make_dir(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Failure> {
    match fs::make_dir_at(dir, OsStr::new(name), 0o755) {
        Ok((made, _)) => Ok(made),
        Err(error) => Err(format!("cannot make /dev/{name}: {}", Plain(&error))),
    }
}

pub(super) fn because(what: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| format!("cannot {what}: {}", Plain(&error))
}

pub(super) fn because_of<'path>(
    what: &'static str,
    path: &'path Path,
) -> impl Fn(io::Error) -> Failure + 'path {
    move |error| format!("cannot {what} {}: {}", path.display(), Plain(&error))
}
