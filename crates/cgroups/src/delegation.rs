//! Delegation: the owner of a cgroup's directory and of a few of its files may rule below it.

use crate::{CgroupDir, Error, Result};
use berth_common::{Gid, Uid, cgroup};
use berth_kernel::fs;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// The list is some hundred bytes long.
const MAX_LIST: usize = 16 * 1024;

/// The files whose ownership delegates a cgroup. Every other file of the directory, its limits
/// above all, stays with whoever rules the parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelegationSet(Vec<String>);

impl DelegationSet {
    /// As the running kernel lists them; kernels before 4.15 have no list and the three files
    /// that every later list begins with.
    pub fn of_kernel() -> Result<Self> {
        let list = std::path::Path::new(cgroup::DELEGATE_LIST);
        match File::open(list).and_then(|file| fs::read_bounded(file, MAX_LIST)) {
            Ok(content) => Ok(Self::parse(&String::from_utf8_lossy(&content))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::minimal()),
            Err(error) => Err(Error::io("read", list, error)),
        }
    }

    /// What every kernel delegates.
    pub fn minimal() -> Self {
        Self(
            cgroup::DELEGATE_FALLBACK
                .iter()
                .map(|&name| name.to_owned())
                .collect(),
        )
    }

    /// One name a line. A name that is not a plain control file's is left out: it would be
    /// handed to chown.
    fn parse(text: &str) -> Self {
        let plain = |name: &&str| {
            name.contains('.')
                && !name.starts_with('.')
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'_')
        };
        let names: Vec<_> = text.lines().filter(plain).map(str::to_owned).collect();
        if names.is_empty() {
            Self::minimal()
        } else {
            Self(names)
        }
    }

    /// The names.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl CgroupDir {
    /// Delegates the cgroup: the kernel's list of files first, the directory last, so that its
    /// owner tells that the rest is done.
    pub fn delegate_to(&self, uid: Uid, gid: Gid) -> Result<()> {
        self.delegate_files_to(&DelegationSet::of_kernel()?, uid, gid)
    }

    /// As [`Self::delegate_to`] with a list read before. A file that this cgroup lacks, because
    /// its controller does not reach here, is passed over.
    pub fn delegate_files_to(&self, set: &DelegationSet, uid: Uid, gid: Gid) -> Result<()> {
        self.open_to(set, uid, gid)?;
        fs::chown(self.as_fd(), Some(uid), Some(gid))
            .map_err(|error| self.error("change the owner of", error))
    }

    /// Hands over the listed files and not the directory: processes may come and go, and that is
    /// all.
    pub fn open_to(&self, set: &DelegationSet, uid: Uid, gid: Gid) -> Result<()> {
        for file in set.files() {
            self.chown_file(file, uid, gid)?;
        }
        Ok(())
    }

    /// Gives a group the rights that delegation consists of; the owner keeps his. It takes the
    /// owner's uid and his membership in the group.
    pub fn share_with_group(&self, set: &DelegationSet, gid: Gid) -> Result<()> {
        let failed = |file: &str| {
            let path = self.path().join(file);
            move |error| Error::io("give the container's root", path, error)
        };
        for file in set.files() {
            let name = std::ffi::OsStr::new(file);
            match fs::chown_at(self.as_fd(), name, None, Some(gid)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(file)(error)),
            }
            fs::chmod_at(self.as_fd(), name, cgroup::SHARED_FILE_MODE).map_err(failed(file))?;
        }
        fs::chown(self.as_fd(), None, Some(gid))
            .and_then(|()| fs::chmod(self.as_fd(), cgroup::SHARED_DIR_MODE))
            .map_err(failed("."))
    }

    /// Whether systemd marked the cgroup as delegated. Only root sees the older mark, so below
    /// systemd 251 the answer for others is always no.
    pub fn is_marked_delegated(&self) -> Result<bool> {
        for name in [cgroup::DELEGATE_XATTR, cgroup::DELEGATE_XATTR_TRUSTED] {
            match fs::xattr(self.as_fd(), name) {
                Ok(Some(value)) if value == b"1" => return Ok(true),
                Ok(_) => {}
                Err(error) => return Err(self.error("read the delegation mark of", error)),
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_as_the_kernel_writes_it() {
        let set = DelegationSet::parse("cgroup.procs\ncgroup.threads\nmemory.oom.group\n");
        let files: Vec<_> = set.files().collect();
        assert_eq!(
            files,
            ["cgroup.procs", "cgroup.threads", "memory.oom.group"]
        );
        assert_eq!(DelegationSet::parse(""), DelegationSet::minimal());
        assert_eq!(
            DelegationSet::parse("../x\n.\n..\na/b.c\n"),
            DelegationSet::minimal()
        );
    }
}
