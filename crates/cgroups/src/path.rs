//! A cgroup's place in the hierarchy.

use crate::{Error, Result};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// An absolute path from the hierarchy's root as the caller's cgroup namespace shows it, without
/// `.`, `..` and doubled slashes. `/` is the root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CgroupPath(PathBuf);

impl CgroupPath {
    /// The hierarchy's root.
    pub fn root() -> Self {
        Self(PathBuf::from("/"))
    }

    /// Checks an absolute path.
    pub fn new(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bad = || Error::BadPath {
            path: path.to_owned(),
        };
        let mut checked = PathBuf::from("/");
        let mut components = path.components();
        if components.next() != Some(Component::RootDir) {
            return Err(bad());
        }
        for component in components {
            match component {
                Component::Normal(name) if !name.as_bytes().contains(&0) => checked.push(name),
                _ => return Err(bad()),
            }
        }
        Ok(Self(checked))
    }

    /// The path, beginning with `/`.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The same as a path from the hierarchy's mount point; `.` for the root.
    pub fn relative(&self) -> &Path {
        match self.0.strip_prefix("/") {
            Ok(path) if !path.as_os_str().is_empty() => path,
            _ => Path::new("."),
        }
    }

    /// The last component; `None` for the root.
    pub fn name(&self) -> Option<&OsStr> {
        self.0.file_name()
    }

    /// The cgroup above; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        self.0.parent().map(|parent| Self(parent.to_owned()))
    }

    /// The cgroup below of this name.
    pub fn child(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let mut path = self.0.clone();
        path.push(check_name(name.as_ref())?);
        Ok(Self(path))
    }

    /// The path below this one, without a leading slash; `None` if `other` lies elsewhere.
    pub fn suffix_of<'a>(&self, other: &'a Self) -> Option<&'a Path> {
        other.0.strip_prefix(&self.0).ok()
    }

    /// From the text of `/proc/PID/cgroup`: the line of the v2 hierarchy, `0::/path`.
    /// `Ok(None)` if there is no such line.
    pub(crate) fn from_proc(content: &[u8]) -> Result<Option<Self>> {
        const DELETED: &[u8] = b" (deleted)";
        let line = content
            .split(|&b| b == b'\n')
            .find_map(|line| line.strip_prefix(b"0::"));
        let Some(path) = line else {
            return Ok(None);
        };
        if let Some(gone) = path.strip_suffix(DELETED) {
            return Err(Error::Removed {
                path: PathBuf::from(OsStr::from_bytes(gone)),
            });
        }
        Self::new(OsStr::from_bytes(path)).map(Some)
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// A name is one component of a path; the kernel takes no line feed in it either.
pub(crate) fn check_name(name: &OsStr) -> Result<&OsStr> {
    let bytes = name.as_bytes();
    let wrong = bytes.is_empty()
        || bytes == b"."
        || bytes == b".."
        || bytes.iter().any(|b| matches!(b, b'/' | b'\n' | 0));
    if wrong {
        Err(Error::BadPath {
            path: PathBuf::from(name),
        })
    } else {
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn proc_lines() {
        let hybrid = b"9:name=systemd:/x\n4:memory:/y\n0::/user.slice/user-1000.slice\n";
        let path = CgroupPath::from_proc(hybrid).unwrap().unwrap();
        assert_eq!(path.as_path(), Path::new("/user.slice/user-1000.slice"));
        assert_eq!(
            CgroupPath::from_proc(b"0::/\n").unwrap(),
            Some(CgroupPath::root())
        );
        assert_eq!(CgroupPath::from_proc(b"4:memory:/0::/y\n").unwrap(), None);
        assert_eq!(CgroupPath::from_proc(b"").unwrap(), None);
        assert!(matches!(
            CgroupPath::from_proc(b"0::/a/b (deleted)\n"),
            Err(Error::Removed { path }) if path == Path::new("/a/b")
        ));
        // What a process outside the reader's cgroup namespace shows.
        assert!(matches!(
            CgroupPath::from_proc(b"0::/../x\n"),
            Err(Error::BadPath { .. })
        ));
    }

    #[test]
    fn parts() {
        let path = CgroupPath::new("/a//b/./c/").unwrap();
        assert_eq!(path.to_string(), "/a/b/c");
        assert_eq!(path.relative(), Path::new("a/b/c"));
        assert_eq!(CgroupPath::root().relative(), Path::new("."));
        assert_eq!(path.name(), Some(OsStr::new("c")));
        assert_eq!(path.parent(), Some(CgroupPath::new("/a/b").unwrap()));
        assert_eq!(CgroupPath::root().parent(), None);
        let top = CgroupPath::new("/a").unwrap();
        assert_eq!(top.suffix_of(&path), Some(Path::new("b/c")));
        assert_eq!(path.suffix_of(&top), None);
        for bad in ["", ".", "..", "a/b", "a\nb"] {
            assert!(path.child(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a", "../a", "/a/../b"] {
            assert!(CgroupPath::new(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_path_from_proc_escapes(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut text = b"0::/".to_vec();
            text.extend(content);
            if let Ok(Some(path)) = CgroupPath::from_proc(&text) {
                let only_names = path.relative().components()
                    .all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
                prop_assert!(only_names);
                prop_assert!(path.as_path().is_absolute());
            }
        }
    }
}
