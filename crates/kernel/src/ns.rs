//! Namespaces: what a namespace descriptor is, and who owns it (ioctl_ns(2)).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use berth_common::Uid;
use nix::fcntl::{self, OFlag};
use nix::sched::{self, CloneFlags};
use nix::sys::stat::Mode;
use nix::sys::{stat, statfs};

use crate::process::check;

const NSFS_MAGIC: statfs::FsType = statfs::FsType(0x6e73_6673);

// linux/nsfs.h: _IO(0xb7, n).
const NS_GET_USERNS: libc::c_ulong = 0xb701;
const NS_GET_PARENT: libc::c_ulong = 0xb702;
const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
const NS_GET_OWNER_UID: libc::c_ulong = 0xb704;

/// The kinds of namespaces that are asked about here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Network interfaces, routes, ports.
    Net,
    /// Users and capabilities.
    User,
    /// Host and domain name.
    Uts,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// What the root of the control groups looks like.
    Cgroup,
    /// The clocks that count from the host's start.
    Time,
    /// The numbers of processes.
    Pid,
}

impl Kind {
    /// Its name in `/proc/PID/ns`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::User => "user",
            Self::Uts => "uts",
            Self::Ipc => "ipc",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
            Self::Pid => "pid",
        }
    }

    fn flag(self) -> libc::c_int {
        match self {
            Self::Net => libc::CLONE_NEWNET,
            Self::User => libc::CLONE_NEWUSER,
            Self::Uts => libc::CLONE_NEWUTS,
            Self::Ipc => libc::CLONE_NEWIPC,
            Self::Cgroup => libc::CLONE_NEWCGROUP,
            // linux/sched.h, 5.6: CLONE_NEWTIME.
            Self::Time => 0x80,
            Self::Pid => libc::CLONE_NEWPID,
        }
    }

    /// The flag of unshare(2) and setns(2).
    pub fn clone_flag(self) -> CloneFlags {
        CloneFlags::from_bits_retain(self.flag())
    }
}

/// An open namespace. It lives as long as somebody has it open.
#[derive(Debug)]
pub struct Namespace(OwnedFd);

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Namespace {
    /// The caller's own namespace of this kind.
    pub fn own(kind: Kind) -> io::Result<Self> {
        let file = File::open(format!("/proc/thread-self/ns/{}", kind.name()))?;
        Self::from_fd(file.into(), kind)
    }

    /// The namespace that the process is in whose directory in procfs this is. Asks for the right
    /// to look at that process (ptrace(2), PTRACE_MODE_READ).
    ///
    /// The link is read before it is followed, so that whatever stands at its place is never
    /// opened, let alone a device or a FIFO.
    pub fn of_process(process: BorrowedFd<'_>, kind: Kind) -> io::Result<Self> {
        Self::at(process, &format!("ns/{}", kind.name()), kind)
    }

    /// The namespace that a link in a process's directory in procfs leads to: `ns/net`, or `fd/N`
    /// for one that the process has open. As [`Namespace::of_process`] otherwise.
    pub fn at(process: BorrowedFd<'_>, path: &str, kind: Kind) -> io::Result<Self> {
        let link = fcntl::readlinkat(process, path)?;
        let number = link
            .to_str()
            .and_then(|text| text.strip_prefix(kind.name()))
            .and_then(|text| text.strip_prefix(":["))
            .and_then(|text| text.strip_suffix(']'))
            .and_then(|text| text.parse::<u64>().ok())
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let fd = fcntl::openat(process, path, flags, Mode::empty())?;
        let namespace = Self::from_fd(fd, kind)?;
        // The process may have changed its namespace in between; then the answer is about two.
        if namespace.id()?.1 == number {
            Ok(namespace)
        } else {
            Err(io::Error::from_raw_os_error(libc::EAGAIN))
        }
    }

    /// Takes a descriptor that somebody opened; `EINVAL` if it is no namespace of this kind.
    pub fn from_fd(fd: OwnedFd, kind: Kind) -> io::Result<Self> {
        let wrong = || io::Error::from_raw_os_error(libc::EINVAL);
        if statfs::fstatfs(&fd)?.filesystem_type() != NSFS_MAGIC {
            return Err(wrong());
        }
        // SAFETY: NS_GET_NSTYPE takes no argument.
        let found = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE) };
        if check(found.into())? != libc::c_long::from(kind.flag()) {
            return Err(wrong());
        }
        Ok(Self(fd))
    }

    /// Has the calling thread in this namespace (setns(2)).
    pub fn enter(&self) -> io::Result<()> {
        sched::setns(self.0.as_fd(), CloneFlags::empty()).map_err(io::Error::from)
    }

    /// Device and inode: the same pair means the same namespace.
    pub fn id(&self) -> io::Result<(u64, u64)> {
        let status = stat::fstat(&self.0)?;
        Ok((status.st_dev, status.st_ino))
    }

    /// Whether both are the same namespace.
    pub fn is(&self, other: &Self) -> io::Result<bool> {
        Ok(self.id()? == other.id()?)
    }

    /// The user namespace whose capabilities rule over this one. `EPERM` if that is outside the
    /// caller's own user namespace.
    pub fn user_namespace(&self) -> io::Result<Self> {
        self.related(NS_GET_USERNS)
    }

    /// The parent of a user namespace. `EPERM` if that is outside the caller's own.
    pub fn parent(&self) -> io::Result<Self> {
        self.related(NS_GET_PARENT)
    }

    fn related(&self, request: libc::c_ulong) -> io::Result<Self> {
        // SAFETY: the request takes no argument and returns a new descriptor.
        let fd = unsafe { libc::ioctl(self.0.as_raw_fd(), request) };
        check(fd.into())?;
        // SAFETY: the kernel just made this descriptor (close-on-exec) for the caller.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Who made this user namespace, as the caller's user namespace names him.
    pub fn owner(&self) -> io::Result<Uid> {
        let mut uid: libc::uid_t = libc::uid_t::MAX;
        // SAFETY: the request writes one uid_t into `uid`, which outlives the call.
        let done = unsafe { libc::ioctl(self.0.as_raw_fd(), NS_GET_OWNER_UID, &raw mut uid) };
        check(done.into())?;
        Uid::new(uid).ok_or_else(|| io::Error::from_raw_os_error(libc::EOVERFLOW))
    }
}

/// The inode of the kernel's first user namespace (linux/proc_ns.h, PROC_USER_INIT_INO), the same on
/// every kernel.
const FIRST_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// Whether the caller is in the user namespace that the host has booted with: in others nobody has
/// rights to the kernel as a whole.
pub fn in_first_user_namespace() -> bool {
    Namespace::own(Kind::User)
        .and_then(|own| own.id())
        .is_ok_and(|(_, inode)| inode == FIRST_USER_NAMESPACE)
}

/// The longest chain of user namespaces that the kernel allows, the initial one included, with
/// room to spare (`create_user_ns`: 32 below the initial one).
const DEEPEST: usize = 40;

/// Who answers for a network namespace in the eyes of the user namespace `own`: the owner of the
/// outermost user namespace below `own` in the chain of those that rule over it. `None` if it is
/// ruled by `own` itself, or by one that does not descend from `own`.
///
/// The innermost owner would be the wrong one: inside his container a user makes namespaces that
/// belong to subordinate ids of his.
pub fn owner_below(net: &Namespace, own: &Namespace) -> io::Result<Option<Uid>> {
    let mut user = net.user_namespace()?;
    if user.is(own)? {
        return Ok(None);
    }
    for _ in 0..DEEPEST {
        let parent = match user.parent() {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Ok(None),
            other => other?,
        };
        if parent.is(own)? {
            return user.owner().map(Some);
        }
        user = parent;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn only_namespaces_of_the_right_kind_pass() {
        let net = File::open("/proc/self/ns/net").unwrap();
        assert!(Namespace::from_fd(net.try_clone().unwrap().into(), Kind::Net).is_ok());
        assert!(Namespace::from_fd(net.into(), Kind::User).is_err());
        let file = File::open("/proc/self/status").unwrap();
        assert!(Namespace::from_fd(file.into(), Kind::Net).is_err());
        let (socket, _other) = UnixStream::pair().unwrap();
        assert!(Namespace::from_fd(socket.into(), Kind::Net).is_err());
    }

    #[test]
    fn a_process_is_in_its_own_namespaces() {
        let process = File::open("/proc/self").unwrap();
        for kind in [Kind::Net, Kind::User] {
            let through_process = Namespace::of_process(process.as_fd(), kind).unwrap();
            assert!(through_process.is(&Namespace::own(kind).unwrap()).unwrap());
        }
    }

    #[test]
    fn nobody_below_owns_the_own_network_namespace() {
        let (net, user) = (
            Namespace::own(Kind::Net).unwrap(),
            Namespace::own(Kind::User).unwrap(),
        );
        if net
            .user_namespace()
            .is_ok_and(|ruling| ruling.is(&user).unwrap())
        {
            assert_eq!(owner_below(&net, &user).unwrap(), None);
        }
    }
}
