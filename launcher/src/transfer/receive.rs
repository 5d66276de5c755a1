//! The side that writes. A file appears when all of it is there, in the place of one of its name; a
//! link of that name is replaced, never followed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::BufReader;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use berth_kernel::file_copy::{self, Attributes, FileKind};
use berth_kernel::fs::{self as kernel_fs, OpenFlags, Resolve};

use super::stream::{Head, Item, PIECE, is_name};
use super::{Ownership, split};
use crate::copy::walk::Descent;
use crate::error::{Error, Result};

/// Where it goes to.
pub struct Target {
    dir: OwnedFd,
    /// The name it gets there; that of the source if there is none.
    name: Option<OsString>,
    shown: PathBuf,
}

impl Target {
    /// By a path on the host, with the caller's rights.
    pub fn host(path: &Path) -> Result<Self> {
        Self::open(path, |path, flags| {
            kernel_fs::openat2(nix::fcntl::AT_FDCWD, path, flags, 0, Resolve::ANY)
        })
    }

    /// By a path that leads nowhere but within the container's root.
    pub fn inside(root: OwnedFd, path: &Path) -> Result<Self> {
        Self::open(path, |path, flags| {
            let resolve = Resolve::IN_ROOT | Resolve::NO_MAGICLINKS;
            kernel_fs::openat2(root.as_fd(), path, flags, 0, resolve)
        })
    }

    /// Into a directory that is there, or under a name that is not.
    fn open(
        path: &Path,
        open: impl Fn(&Path, OpenFlags) -> std::io::Result<OwnedFd>,
    ) -> Result<Self> {
        use std::os::unix::ffi::OsStrExt;
        let flags = OpenFlags::O_RDONLY | OpenFlags::O_DIRECTORY;
        let must_be_dir = path.as_os_str().as_bytes().ends_with(b"/");
        let (parent, name) = match open(path, flags) {
            Ok(dir) => {
                return Ok(Self {
                    dir,
                    name: None,
                    shown: path.to_owned(),
                });
            }
            Err(error) if must_be_dir => return Err(Error::file("open", path, error)),
            Err(error) => match split(path) {
                (parent, Some(name)) => (parent, name),
                _ => return Err(Error::file("open", path, error)),
            },
        };
        let dir = open(&parent, flags).map_err(|error| Error::file("open", &parent, error))?;
        Ok(Self {
            dir,
            name: Some(name),
            shown: parent,
        })
    }
}

/// Receives all that is sent. Files become `ownership`'s, or the caller's.
pub fn receive(pipe: File, target: &Target, ownership: Option<Ownership>) -> Result<()> {
    let failed = |error| Error::file("open", &target.shown, error);
    let top = kernel_fs::open_dir_beneath(target.dir.as_fd(), Path::new(".")).map_err(failed)?;
    let mut receiving = Receiving {
        pipe: BufReader::with_capacity(PIECE, pipe),
        to: Descent::new(top),
        open: Vec::new(),
        shown: target.shown.clone(),
        ownership,
    };
    let mut name = target.name.clone();
    loop {
        let item = Item::read(&mut receiving.pipe)?;
        match item {
            Item::End => return Ok(()),
            Item::Up => receiving.up()?,
            Item::Directory(head) => receiving.directory(named(head, name.take()))?,
            Item::File(head) => receiving.file(&named(head, name.take()))?,
            Item::Link(head, to) => receiving.link(&named(head, name.take()), &to)?,
            Item::Piece(..) | Item::EndOfFile(_) => return Err(Error::other("content of no file")),
        }
    }
}

/// The first one may get another name.
fn named(head: Head, name: Option<OsString>) -> Head {
    match name {
        Some(name) => Head { name, ..head },
        None => head,
    }
}

struct Receiving {
    pipe: BufReader<File>,
    to: Descent,
    open: Vec<Head>,
    shown: PathBuf,
    ownership: Option<Ownership>,
}

impl Receiving {
    fn failed(&self, name: &OsStr) -> impl Fn(std::io::Error) -> Error + use<> {
        let shown = self.shown.join(name);
        move |error| Error::file("write", &shown, error)
    }

    fn directory(&mut self, head: Head) -> Result<()> {
        // The root of either side has no name of its own: what is in it goes where it is sent to.
        let inner = match is_name(&head.name) {
            true => {
                let failed = self.failed(&head.name);
                let (inner, made) =
                    kernel_fs::make_dir_at(self.to.here(), &head.name, 0o700).map_err(failed)?;
                self.open
                    .push(if made { head.clone() } else { Head::default() });
                inner
            }
            false if self.open.is_empty() => {
                self.open.push(Head::default());
                let here = kernel_fs::open_dir_beneath(self.to.here(), Path::new("."));
                here.map_err(self.failed(&head.name))?
            }
            false => return Err(Error::other("a name that is none")),
        };
        let down = self.to.down(inner);
        down.map_err(self.failed(&head.name))?;
        self.shown.push(&head.name);
        Ok(())
    }

    fn up(&mut self) -> Result<()> {
        let Some(head) = self.open.pop() else {
            return Err(Error::other("the end of no directory"));
        };
        let failed = self.failed(OsStr::new(""));
        let left = self.to.up().map_err(failed)?;
        self.shown.pop();
        // One that was there stays as it was.
        match is_name(&head.name) {
            true => self
                .give(left.as_fd(), &head)
                .map_err(self.failed(&head.name)),
            false => Ok(()),
        }
    }

    fn file(&mut self, head: &Head) -> Result<()> {
        let failed = self.failed(&head.name);
        self.require_no_directory(&head.name)?;
        let temporary = temporary()?;
        let flags = OpenFlags::O_WRONLY | OpenFlags::O_CREAT | OpenFlags::O_EXCL;
        let path = Path::new(&temporary);
        let file = kernel_fs::openat2(self.to.here(), path, flags, 0o600, Resolve::BENEATH)
            .map_err(&failed)?;
        let file = File::from(file);
        let written = self.content(&file, &failed).and_then(|()| {
            let here = self.to.here();
            self.give(file.as_fd(), head)
                .and_then(|()| kernel_fs::rename_at(here, &temporary, here, &head.name))
                .map_err(&failed)
        });
        if written.is_err() {
            // The first error is the one to tell.
            let _ = kernel_fs::unlink_at(self.to.here(), &temporary);
        }
        written
    }

    fn content(&mut self, file: &File, failed: &impl Fn(std::io::Error) -> Error) -> Result<()> {
        loop {
            match Item::read(&mut self.pipe)? {
                Item::Piece(at, bytes) => file.write_all_at(&bytes, at).map_err(failed)?,
                Item::EndOfFile(size) => return file.set_len(size).map_err(failed),
                _ => return Err(Error::other("a file without an end")),
            }
        }
    }

    fn link(&mut self, head: &Head, target: &OsStr) -> Result<()> {
        let failed = self.failed(&head.name);
        self.require_no_directory(&head.name)?;
        let here = self.to.here();
        let temporary = temporary()?;
        file_copy::make_link_at(target, here, &temporary).map_err(&failed)?;
        let owner = self.ownership;
        let owned = owner.map_or(Ok(()), |owner| {
            kernel_fs::chown_at(here, &temporary, Some(owner.uid), Some(owner.gid))
        });
        let done = owned.and_then(|()| kernel_fs::rename_at(here, &temporary, here, &head.name));
        done.map_err(|error| {
            let _ = kernel_fs::unlink_at(here, &temporary);
            failed(error)
        })
    }

    fn require_no_directory(&self, name: &OsStr) -> Result<()> {
        if !is_name(name) {
            return Err(Error::other("a name that is none"));
        }
        match Attributes::at(self.to.here(), name) {
            Ok(found) if found.kind() == FileKind::Directory => Err(Error::other(format!(
                "{} is a directory and stays; it is in the way of a file",
                self.shown.join(name).display()
            ))),
            _ => Ok(()),
        }
    }

    fn give(&self, fd: BorrowedFd<'_>, head: &Head) -> std::io::Result<()> {
        if let Some(owner) = self.ownership {
            kernel_fs::chown(fd, Some(owner.uid), Some(owner.gid))?;
        }
        kernel_fs::chmod(fd, head.mode)?;
        let modified = match u64::try_from(head.modified) {
            Ok(seconds) => SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            Err(_) => SystemTime::UNIX_EPOCH,
        };
        File::from(fd.try_clone_to_owned()?).set_modified(modified)
    }
}

fn temporary() -> Result<OsString> {
    let random =
        berth_kernel::random::bytes::<8>().map_err(|error| Error::os("get random bytes", error))?;
    let random = random.map(|byte| format!("{byte:02x}")).concat();
    Ok(format!("{}{random}", kernel_fs::TEMPORARY_PREFIX).into())
}
