//! The mount API by descriptor (open_tree(2), move_mount(2), fsopen(2), mount_setattr(2)).
//!
//! nix does not wrap these calls. All need a kernel from 5.12 on.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::process::{check, owned};

const OPEN_TREE_CLONE: u32 = 1;
const OPEN_TREE_CLOEXEC: u32 = libc::O_CLOEXEC as u32;
const AT_RECURSIVE: u32 = 0x8000;
const AT_EMPTY_PATH: u32 = libc::AT_EMPTY_PATH as u32;
const AT_SYMLINK_NOFOLLOW: u32 = libc::AT_SYMLINK_NOFOLLOW as u32;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
const FSOPEN_CLOEXEC: u32 = 1;
const FSMOUNT_CLOEXEC: u32 = 1;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
const FSCONFIG_SET_FLAG: u32 = 0;
const FSCONFIG_SET_STRING: u32 = 1;
const FSCONFIG_CMD_CREATE: u32 = 6;

/// Mount attributes (mount_setattr(2)); combine with `|`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(u64);

impl Attributes {
    /// None.
    pub const NONE: Self = Self(0);
    /// Read-only.
    pub const READ_ONLY: Self = Self(0x1);
    /// Set-user-id bits and file capabilities do not count.
    pub const NO_SUID: Self = Self(0x2);
    /// Device nodes cannot be opened.
    pub const NO_DEV: Self = Self(0x4);
    /// Programs cannot be executed.
    pub const NO_EXEC: Self = Self(0x8);
    /// Access times are not written.
    pub const NO_ATIME: Self = Self(0x10);
    /// Access times are always written.
    pub const STRICT_ATIME: Self = Self(0x20);
    /// Access times of directories are not written.
    pub const NO_DIR_ATIME: Self = Self(0x80);
    /// Symbolic links are not followed.
    pub const NO_SYM_FOLLOW: Self = Self(0x20_0000);

    /// The bits of the kernel.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether nothing is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl std::ops::BitOr for Attributes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for Attributes {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// How mounts propagate (mount_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Neither sent nor received.
    Private,
    /// Received, not sent.
    Slave,
    /// Sent and received.
    Shared,
    /// As private, and cannot be bound.
    Unbindable,
}

impl Propagation {
    const fn bits(self) -> u64 {
        match self {
            Self::Private => libc::MS_PRIVATE,
            Self::Slave => libc::MS_SLAVE,
            Self::Shared => libc::MS_SHARED,
            Self::Unbindable => libc::MS_UNBINDABLE,
        }
    }
}

/// A mount that is not attached anywhere; dropping it unmounts it.
#[derive(Debug)]
pub struct DetachedMount(OwnedFd);

impl DetachedMount {
    /// A copy of the mount at `path` (a bind mount), with all that is mounted below it if
    /// `recursive`. `path` is resolved with the caller's rights, relative to `at`; an empty
    /// path means `at` itself.
    pub fn bind(at: BorrowedFd<'_>, path: &Path, recursive: bool) -> io::Result<Self> {
        let path = c_path(path)?;
        let mut flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
        if recursive {
            flags |= AT_RECURSIVE;
        }
        // SAFETY: descriptor and NUL-terminated path outlive the call.
        let fd =
            unsafe { libc::syscall(libc::SYS_open_tree, at.as_raw_fd(), path.as_ptr(), flags) };
        Ok(Self(owned(fd)?))
    }

    /// A new mount of file system `kind` with `options` (`key=value` or `key`) and `source`.
    pub fn new(
        kind: &CStr,
        source: Option<&CStr>,
        options: &[(&CStr, Option<&CStr>)],
        attributes: Attributes,
    ) -> io::Result<Self> {
        // SAFETY: the name is NUL-terminated.
        let context =
            owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
        if let Some(source) = source {
            fsconfig(&context, FSCONFIG_SET_STRING, Some(c"source"), Some(source))?;
        }
        let told = |error: io::Error| with_reason(error, &context);
        for (key, value) in options {
            let command = if value.is_some() {
                FSCONFIG_SET_STRING
            } else {
                FSCONFIG_SET_FLAG
            };
            fsconfig(&context, command, Some(key), *value).map_err(told)?;
        }
        fsconfig(&context, FSCONFIG_CMD_CREATE, None, None).map_err(told)?;
        // SAFETY: the context is open; the attributes are MOUNT_ATTR bits.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_fsmount,
                context.as_raw_fd(),
                FSMOUNT_CLOEXEC,
                attributes.bits() as libc::c_uint,
            )
        };
        Ok(Self(owned(fd)?))
    }

    /// Sets attributes on the mount, with all below it if `recursive`.
    pub fn set_attributes(&self, set: Attributes, recursive: bool) -> io::Result<()> {
        mount_setattr(self.0.as_fd(), set.bits(), 0, recursive)
    }

    /// Sets the propagation of the mount, with all below it if `recursive`.
    pub fn set_propagation(&self, to: Propagation, recursive: bool) -> io::Result<()> {
        mount_setattr(self.0.as_fd(), 0, to.bits(), recursive)
    }

    /// A descriptor that another process made by [`DetachedMount::bind`] or
    /// [`DetachedMount::new`].
    pub fn from_owned(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Lets the ids that `namespace` has inside stand for those of the files' owners (idmapped
    /// mounts, Linux 5.12), with all below if `recursive`. `EINVAL` where a file system cannot,
    /// `EPERM` without CAP_SYS_ADMIN where it was mounted.
    pub fn set_idmap(&self, namespace: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
        let attributes = MountAttr {
            set: MOUNT_ATTR_IDMAP,
            clear: 0,
            propagation: 0,
            userns_fd: u64::try_from(namespace.as_raw_fd()).unwrap_or(u64::MAX),
        };
        set_mount_attr(self.0.as_fd(), &attributes, recursive)
    }

    /// Attaches the mount over the object that `target` refers to.
    pub fn attach(&self, target: BorrowedFd<'_>) -> io::Result<()> {
        self.move_to(
            target,
            c"",
            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH,
        )
    }

    /// Attaches the mount at a path of the caller's mount namespace; symbolic links in the last
    /// component are not followed.
    pub fn attach_at(&self, path: &Path) -> io::Result<()> {
        let path = c_path(path)?;
        self.move_to(nix::fcntl::AT_FDCWD, &path, MOVE_MOUNT_F_EMPTY_PATH)
    }

    fn move_to(&self, at: BorrowedFd<'_>, path: &CStr, flags: u32) -> io::Result<()> {
        // SAFETY: both descriptors are open and both paths NUL-terminated.
        let done = unsafe {
            libc::syscall(
                libc::SYS_move_mount,
                self.0.as_raw_fd(),
                c"".as_ptr(),
                at.as_raw_fd(),
                path.as_ptr(),
                flags,
            )
        };
        check(done).map(drop)
    }
}

impl AsFd for DetachedMount {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn fsconfig(
    context: &OwnedFd,
    command: u32,
    key: Option<&CStr>,
    value: Option<&CStr>,
) -> io::Result<()> {
    // SAFETY: key and value are null or NUL-terminated, as each command wants them.
    let done = unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            command,
            key.map_or(std::ptr::null(), CStr::as_ptr),
            value.map_or(std::ptr::null(), CStr::as_ptr),
            0,
        )
    };
    check(done).map(drop)
}

/// What the file system said about an error, which is more than the number (`e tmpfs: Unknown
/// parameter 'frob'`); an error without that keeps its number.
fn with_reason(error: io::Error, context: &OwnedFd) -> io::Error {
    let mut line = [0; 256];
    let said = nix::unistd::read(context, &mut line).unwrap_or(0);
    let said = String::from_utf8_lossy(&line[..said]);
    match said.trim_end().strip_prefix("e ") {
        Some(reason) if error.raw_os_error() == Some(libc::EINVAL) => {
            io::Error::new(error.kind(), reason.to_owned())
        }
        _ => error,
    }
}

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

fn mount_setattr(
    mount: BorrowedFd<'_>,
    set: u64,
    propagation: u64,
    recursive: bool,
) -> io::Result<()> {
    // An access-time mode is a field, not a bit: the kernel wants it cleared to be set.
    const ATIME: u64 = 0x70;
    let clear = if set & (ATIME) == 0 { 0 } else { ATIME };
    let attributes = MountAttr {
        set,
        clear,
        propagation,
        userns_fd: 0,
    };
    set_mount_attr(mount, &attributes, recursive)
}

fn set_mount_attr(
    mount: BorrowedFd<'_>,
    attributes: &MountAttr,
    recursive: bool,
) -> io::Result<()> {
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the structure has the size that is passed and outlives the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            attributes as *const MountAttr,
            std::mem::size_of::<MountAttr>(),
        )
    };
    check(done).map(drop)
}

/// Sets the propagation of everything mounted in the caller's mount namespace.
pub fn set_all_propagation(to: Propagation) -> io::Result<()> {
    let flags = nix::mount::MsFlags::MS_REC
        | nix::mount::MsFlags::from_bits_truncate(to.bits() as libc::c_ulong);
    nix::mount::mount(None::<&CStr>, c"/", None::<&CStr>, flags, None::<&CStr>)
        .map_err(io::Error::from)
}

/// Makes the mount that `root` refers to the root of the caller's mount namespace and unmounts
/// the former one (pivot_root(2), "pivot_root(".", ".")"). The working directory is the new
/// root afterwards.
pub fn pivot_into(root: BorrowedFd<'_>) -> io::Result<()> {
    nix::unistd::fchdir(root)?;
    nix::unistd::pivot_root(c".", c".")?;
    nix::mount::umount2(c".", nix::mount::MntFlags::MNT_DETACH)?;
    nix::unistd::chdir(c"/")?;
    Ok(())
}

/// Unmounts what is mounted at `path`, lazily, without following a final symbolic link.
pub fn detach(path: &Path) -> io::Result<()> {
    use nix::mount::MntFlags;
    nix::mount::umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
        .map_err(io::Error::from)
}

/// A descriptor of the mount and directory at `path` (`O_PATH`), final symbolic link not
/// followed.
pub fn open_path(at: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let flags = OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;
    // SAFETY: descriptor and NUL-terminated path outlive the call.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, at.as_raw_fd(), path.as_ptr(), flags) })
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}
