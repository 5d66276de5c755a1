//! Removing what a container's own processes made in its cgroup.
//!
//! The top of a container's tree is its owner's; what is below belongs to the container's ids, and
//! a cgroup can be removed only by whoever may write to the one above it. So it takes the
//! container's root: in its own user namespace while somebody has that open, afterwards in a new
//! one with the same ids.

use std::os::fd::{AsFd, BorrowedFd};

use berth_cgroups::CgroupDir;
use berth_container_config::IdMapping;
use berth_kernel::process;
use nix::sched::CloneFlags;

use crate::error::{Error, Result};
use crate::mapped;

/// How the container's root is reached.
#[derive(Clone, Copy)]
pub enum Root<'a> {
    /// Through the container's user namespace, whose owner the caller is.
    Namespace(BorrowedFd<'a>),
    /// By its ids: milliseconds, and newuidmap's.
    Ids(&'a [IdMapping]),
}

/// Removes everything below `payload` and takes its controllers back from it, so that processes
/// may be born in it again. Nothing must live there any more.
pub fn empty(payload: &CgroupDir, root: Root<'_>) -> Result<()> {
    match remove_children(payload) {
        Err(error) if error.is_permission_denied() => match root {
            Root::Namespace(namespace) => inside(namespace, payload)?,
            Root::Ids(ids) => mapped::run(ids, || remove_children(payload).map_err(fail))?,
        },
        other => other.map_err(fail)?,
    }
    for controller in payload.enabled_controllers().map_err(fail)? {
        payload
            .write("cgroup.subtree_control", &format!("-{controller}"))
            .map_err(fail)?;
    }
    Ok(())
}

/// Goes on past what cannot be removed; the first reason is handed back.
fn remove_children(dir: &CgroupDir) -> berth_cgroups::Result<()> {
    let mut result = Ok(());
    for child in dir.children()? {
        result = result.and(dir.remove_tree(child).map(|_| ()));
    }
    result
}

fn inside(namespace: BorrowedFd<'_>, payload: &CgroupDir) -> Result<()> {
    let child = process::clone(CloneFlags::empty(), None, || {
        let removed = become_root(namespace, payload)
            .map_err(|_| ())
            .and_then(|()| remove_children(payload).map_err(|_| ()));
        u8::from(removed.is_err())
    })
    .map_err(|error| Error::os("make a process that removes cgroups", error))?;
    let exit = child
        .pidfd
        .wait()
        .map_err(|error| Error::os("wait for a process", error))?;
    match exit.success() {
        true => Ok(()),
        false => Err(Error::other(format!(
            "cgroups that the container made in {} could not be removed",
            payload.path().display()
        ))),
    }
}

fn become_root(namespace: BorrowedFd<'_>, payload: &CgroupDir) -> std::io::Result<()> {
    process::close_others(&[namespace, payload.as_fd()])?;
    mapped::become_root_of(namespace)
}

fn fail(error: berth_cgroups::Error) -> Error {
    Error::other(error.to_string())
}
