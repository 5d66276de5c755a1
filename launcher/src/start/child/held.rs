//! What is taken hold of while the process still has its owner's uid.

use std::io;
use std::path::Path;

use berth_kernel::mount::{self, DetachedMount, Propagation};
use nix::fcntl::AT_FDCWD;

use super::super::plan::{AutoMount, MountPlan, MountSource, StartPlan};
use super::beneath::{Failure, because, because_of};
use super::root::HeldRoot;
use crate::error::Plain;

/// The devices that every container has, by name below /dev.
pub(super) const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];

/// What the owner can reach and the container's root cannot.
pub(super) struct Held {
    pub(super) root: HeldRoot,
    pub(super) devices: Vec<(&'static str, DetachedMount)>,
    /// Beside each mount entry: its source if that is a bind; the failure of an optional one is
    /// `None` as well.
    pub(super) binds: Vec<Option<DetachedMount>>,
    /// The host's /sys, for a container in the host's network: a new one is refused there.
    pub(super) host_sys: Option<DetachedMount>,
}

impl Held {
    pub(super) fn take(plan: &StartPlan) -> Result<Self, Failure> {
        let received = receiving_binds(plan)?;
        mount::set_all_propagation(Propagation::Private).map_err(because("make mounts private"))?;
        let root = HeldRoot::take(plan)?;
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
        for (entry, received) in plan.mounts.iter().zip(received) {
            binds.push(match received {
                Some(bind) => bind,
                None => bind(entry)?,
            });
        }
        let host_sys = if plan.host_network && plan.sys != AutoMount::No {
            let sys = DetachedMount::bind(AT_FDCWD, Path::new("/sys"), true);
            Some(sys.map_err(because("open /sys"))?)
        } else {
            None
        };
        Ok(Self {
            root,
            devices,
            binds,
            host_sys,
        })
    }
}

/// Binds that are to show later mounts of the host, or to tell of theirs: taken while the copy of
/// the host's mounts still receives. `None`: not one of these.
fn receiving_binds(plan: &StartPlan) -> Result<Vec<Option<Option<DetachedMount>>>, Failure> {
    let receives = |entry: &MountPlan| {
        let spreads = [Propagation::Slave, Propagation::Shared];
        let how = entry.propagation.map(|(how, _)| how);
        entry.idmap.is_none() && how.is_some_and(|how| spreads.contains(&how))
    };
    if !plan.mounts.iter().any(receives) {
        return Ok(plan.mounts.iter().map(|_| None).collect());
    }
    // In no case may a mount of the container's reach the host.
    mount::set_all_propagation(Propagation::Slave).map_err(because("keep mounts from the host"))?;
    plan.mounts
        .iter()
        .map(|entry| match receives(entry) {
            true => bind(entry).map(Some),
            false => Ok(None),
        })
        .collect()
}

/// An entry's source, if it is a bind of the owner's to reach; `None` for an optional one that
/// cannot be had, too.
fn bind(entry: &MountPlan) -> Result<Option<DetachedMount>, Failure> {
    match &entry.source {
        // A source in the container is the container's to reach, and to misguide.
        MountSource::New { .. } | MountSource::BindWithin { .. } => Ok(None),
        MountSource::Bind { .. } if entry.idmap.is_some() => Ok(None),
        MountSource::Bind { path, recursive } => {
            match DetachedMount::bind(AT_FDCWD, path, *recursive) {
                Ok(bind) => Ok(Some(bind)),
                Err(_) if entry.optional => Ok(None),
                Err(error) => Err(bind_failure(entry, path, *recursive, &error)),
            }
        }
    }
}

fn bind_failure(entry: &MountPlan, path: &Path, recursive: bool, error: &io::Error) -> Failure {
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
