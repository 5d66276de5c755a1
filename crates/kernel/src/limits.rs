//! Resource limits, niceness, umask: what a privileged program puts in order before it reads
//! input. All of it is inherited from the caller, who may be hostile.

use std::io;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::stat::Mode;

use crate::process::check;

/// Keeps every signal away that can be kept away: from the caller's terminal, his timers, his
/// process group, and what the kernel sends when a limit is hit. Only SIGKILL and SIGSTOP remain.
pub fn block_signals() -> io::Result<()> {
    Ok(sigprocmask(
        SigmaskHow::SIG_SETMASK,
        Some(&SigSet::all()),
        None,
    )?)
}

/// Lifts the limits that could end or hinder a program halfway through (file size, CPU time,
/// memory, stack, locks, open files), and forbids core dumps. Without CAP_SYS_RESOURCE, as in some
/// containers, a limit is lifted as far as its hard limit allows.
pub fn lift_resource_limits() -> io::Result<()> {
    /// The kernel refuses more open files than `fs.nr_open`; nothing here needs more than these.
    const OPEN_FILES: u64 = 256;
    for resource in [
        Resource::RLIMIT_FSIZE,
        Resource::RLIMIT_CPU,
        Resource::RLIMIT_AS,
        Resource::RLIMIT_DATA,
        Resource::RLIMIT_STACK,
        Resource::RLIMIT_RSS,
        Resource::RLIMIT_LOCKS,
        Resource::RLIMIT_MEMLOCK,
        Resource::RLIMIT_SIGPENDING,
        Resource::RLIMIT_RTTIME,
    ] {
        lift(resource, libc::RLIM_INFINITY)?;
    }
    lift(Resource::RLIMIT_NOFILE, OPEN_FILES)?;
    Ok(setrlimit(Resource::RLIMIT_CORE, 0, 0)?)
}

fn lift(resource: Resource, wanted: u64) -> io::Result<()> {
    match setrlimit(resource, wanted, wanted) {
        Err(Errno::EPERM) => {
            let (_, hard) = getrlimit(resource)?;
            Ok(setrlimit(resource, hard, hard)?)
        }
        other => Ok(other?),
    }
}

/// Schedules the process as any other: policy SCHED_OTHER, niceness 0. Without CAP_SYS_NICE it
/// stays as nice as its caller was.
pub fn schedule_normally() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the structure is initialised and outlives the call.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const parameters) };
    unless_not_permitted(check(done.into()))?;
    // SAFETY: setpriority(2) takes numbers.
    let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 0) };
    unless_not_permitted(check(done.into()))
}

fn unless_not_permitted(done: io::Result<libc::c_long>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

/// Sets the umask to these permission bits.
pub fn set_umask(mask: u32) {
    nix::sys::stat::umask(Mode::from_bits_truncate(mask));
}

/// Empties the environment. `EBUSY` if the process has more than one thread, since another could
/// be reading it.
pub fn clear_environment() -> io::Result<()> {
    if !crate::process::is_single_threaded()? {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: no other thread exists that could read the environment meanwhile.
    if unsafe { libc::clearenv() } == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::ENOMEM))
    }
}

/// Closes every descriptor from `first` on, for the first act of a program: they are the
/// caller's. Whatever the program opened itself before that is closed as well.
pub fn close_inherited(first: RawFd) -> io::Result<()> {
    let Ok(first) = libc::c_uint::try_from(first) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    // SAFETY: close_range(2) takes numbers. No value in the program refers to a descriptor that
    // it inherited and has not looked at yet.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
    check(done).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process;

    /// In a child, since all of it lasts.
    #[test]
    fn a_hostile_callers_settings_are_undone() {
        let child = process::fork(|| {
            let spoil = || -> io::Result<()> {
                // Soft limits only: not every root may lift a hard one.
                let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE)?;
                setrlimit(Resource::RLIMIT_FSIZE, 1, hard)?;
                // SAFETY: takes numbers.
                check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) }.into())?;
                Ok(())
            };
            let act = || -> io::Result<bool> {
                spoil()?;
                block_signals()?;
                lift_resource_limits()?;
                schedule_normally()?;
                set_umask(0o077);
                close_inherited(3)?;
                // SAFETY: takes numbers.
                let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
                let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE)?;
                // SAFETY: raise(3) takes a number; the signal is blocked.
                unsafe { libc::raise(libc::SIGTERM) };
                Ok(nice == 0
                    && soft == hard
                    && nix::fcntl::fcntl(
                        // SAFETY: only asked whether it is open.
                        unsafe { std::os::fd::BorrowedFd::borrow_raw(3) },
                        nix::fcntl::FcntlArg::F_GETFD,
                    )
                    .is_err())
            };
            match act() {
                Ok(true) => 0,
                _ => 1,
            }
        })
        .unwrap();
        assert!(child.pidfd.wait().unwrap().success());
    }
}
