//! `lxc.mount.entry`.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use berth_kernel::mount::{DetachedMount, Propagation};

use super::super::plan::{Create, MountPlan, MountSource};
use super::beneath::{Failure, make_all, open_beneath};
use crate::error::Plain;

pub(super) fn mount_entry(
    entry: &MountPlan,
    bind: Option<DetachedMount>,
    root: BorrowedFd<'_>,
) -> Result<(), Failure> {
    let result = try_mount_entry(entry, bind, root);
    match result {
        Err(_) if entry.optional => Ok(()),
        other => other.map_err(|error| {
            format!(
                "{}: cannot mount {}: {}",
                entry.at,
                entry.target.display(),
                Plain(&error)
            )
        }),
    }
}

fn try_mount_entry(
    entry: &MountPlan,
    bind: Option<DetachedMount>,
    root: BorrowedFd<'_>,
) -> io::Result<()> {
    let mount = match (&entry.source, bind) {
        // Optional, and not to be had.
        (MountSource::Bind { .. }, None) => return Ok(()),
        (MountSource::Bind { recursive, .. }, Some(bind)) => {
            if !entry.attributes.is_empty() {
                bind.set_attributes(entry.attributes, *recursive)?;
            }
            bind
        }
        (MountSource::BindWithin { path, recursive }, _) => {
            let source = open_beneath(root, path)?;
            let bind = DetachedMount::bind(source.as_fd(), Path::new(""), *recursive)?;
            if !entry.attributes.is_empty() {
                bind.set_attributes(entry.attributes, *recursive)?;
            }
            bind
        }
        (
            MountSource::New {
                kind,
                source,
                options,
            },
            _,
        ) => {
            let options: Vec<(&CStr, Option<&CStr>)> = options
                .iter()
                .map(|(key, value)| (key.as_c_str(), value.as_deref()))
                .collect();
            DetachedMount::new(kind, Some(source), &options, entry.attributes)?
        }
    };
    let target = match open_beneath(root, &entry.target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match entry.create {
            Create::No => return Err(error),
            Create::Directory => make_all(root, &entry.target, true)?,
            Create::File => make_all(root, &entry.target, false)?,
        },
        other => other?,
    };
    mount.attach(target.as_fd())?;
    match entry.propagation {
        // What receives from the host also passes it on where it is shared.
        Some((Propagation::Slave, _)) => Ok(()),
        Some((propagation, recursive)) => mount.set_propagation(propagation, recursive),
        None => Ok(()),
    }
}
