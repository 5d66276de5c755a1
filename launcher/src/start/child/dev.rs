//! `/dev` with its devices.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};

use berth_kernel::mount::{Attributes, DetachedMount};
use berth_kernel::ns::Kind;

use super::super::plan::StartPlan;
use super::beneath::{Failure, NO_PROGRAMS, attach, because, make_dir, make_file};

/// Links below /dev and what they lead to.
pub(super) const DEVICE_LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

pub(super) fn mount_dev(
    plan: &StartPlan,
    root: BorrowedFd<'_>,
    devices: &[(&'static str, DetachedMount)],
) -> Result<(), Failure> {
    if !plan.autodev {
        return Ok(());
    }
    let size = CString::new(plan.autodev_size.to_string()).unwrap_or_default();
    let options: [(&CStr, Option<&CStr>); 2] = [(c"size", Some(&size)), (c"mode", Some(c"755"))];
    let dev = DetachedMount::new(c"tmpfs", Some(c"tmpfs"), &options, NO_PROGRAMS)
        .map_err(because("mount /dev"))?;
    attach(&dev, root, "dev")?;
    let dev = dev.as_fd();
    for (name, device) in devices {
        let file = make_file(dev, name).map_err(because("make a file in /dev"))?;
        device
            .attach(file.as_fd())
            .map_err(because("mount a device"))?;
    }
    for (name, target) in DEVICE_LINKS {
        nix::unistd::symlinkat(target, dev, name)
            .map_err(|errno| because("make a link in /dev")(errno.into()))?;
    }
    let private = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
    let shm = make_dir(dev, "shm")?;
    DetachedMount::new(
        c"tmpfs",
        Some(c"tmpfs"),
        &[(c"mode", Some(c"1777"))],
        Attributes::NO_SUID | Attributes::NO_DEV,
    )
    .and_then(|mount| mount.attach(shm.as_fd()))
    .map_err(because("mount /dev/shm"))?;
    let mqueue = make_dir(dev, "mqueue")?;
    match DetachedMount::new(c"mqueue", Some(c"mqueue"), &[], private) {
        Ok(mount) => mount
            .attach(mqueue.as_fd())
            .map_err(because("mount /dev/mqueue"))?,
        // A kernel built without POSIX message queues.
        Err(error) if error.raw_os_error() == Some(19) => {}
        // Those of others can be used, not mounted.
        Err(_) if !plan.idmap.is_empty() && !plan.owns(Kind::Ipc) => {}
        Err(error) => return Err(because("mount /dev/mqueue")(error)),
    }
    Ok(())
}
