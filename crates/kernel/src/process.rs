//! Processes: clone3(2), descriptors of processes, waiting, exec.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use nix::sched::CloneFlags;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It called exit(2) with this code, 0–255.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// Whether it ended with code 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }

    /// The code a shell would report: the exit code, or 128 plus the signal's number.
    pub fn shell_code(self) -> u8 {
        match self {
            Self::Code(code) => (code & 0xff) as u8,
            Self::Signal(signal) => 128u8.wrapping_add((signal & 0x7f) as u8),
        }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "signal {signal}"),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}

/// A descriptor of a process (pidfd_open(2)): it never means another process.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Opens process `pid`; the caller must know otherwise that the number still means the
    /// process that he has in mind (its parent knows; others re-check afterwards).
    pub fn open(pid: i32) -> io::Result<Self> {
        // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        Ok(Self(owned(fd)?))
    }

    /// Takes a descriptor that is known to be a pidfd.
    pub fn from_owned(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Sends signal `number`; ESRCH when the process has ended.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        // SAFETY: the descriptor is open, the siginfo pointer may be null (pidfd_send_signal(2)).
        let done = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                number,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        check(done).map(drop)
    }

    /// Whether the process has ended (it may still be waited for).
    pub fn has_ended(&self) -> io::Result<bool> {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        Ok(poll(&mut fds, PollTimeout::ZERO)? > 0)
    }

    /// Moves the caller into all namespaces of the process that `flags` names (setns(2), 5.8).
    pub fn enter_namespaces(&self, flags: CloneFlags) -> io::Result<()> {
        nix::sched::setns(self.0.as_fd(), flags).map_err(io::Error::from)
    }

    /// Reaps the process if it is the caller's child and has ended; `None` while it runs.
    pub fn try_wait(&self) -> io::Result<Option<Exit>> {
        self.waitid(libc::WEXITED | libc::WNOHANG)
    }

    /// Waits until the caller's child has ended and reaps it.
    pub fn wait(&self) -> io::Result<Exit> {
        loop {
            match self.waitid(libc::WEXITED) {
                Ok(Some(exit)) => return Ok(exit),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn waitid(&self, options: i32) -> io::Result<Option<Exit>> {
        // SAFETY: an all-zero siginfo_t is a valid value; waitid fills it in.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `info` is a writable siginfo_t that outlives the call.
        let done = unsafe {
            libc::waitid(
                libc::P_PIDFD,
                self.0.as_raw_fd() as libc::id_t,
                &mut info,
                options,
            )
        };
        check(done.into())?;
        // SAFETY: waitid filled the fields of a SIGCHLD siginfo, or left si_pid zero.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        if pid == 0 {
            return Ok(None);
        }
        Ok(Some(match info.si_code {
            libc::CLD_EXITED => Exit::Code(status),
            _ => Exit::Signal(status & 0x7f),
        }))
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<PidFd> for OwnedFd {
    fn from(pidfd: PidFd) -> Self {
        pidfd.0
    }
}

/// A child process: its number in the caller's pid namespace and a descriptor of it. Dropping
/// it neither kills nor reaps.
#[derive(Debug)]
pub struct Child {
    /// The process number; it means this child until the child is reaped.
    pub pid: i32,
    /// The child itself.
    pub pidfd: PidFd,
}

/// Starts a child with clone3(2).
///
/// `flags` are namespaces (`CLONE_NEW…`) and `CLONE_PARENT`; `cgroup` is the cgroup directory in
/// which it is born. The child runs `body` on a copy of the caller's memory and ends with what
/// it returns; a panic ends it with code 101.
///
/// Refused in a process with several threads: the copy would hold locks (malloc's among them)
/// whose owners do not exist in it.
pub fn clone(
    flags: CloneFlags,
    cgroup: Option<BorrowedFd<'_>>,
    body: impl FnOnce() -> u8,
) -> io::Result<Child> {
    if !is_single_threaded()? {
        return Err(io::Error::other(
            "clone needs a process with a single thread",
        ));
    }
    let mut pidfd: RawFd = -1;
    let mut wanted = flags.bits() as u64 as u32 as u64 | libc::CLONE_PIDFD as u64;
    if cgroup.is_some() {
        wanted |= 0x2_0000_0000; // CLONE_INTO_CGROUP, kernel 5.7
    }
    let parent = flags.contains(CloneFlags::CLONE_PARENT);
    let mut arguments = CloneArgs {
        flags: wanted,
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        // The kernel refuses an exit signal beside CLONE_PARENT: the parent's is taken.
        exit_signal: if parent { 0 } else { libc::SIGCHLD as u64 },
        cgroup: cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
        ..CloneArgs::default()
    };
    // SAFETY: without CLONE_VM the child has its own copy of this single-threaded process, so
    // it may run any code; the structure is what clone3 expects and outlives the call.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &mut arguments,
            std::mem::size_of::<CloneArgs>(),
        )
    };
    match check(pid)? {
        0 => finish_child(body),
        pid => {
            // SAFETY: on success the kernel stored a new descriptor here that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Child {
                pid: pid as i32,
                pidfd: PidFd(pidfd),
            })
        }
    }
}

/// Starts a child with fork(2), which libc makes safe for malloc also where there are threads.
/// The child runs `body` and ends with what it returns; a panic ends it with code 101.
pub fn fork(body: impl FnOnce() -> u8) -> io::Result<Child> {
    // SAFETY: glibc's fork leaves malloc usable in the child; `body` runs on the child's own
    // copy of the memory and never returns into the caller.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => finish_child(body),
        pid => match PidFd::open(pid) {
            Ok(pidfd) => Ok(Child { pid, pidfd }),
            Err(error) => {
                end_unwatched(pid);
                Err(error)
            }
        },
    }
}

/// Ends a child that nobody could watch, as when the table of descriptors is full.
fn end_unwatched(pid: libc::pid_t) {
    // SAFETY: kill and waitpid take numbers, and a null status is allowed; the number means the
    // caller's child, which nobody has reaped yet.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        while libc::waitpid(pid, std::ptr::null_mut(), 0) == -1
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
    }
}

fn finish_child(body: impl FnOnce() -> u8) -> ! {
    let code = catch_unwind(AssertUnwindSafe(body)).unwrap_or(101);
    // SAFETY: _exit ends the process without running the parent's exit handlers.
    unsafe { libc::_exit(code.into()) }
}

#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Parent and name of process `pid` (proc_pid_stat(5)). Whoever must be sure that the number still
/// means the same process looks at a pidfd afterwards.
pub fn parent_and_name(pid: i32) -> io::Result<(i32, String)> {
    let strange = || io::Error::from(io::ErrorKind::InvalidData);
    let stat = std::fs::read(format!("/proc/{pid}/stat"))?;
    let stat = String::from_utf8_lossy(&stat);
    // The name may hold anything, closing parentheses too.
    let (name, rest) = stat.rsplit_once(") ").ok_or_else(strange)?;
    let (_, name) = name.split_once(" (").ok_or_else(strange)?;
    let parent = rest.split(' ').nth(1).and_then(|text| text.parse().ok());
    Ok((parent.ok_or_else(strange)?, name.to_owned()))
}

/// Whether the calling process has a single thread. Reads the link count of `/proc/self/task`,
/// and believes in one thread where there is no /proc.
pub fn is_single_threaded() -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    match std::fs::metadata("/proc/self/task") {
        Ok(task) => Ok(task.nlink() <= 3),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        // On the way into a container whose root file system a program serves, which does not
        // know the caller's uid.
        Err(error) if error.raw_os_error() == Some(libc::EOVERFLOW) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Leaves the named namespaces for new ones (unshare(2)).
pub fn unshare(flags: CloneFlags) -> io::Result<()> {
    nix::sched::unshare(flags).map_err(io::Error::from)
}

/// Replaces the program. Returns only on failure.
pub fn exec(program: &Path, arguments: &[CString], environment: &[CString]) -> io::Error {
    use std::os::unix::ffi::OsStrExt;
    match CString::new(program.as_os_str().as_bytes()) {
        Ok(path) => match nix::unistd::execve(&path, arguments, environment) {
            Ok(never) => match never {},
            Err(errno) => errno.into(),
        },
        Err(_) => io::Error::from_raw_os_error(libc::EINVAL),
    }
}

/// Replaces the program with an open file (execveat(2), `AT_EMPTY_PATH`). Returns only on failure.
pub fn exec_open_file(
    program: BorrowedFd<'_>,
    arguments: &[CString],
    environment: &[CString],
) -> io::Error {
    match nix::unistd::fexecve(program, arguments, environment) {
        Ok(never) => match never {},
        Err(errno) => errno.into(),
    }
}

/// Replaces the program with the first of `directories` that has `name` (execvp(3)'s rule:
/// EACCES is remembered, ENOENT and ENOTDIR go on). A name with a slash is taken as it is.
pub fn exec_in_path(
    name: &CStr,
    directories: &str,
    arguments: &[CString],
    environment: &[CString],
) -> io::Error {
    use std::os::unix::ffi::OsStrExt;
    if name.to_bytes().contains(&b'/') {
        let path = Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()));
        return exec(path, arguments, environment);
    }
    let mut denied = None;
    for directory in directories
        .split(':')
        .filter(|directory| !directory.is_empty())
    {
        let path = Path::new(directory).join(std::ffi::OsStr::from_bytes(name.to_bytes()));
        let error = exec(&path, arguments, environment);
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => {}
            Some(libc::EACCES) => denied = Some(error),
            _ => return error,
        }
    }
    denied.unwrap_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
}

/// Asks for `signal` when the parent's thread ends (prctl(2), PR_SET_PDEATHSIG); 0 takes it
/// back. Forgotten by the kernel at a change of ids, so set it after that.
pub fn set_parent_death_signal(signal: i32) -> io::Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong)
}

/// Sets whether others of the same uid may trace the process and read its /proc files.
pub fn set_dumpable(dumpable: bool) -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, libc::c_ulong::from(dumpable))
}

/// Sets the process name as ps(1) shows it; at most 15 bytes count.
pub fn set_name(name: &CStr) -> io::Result<()> {
    prctl(libc::PR_SET_NAME, name.as_ptr() as libc::c_ulong)
}

/// Makes the process the one that its orphaned descendants fall to (PR_SET_CHILD_SUBREAPER).
pub fn set_child_subreaper() -> io::Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1)
}

fn prctl(option: i32, argument: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the options used here take an integer, or a pointer to a NUL-terminated string
    // that the caller keeps alive.
    let done = unsafe { libc::prctl(option, argument, 0, 0, 0) };
    check(done.into()).map(drop)
}

/// Marks all descriptors from `first` on close-on-exec (close_range(2), 5.11).
pub fn mark_close_on_exec(first: RawFd) -> io::Result<()> {
    close_range(
        first as libc::c_uint,
        libc::c_uint::MAX,
        libc::CLOSE_RANGE_CLOEXEC,
    )
}

/// Closes every descriptor from 3 on but those of `keep`.
///
/// For the beginning of a child that was made by [`clone`] or [`fork`] and ends without returning
/// into its caller's code: whatever else its memory still calls open is closed from here on, so
/// that nothing of the caller's can be reached through `/proc/self/fd`, as a directory of the host
/// could from inside a container.
pub fn close_others(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<libc::c_uint> = keep
        .iter()
        .map(|fd| fd.as_raw_fd() as libc::c_uint)
        .filter(|fd| *fd > 2)
        .collect();
    kept.sort_unstable();
    kept.dedup();
    let mut first = 3;
    for fd in kept {
        if fd > first {
            close_range(first, fd - 1, 0)?;
        }
        first = fd + 1;
    }
    close_range(first, libc::c_uint::MAX, 0)
}

fn close_range(first: libc::c_uint, last: libc::c_uint, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the callers either mark descriptors only, or have promised that the process uses no
    // other ones than those they keep.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }).map(drop)
}

/// Makes `fd` the descriptor `number` (0, 1 or 2), open across exec. The former one is closed.
pub fn set_standard_stream(number: i32, fd: BorrowedFd<'_>) -> io::Result<()> {
    if !(0..=2).contains(&number) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: 0 to 2 belong to the standard streams, which Rust refers to by number only.
    let done = unsafe { libc::dup2(fd.as_raw_fd(), number) };
    check(done.into())?;
    if fd.as_raw_fd() == number {
        // dup2 onto itself keeps a close-on-exec mark.
        // SAFETY: F_SETFD takes an integer.
        let done = unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
        check(done.into())?;
    }
    Ok(())
}

/// Lets a descriptor survive exec.
pub fn keep_across_exec(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: F_SETFD takes an integer.
    let done = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) };
    check(done.into()).map(drop)
}

/// Gives the process a new, empty session keyring, so that it possesses no key of its caller
/// (keyctl(2)). Kernels without keyrings, or with the quota used up, are passed over.
pub fn leave_session_keyring() -> io::Result<()> {
    // SAFETY: KEYCTL_JOIN_SESSION_KEYRING takes a name or null.
    let done = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_JOIN_SESSION_KEYRING,
            std::ptr::null::<u8>(),
        )
    };
    match check(done) {
        Err(error) if !matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EDQUOT)) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Shows programs a 32-bit machine (personality(2), `PER_LINUX32`).
pub fn set_personality_32_bit() -> io::Result<()> {
    const PER_LINUX32: libc::c_ulong = 8; // linux/personality.h
    // SAFETY: personality takes an integer.
    let done = unsafe { libc::personality(PER_LINUX32) };
    check(done.into()).map(drop)
}

/// Ends the process at once, without exit handlers.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: _exit has no precondition.
    unsafe { libc::_exit(code.into()) }
}

pub(crate) fn check(returned: libc::c_long) -> io::Result<libc::c_long> {
    if returned < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(returned)
    }
}

pub(crate) fn owned(returned: libc::c_long) -> io::Result<OwnedFd> {
    let fd = check(returned)?;
    // SAFETY: the caller passes the result of a system call that returns a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parent_and_name_of_a_process() {
        let child = fork(|| {
            let _ = set_name(c"a) (b) S 1 ");
            std::thread::sleep(std::time::Duration::from_secs(60));
            0
        })
        .unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let named = || parent_and_name(child.pid).unwrap() == (own, "a) (b) S 1 ".to_owned());
        while !named() {
            std::thread::yield_now();
        }
        child.pidfd.signal(9).unwrap();
        child.pidfd.wait().unwrap();
        assert!(parent_and_name(child.pid).is_err());
    }

    #[test]
    fn a_forked_child_reports_its_code_and_its_signal() {
        assert_eq!(fork(|| 7).unwrap().pidfd.wait().unwrap(), Exit::Code(7));
        let child = fork(|| {
            loop {
                std::thread::park();
            }
        })
        .unwrap();
        assert_eq!(child.pidfd.try_wait().unwrap(), None);
        child.pidfd.signal(libc::SIGKILL).unwrap();
        assert_eq!(child.pidfd.wait().unwrap(), Exit::Signal(libc::SIGKILL));
        assert_eq!(Exit::Signal(9).shell_code(), 137);
    }

    #[test]
    fn a_child_that_cannot_be_watched_does_not_run_on() {
        let child = fork(|| {
            let none = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            // SAFETY: the structure outlives the call.
            if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &none) } != 0 {
                return 1;
            }
            let refused = fork(|| {
                std::thread::sleep(std::time::Duration::from_secs(60));
                0
            });
            if refused.is_ok() {
                return 2;
            }
            // SAFETY: waitpid takes numbers, and a null status is allowed.
            let left = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
            let why = io::Error::last_os_error().raw_os_error();
            if left == -1 && why == Some(libc::ECHILD) {
                0
            } else {
                3
            }
        });
        assert_eq!(child.unwrap().pidfd.wait().unwrap(), Exit::Code(0));
    }

    #[test]
    fn clone_is_refused_with_threads() {
        // The test runner itself has several.
        let error = clone(CloneFlags::empty(), None, || 0).unwrap_err();
        assert!(error.to_string().contains("single thread"), "{error}");
    }

    #[test]
    fn exec_reports_what_is_missing() {
        let child = fork(|| {
            let error = exec_in_path(c"no-such-program", "/bin:/usr/bin", &[c"x".into()], &[]);
            u8::from(error.raw_os_error() == Some(libc::ENOENT))
        });
        assert_eq!(child.unwrap().pidfd.wait().unwrap(), Exit::Code(1));
    }
}
