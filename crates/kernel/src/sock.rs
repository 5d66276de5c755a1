//! Unix sockets: sequenced packets with descriptors, credentials of the peer.
//!
//! All descriptors made here are close-on-exec, all sockets are SOCK_SEQPACKET: a packet arrives
//! whole, in order, with its descriptors, or not at all.

use berth_common::{Gid, Uid};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, fchmod, fstat, stat};
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The most descriptors that one packet may carry here (the kernel's limit is 253).
pub const MAX_FDS: usize = 16;

/// The longest path that fits a socket address, its final zero not counted (unix(7)).
const SUN_PATH_MAX: usize = 107;

const KIND: libc::c_int = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;

fn new_socket() -> io::Result<OwnedFd> {
    // SAFETY: socket(2) takes numbers.
    let fd = unsafe { libc::socket(libc::AF_UNIX, KIND, 0) };
    let fd = Errno::result(fd)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A socket address that is a path.
struct Address {
    raw: libc::sockaddr_un,
    len: libc::socklen_t,
}

impl Address {
    fn new(path: &Path) -> nix::Result<Self> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.len() > SUN_PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        if bytes.is_empty() || bytes.contains(&0) {
            return Err(Errno::EINVAL);
        }
        // With the final zero.
        Ok(Self::of_bytes(bytes.iter().copied(), bytes.len() + 1))
    }

    /// A name in no file system, behind a zero byte.
    fn of_name(name: &[u8]) -> nix::Result<Self> {
        if name.len() > SUN_PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let bytes = std::iter::once(0).chain(name.iter().copied());
        Ok(Self::of_bytes(bytes, name.len() + 1))
    }

    fn of_bytes(bytes: impl Iterator<Item = u8>, len: usize) -> Self {
        // SAFETY: sockaddr_un is a plain C structure for which all zeroes is a valid value.
        let mut raw: libc::sockaddr_un = unsafe { std::mem::zeroed() };
        raw.sun_family = libc::AF_UNIX as libc::sa_family_t;
        for (to, from) in raw.sun_path.iter_mut().zip(bytes) {
            *to = from as libc::c_char;
        }
        let len = offset_of!(libc::sockaddr_un, sun_path) + len;
        Self {
            raw,
            // Never more than the structure, 110 bytes.
            len: len as libc::socklen_t,
        }
    }

    fn pointer(&self) -> *const libc::sockaddr {
        (&raw const self.raw).cast()
    }
}

/// Calls `act` with an address that means `path`, however long its directory part is.
fn with_address<T>(path: &Path, act: impl FnOnce(&Address) -> nix::Result<T>) -> io::Result<T> {
    if path.as_os_str().len() <= SUN_PATH_MAX {
        return Ok(act(&Address::new(path)?)?);
    }
    let name = path.file_name().ok_or(Errno::ENAMETOOLONG)?;
    let dir = path.parent().ok_or(Errno::ENAMETOOLONG)?;
    let dir = open(
        dir,
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    let short = Path::new("/proc/self/fd")
        .join(dir.as_raw_fd().to_string())
        .join(name);
    Ok(act(&Address::new(&short)?)?)
}

/// Connects to the socket at `path`. Waits while the listener's queue is full.
pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    connect_within(path, None)
}

/// As [`connect_within`], to a socket whose name is in no file system (unix(7)): at most 107 bytes.
pub fn connect_abstract(name: &[u8], limit: Duration) -> io::Result<OwnedFd> {
    let fd = new_socket()?;
    set_send_timeout(fd.as_fd(), Some(limit))?;
    let address = Address::of_name(name)?;
    connect_to(fd.as_fd(), &address)?;
    Ok(fd)
}

/// As [`connect`], which fails with `WouldBlock` when the queue was full for `limit`; the limit holds
/// for [`send`] from then on, too.
pub fn connect_within(path: &Path, limit: Option<Duration>) -> io::Result<OwnedFd> {
    let fd = new_socket()?;
    if limit.is_some() {
        set_send_timeout(fd.as_fd(), limit)?;
    }
    with_address(path, |address| connect_to(fd.as_fd(), address))?;
    Ok(fd)
}

fn connect_to(fd: BorrowedFd<'_>, address: &Address) -> nix::Result<()> {
    loop {
        // SAFETY: the address is live and its length is right.
        let done = unsafe { libc::connect(fd.as_raw_fd(), address.pointer(), address.len) };
        match Errno::result(done) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Makes a listening socket at `path`, which must not exist. The file is born with `mode` less
/// the umask, so there is no moment at which others could connect.
pub fn listen(path: &Path, mode: u32, backlog: u16) -> io::Result<OwnedFd> {
    let fd = new_socket()?;
    fchmod(&fd, Mode::from_bits_truncate(mode))?;
    with_address(path, |address| {
        // SAFETY: the address is live and its length is right.
        let done = unsafe { libc::bind(fd.as_raw_fd(), address.pointer(), address.len) };
        Errno::result(done).map(drop)
    })?;
    // SAFETY: listen(2) takes numbers.
    let done = unsafe { libc::listen(fd.as_raw_fd(), backlog.into()) };
    Errno::result(done)?;
    Ok(fd)
}

/// Takes the next connection; `WouldBlock` if the listener is non-blocking and there is none.
/// The new socket blocks.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let fd = loop {
        // SAFETY: accept4(2) may be called without room for the peer's address.
        let fd = unsafe {
            let nowhere = std::ptr::null_mut();
            libc::accept4(
                listener.as_raw_fd(),
                nowhere,
                std::ptr::null_mut(),
                libc::SOCK_CLOEXEC,
            )
        };
        match Errno::result(fd) {
            // A connection that its maker gave up while it waited is not ours to report.
            Err(Errno::EINTR | Errno::ECONNABORTED) => {}
            other => break other?,
        }
    };
    // SAFETY: accept4 has just made this descriptor and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Two sockets that are connected to each other.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds: [RawFd; 2] = [-1; 2];
    // SAFETY: the kernel writes two descriptors into the array.
    let done = unsafe { libc::socketpair(libc::AF_UNIX, KIND, 0, fds.as_mut_ptr()) };
    Errno::result(done)?;
    // SAFETY: the kernel has just made both descriptors for us.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// Makes waiting calls on the descriptor return `WouldBlock` instead, or wait again.
pub fn set_nonblocking(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(nix::fcntl::fcntl(fd, nix::fcntl::F_GETFL)?);
    let flags = if on {
        flags | OFlag::O_NONBLOCK
    } else {
        flags - OFlag::O_NONBLOCK
    };
    nix::fcntl::fcntl(fd, nix::fcntl::F_SETFL(flags))?;
    Ok(())
}

fn time_value(limit: Option<Duration>) -> libc::timeval {
    // Zero means "no limit" to the kernel, so a limit below its resolution is rounded up.
    let limit = limit.map_or(Duration::ZERO, |limit| limit.max(Duration::from_micros(1)));
    libc::timeval {
        tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_usec: limit.subsec_micros().into(),
    }
}

/// Lets [`recv`] fail with `WouldBlock` after `limit`; `None`: wait for ever.
pub fn set_receive_timeout(fd: BorrowedFd<'_>, limit: Option<Duration>) -> io::Result<()> {
    set_option(fd, libc::SO_RCVTIMEO, &time_value(limit))
}

/// Lets [`send`] and [`connect`] fail with `WouldBlock` after `limit`; `None`: wait for ever.
pub fn set_send_timeout(fd: BorrowedFd<'_>, limit: Option<Duration>) -> io::Result<()> {
    set_option(fd, libc::SO_SNDTIMEO, &time_value(limit))
}

fn set_option(fd: BorrowedFd<'_>, option: libc::c_int, value: &libc::timeval) -> io::Result<()> {
    // SAFETY: the kernel reads a timeval from a live reference to one.
    let done = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<libc::timeval>() as libc::socklen_t,
        )
    };
    Ok(Errno::result(done).map(drop)?)
}

/// Asks for an option of the socket layer whose value is a `T`, for which all bit patterns are
/// valid values.
fn option<T: Copy>(fd: BorrowedFd<'_>, option: libc::c_int, mut value: T) -> nix::Result<T> {
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes into `value`.
    let done = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    Errno::result(done)?;
    if len as usize == size_of::<T>() {
        Ok(value)
    } else {
        Err(Errno::EINVAL)
    }
}

/// Sends one packet with descriptors. A peer that is gone is `BrokenPipe` or `ConnectionReset`,
/// never a signal. A packet larger than the socket's buffer is EMSGSIZE.
pub fn send(fd: BorrowedFd<'_>, data: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if fds.len() > MAX_FDS {
        return Err(Errno::EINVAL.into());
    }
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    send_raw(fd, data, &raw)
}

fn send_raw(fd: BorrowedFd<'_>, data: &[u8], fds: &[RawFd]) -> io::Result<()> {
    let mut iov = libc::iovec {
        iov_base: data.as_ptr().cast_mut().cast(),
        iov_len: data.len(),
    };
    // Aligned as `cmsghdr` must be.
    let mut control = vec![0u64; 3 + fds.len()];
    // SAFETY: msghdr is a plain C structure for which all zeroes is a valid value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut iov;
    header.msg_iovlen = 1;
    if !fds.is_empty() {
        let payload = size_of_val(fds) as libc::c_uint;
        header.msg_control = control.as_mut_ptr().cast();
        // SAFETY: the control buffer has room for a header and more than `payload` bytes behind
        // it, is aligned for a header, and CMSG_SPACE and CMSG_LEN are arithmetic.
        unsafe {
            header.msg_controllen = libc::CMSG_SPACE(payload) as _;
            let message = libc::CMSG_FIRSTHDR(&raw const header);
            (*message).cmsg_level = libc::SOL_SOCKET;
            (*message).cmsg_type = libc::SCM_RIGHTS;
            (*message).cmsg_len = libc::CMSG_LEN(payload) as _;
            let to = libc::CMSG_DATA(message);
            std::ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), to, payload as usize);
        }
    }
    loop {
        // SAFETY: header points to one iovec over `data`, which sendmsg(2) only reads, and to
        // `control`, with their true sizes; all outlive the call.
        let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL) };
        match Errno::result(sent) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            // Sequenced packets go whole or not at all.
            Ok(_) => return Ok(()),
        }
    }
}

/// What [`recv`] got.
#[derive(Debug)]
pub struct Packet {
    /// How many bytes of the buffer were filled; 0: the peer closed (or sent an empty packet,
    /// which nobody who uses this module does).
    pub len: usize,
    /// The descriptors that came with the packet, close-on-exec.
    pub fds: Vec<OwnedFd>,
}

/// Receives one packet and up to `max_fds` descriptors (at most [`MAX_FDS`]).
///
/// A packet that is longer than `buffer` is EMSGSIZE and one with more descriptors is
/// ETOOMANYREFS; all that came with it is closed.
pub fn recv(fd: BorrowedFd<'_>, buffer: &mut [u8], max_fds: usize) -> io::Result<Packet> {
    let max_fds = max_fds.min(MAX_FDS);
    // Aligned as `cmsghdr` must be; room for the header and MAX_FDS descriptors.
    let mut control = [0u64; 2 + MAX_FDS];
    let mut iov = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: msghdr is a plain C structure for which all zeroes is a valid value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut iov;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    let len = loop {
        header.msg_controllen = size_of_val(&control);
        // SAFETY: header points to one iovec over `buffer` and to `control`, with their true
        // sizes; both outlive the call.
        let got = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
        match Errno::result(got) {
            Err(Errno::EINTR) => {}
            other => break other?.unsigned_abs(),
        }
    };
    // Every descriptor gets an owner before anything is judged, so that refusing closes them.
    // nix's own decoder gives up on truncated control data without closing what had arrived.
    let fds = take_rights(&header);
    if header.msg_flags & libc::MSG_CTRUNC != 0 || fds.len() > max_fds {
        return Err(Errno::ETOOMANYREFS.into());
    }
    if header.msg_flags & libc::MSG_TRUNC != 0 {
        return Err(Errno::EMSGSIZE.into());
    }
    Ok(Packet { len, fds })
}

/// Owns the descriptors that recvmsg(2) left in the control data of `header`.
fn take_rights(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: header is as recvmsg(2) left it: its control pointer and length describe the
    // kernel's well-formed control messages, which CMSG_* walk.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return only headers inside the control data.
        let head = unsafe { &*message };
        if head.cmsg_level == libc::SOL_SOCKET && head.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: CMSG_LEN is arithmetic on its argument.
            let payload = head
                .cmsg_len
                .saturating_sub(unsafe { libc::CMSG_LEN(0) } as usize);
            for i in 0..payload / size_of::<RawFd>() {
                // SAFETY: the kernel wrote cmsg_len bytes, so i lies inside; the descriptor was
                // made by this recvmsg(2) for us and is taken once.
                let fd = unsafe {
                    let at = libc::CMSG_DATA(message).cast::<RawFd>().add(i);
                    OwnedFd::from_raw_fd(at.read_unaligned())
                };
                fds.push(fd);
            }
        }
        // SAFETY: as for CMSG_FIRSTHDR; `message` came from it.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    fds
}

/// Who connected, as the kernel noted it at connect(2) or socketpair(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// In our process namespace; 0 if the peer has no number there.
    pub pid: i32,
    /// Effective user id, in our user namespace.
    pub uid: Uid,
    /// Effective group id, in our user namespace.
    pub gid: Gid,
}

/// The credentials of the peer of a connected socket.
pub fn peer_credentials(fd: BorrowedFd<'_>) -> io::Result<PeerCredentials> {
    let unknown = libc::ucred {
        pid: 0,
        uid: libc::uid_t::MAX,
        gid: libc::gid_t::MAX,
    };
    let found = option(fd, libc::SO_PEERCRED, unknown)?;
    let (Some(uid), Some(gid)) = (Uid::new(found.uid), Gid::new(found.gid)) else {
        return Err(Errno::ENOTCONN.into());
    };
    Ok(PeerCredentials {
        pid: found.pid,
        uid,
        gid,
    })
}

/// asm-generic/socket.h, since Linux 6.5.
const SO_PEERPIDFD: libc::c_int = 77;

/// Which namespace a process is in: two are the same if and only if these are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceId {
    device: u64,
    inode: u64,
}

/// The user namespace of the calling process.
pub fn own_user_namespace() -> io::Result<NamespaceId> {
    let found = stat("/proc/self/ns/user")?;
    Ok(NamespaceId {
        device: found.st_dev,
        inode: found.st_ino,
    })
}

/// The user namespace that the peer of a connected socket is in now. The peer must be alive.
///
/// On kernels without SO_PEERPIDFD (before 6.5) a peer that ended before this call could have
/// its number reused by another process, so call it right after [`accept`].
pub fn peer_user_namespace(fd: BorrowedFd<'_>) -> io::Result<NamespaceId> {
    let pid = peer_credentials(fd)?.pid;
    if pid <= 0 {
        return Err(Errno::ESRCH.into());
    }
    let process = match option::<RawFd>(fd, SO_PEERPIDFD, -1) {
        Err(Errno::ENOPROTOOPT) => open_process(pid)?,
        // SAFETY: the kernel has just made this descriptor for us.
        other => unsafe { OwnedFd::from_raw_fd(other?) },
    };
    let found = open(
        Path::new(&format!("/proc/{pid}/ns/user")),
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    let found = fstat(&found)?;
    // Still alive: so the number meant this process while the file was opened.
    let mut ended = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    if poll(&mut ended, PollTimeout::ZERO)? != 0 {
        return Err(Errno::ESRCH.into());
    }
    Ok(NamespaceId {
        device: found.st_dev,
        inode: found.st_ino,
    })
}

fn open_process(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open(2) takes two integers and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = Errno::result(fd)?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes the sockets that the service manager passed (sd_listen_fds(3)), close-on-exec. Empty if
/// there are none for this process, and on every call but the first. To be called at the start
/// of the program, before it opens anything.
pub fn take_listen_fds() -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    const FIRST: RawFd = 3;
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID") != Some(std::process::id()) || TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    let count = number("LISTEN_FDS").unwrap_or(0);
    let mut fds = Vec::new();
    for i in 0..count {
        let raw = FIRST.checked_add_unsigned(i).ok_or(Errno::EBADF)?;
        // SAFETY: F_SETFD takes an integer and fails with EBADF where nothing is open.
        Errno::result(unsafe { libc::fcntl(raw, libc::F_SETFD, libc::FD_CLOEXEC) })?;
        // SAFETY: the descriptor is open; the service manager made it for this very process
        // (LISTEN_PID is ours), and TAKEN lets it be taken only once.
        fds.push(unsafe { OwnedFd::from_raw_fd(raw) });
    }
    Ok(fds)
}

/// How long the next packet is, without taking it; 0 at the end of the stream. Waits for a packet
/// as [`recv`] does.
pub fn next_len(fd: BorrowedFd<'_>) -> io::Result<usize> {
    loop {
        let flags = libc::MSG_PEEK | libc::MSG_TRUNC;
        // SAFETY: recv(2) writes nothing into a buffer of length 0.
        let len = unsafe { libc::recv(fd.as_raw_fd(), std::ptr::null_mut(), 0, flags) };
        match Errno::result(len) {
            Err(Errno::EINTR) => {}
            other => return Ok(other?.unsigned_abs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    fn temporary(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("berth-sock-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn packets_arrive_whole_with_their_descriptors() {
        let (a, b) = pair().unwrap();
        let (inner, other) = pair().unwrap();
        send(a.as_fd(), b"one", &[inner.as_fd()]).unwrap();
        send(a.as_fd(), b"two!", &[]).unwrap();
        let mut buffer = [0; 16];
        let got = recv(b.as_fd(), &mut buffer, 1).unwrap();
        assert_eq!((&buffer[..got.len], got.fds.len()), (&b"one"[..], 1));
        send(got.fds[0].as_fd(), b"through", &[]).unwrap();
        let second = recv(b.as_fd(), &mut buffer, 1).unwrap();
        assert_eq!((&buffer[..second.len], second.fds.len()), (&b"two!"[..], 0));
        let through = recv(other.as_fd(), &mut buffer, 0).unwrap();
        assert_eq!(&buffer[..through.len], b"through");
        drop(a);
        assert_eq!(recv(b.as_fd(), &mut buffer, 1).unwrap().len, 0);
    }

    #[test]
    fn too_many_descriptors_are_refused_and_closed() {
        // Alone in its process: it counts descriptors (cargo runs tests as threads).
        if std::env::var_os("BERTH_TEST_ALONE").is_none() {
            let status = std::process::Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "sock::tests::too_many_descriptors_are_refused_and_closed",
                ])
                .env("BERTH_TEST_ALONE", "1")
                .status()
                .unwrap();
            assert!(status.success());
            return;
        }
        let (a, b) = pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let before = open_descriptors();
        let mut buffer = [0; 16];
        // More than asked for, and (by another sender's hand) more than the control buffer holds.
        send(a.as_fd(), b"x", &[null.as_fd(); 3]).unwrap();
        let error = recv(b.as_fd(), &mut buffer, 2).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ETOOMANYREFS));
        send_raw(a.as_fd(), b"x", &[null.as_raw_fd(); 100]).unwrap();
        let error = recv(b.as_fd(), &mut buffer, MAX_FDS).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ETOOMANYREFS));
        send(a.as_fd(), &[0; 17], &[null.as_fd()]).unwrap();
        let error = recv(b.as_fd(), &mut buffer, 1).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
        assert_eq!(open_descriptors(), before);
    }

    #[test]
    fn received_descriptors_are_close_on_exec() {
        let (a, b) = pair().unwrap();
        send(a.as_fd(), b"x", &[a.as_fd()]).unwrap();
        let got = recv(b.as_fd(), &mut [0; 4], 1).unwrap();
        let flags = nix::fcntl::fcntl(&got.fds[0], nix::fcntl::F_GETFD).unwrap();
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    }

    #[test]
    fn listening_at_short_and_long_paths() {
        let dir = temporary("paths");
        let long = dir.join("d".repeat(100)).join("e".repeat(100));
        std::fs::create_dir_all(&long).unwrap();
        for path in [dir.join("s"), long.join("socket")] {
            let listener = listen(&path, 0o600, 8).unwrap();
            use std::os::unix::fs::MetadataExt;
            assert_eq!(
                std::fs::symlink_metadata(&path).unwrap().mode() & 0o777,
                0o600
            );
            let client = connect(&path).unwrap();
            let server = accept(listener.as_fd()).unwrap();
            send(client.as_fd(), b"hi", &[]).unwrap();
            assert_eq!(recv(server.as_fd(), &mut [0; 8], 0).unwrap().len, 2);
            let error = listen(&path, 0o600, 8).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        let error = connect(&dir.join("none")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn peers_and_timeouts() {
        let (a, b) = pair().unwrap();
        let peer = peer_credentials(a.as_fd()).unwrap();
        assert_eq!(peer.pid.unsigned_abs(), std::process::id());
        assert_eq!(peer.uid.raw(), nix::unistd::geteuid().as_raw());
        assert_eq!(
            peer_user_namespace(a.as_fd()).unwrap(),
            own_user_namespace().unwrap()
        );
        set_receive_timeout(b.as_fd(), Some(Duration::from_millis(10))).unwrap();
        let error = recv(b.as_fd(), &mut [0; 1], 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(a);
        let error = send(b.as_fd(), b"x", &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_peer_in_another_user_namespace_is_told_apart() {
        // The test's own program connects from inside a new user namespace and waits.
        if let Some(path) = std::env::var_os("BERTH_TEST_CONNECT") {
            let socket = connect(Path::new(&path)).unwrap();
            let _ = recv(socket.as_fd(), &mut [0; 1], 0);
            return;
        }
        let dir = temporary("userns");
        let path = dir.join("s");
        let listener = listen(&path, 0o600, 8).unwrap();
        let test = "sock::tests::a_peer_in_another_user_namespace_is_told_apart";
        let mut child = std::process::Command::new("unshare")
            .args(["--user", "--map-root-user"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env("BERTH_TEST_CONNECT", &path)
            .spawn()
            .unwrap();
        let socket = accept(listener.as_fd()).unwrap();
        let own = own_user_namespace().unwrap();
        assert_ne!(peer_user_namespace(socket.as_fd()).unwrap(), own);
        child.kill().unwrap();
        child.wait().unwrap();
        let error = peer_user_namespace(socket.as_fd()).unwrap_err();
        assert!(error.raw_os_error().is_some(), "{error}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
