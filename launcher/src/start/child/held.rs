//! What is taken hold of while the process still has its owner's uid.

use std::io;
use std::path::Path;

use berth_kernel::mount::DetachedMount;
use nix::fcntl::AT_FDCWD;

use super::super::plan::{AutoMount, MountPlan, MountSource, StartPlan};
use super::beneath::{Failure, because, because_of};
use crate::error::Plain;

/// The devices that every container has, by name below /dev.
pub(super) const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];

/// What the owner can reach and the container's root cannot.
pub(super) struct Held {
    pub(super) rootfs: DetachedMount,
    pub(super) devices: Vec<(&'static str, DetachedMount)>,
    /// Beside each mount entry: its source if that is a bind; the failure of an optional one is
    /// `None` as well.
    pub(super) binds: Vec<Option<DetachedMount>>,
    /// The host's /sys, for a container in the host's network: a new one is refused there.
    pub(super) host_sys: Option<DetachedMount>,
}

impl Held {
    pub(super) fn take(plan: &StartPlan) -> Result<Self, Failure> {
        let rootfs = DetachedMount::bind(AT_FDCWD, &plan.rootfs, true)
            .map_err(because_of("open the root directory", &plan.rootfs))?;
        let mut devices = Vec::new();
        if plan.autodev {
            for name in DEVICES {
                let path = Path::new("/dev").join(name);
                let device = DetachedMount::bind(AT_FDCWD, &path, false)
                    .map_err(because_of("open device", &path))?;
                devices.push((name, device));
            }
        }
        let mut binds = Vec::new();
        for entry in &plan.mounts {
            let bind = match &entry.source {
                // A source in the container is the container's to reach, and to misguide.
                MountSource::New { .. } | MountSource::BindWithin { .. } => None,
                MountSource::Bind { path, recursive } => {
                    match DetachedMount::bind(AT_FDCWD, path, *recursive) {
                        Ok(bind) => Some(bind),
                        Err(_) if entry.optional => None,
                        Err(error) => return Err(bind_failure(entry, path, *recursive, &error)),
                    }
                }
            };
            binds.push(bind);
        }
        let host_sys = if plan.host_network && plan.sys != AutoMount::No {
            let sys = DetachedMount::bind(AT_FDCWD, Path::new("/sys"), true);
            Some(sys.map_err(because("open /sys"))?)
        } else {
            None
        };
        Ok(Self {
            rootfs,
            devices,
            binds,
            host_sys,
        })
    }
}

pub(super) fn bind_failure(
    entry: &MountPlan,
    path: &Path,
    recursive: bool,
    error: &io::Error,
) -> Failure {
    let hint = if error.raw_os_error() == Some(22) && !recursive {
        " (something is mounted below it: use rbind)"
    } else {
        ""
    };
    format!(
        "{}: cannot bind {}: {}{hint}",
        entry.at,
        path.display(),
        Plain(error)
    )
}
