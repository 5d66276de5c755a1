//! Which network namespaces have processes in them.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use berth_kernel::fs;
use berth_kernel::ns::{Kind, Namespace};
use berth_netlink::Socket;

use super::kernel;
use crate::error::{Error, Result};

/// This namespace's numbers ([`berth_netlink::Link::peer_namespace`]) for all others in which a
/// thread lives. Needs root: a namespace that cannot be looked at must not be taken for empty.
pub fn numbers(socket: &mut Socket) -> Result<BTreeSet<u32>> {
    let mut seen = HashSet::new();
    let mut numbers = BTreeSet::new();
    for process in entries(Path::new("/proc"))? {
        for thread in entries(&Path::new("/proc").join(&process).join("task"))? {
            let dir = Path::new("/proc").join(&process).join("task").join(thread);
            let Some(namespace) = gone_is_none(look(&dir, &mut seen))
                .map_err(|source| Error::file("look at the namespace of", &dir, source))?
                .flatten()
            else {
                continue;
            };
            let number = socket.namespace_number(namespace.as_fd());
            numbers.extend(number.map_err(kernel)?);
        }
    }
    Ok(numbers)
}

/// The namespace, unless it was seen before.
fn look(thread: &Path, seen: &mut HashSet<u64>) -> io::Result<Option<Namespace>> {
    let status = std::fs::metadata(thread.join("ns/net"))?;
    if !seen.insert(status.ino()) {
        return Ok(None);
    }
    let dir = fs::open_dir(thread)?;
    Namespace::of_process(dir.as_fd(), Kind::Net).map(Some)
}

/// Processes end at any time; a dead one is in no namespace.
fn gone_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(nix::libc::ESRCH) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The numbered entries of a directory of procfs.
fn entries(dir: &Path) -> Result<Vec<String>> {
    let read = || -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            if let Ok(name) = entry?.file_name().into_string()
                && name.bytes().all(|byte| byte.is_ascii_digit())
            {
                found.push(name);
            }
        }
        Ok(found)
    };
    Ok(gone_is_none(read())
        .map_err(|source| Error::file("list", dir, source))?
        .unwrap_or_default())
}
