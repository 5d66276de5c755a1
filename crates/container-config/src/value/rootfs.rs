//! `lxc.rootfs.…`

use super::{MountOptions, expected, mount_options};
use crate::error::printable;
use crate::key::Refusal;
use std::path::{Component, Path, PathBuf};

/// Where a container's root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootSource {
    /// A path without a prefix: a directory, an image or a block device, whichever is there.
    Any(PathBuf),
    /// `dir:/path` (and `btrfs:/path`, a subvolume's directory)
    Directory(PathBuf),
    /// `loop:/path`: a file with a file system
    Image(PathBuf),
    /// `lvm:/path`, `rbd:/path`: a block device
    Device(PathBuf),
    /// `overlay:/lower[:/lower…]:/upper`
    Overlay {
        /// What is below and stays unchanged, the uppermost first.
        lower: Vec<PathBuf>,
        /// What takes the changes.
        upper: PathBuf,
    },
}

impl RootSource {
    /// The path that the key names; of an overlay the upper directory.
    pub fn path(&self) -> &Path {
        match self {
            Self::Any(path) | Self::Directory(path) | Self::Image(path) | Self::Device(path) => {
                path
            }
            Self::Overlay { upper, .. } => upper,
        }
    }
}

/// Prefixes of LXC that name storage which is mounted first, and what to write instead.
const MOUNTED_FIRST: [(&str, &str); 4] = [
    (
        "zfs",
        "dir:/path with the path where the data set is mounted (zfs get mountpoint)",
    ),
    (
        "nbd",
        "the path of the block device, when qemu-nbd has attached it (/dev/nbd0)",
    ),
    ("aufs", "overlay:/lower:/upper, since kernels have no aufs"),
    ("oci", "dir:/path with an unpacked image"),
];

/// `[dir:|loop:|overlay:…]/path`
pub fn rootfs(text: &str) -> Result<RootSource, Refusal> {
    let Some((prefix, rest)) = text
        .split_once(':')
        .filter(|(prefix, _)| !prefix.contains('/'))
    else {
        return root_path(text).map(RootSource::Any);
    };
    match prefix {
        "dir" | "btrfs" => root_path(rest).map(RootSource::Directory),
        "loop" => root_path(rest).map(RootSource::Image),
        "lvm" | "rbd" => root_path(rest).map(RootSource::Device),
        "overlay" | "overlayfs" => overlay(rest),
        _ => Err(Refusal::Other(
            match MOUNTED_FIRST.iter().find(|(name, _)| *name == prefix) {
                Some((name, instead)) => format!(
                    "storage of the kind {name} is not attached by Berth; expected {instead}, \
                     found “{}”",
                    printable(text)
                ),
                None => format!(
                    "expected dir:/path, loop:/path, overlay:/lower:/upper or a path, found “{}”",
                    printable(text)
                ),
            },
        )),
    }
}

fn root_path(text: &str) -> Result<PathBuf, Refusal> {
    let path = Path::new(text);
    let climbs = path.components().any(|part| part == Component::ParentDir);
    match path.is_absolute() && !climbs {
        true => Ok(path.to_owned()),
        false => expected("dir:/path, an absolute path without “..”"),
    }
}

/// The most layers that the kernel puts below an overlay (OVL_MAX_STACK, fs/overlayfs/params.h).
const MAX_LOWER: usize = 500;

fn overlay(text: &str) -> Result<RootSource, Refusal> {
    const WHAT: &str = "overlay:/lower:/upper or overlay:/lower:/lower2:/upper, with absolute \
                        paths without “..”";
    let mut lower = text
        .split(':')
        .map(root_path)
        .collect::<Result<Vec<_>, _>>()
        .or_else(|_| expected(WHAT))?;
    match lower.pop() {
        Some(upper) if (1..=MAX_LOWER).contains(&lower.len()) && upper.file_name().is_some() => {
            Ok(RootSource::Overlay { lower, upper })
        }
        _ => expected(WHAT),
    }
}

/// `lxc.rootfs.options`: options of a mount, without those that only an entry can have.
pub fn rootfs_options(text: &str) -> Result<MountOptions, Refusal> {
    let options = mount_options(text)?;
    let wrong = [
        (options.create.is_some(), "create="),
        (options.optional, "optional"),
        (options.relative, "relative"),
        (options.bind.is_some(), "bind"),
    ];
    match wrong.iter().find(|(there, _)| *there) {
        None => Ok(options),
        Some((_, name)) => Err(Refusal::Other(format!(
            "expected options of a file system (ro,noatime,idmap=container); “{name}” is for \
             lxc.mount.entry, found “{}”",
            printable(text)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let path = || PathBuf::from("/srv/web");
        for (text, source) in [
            ("/srv/web", RootSource::Any(path())),
            ("dir:/srv/web", RootSource::Directory(path())),
            ("btrfs:/srv/web", RootSource::Directory(path())),
            ("loop:/srv/web", RootSource::Image(path())),
            ("lvm:/srv/web", RootSource::Device(path())),
            ("/srv/we:b", RootSource::Any("/srv/we:b".into())),
            (
                "overlayfs:/a:/b:/srv/web",
                RootSource::Overlay {
                    lower: vec!["/a".into(), "/b".into()],
                    upper: path(),
                },
            ),
        ] {
            assert_eq!(rootfs(text), Ok(source), "{text}");
        }
    }

    #[test]
    fn wrong_sources() {
        for (text, names) in [
            ("overlay:/a", "overlay:/lower:/upper"),
            ("overlay:/a:b", "overlay:/lower:/upper"),
            ("overlay:/a:/", "overlay:/lower:/upper"),
            ("overlay:/a:/b/../c", "overlay:/lower:/upper"),
            ("zfs:tank/web", "where the data set is mounted"),
            ("nbd:/srv/image:1", "qemu-nbd"),
            ("aufs:/a:/b", "overlay:/lower:/upper"),
            ("ext4:/a", "loop:/path"),
            ("rootfs", "dir:/path"),
            ("dir:rootfs", "dir:/path"),
            ("/srv/../etc", "“..”"),
        ] {
            let message = rootfs(text).unwrap_err().message(text);
            assert!(
                message.contains(names) && message.contains(text),
                "{message}"
            );
        }
    }

    #[test]
    fn options() {
        let options = rootfs_options("ro,noatime,index=off,idmap=container").unwrap();
        assert_eq!(options.read_only, Some(true));
        assert_eq!(options.data, ["index=off"]);
        assert!(options.idmap.is_some());
        for wrong in [
            "bind",
            "create=dir",
            "relative",
            "optional,ro",
            "idmap=",
            "move",
            "remount",
        ] {
            assert!(rootfs_options(wrong).is_err(), "{wrong}");
        }
    }
}
