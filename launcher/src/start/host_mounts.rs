//! Mounts that take root's rights on the host: the container's first process, root of its own
//! user namespace only, cannot make them. The monitor makes them, detached, and hands them over.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use berth_kernel::loop_device::LoopDevice;
use berth_kernel::mount::{Attributes, DetachedMount};
use berth_kernel::ns::{Kind, Namespace};
use berth_kernel::process::Child;
use nix::fcntl::{AT_FDCWD, OFlag};

use super::plan::{IdmapFrom, ImagePlan, MountPlan, MountSource, RootSource, StartPlan};
use super::{fuse, image};
use crate::error::{Error, Plain, Result};

/// What the monitor made.
#[derive(Default)]
pub struct Made {
    /// The mounts in the order in which the child takes them: the root file system if it is one of
    /// these, then each entry that is one. `None` stands for an optional one that cannot be had.
    pub mounts: Vec<Option<DetachedMount>>,
    /// The program that serves the root file system.
    pub server: Option<fuse::Server>,
}

/// Makes them for the container of process `init`, whose ids are mapped.
pub fn make(plan: &StartPlan, init: &Child) -> Result<Made> {
    let mut made = Made::default();
    let mounts = &mut made.mounts;
    if let RootSource::Image(image) = &plan.root.source
        && let Some(fuse) = &image.fuse
    {
        let (server, root) = fuse::serve(plan, image, fuse, &init.pidfd)?;
        mounts.push(Some(root));
        made.server = Some(server);
    } else if plan.root.is_made_by_monitor() {
        mounts.push(Some(root(plan, init.pid)?));
    }
    let init = init.pid;
    for entry in plan.mounts.iter().filter(|entry| entry.idmap.is_some()) {
        mounts.push(match bind(entry, init) {
            Ok(mount) => Some(mount),
            Err(_) if entry.optional => None,
            Err(error) => {
                return Err(Error::other(format!(
                    "{}: cannot mount {}: {}",
                    entry.at,
                    entry.target.display(),
                    explain(&error)
                )));
            }
        });
    }
    Ok(made)
}

fn root(plan: &StartPlan, init: i32) -> Result<DetachedMount> {
    let root = &plan.root;
    let made = match &root.source {
        RootSource::Directory(path) => DetachedMount::bind(AT_FDCWD, path, true),
        RootSource::Image(image) => mount_image(image, &root.options),
        RootSource::Overlay { .. } => Err(io::ErrorKind::Unsupported.into()),
    };
    made.and_then(|mount| {
        map_ids(&mount, root.idmap.as_ref(), init, false)?;
        Ok(mount)
    })
    .map_err(|error| {
        Error::other(format!(
            "{}: cannot mount the root file system: {}",
            root.at,
            explain(&error)
        ))
    })
}

fn mount_image(
    image: &ImagePlan,
    options: &[(CString, Option<CString>)],
) -> io::Result<DetachedMount> {
    let mut options: Vec<(&CStr, Option<&CStr>)> = options
        .iter()
        .map(|(key, value)| (key.as_c_str(), value.as_deref()))
        .collect();
    if image.read_only {
        options.push((c"ro", None));
    }
    let mount = |device: &Path| {
        let device = CString::new(device.as_os_str().as_bytes())?;
        let attributes = match image.read_only {
            true => Attributes::READ_ONLY,
            false => Attributes::NONE,
        };
        DetachedMount::new(image.kind.name(), Some(&device), &options, attributes)
    };
    if image.is_device {
        return mount(&image.path);
    }
    let file = image::open(&image.path, image.read_only)?;
    // Held until it is mounted; the mount holds it then.
    let device = LoopDevice::attach(file.as_fd(), image.read_only)?;
    mount(device.path())
}

fn bind(entry: &MountPlan, init: i32) -> io::Result<DetachedMount> {
    let MountSource::Bind { path, recursive } = &entry.source else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mount = DetachedMount::bind(AT_FDCWD, path, *recursive)?;
    map_ids(&mount, entry.idmap.as_ref(), init, *recursive)?;
    Ok(mount)
}

fn map_ids(
    mount: &DetachedMount,
    idmap: Option<&IdmapFrom>,
    init: i32,
    recursive: bool,
) -> io::Result<()> {
    let namespace = match idmap {
        None => return Ok(()),
        Some(IdmapFrom::Container) => {
            open_user_namespace(Path::new(&format!("/proc/{init}/ns/user")))?
        }
        Some(IdmapFrom::Namespace(path)) => open_user_namespace(path)?,
    };
    mount.set_idmap(namespace.as_fd(), recursive)
}

/// The user namespace that a file of procfs, or one that such a file was bound to, stands for.
pub fn open_user_namespace(path: &Path) -> io::Result<Namespace> {
    // Whatever else stands there must not hold up the start.
    let file = std::fs::File::options()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    Namespace::from_fd(file.into(), Kind::User)
}

fn explain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(nix::libc::EINVAL) => {
            "its file system, or one mounted below it, cannot have other ids (idmap=)".to_owned()
        }
        Some(nix::libc::ENOSYS) => "this kernel has no idmapped mounts (Linux 5.12)".to_owned(),
        _ => Plain(error).to_string(),
    }
}

/// What goes over the socket for these mounts: a mark for each, and the descriptors of those that
/// there are.
pub fn packets(
    mounts: &[Option<DetachedMount>],
    most: usize,
) -> impl Iterator<Item = (Vec<bool>, Vec<BorrowedFd<'_>>)> {
    mounts.chunks(most.max(1)).map(|chunk| {
        let there = chunk.iter().map(Option::is_some).collect();
        let fds = chunk.iter().flatten().map(AsFd::as_fd).collect();
        (there, fds)
    })
}

/// The other end of [`packets`].
pub fn unpack(there: impl Iterator<Item = bool>, fds: Vec<OwnedFd>) -> Vec<Option<DetachedMount>> {
    let mut fds = fds.into_iter();
    there
        .map(|there| match there {
            true => fds.next().map(DetachedMount::from_owned),
            false => None,
        })
        .collect()
}
