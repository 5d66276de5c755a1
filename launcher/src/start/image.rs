//! Files that hold a file system.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use berth_kernel::cred;
use nix::fcntl::OFlag;

/// A file system that an image can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext2, ext3 and ext4
    Ext4,
    /// XFS
    Xfs,
    /// Btrfs
    Btrfs,
    /// Squashfs
    Squashfs,
    /// EROFS
    Erofs,
}

impl FileSystem {
    /// Which one begins like this; each has its mark at a place of its own.
    pub fn of(file: &File) -> Option<Self> {
        const MARKS: [(u64, &[u8], FileSystem); 5] = [
            (0, b"hsqs", FileSystem::Squashfs),
            (0, b"XFSB", FileSystem::Xfs),
            (1024, b"\xe2\xe1\xf5\xe0", FileSystem::Erofs),
            (1080, b"\x53\xef", FileSystem::Ext4),
            (0x1_0040, b"_BHRfS_M", FileSystem::Btrfs),
        ];
        let found = MARKS.iter().find(|(at, mark, _)| {
            let mut bytes = vec![0; mark.len()];
            file.read_exact_at(&mut bytes, *at).is_ok() && bytes == *mark
        });
        found.map(|(_, _, kind)| *kind)
    }

    /// The kernel's name.
    pub fn name(self) -> &'static std::ffi::CStr {
        match self {
            Self::Ext4 => c"ext4",
            Self::Xfs => c"xfs",
            Self::Btrfs => c"btrfs",
            Self::Squashfs => c"squashfs",
            Self::Erofs => c"erofs",
        }
    }

    /// Whether it can be read only.
    pub fn is_read_only(self) -> bool {
        matches!(self, Self::Squashfs | Self::Erofs)
    }

    /// Programs that serve it to users, and Debian's package with them.
    pub fn servers(self) -> Option<(&'static [&'static str], &'static str)> {
        match self {
            Self::Ext4 => Some((&["fuse2fs"], "fuse2fs")),
            Self::Squashfs => Some((&["squashfuse_ll", "squashfuse"], "squashfuse")),
            Self::Erofs => Some((&["erofsfuse"], "erofsfuse")),
            Self::Xfs | Self::Btrfs => None,
        }
    }
}

/// Opens an image of the caller's or of root's: whoever could change it under a mounted file
/// system attacks what reads it.
pub fn open(path: &Path, read_only: bool) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .write(!read_only)
        .custom_flags(OFlag::O_NONBLOCK.bits() | OFlag::O_NOCTTY.bits())
        .open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let own = cred::effective_uid().raw();
    if found.uid() != 0 && found.uid() != own {
        return Err(io::Error::other(
            "it belongs to somebody else, who could change it while it is mounted",
        ));
    }
    if found.mode() & 0o022 != 0 {
        return Err(io::Error::other(
            "others may write to it while it is mounted (chmod go-w)",
        ));
    }
    berth_kernel::sock::set_nonblocking(file.as_fd(), false)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_told_by_their_marks() {
        let name = format!("berth-image-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        for (at, mark, kind) in [
            (0, &b"hsqs"[..], Some(FileSystem::Squashfs)),
            (1024, b"\xe2\xe1\xf5\xe0", Some(FileSystem::Erofs)),
            (1080, b"\x53\xef", Some(FileSystem::Ext4)),
            (0x1_0040, b"_BHRfS_M", Some(FileSystem::Btrfs)),
            (0, b"sqsh", None),
            (1, b"hsqs", None),
        ] {
            let mut text = vec![0; at];
            text.extend_from_slice(mark);
            std::fs::write(&path, text).unwrap();
            assert_eq!(
                FileSystem::of(&File::open(&path).unwrap()),
                kind,
                "{mark:?}"
            );
        }
        std::fs::remove_file(&path).unwrap();
    }
}
