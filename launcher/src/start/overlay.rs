//! The directories of an overlay: what takes its changes belongs to the container's root.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use berth_common::{Gid, Uid};
use berth_container_config::IdKind;
use berth_kernel::fs as kernel_fs;

use super::plan::{RootSource, StartPlan};
use crate::error::{Error, Result};
use crate::mapped;

/// The directory beside an overlay's upper one in which the kernel prepares changes (LXC's name).
pub const WORK: &str = "olwork";

/// Makes the upper and the work directory of an overlay where they are missing, and gives those
/// of the owner's own to the container's root.
pub fn prepare(plan: &StartPlan) -> Result<()> {
    let RootSource::Overlay { upper, work, .. } = &plan.root.source else {
        return Ok(());
    };
    if [upper, work].into_iter().all(|dir| is_of_root(plan, dir)) {
        return Ok(());
    }
    let parent = upper.parent().unwrap_or(Path::new("/"));
    let refused = |error: Error| {
        Error::other(format!(
            "{}: lxc.rootfs.path: cannot prepare the overlay in {}: {error}",
            plan.root.at,
            parent.display()
        ))
    };
    let held = kernel_fs::open_dir(parent).map_err(|error| refused(Error::os("open it", error)))?;
    mapped::run(&plan.idmap, || {
        for dir in [upper, work] {
            let name = dir.file_name().unwrap_or(OsStr::new("upper"));
            let (made, _) = kernel_fs::make_dir_at(held.as_fd(), name, 0o755)
                .map_err(|error| Error::file("make", dir, error))?;
            let found = kernel_fs::status(made.as_fd())
                .map_err(|error| Error::file("look at", dir, error))?;
            // Here the owner's ids stand behind the container's.
            let is_containers = |kind, id| {
                let mut maps = plan.idmap.iter().filter(|map| map.kind == kind);
                maps.any(|map| map.covers_inside(id))
            };
            if plan.idmap.is_empty()
                || is_containers(IdKind::User, found.uid) && is_containers(IdKind::Group, found.gid)
            {
                continue;
            }
            kernel_fs::chown(made.as_fd(), Some(Uid::ROOT), Some(Gid::ROOT))
                .map_err(|error| Error::file("give to the container", dir, error))?;
        }
        Ok(())
    })
    .map_err(refused)
}

/// Whether a directory is there and the container's.
fn is_of_root(plan: &StartPlan, dir: &Path) -> bool {
    let Ok(found) = std::fs::symlink_metadata(dir) else {
        return false;
    };
    let mapped = |kind, id| {
        plan.idmap
            .iter()
            .any(|map| map.kind == kind && map.covers_host(id))
    };
    let is_mapped = mapped(IdKind::User, found.uid()) && mapped(IdKind::Group, found.gid());
    found.is_dir() && (plan.idmap.is_empty() || is_mapped)
}
