//! One open cgroup.

use crate::path::check_name;
use crate::{Error, Result};
use berth_common::{Gid, Uid, cgroup};
use berth_kernel::fs;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// `cgroup.procs` of a cgroup with as many processes as the kernel has pids (4,194,304).
const MAX_CONTROL_FILE: usize = 64 * 1024 * 1024;
/// How often [`CgroupDir::drain_into`] reads the list again. A fork that inherits the cgroup
/// between the reading and the move needs another round; a fork bomb would need endless ones.
const DRAIN_ROUNDS: u32 = 32;

/// An open cgroup directory. It keeps naming the same cgroup whatever happens to its path; once
/// that cgroup is removed, every operation fails with `ENODEV` or `ENOENT`
/// ([`Error::is_not_found`]).
///
/// It may be one of version 1 ([`crate::legacy`]): directories and lists of processes are alike
/// there. Files that only version 2 has are then not found.
#[derive(Debug)]
pub struct CgroupDir {
    fd: OwnedFd,
    path: PathBuf,
    version: Version,
}

/// The kernel's two generations of cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// What became of the controllers that should be enabled.
#[derive(Debug, Default)]
pub struct Controllers {
    /// On for the children now, whether or not they were before.
    pub enabled: Vec<String>,
    /// Not on, and why.
    pub refused: Vec<(String, Error)>,
}

impl CgroupDir {
    /// Takes a directory that must lie on cgroup v2. `path` is for messages only.
    pub fn from_fd(fd: OwnedFd, path: PathBuf) -> Result<Self> {
        Self::of_version(fd, path, Version::Two)
    }

    pub(crate) fn of_version(fd: OwnedFd, path: PathBuf, version: Version) -> Result<Self> {
        let is_it = match version {
            Version::One => fs::is_cgroup1(fd.as_fd()),
            Version::Two => fs::is_cgroup2(fd.as_fd()),
        };
        match is_it {
            Ok(true) => Ok(Self { fd, path, version }),
            Ok(false) => Err(Error::NotCgroup {
                path,
                version: match version {
                    Version::One => 1,
                    Version::Two => 2,
                },
            }),
            Err(error) => Err(Error::io("examine", path, error)),
        }
    }

    /// A directory of any file system, for tests of what is read and written.
    #[cfg(test)]
    pub(crate) fn unchecked(fd: OwnedFd, path: PathBuf) -> Self {
        let version = Version::One;
        Self { fd, path, version }
    }

    /// A second descriptor of the same cgroup.
    pub fn try_clone(&self) -> Result<Self> {
        let fd = self
            .fd
            .try_clone()
            .map_err(|error| self.error("open once more", error))?;
        Ok(Self {
            fd,
            path: self.path.clone(),
            version: self.version,
        })
    }

    /// Where it was when it was opened, as a path of the file system.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn error(&self, operation: &'static str, error: io::Error) -> Error {
        Error::io(operation, &self.path, error)
    }

    pub(crate) fn file_error(
        &self,
        operation: &'static str,
        file: impl AsRef<Path>,
        error: io::Error,
    ) -> Error {
        Error::io(operation, self.path.join(file), error)
    }

    /// Opens the child `name`.
    pub fn child(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let name = check_name(name.as_ref())?;
        let fd = fs::open_dir_beneath(self.fd.as_fd(), Path::new(name))
            .map_err(|error| self.file_error("open the cgroup", name, error))?;
        Self::of_version(fd, self.path.join(name), self.version)
    }

    /// Makes the child `name` with mode 0755, whatever the umask is, and opens it; one that
    /// exists is opened as it is.
    pub fn make_child(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        self.make_child_or_open(name).map(|(child, _)| child)
    }

    /// As [`Self::make_child`]; also tells whether the child was made just now.
    pub fn make_child_or_open(&self, name: impl AsRef<OsStr>) -> Result<(Self, bool)> {
        let name = check_name(name.as_ref())?;
        let (fd, made) = fs::make_dir_at(self.fd.as_fd(), name, cgroup::DIR_MODE)
            .map_err(|error| self.file_error("make the cgroup", name, error))?;
        let child = Self::of_version(fd, self.path.join(name), self.version)?;
        Ok((child, made))
    }

    /// Removes the child `name`; `Ok(false)` if there is none. `EBUSY` while it holds processes
    /// or children.
    pub fn remove_child(&self, name: impl AsRef<OsStr>) -> Result<bool> {
        let name = check_name(name.as_ref())?;
        match fs::remove_dir_at(self.fd.as_fd(), name) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.file_error("remove the cgroup", name, error)),
        }
    }

    /// The text of a control file.
    pub fn read(&self, file: &str) -> Result<String> {
        let bytes = fs::read_at(self.fd.as_fd(), OsStr::new(file), MAX_CONTROL_FILE)
            .map_err(|error| self.file_error("read", file, error))?;
        String::from_utf8(bytes).map_err(|_| Error::Unreadable {
            path: self.path.join(file),
        })
    }

    /// Writes a control file, in one piece.
    pub fn write(&self, file: &str, value: &str) -> Result<()> {
        fs::write_control(self.fd.as_fd(), OsStr::new(file), value.as_bytes())
            .map_err(|error| self.file_error("write", file, error))
    }

    /// The controllers that reach this cgroup.
    pub fn controllers(&self) -> Result<Vec<String>> {
        self.read("cgroup.controllers").map(|text| words(&text))
    }

    /// The controllers that are on for its children.
    pub fn enabled_controllers(&self) -> Result<Vec<String>> {
        self.read("cgroup.subtree_control").map(|text| words(&text))
    }

    /// Turns controllers on for the children, one by one, since the kernel takes several in one
    /// write all or none.
    pub fn enable_controllers<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Controllers> {
        let already = self.enabled_controllers()?;
        let mut result = Controllers::default();
        for name in names {
            let written = if already.iter().any(|on| on == name) {
                Ok(())
            } else if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            {
                let why = "a controller's name has lower-case letters only";
                Err(Error::BadSetting {
                    file: name.to_owned(),
                    why,
                })
            } else {
                self.write("cgroup.subtree_control", &format!("+{name}"))
            };
            match written {
                Ok(()) => result.enabled.push(name.to_owned()),
                Err(error) => result.refused.push((name.to_owned(), error)),
            }
        }
        Ok(result)
    }

    /// Turns on every controller that reaches this cgroup.
    pub fn enable_available_controllers(&self) -> Result<Controllers> {
        let available = self.controllers()?;
        self.enable_controllers(available.iter().map(String::as_str))
    }

    /// The processes directly in this cgroup. Those of other pid namespaces, which the kernel
    /// shows as 0, are left out: 0 would mean the caller to whoever writes it back.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let unreadable = || Error::Unreadable {
            path: self.path.join("cgroup.procs"),
        };
        let text = self.read("cgroup.procs")?;
        let mut pids = Vec::new();
        for line in text.lines() {
            match line.parse() {
                Ok(0) => {}
                Ok(pid) if pid > 0 => pids.push(pid),
                _ => return Err(unreadable()),
            }
        }
        Ok(pids)
    }

    /// Moves a process here; `ESRCH` if it has ended.
    pub fn move_process(&self, pid: i32) -> Result<()> {
        if pid <= 0 {
            return Err(Error::BadPid { pid });
        }
        self.write("cgroup.procs", &pid.to_string())
    }

    /// Moves the calling process here.
    pub fn move_self(&self) -> Result<()> {
        self.write("cgroup.procs", "0")
    }

    /// Moves every process that is directly in this cgroup into `leaf`; returns how many moves
    /// there were. `go_on` is asked before each step. A process that ends meanwhile is none to
    /// be moved; if some cannot be moved, or if new ones appear for more rounds than any
    /// well-meaning program forks, the error says so.
    pub fn drain_into(&self, leaf: &Self, mut go_on: impl FnMut() -> bool) -> Result<usize> {
        let mut moved = 0;
        for _ in 0..DRAIN_ROUNDS {
            let pids = self.processes()?;
            if pids.is_empty() {
                return Ok(moved);
            }
            for pid in pids {
                if !go_on() {
                    return Err(Error::NotDrained {
                        path: self.path.clone(),
                    });
                }
                match leaf.move_process(pid) {
                    Ok(()) => moved += 1,
                    Err(error) if error.errno() == Some(libc::ESRCH) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Err(Error::NotDrained {
            path: self.path.clone(),
        })
    }

    /// Whether there is a living process in this cgroup or below it.
    pub fn is_populated(&self) -> Result<bool> {
        self.event("populated")
    }

    /// Whether every process in this cgroup and below it is frozen.
    pub fn is_frozen(&self) -> Result<bool> {
        self.event("frozen")
    }

    fn event(&self, name: &str) -> Result<bool> {
        let text = self.read("cgroup.events")?;
        match value_of(&text, name) {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            _ => Err(Error::Unreadable {
                path: self.path.join("cgroup.events"),
            }),
        }
    }

    /// Waits until nothing lives in this cgroup or below it. `Ok(false)` if something still does
    /// when `patience` is over. A cgroup that is removed meanwhile is empty.
    pub fn wait_unpopulated(&self, patience: Duration) -> Result<bool> {
        self.wait_event("populated", false, patience)
    }

    /// Asks the kernel to freeze or thaw everything here and below. Freezing takes a moment:
    /// [`Self::wait_frozen`].
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        self.write("cgroup.freeze", if frozen { "1" } else { "0" })
    }

    /// Waits until everything here and below is frozen, or thawed. `Ok(false)` if it was not
    /// within `patience`.
    pub fn wait_frozen(&self, frozen: bool, patience: Duration) -> Result<bool> {
        self.wait_event("frozen", frozen, patience)
    }

    fn wait_event(&self, name: &str, wanted: bool, patience: Duration) -> Result<bool> {
        let start = Instant::now();
        let flags = fs::OpenFlags::O_RDONLY | fs::OpenFlags::O_NOFOLLOW;
        let file = fs::openat2(
            self.fd.as_fd(),
            Path::new("cgroup.events"),
            flags,
            0,
            fs::Resolve::BENEATH,
        );
        let file = match file {
            Ok(fd) => std::fs::File::from(fd),
            Err(error) => {
                let error = self.file_error("open", "cgroup.events", error);
                return if error.is_not_found() && !wanted {
                    Ok(true)
                } else {
                    Err(error)
                };
            }
        };
        loop {
            // The kernel counts a change as seen when this descriptor reads it, not another.
            let mut buffer = [0_u8; 256];
            let length = match std::os::unix::fs::FileExt::read_at(&file, &mut buffer, 0) {
                Ok(length) => length,
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                    return Ok(!wanted);
                }
                Err(error) => return Err(self.file_error("read", "cgroup.events", error)),
            };
            let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
            match value_of(&text, name) {
                Some(value) if (value == 1) == wanted => return Ok(true),
                Some(_) => {}
                None => {
                    return Err(Error::Unreadable {
                        path: self.path.join("cgroup.events"),
                    });
                }
            }
            let rest = patience.saturating_sub(start.elapsed());
            if rest.is_zero() {
                return Ok(false);
            }
            fs::wait_priority(file.as_fd(), rest)
                .map_err(|error| self.file_error("wait for", "cgroup.events", error))?;
        }
    }

    /// Owner and group of the directory.
    pub fn owner(&self) -> Result<(u32, u32)> {
        let status = fs::status(self.fd.as_fd()).map_err(|error| self.error("examine", error))?;
        Ok((status.uid, status.gid))
    }

    /// Whether the directory and the two files by which processes and controllers are handed
    /// out belong to this user: the signs of a cgroup that was delegated to him.
    pub fn is_owned_by(&self, uid: Uid) -> Result<bool> {
        if self.owner()?.0 != uid.raw() {
            return Ok(false);
        }
        for file in ["cgroup.procs", "cgroup.subtree_control"] {
            let status = fs::status_at(self.fd.as_fd(), OsStr::new(file))
                .map_err(|error| self.file_error("examine", file, error))?;
            if status.uid != uid.raw() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The owner of a control file; `None` if this cgroup has no such file. The files that are
    /// never delegated belong to whoever made the cgroup, or turned their controller on.
    pub fn file_owner(&self, file: &str) -> Result<Option<u32>> {
        match fs::status_at(self.fd.as_fd(), OsStr::new(file)) {
            Ok(status) => Ok(Some(status.uid)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.file_error("examine", file, error)),
        }
    }

    /// Whether this is the root of the whole tree, for which the kernel's rule about processes
    /// beside children does not hold. That of a cgroup namespace is not.
    pub fn is_true_root(&self) -> Result<bool> {
        self.file_owner("cgroup.events")
            .map(|owner| owner.is_none())
    }

    /// Gives a single control file to somebody; `Ok(false)` if this cgroup has no such file.
    pub(crate) fn chown_file(&self, file: &str, uid: Uid, gid: Gid) -> Result<bool> {
        match fs::chown_at(self.fd.as_fd(), OsStr::new(file), Some(uid), Some(gid)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.file_error("change the owner of", file, error)),
        }
    }
}

impl AsFd for CgroupDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// The number after `key` in a file of lines `key number`.
pub(crate) fn value_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        if name == key {
            value.trim().parse().ok()
        } else {
            None
        }
    })
}
