//! Which hierarchies of version 1 there are, where they are mounted, and who sits where in them.

use crate::dir::Version;
use crate::hierarchy::{MAX_MOUNTINFO, MAX_PROC_CGROUP, read_proc, unescape};
use crate::{CgroupDir, CgroupPath, Error, Result};
use berth_common::cgroup;
use berth_kernel::fs::{self, Resolve};
use std::ffi::OsStr;
use std::fmt;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where init systems mount the hierarchies. One that is mounted elsewhere is somebody's own
/// affair.
const MOUNTED_BELOW: &str = "/sys/fs/cgroup";
/// There are some fifteen controllers, and a few named hierarchies without any.
const MAX_HIERARCHIES: usize = 128;

/// The hierarchies of version 1 that are mounted below `/sys/fs/cgroup`.
#[derive(Clone, Debug, Default)]
pub struct Hierarchies {
    found: Vec<LegacyHierarchy>,
}

/// One of them, with the places of a process and of the init system in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyHierarchy {
    names: Vec<String>,
    mount_point: PathBuf,
    /// Which of its cgroups is mounted: not `/` in a container without a cgroup namespace.
    mounted: CgroupPath,
    device: (u32, u32),
    own: CgroupPath,
    init: CgroupPath,
}

impl Hierarchies {
    /// Looks for them on behalf of the calling process.
    pub fn detect() -> Result<Self> {
        let mountinfo = read_proc(Path::new("/proc/self/mountinfo"), MAX_MOUNTINFO)?;
        let own = read_proc(Path::new("/proc/self/cgroup"), MAX_PROC_CGROUP)?;
        // Where process 1 cannot be seen it is taken to sit at the top.
        let init = read_proc(Path::new("/proc/1/cgroup"), MAX_PROC_CGROUP).unwrap_or_default();
        Ok(Self::parse(&mountinfo, &own, &init))
    }

    /// From the texts of `mountinfo` and `/proc/PID/cgroup`, the latter of a process and of
    /// process 1. What cannot be understood or reached is left out.
    pub fn parse(mountinfo: &[u8], own: &[u8], init: &[u8]) -> Self {
        let init = memberships(init);
        let mounts: Vec<_> = mountinfo
            .split(|&b| b == b'\n')
            .filter_map(Mount::parse)
            .collect();
        let mut found: Vec<LegacyHierarchy> = Vec::new();
        for member in memberships(own) {
            let known = |entry: &LegacyHierarchy| entry.names == member.names;
            if found.len() == MAX_HIERARCHIES || found.iter().any(known) {
                continue;
            }
            let init = init.iter().find(|other| other.names == member.names);
            let init = init.map_or_else(CgroupPath::root, |other| without_leaf(&other.path));
            let mount = mounts.iter().find(|mount| {
                member.names.iter().all(|name| mount.has(name))
                    && mount.root.suffix_of(&init).is_some()
            });
            if let Some(mount) = mount {
                found.push(LegacyHierarchy {
                    names: member.names,
                    mount_point: mount.point.clone(),
                    mounted: mount.root.clone(),
                    device: mount.device,
                    own: member.path,
                    init,
                });
            }
        }
        Self { found }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &LegacyHierarchy> {
        self.found.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

impl LegacyHierarchy {
    /// Its controllers, and its name as `name=X` if it has one.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether it has this controller, or this `name=X`.
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name)
    }

    /// Where the process sits.
    pub fn own(&self) -> &CgroupPath {
        &self.own
    }

    /// The cgroup that the init system has for its root: where process 1 sits, without its own
    /// `init.scope`.
    pub fn init(&self) -> &CgroupPath {
        &self.init
    }

    /// Opens a cgroup. No link is followed and no other mount entered on the way.
    pub fn open(&self, path: &CgroupPath) -> Result<CgroupDir> {
        let outside = || Error::BadPath {
            path: path.as_path().to_owned(),
        };
        let below = self.mounted.suffix_of(path).ok_or_else(outside)?;
        let (below, full) = if below.as_os_str().is_empty() {
            (Path::new("."), self.mount_point.clone())
        } else {
            (below, self.mount_point.join(below))
        };
        let top = fs::open_dir(&self.mount_point)
            .map_err(|error| Error::io("open the directory", &self.mount_point, error))?;
        // Another file system may be mounted over it since.
        let status = fs::status(top.as_fd())
            .map_err(|error| Error::io("examine", &self.mount_point, error))?;
        let device = status.id.0;
        if (libc::major(device), libc::minor(device)) != self.device {
            return Err(Error::NotCgroup {
                path: self.mount_point.clone(),
                version: 1,
            });
        }
        let flags = fs::OpenFlags::O_RDONLY | fs::OpenFlags::O_DIRECTORY;
        let resolve = Resolve::BENEATH | Resolve::NO_SYMLINKS | Resolve::NO_XDEV;
        let fd = fs::openat2(top.as_fd(), below, flags, 0, resolve)
            .map_err(|error| Error::io("open the cgroup", &full, error))?;
        CgroupDir::of_version(fd, full, Version::One)
    }
}

impl fmt::Display for LegacyHierarchy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join(","))
    }
}

/// A line of `/proc/PID/cgroup` that is about version 1.
struct Membership {
    names: Vec<String>,
    path: CgroupPath,
}

/// `ID:CONTROLLERS:PATH`; the path may hold colons. The line of version 2 has no controllers.
fn memberships(content: &[u8]) -> Vec<Membership> {
    let parse = |line: &[u8]| {
        let mut fields = line.splitn(3, |&b| b == b':');
        let (_, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        let names = names.split(|&b| b == b',').map(std::str::from_utf8);
        let mut names: Vec<_> = names
            .map(|name| name.ok().filter(|n| !n.is_empty()).map(str::to_owned))
            .collect::<Option<_>>()?;
        names.sort();
        let path = CgroupPath::new(OsStr::from_bytes(path)).ok()?;
        Some(Membership { names, path })
    };
    let lines = content.split(|&b| b == b'\n');
    lines.filter_map(parse).take(MAX_HIERARCHIES).collect()
}

/// A line of proc_pid_mountinfo(5) about a hierarchy of version 1.
struct Mount {
    device: (u32, u32),
    root: CgroupPath,
    point: PathBuf,
    options: Vec<u8>,
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|&b| b == b' ');
        let device = std::str::from_utf8(fields.nth(2)?).ok()?;
        let (major, minor) = device.split_once(':')?;
        let root = unescape(fields.next()?);
        let point = unescape(fields.next()?);
        // Optional fields end with a lone hyphen; type, source and the file system's own options
        // follow. lxcfs shows containers a hierarchy of its own, of another type.
        let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
        let (kind, _source, options) = (rest.next()?, rest.next()?, rest.next()?);
        let inside = point.starts_with(MOUNTED_BELOW) && point != Path::new(MOUNTED_BELOW);
        if kind != b"cgroup" || !inside {
            return None;
        }
        Some(Self {
            device: (major.parse().ok()?, minor.parse().ok()?),
            root: CgroupPath::new(root).ok()?,
            point,
            options: options.to_vec(),
        })
    }

    /// Whether the mount is of the hierarchy with this controller or `name=X`.
    fn has(&self, name: &str) -> bool {
        let mut options = self.options.split(|&b| b == b',');
        options.any(|option| unescape(option).as_os_str().as_bytes() == name.as_bytes())
    }
}

fn without_leaf(path: &CgroupPath) -> CgroupPath {
    match (path.name(), path.parent()) {
        (Some(name), Some(parent)) if name == cgroup::LEAF => parent,
        _ => path.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOUNTS: &[u8] = b"\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
35 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
36 31 0:39 / /mnt/freezer rw - cgroup cgroup rw,freezer
37 31 0:40 / /sys/fs/cgroup/pids rw - fuse.lxcfs lxcfs rw,pids
38 31 0:41 /ct /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio
39 31 0:42 /elsewhere /sys/fs/cgroup/hugetlb rw - cgroup cgroup rw,hugetlb
40 31 0:32 / /sys/fs/cgroup/memory-again rw - cgroup cgroup rw,memory
";
    const OWN: &[u8] = b"\
9:name=systemd:/user.slice/user-1000.slice/session-3.scope
8:pids:/
7:blkio:/ct/user/x:y/0
6:freezer:/
5:hugetlb:/ct
4:memory:/user/alice/0
1:cpuacct,cpu:/
0::/user.slice
";
    const INIT: &[u8] = b"\
9:name=systemd:/init.scope
7:blkio:/ct
4:memory:/init.scope
1:cpu,cpuacct:/
0::/init.scope
";

    #[test]
    fn finds_what_is_mounted_and_who_sits_where() {
        let all = Hierarchies::parse(MOUNTS, OWN, INIT);
        let seen: Vec<_> = all
            .iter()
            .map(|h| {
                let point = h.mount_point.to_str().unwrap();
                (
                    h.names.join(","),
                    point,
                    h.own.to_string(),
                    h.init.to_string(),
                )
            })
            .collect();
        let expected = [
            (
                "name=systemd",
                "/sys/fs/cgroup/systemd",
                "/user.slice/user-1000.slice/session-3.scope",
                "/",
            ),
            ("blkio", "/sys/fs/cgroup/blkio", "/ct/user/x:y/0", "/ct"),
            ("memory", "/sys/fs/cgroup/memory", "/user/alice/0", "/"),
            ("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct", "/", "/"),
        ];
        assert_eq!(seen.len(), expected.len(), "{seen:?}");
        for (seen, expected) in seen.iter().zip(expected) {
            let seen = (&*seen.0, seen.1, &*seen.2, &*seen.3);
            assert_eq!(seen, expected);
        }
        assert!(Hierarchies::parse(b"", OWN, INIT).is_empty());
        assert!(Hierarchies::parse(MOUNTS, b"0::/\n", INIT).is_empty());
    }

    #[test]
    fn a_removed_cgroup_or_one_outside_the_namespace_is_left_out() {
        let own = b"4:memory:/../x\n9:name=systemd:relative\n";
        assert!(Hierarchies::parse(MOUNTS, own, INIT).is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_survived(
            mounts in proptest::collection::vec(any::<u8>(), 0..300),
            own in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = Hierarchies::parse(&mounts, &own, &own);
            let _ = Hierarchies::parse(MOUNTS, &own, &mounts);
        }
    }
}
