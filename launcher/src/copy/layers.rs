//! An overlay as it is seen, outside of a start.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use berth_kernel::fs as kernel_fs;
use berth_kernel::mount::{Attributes, DetachedMount};

use crate::error::{Error, Plain, Result};

/// The longest value of an option that fsconfig(2) takes, in bytes.
const MAX_OPTION: usize = 255;

/// Lays directories over each other as a start does, so that the kernel tells what is to be seen.
/// Without a place for changes it can only be read.
///
/// `has_ids` says whether the overlay is a container's with ids of its own. The layers are those of
/// the caller's mount namespace.
pub fn overlay_of(
    has_ids: bool,
    layers: &[PathBuf],
    changes: Option<(&Path, &Path)>,
) -> Result<DetachedMount> {
    let mut held = Vec::new();
    let mut hold = |path: &Path| -> Result<String> {
        let fd = kernel_fs::open_dir(path).map_err(|error| Error::file("open", path, error))?;
        let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
        held.push(fd);
        Ok(name)
    };
    let mut options: Vec<(&std::ffi::CStr, Option<String>)> = Vec::new();
    let names: Vec<String> = layers
        .iter()
        .map(|path| hold(path))
        .collect::<Result<_>>()?;
    let joined = names.join(":");
    if joined.len() <= MAX_OPTION {
        options.push((c"lowerdir", Some(joined)));
    } else {
        // Linux 6.8.
        options.extend(names.into_iter().map(|name| (c"lowerdir+", Some(name))));
    }
    if let Some((upper, work)) = changes {
        options.push((c"upperdir", Some(hold(upper)?)));
        options.push((c"workdir", Some(hold(work)?)));
    }
    if has_ids {
        options.push((c"userxattr", None));
    }
    let values: Vec<Option<std::ffi::CString>> = options
        .iter()
        .map(|(_, value)| value.as_deref().map(std::ffi::CString::new).transpose())
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| Error::other("a path has a zero byte"))?;
    let options: Vec<(&std::ffi::CStr, Option<&std::ffi::CStr>)> = options
        .iter()
        .zip(&values)
        .map(|((key, _), value)| (*key, value.as_deref()))
        .collect();
    DetachedMount::new(c"overlay", Some(c"overlay"), &options, Attributes::NONE).map_err(|error| {
        Error::other(format!(
            "cannot lay the directories of the overlay over each other: {}",
            Plain(&error)
        ))
    })
}
