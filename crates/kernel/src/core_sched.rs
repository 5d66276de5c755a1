//! Core scheduling: which processes may run on one core at the same time (prctl(2),
//! `PR_SCHED_CORE`, 5.14).

use std::io;

use crate::process::check;

// linux/prctl.h
const PR_SCHED_CORE: libc::c_int = 62;
const GET: libc::c_ulong = 0;
const CREATE: libc::c_ulong = 1;
const SHARE_FROM: libc::c_ulong = 3;
const OF_THREAD: libc::c_ulong = 0;
const OF_THREAD_GROUP: libc::c_ulong = 1;

/// The cookie of the calling thread: processes with the same one may run beside each other, 0
/// stands for those without. `EINVAL`: the kernel is built without it; `ENODEV`: no core of this
/// machine runs several threads.
pub fn cookie() -> io::Result<u64> {
    let mut cookie = 0_u64;
    // SAFETY: PR_SCHED_CORE_GET writes one 64-bit number, which outlives the call.
    let done = unsafe { libc::prctl(PR_SCHED_CORE, GET, 0, OF_THREAD, &raw mut cookie) };
    check(done.into())?;
    Ok(cookie)
}

/// Gives the calling process, and what it makes, a cookie of its own.
pub fn create_cookie() -> io::Result<()> {
    // SAFETY: takes integers.
    let done = unsafe { libc::prctl(PR_SCHED_CORE, CREATE, 0, OF_THREAD_GROUP, 0) };
    check(done.into()).map(drop)
}

/// Takes over the cookie of process `pid`, into which the caller must have the right to look.
pub fn share_cookie_of(pid: i32) -> io::Result<()> {
    // SAFETY: takes integers.
    let done = unsafe { libc::prctl(PR_SCHED_CORE, SHARE_FROM, pid, OF_THREAD, 0) };
    check(done.into()).map(drop)
}
