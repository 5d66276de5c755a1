//! `/proc`, `/sys` and the container's cgroup.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use berth_kernel::mount::{Attributes, DetachedMount};

use super::super::plan::{AutoMount, StartPlan};
use super::beneath::{Failure, attach, because, make_all, open_beneath};

/// Below /proc: what reaches beyond the container and is read-only in `proc:mixed`.
pub(super) const PROC_READ_ONLY: [&str; 2] = ["sys", "sysrq-trigger"];

pub(super) fn mount_proc(plan: &StartPlan, root: BorrowedFd<'_>) -> Result<(), Failure> {
    if plan.proc == AutoMount::No {
        return Ok(());
    }
    let attributes = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
    let new = DetachedMount::new(c"proc", Some(c"proc"), &[], attributes)
        .map_err(because("mount /proc"))?;
    attach(&new, root, "proc")?;
    if plan.proc == AutoMount::ReadWrite {
        return Ok(());
    }
    let proc_root = new.as_fd();
    // The network's switches are the container's own and stay writable.
    let net = DetachedMount::bind(proc_root, Path::new("sys/net"), false);
    for path in PROC_READ_ONLY {
        let part = match DetachedMount::bind(proc_root, Path::new(path), false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(because("protect /proc"))?,
        };
        part.set_attributes(Attributes::READ_ONLY, false)
            .map_err(because("protect /proc"))?;
        let target = open_beneath(proc_root, Path::new(path)).map_err(because("protect /proc"))?;
        part.attach(target.as_fd())
            .map_err(because("protect /proc"))?;
    }
    if let Ok(net) = net {
        let target = open_beneath(proc_root, Path::new("sys/net"))
            .map_err(because("mount /proc/sys/net"))?;
        net.attach(target.as_fd())
            .map_err(because("mount /proc/sys/net"))?;
    }
    Ok(())
}

pub(super) fn mount_sys(
    plan: &StartPlan,
    root: BorrowedFd<'_>,
    host_sys: Option<&DetachedMount>,
) -> Result<(), Failure> {
    if plan.sys == AutoMount::No {
        return mount_cgroup_alone(plan.cgroup_mount, root);
    }
    let attributes = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
    let new;
    let sys = match host_sys {
        Some(host) => {
            host.set_attributes(attributes | read_only(plan.sys), true)
                .map_err(because("protect /sys"))?;
            host
        }
        None => {
            new = DetachedMount::new(c"sysfs", Some(c"sysfs"), &[], attributes)
                .map_err(because("mount /sys"))?;
            &new
        }
    };
    attach(sys, root, "sys")?;
    if plan.sys != AutoMount::ReadWrite {
        let net = DetachedMount::bind(sys.as_fd(), Path::new("devices/virtual/net"), false);
        sys.set_attributes(Attributes::READ_ONLY, false)
            .map_err(because("protect /sys"))?;
        if let (AutoMount::Mixed, Ok(net)) = (plan.sys, net) {
            open_beneath(sys.as_fd(), Path::new("devices/virtual/net"))
                .and_then(|target| net.attach(target.as_fd()))
                .map_err(because("mount /sys/devices/virtual/net"))?;
        }
    }
    mount_cgroup(plan.cgroup_mount, sys.as_fd())
}

pub(super) fn read_only(how: AutoMount) -> Attributes {
    match how {
        AutoMount::ReadWrite => Attributes::NONE,
        _ => Attributes::READ_ONLY,
    }
}

/// Where a mount entry, or the root file system itself, has a `/sys`.
fn mount_cgroup_alone(how: AutoMount, root: BorrowedFd<'_>) -> Result<(), Failure> {
    if how == AutoMount::No {
        return Ok(());
    }
    let path = Path::new("sys/fs/cgroup");
    let made = open_beneath(root, path).or_else(|_| make_all(root, path, true));
    made.map_err(because("make /sys/fs/cgroup of the container"))?;
    let sys =
        open_beneath(root, Path::new("sys")).map_err(because("open /sys of the container"))?;
    mount_cgroup(how, sys.as_fd())
}

/// The container sees its own cgroup as the root of the hierarchy, where the host has one.
pub(super) fn mount_cgroup(how: AutoMount, sys: BorrowedFd<'_>) -> Result<(), Failure> {
    if how == AutoMount::No {
        return Ok(());
    }
    let Ok(target) = open_beneath(sys, Path::new("fs/cgroup")) else {
        return Ok(());
    };
    let mut attributes = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
    if how == AutoMount::ReadOnly {
        attributes |= Attributes::READ_ONLY;
    }
    match DetachedMount::new(c"cgroup2", Some(c"cgroup2"), &[], attributes) {
        Ok(cgroup) => cgroup
            .attach(target.as_fd())
            .map_err(because("mount the cgroup")),
        // A kernel or host without cgroup v2 that this container could see.
        Err(_) => Ok(()),
    }
}
