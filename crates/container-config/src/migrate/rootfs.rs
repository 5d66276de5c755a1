//! `lxc.rootfs` and what stores it.

use super::rewrite::Edit;
use super::{Outcome, PathKind, Surroundings};
use std::path::Path;

const KEY: &str = "lxc.rootfs.path";
/// Every kind of storage that LXC has had.
const BACKENDS: [&str; 9] = [
    "aufs", "btrfs", "dir", "loop", "lvm", "nbd", "overlay", "rbd", "zfs",
];
/// What overlay was called when the kernel's own was new.
const FORMER_OVERLAY: &str = "overlayfs";

/// `backend` is the file's `lxc.rootfs.backend`, wherever it stands.
pub(super) fn edit(value: &str, backend: Option<&str>, host: &dyn Surroundings) -> Outcome {
    if value.is_empty() {
        return Outcome::of(Edit::key(KEY));
    }
    let (named, path) = match value.split_once(':') {
        Some((prefix, path)) if known(prefix).is_some() => (known(prefix), path),
        _ => (None, value),
    };
    match named.or(backend.and_then(known)) {
        Some("aufs") => Outcome::told(
            Edit::both(KEY, format!("aufs:{path}")),
            "aufs is no storage of LXC's any more, and its layers are no overlayfs's: copy the \
             container's files into a directory and name that (dir:/path)",
        ),
        Some(stored) => Outcome::of(Edit::both(KEY, format!("{stored}:{path}"))),
        None => Outcome::of(match prefix(path, host) {
            Some(prefix) => Edit::both(KEY, format!("{prefix}:{path}")),
            None => Edit::key(KEY),
        }),
    }
}

/// The word for a kind of storage today.
fn known(word: &str) -> Option<&'static str> {
    let word = match word {
        FORMER_OVERLAY => "overlay",
        word => word,
    };
    BACKENDS.iter().copied().find(|backend| *backend == word)
}

/// What LXC would find out by looking. Nothing where a word would take something away: of a
/// subvolume LXC makes snapshots only as long as it finds out itself.
fn prefix(path: &str, host: &dyn Surroundings) -> Option<&'static str> {
    match host.kind(Path::new(path)) {
        Some(PathKind::File) => Some("loop"),
        Some(PathKind::Subvolume | PathKind::Other) => None,
        Some(PathKind::Directory) => Some("dir"),
        None => (!path.starts_with("/dev/")).then_some("dir"),
    }
}

pub(super) fn backend(value: &str) -> Outcome {
    let comment = |why: &str| Edit::Comment(why.to_owned());
    match value {
        "" | "best" => Outcome::of(comment("LXC finds out by looking")),
        _ if known(value).is_some() => Outcome::of(comment("a prefix of lxc.rootfs.path now")),
        _ => Outcome::told(Edit::Keep, "LXC has no such storage; correct it first"),
    }
}
