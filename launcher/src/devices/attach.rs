//! A device's file of the host's at a path inside, and off again.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use berth_common::{Gid, Uid};
use berth_container_config::IdKind;
use berth_kernel::fs::{self as kernel_fs, DeviceNumber, OpenFlags, Resolve, Status};
use berth_kernel::mount::{self, DetachedMount, Propagation};
use berth_kernel::ns::Namespace;
use berth_kernel::{cred, ns, process, user};
use nix::sched::CloneFlags;

use super::container::Running;
use crate::error::{Error, Result};
use crate::mapped;
use crate::start::child::beneath::{make_all, open_beneath};

/// A device's file on the host, reached with the caller's rights.
pub struct HostDevice {
    /// As it was given.
    shown: PathBuf,
    /// Where it is; passing through it again takes no right to its path.
    dir: OwnedFd,
    name: OsString,
    /// Opened for nothing.
    file: OwnedFd,
    status: Status,
    pub number: DeviceNumber,
}

impl HostDevice {
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::file("find", path, error);
        let real = path.canonicalize().map_err(failed)?;
        let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(no_device(path, "a directory"));
        };
        let here = kernel_fs::openat2(
            nix::fcntl::AT_FDCWD,
            parent,
            OpenFlags::O_PATH | OpenFlags::O_DIRECTORY,
            0,
            Resolve::ANY,
        )
        .map_err(failed)?;
        let flags = OpenFlags::O_PATH | OpenFlags::O_NOFOLLOW;
        let file = kernel_fs::openat2(here.as_fd(), Path::new(name), flags, 0, Resolve::ANY)
            .map_err(failed)?;
        let status = kernel_fs::status(file.as_fd()).map_err(failed)?;
        let Some(number) = status.as_device() else {
            let found = match (status.is_dir(), status.is_file()) {
                (true, _) => "a directory",
                (_, true) => "a file",
                _ => "something else",
            };
            return Err(no_device(path, found));
        };
        Ok(Self {
            shown: path.to_owned(),
            dir: here,
            name: name.to_owned(),
            file,
            status,
            number,
        })
    }
}

fn no_device(path: &Path, found: &str) -> Error {
    Error::other(format!(
        "expected a device's file, found {found}: {} (directories are shared with: berth create \
         --share)",
        path.display()
    ))
}

/// Refuses a device that nobody inside could open.
pub fn judge(container: &Running, device: &HostDevice) -> Result<()> {
    let Some(users) = &container.users else {
        return Ok(());
    };
    let covered = |kind, id| {
        let mut of_kind = container.ids.iter().filter(|one| one.kind == kind);
        of_kind.any(|one| one.covers_host(id))
    };
    let status = &device.status;
    if covered(IdKind::User, status.uid) || covered(IdKind::Group, status.gid) {
        return Ok(());
    }
    // What an access list or the mode for others allows, the container's root may, too.
    let may = mapped::run_returning(&[], || {
        mapped::become_root_of(users.as_fd())
            .and_then(|()| kernel_fs::may_read_or_write(device.file.as_fd()))
            .map(|may| vec![u8::from(may)])
            .map_err(|error| Error::os("see whether the container may use the device", error))
    })?;
    if may == [1] {
        return Ok(());
    }
    let (owner, group) = (user_name(status.uid), group_name(status.gid));
    Err(Error::other(format!(
        "nobody in “{}” could open {}: it belongs to {owner}:{group}, mode {:04o}, and neither is \
         among the container's ids",
        container.name,
        device.shown.display(),
        status.permissions(),
    )))
}

fn user_name(uid: u32) -> String {
    let user = Uid::new(uid).and_then(|uid| user::User::by_uid(uid).ok().flatten());
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

fn group_name(gid: u32) -> String {
    let group = Gid::new(gid).and_then(|gid| user::group_name(gid).ok().flatten());
    group.unwrap_or_else(|| gid.to_string())
}

/// Attaches the device inside; what is missing of the path is made.
pub fn attach(container: &Running, device: &HostDevice, inside: &Path) -> Result<()> {
    mapped::run(&[], || {
        let mount = copy(container.users.as_ref(), device)
            .and_then(|mount| {
                mount
                    .set_propagation(Propagation::Private, false)
                    .map(|()| mount)
            })
            .map_err(|error| Error::file("attach", &device.shown, error))?;
        let root = enter(container)?;
        let at = |what| move |error| inside_error(what, inside, error);
        if open_beneath(root.as_fd(), inside).is_ok() {
            return Err(Error::other(format!(
                "there is a file {} in “{}” already",
                inside.display(),
                container.name
            )));
        }
        let target = make_all(root.as_fd(), inside, false).map_err(at("make"))?;
        mount.attach(target.as_fd()).map_err(|error| {
            drop(target);
            let _ = std::fs::remove_file(inside);
            inside_error("attach a device at", inside, error)
        })
    })
}

/// Takes the device off its path and the empty file below it away.
pub fn detach(container: &Running, inside: &Path) -> Result<()> {
    mapped::run(&[], || {
        let root = enter(container)?;
        mount::detach(inside).map_err(|error| match error.raw_os_error() {
            Some(nix::libc::EINVAL) => Error::other(format!(
                "{} of “{}” cannot be removed: it is a file of the container's, or was attached \
                 when its /dev was made",
                inside.display(),
                container.name
            )),
            _ => inside_error("remove", inside, error),
        })?;
        let left =
            open_beneath(root.as_fd(), inside).and_then(|file| kernel_fs::status(file.as_fd()));
        if left.is_ok_and(|left| left.is_file() && left.size == 0) {
            // It may be mounted read-only by now; then it stays, as empty as it is.
            let _ = std::fs::remove_file(inside);
        }
        Ok(())
    })
}

/// In the process that works: a mount of the device's file that is attached nowhere.
///
/// Copying a mount takes rights in the mount namespace where it is. Root has them. An ordinary user
/// has them in a copy of the host's which belongs to the container's user namespace.
fn copy(users: Option<&Namespace>, device: &HostDevice) -> io::Result<DetachedMount> {
    let Some(users) = users else {
        return DetachedMount::bind(device.file.as_fd(), Path::new(""), false);
    };
    let is_hosts_root = cred::effective_uid().is_root() && ns::in_first_user_namespace();
    if is_hosts_root {
        let mount = DetachedMount::bind(device.file.as_fd(), Path::new(""), false)?;
        mapped::become_root_of(users.as_fd())?;
        return Ok(mount);
    }
    // The working directory goes along into the new namespace, and so do the caller's ids, which
    // have rights there that those of the container's have not.
    nix::unistd::fchdir(&device.dir)?;
    users.enter()?;
    process::unshare(CloneFlags::CLONE_NEWNS)?;
    let again = mount::open_path(nix::fcntl::AT_FDCWD, Path::new(&device.name))?;
    let found = kernel_fs::status(again.as_fd())?;
    if found.id != device.status.id || found.as_device() != Some(device.number) {
        return Err(io::Error::from_raw_os_error(nix::libc::ESTALE));
    }
    let mount = DetachedMount::bind(again.as_fd(), Path::new(""), false)?;
    mapped::take_roots_ids()?;
    Ok(mount)
}

/// Puts the process that works into the container's mounts, as the container's root, and returns
/// the root directory. It has no number in the container, so nobody there can look into it.
fn enter(container: &Running) -> Result<OwnedFd> {
    let failed = |error| Error::os("enter the container's mounts", error);
    if let Some(users) = &container.users {
        let own = Namespace::own(ns::Kind::User).map_err(failed)?;
        if !users.is(&own).map_err(failed)? {
            mapped::become_root_of(users.as_fd()).map_err(failed)?;
        }
    }
    process::set_dumpable(false).map_err(failed)?;
    container
        .init
        .enter_namespaces(CloneFlags::CLONE_NEWNS)
        .map_err(failed)?;
    kernel_fs::open_dir(Path::new("/")).map_err(failed)
}

fn inside_error(what: &'static str, inside: &Path, error: io::Error) -> Error {
    let shown = String::from_utf8_lossy(inside.as_os_str().as_bytes()).into_owned();
    Error::os(format!("{what} {shown} in the container"), error)
}
