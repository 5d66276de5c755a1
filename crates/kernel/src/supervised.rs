//! System calls that wait for a supervisor (seccomp_unotify(2)).
//!
//! What the kernel tells and takes are structures that may grow with it; it says how long they are.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

/// How long the kernel's structures are, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// `struct seccomp_notif`
    pub notification: u16,
    /// `struct seccomp_notif_resp`
    pub response: u16,
    /// `struct seccomp_data`, a part of the first
    pub data: u16,
}

/// Where the system calls under a filter wait; see
/// [`Program::install_with_supervisor`](crate::seccomp::Program::install_with_supervisor).
#[derive(Debug)]
pub struct Supervised {
    fd: OwnedFd,
    sizes: Sizes,
}

impl AsFd for Supervised {
    /// Readable when a system call waits; hung up when nobody is under the filter any more.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A system call that waits: `struct seccomp_notif`.
#[derive(Debug, PartialEq, Eq)]
pub struct Notification(Vec<u8>);

/// What comes of it: `struct seccomp_notif_resp`.
#[derive(Debug, PartialEq, Eq)]
pub struct Response(Vec<u8>);

impl Supervised {
    /// Of a descriptor that the kernel gave for a filter.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        let mut sizes = libc::seccomp_notif_sizes {
            seccomp_notif: 0,
            seccomp_notif_resp: 0,
            seccomp_data: 0,
        };
        // SAFETY: the kernel fills the structure, which is live and its own.
        let done = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_GET_NOTIF_SIZES,
                0,
                &raw mut sizes,
            )
        };
        Errno::result(done)?;
        let sizes = Sizes {
            notification: sizes.seccomp_notif,
            response: sizes.seccomp_notif_resp,
            data: sizes.seccomp_data,
        };
        Ok(Self { fd, sizes })
    }

    /// See [`Sizes`].
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Takes the next system call that waits, and waits for one; `None` if it was interrupted
    /// meanwhile.
    pub fn receive(&self) -> io::Result<Option<Notification>> {
        // What an older header knows fits in any case. The kernel wants zeroes.
        let known = size_of::<libc::seccomp_notif>();
        let mut bytes = vec![0; known.max(self.sizes.notification.into())];
        // SAFETY: the kernel writes one structure, for which there is room.
        let done = unsafe {
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV,
                bytes.as_mut_ptr(),
            )
        };
        match Errno::result(done) {
            Ok(_) => {
                bytes.truncate(self.sizes.notification.into());
                Ok(Some(Notification(bytes)))
            }
            Err(Errno::ENOENT | Errno::EINTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether that system call still waits. What was opened by its process's number before this
    /// said yes is that process's.
    pub fn waits(&self, id: u64) -> bool {
        // SAFETY: the kernel reads one number.
        let done = unsafe {
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
                &raw const id,
            )
        };
        done == 0
    }

    /// Answers; a system call that waits no more is no error.
    pub fn respond(&self, response: &Response) -> io::Result<()> {
        let mut bytes = response.0.clone();
        bytes.resize(bytes.len().max(size_of::<libc::seccomp_notif_resp>()), 0);
        // SAFETY: the kernel reads one structure, which is there as a whole.
        let done = unsafe {
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND,
                bytes.as_mut_ptr(),
            )
        };
        match Errno::result(done) {
            Ok(_) | Err(Errno::ENOENT | Errno::EINPROGRESS) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The answer to `id` that a system call has which nobody supervises (`errno`), or one to be
    /// filled in (0).
    pub fn response(&self, id: u64, errno: i32) -> Response {
        let mut bytes = vec![0; self.sizes.response.into()];
        // `id`, `val`, `error`, `flags`
        for (to, from) in bytes.iter_mut().zip(
            id.to_ne_bytes()
                .into_iter()
                .chain([0; 8])
                .chain((-errno).to_ne_bytes()),
        ) {
            *to = from;
        }
        Response(bytes)
    }
}

impl Notification {
    /// The structure.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The number that tells it from others.
    pub fn id(&self) -> u64 {
        id(&self.0)
    }

    /// The process whose system call it is, in the reader's pid namespace; 0 if it has no number
    /// there.
    pub fn pid(&self) -> i32 {
        let pid = self.0.get(8..12).and_then(|bytes| bytes.try_into().ok());
        pid.map_or(0, i32::from_ne_bytes)
    }
}

impl Response {
    /// From a structure.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The structure.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The number of what it answers.
    pub fn id(&self) -> u64 {
        id(&self.0)
    }
}

fn id(bytes: &[u8]) -> u64 {
    let id = bytes.get(..8).and_then(|bytes| bytes.try_into().ok());
    id.map_or(0, u64::from_ne_bytes)
}
