//! The root file system: taken hold of with the owner's uid, mounted as the container's root.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use berth_kernel::mount::{self, Attributes, DetachedMount};
use nix::fcntl::AT_FDCWD;

use super::super::plan::{RootPlan, RootSource, StartPlan};
use super::beneath::{Failure, because_of};
use crate::error::Plain;

/// What of the root file system is the owner's to reach.
pub(super) enum HeldRoot {
    /// The root file system, mounted where it stays until it becomes the root.
    Ready(DetachedMount),
    /// It comes from the monitor.
    Monitors { mount_point: OwnedFd },
    /// Directories to be laid over each other.
    Layers {
        mount_point: OwnedFd,
        lower: Vec<OwnedFd>,
        upper: OwnedFd,
        work: OwnedFd,
    },
}

impl HeldRoot {
    pub(super) fn take(plan: &StartPlan) -> Result<Self, Failure> {
        let open = |path: &Path| {
            mount::open_path(AT_FDCWD, path).map_err(because_of("open directory", path))
        };
        if plan.root.is_made_by_monitor() {
            let mount_point = open(&plan.rootfs)?;
            return Ok(Self::Monitors { mount_point });
        }
        match &plan.root.source {
            RootSource::Directory(path) => {
                let root = DetachedMount::bind(AT_FDCWD, path, true)
                    .map_err(because_of("open the root directory", path))?;
                set_up(&root, &plan.root)?;
                root.attach_at(&plan.rootfs)
                    .map_err(because_of("mount the root directory at", &plan.rootfs))?;
                Ok(Self::Ready(root))
            }
            RootSource::Image(_) => Ok(Self::Monitors {
                mount_point: open(&plan.rootfs)?,
            }),
            RootSource::Overlay { lower, upper, work } => Ok(Self::Layers {
                mount_point: open(&plan.rootfs)?,
                lower: lower
                    .iter()
                    .map(|path| open(path))
                    .collect::<Result<_, _>>()?,
                upper: open(upper)?,
                work: open(work)?,
            }),
        }
    }

    /// The root file system, mounted in the container's mount namespace.
    pub(super) fn finish(
        self,
        plan: &StartPlan,
        prepared: &mut VecDeque<Option<DetachedMount>>,
    ) -> Result<DetachedMount, Failure> {
        let (root, mount_point) = match self {
            Self::Ready(root) => return Ok(root),
            Self::Monitors { mount_point } => {
                let root = prepared.pop_front().flatten();
                let root = root.ok_or("the monitor did not mount the root file system")?;
                set_up(&root, &plan.root)?;
                (root, mount_point)
            }
            Self::Layers {
                mount_point,
                lower,
                upper,
                work,
            } => (overlay(plan, &lower, &upper, &work)?, mount_point),
        };
        root.attach(mount_point.as_fd())
            .map_err(because_of("mount the root file system at", &plan.rootfs))?;
        Ok(root)
    }
}

/// Attributes and propagation of a root that is a copy of a mount.
fn set_up(root: &DetachedMount, plan: &RootPlan) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        format!(
            "{}: cannot obey lxc.rootfs.options: {}",
            plan.at,
            Plain(&error)
        )
    };
    if !plan.attributes.is_empty() {
        root.set_attributes(plan.attributes, false)
            .map_err(failed)?;
    }
    match plan.propagation {
        Some((propagation, recursive)) => {
            root.set_propagation(propagation, recursive).map_err(failed)
        }
        None => Ok(()),
    }
}

/// The longest value of an option that fsconfig(2) takes, in bytes.
const MAX_OPTION: usize = 255;

/// Layers are named by descriptors: a home of mode 0700 cannot be passed through by path any
/// more, and what lies at a path may have changed.
fn overlay(
    plan: &StartPlan,
    lower: &[OwnedFd],
    upper: &OwnedFd,
    work: &OwnedFd,
) -> Result<DetachedMount, Failure> {
    let name = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let mut options: Vec<(CString, Option<CString>)> = Vec::new();
    let mut option = |key: &CStr, value: Option<String>| -> Result<(), Failure> {
        let value = value.map(CString::new).transpose();
        let value = value.map_err(|_| "a zero byte in an option".to_owned())?;
        options.push((key.to_owned(), value));
        Ok(())
    };
    let names: Vec<String> = lower.iter().map(name).collect();
    let joined = names.join(":");
    if joined.len() <= MAX_OPTION {
        option(c"lowerdir", Some(joined))?;
    } else {
        // Linux 6.8.
        for name in names {
            option(c"lowerdir+", Some(name))?;
        }
    }
    option(c"upperdir", Some(name(upper)))?;
    option(c"workdir", Some(name(work)))?;
    // Nobody but root on the host may write the trusted attributes that an overlay keeps its
    // notes in (Linux 5.11).
    if !plan.idmap.is_empty() {
        option(c"userxattr", None)?;
    }
    options.extend(plan.root.options.iter().cloned());
    let options: Vec<(&CStr, Option<&CStr>)> = options
        .iter()
        .map(|(key, value)| (key.as_c_str(), value.as_deref()))
        .collect();
    let made = DetachedMount::new(c"overlay", Some(c"overlay"), &options, Attributes::NONE);
    let root = made.map_err(|error| {
        let hint = match error.raw_os_error() {
            Some(nix::libc::EPERM) if !plan.idmap.is_empty() => {
                " (a container with ids of its own needs Linux 5.11 for that)"
            }
            Some(nix::libc::ENODEV) => " (this kernel has no overlay file system)",
            _ => "",
        };
        format!(
            "{}: lxc.rootfs.path: cannot lay the directories over each other: {}{hint}",
            plan.root.at,
            Plain(&error)
        )
    })?;
    set_up(&root, &plan.root)?;
    Ok(root)
}
