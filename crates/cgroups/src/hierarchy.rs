//! Where cgroup v2 is mounted, and who sits where in it.

use crate::{CgroupDir, CgroupPath, Error, Result};
use berth_kernel::fs::{self, Resolve};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// `/proc/PID/cgroup` has a line for each hierarchy, and a path ends at `PATH_MAX`.
pub(crate) const MAX_PROC_CGROUP: usize = 256 * 1024;
/// A host with thousands of mounts is in use somewhere.
pub(crate) const MAX_MOUNTINFO: usize = 16 * 1024 * 1024;

/// The mounted cgroup v2 hierarchy.
#[derive(Debug)]
pub struct Hierarchy {
    root: OwnedFd,
    mount_point: PathBuf,
}

impl Hierarchy {
    /// Finds the hierarchy: at `/sys/fs/cgroup` (v2 only), at `/sys/fs/cgroup/unified` (beside
    /// v1 controllers), or wherever `/proc/self/mountinfo` names one.
    pub fn detect() -> Result<Self> {
        for usual in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
            match Self::at(usual) {
                Ok(found) => return Ok(found),
                Err(error) if error.is_not_found() => {}
                Err(Error::NotCgroup { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let mountinfo = Path::new("/proc/self/mountinfo");
        let content = read_proc(mountinfo, MAX_MOUNTINFO)?;
        match cgroup2_mount_point(&content) {
            Some(mount_point) => Self::at(mount_point),
            None => Err(Error::NoHierarchy),
        }
    }

    /// The hierarchy as seen from one of its directories, which counts as its root.
    pub fn at(mount_point: impl Into<PathBuf>) -> Result<Self> {
        let mount_point = mount_point.into();
        let root = fs::open_dir(&mount_point)
            .map_err(|error| Error::io("open the directory", &mount_point, error))?;
        match fs::is_cgroup2(root.as_fd()) {
            Ok(true) => Ok(Self { root, mount_point }),
            Ok(false) => Err(Error::NotCgroup {
                path: mount_point,
                version: 2,
            }),
            Err(error) => Err(Error::io("examine", &mount_point, error)),
        }
    }

    /// Where it is mounted.
    pub fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    /// The cgroup's directory as an absolute path of the file system, for messages and for
    /// programs that take paths.
    pub fn full_path(&self, path: &CgroupPath) -> PathBuf {
        match path.name() {
            Some(_) => self.mount_point.join(path.relative()),
            None => self.mount_point.clone(),
        }
    }

    /// The cgroup of the calling process.
    pub fn path_of_self(&self) -> Result<CgroupPath> {
        path_from_proc("self")
    }

    /// The cgroup of another process. By the time of the answer the process may have ended and
    /// its id may be another's; whoever must be sure holds a pidfd and checks it afterwards.
    pub fn path_of_pid(&self, pid: i32) -> Result<CgroupPath> {
        if pid <= 0 {
            return Err(Error::BadPid { pid });
        }
        path_from_proc(&pid.to_string())
    }

    /// Opens a cgroup. No link is followed and no other mount entered on the way.
    pub fn open(&self, path: &CgroupPath) -> Result<CgroupDir> {
        let full = self.full_path(path);
        let flags = fs::OpenFlags::O_RDONLY | fs::OpenFlags::O_DIRECTORY;
        let resolve = Resolve::BENEATH | Resolve::NO_SYMLINKS | Resolve::NO_XDEV;
        let fd = fs::openat2(self.root.as_fd(), path.relative(), flags, 0, resolve)
            .map_err(|error| Error::io("open the cgroup", &full, error))?;
        CgroupDir::from_fd(fd, full)
    }

    /// The cgroup that the init system has for its root: where process 1 sits, without its own
    /// `init.scope`. Inside a container without a cgroup namespace that is not `/`. Where
    /// process 1 cannot be seen (`hidepid=`) it is taken to be `/`.
    pub fn init_root(&self) -> CgroupPath {
        match path_from_proc("1") {
            Ok(path)
                if path
                    .name()
                    .is_some_and(|name| name == berth_common::cgroup::LEAF) =>
            {
                path.parent().unwrap_or_else(CgroupPath::root)
            }
            Ok(path) => path,
            Err(_) => CgroupPath::root(),
        }
    }
}

fn path_from_proc(process: &str) -> Result<CgroupPath> {
    let file = PathBuf::from(format!("/proc/{process}/cgroup"));
    let content = read_proc(&file, MAX_PROC_CGROUP)?;
    CgroupPath::from_proc(&content)?.ok_or_else(|| Error::NoMembership {
        process: process.to_owned(),
    })
}

pub(crate) fn read_proc(path: &Path, max: usize) -> Result<Vec<u8>> {
    let read = || -> io::Result<Vec<u8>> { fs::read_bounded(std::fs::File::open(path)?, max) };
    read().map_err(|error| Error::io("read", path, error))
}

/// The first mount of the whole cgroup v2 tree in a text of proc_pid_mountinfo(5).
fn cgroup2_mount_point(mountinfo: &[u8]) -> Option<PathBuf> {
    mountinfo.split(|&b| b == b'\n').find_map(|line| {
        let mut fields = line.split(|&b| b == b' ');
        let root = fields.nth(3)?;
        let mount_point = fields.next()?;
        // Optional fields end with a lone hyphen; the file system's type follows.
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        (kind == b"cgroup2" && root == b"/").then(|| unescape(mount_point))
    })
}

/// Undoes the kernel's `\ooo` for blank, tab, line feed and backslash.
pub(crate) fn unescape(field: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|digits| digits.iter().all(|d| matches!(d, b'0'..=b'7')));
        match octal {
            Some(digits) if first == b'\\' => {
                let value = digits
                    .iter()
                    .fold(0_u32, |sum, d| sum * 8 + u32::from(d - b'0'));
                out.push(u8::try_from(value).unwrap_or(b'?'));
                rest = &tail[3..];
            }
            _ => {
                out.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_the_mount_in_mountinfo() {
        let text = b"\
10 31 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
11 32 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
12 32 0:38 /part /elsewhere rw - cgroup2 cgroup2 rw
20 41 0:38 / /mnt/two\\040words\\134 rw shared:4 master:3 - cgroup2 cgroup2 rw,nsdelegate
";
        assert_eq!(
            cgroup2_mount_point(text),
            Some(PathBuf::from("/mnt/two words\\"))
        );
        assert_eq!(
            cgroup2_mount_point(b"10 31 0:28 / /sys rw - tmpfs cgroup2 rw\n"),
            None
        );
        assert_eq!(cgroup2_mount_point(b""), None);
    }

    proptest! {
        #[test]
        fn any_mountinfo_is_survived(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = cgroup2_mount_point(&text);
            let _ = unescape(&text);
        }
    }
}
