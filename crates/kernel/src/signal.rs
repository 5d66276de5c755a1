//! Signals: masks, dispositions, signalfd(2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Signals taken from a descriptor instead of by handlers; they stay blocked for the life of
/// the process and for children until [`reset`].
pub struct SignalQueue(SignalFd);

impl SignalQueue {
    /// Blocks `signals` and queues them.
    pub fn new(signals: &[Signal]) -> io::Result<Self> {
        let set: SigSet = signals.iter().copied().collect();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self(SignalFd::with_flags(&set, flags)?))
    }

    /// The next queued signal's number, if there is one.
    pub fn take(&mut self) -> io::Result<Option<i32>> {
        Ok(self.0.read_signal()?.map(|info| info.ssi_signo as i32))
    }
}

impl AsFd for SignalQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The signals (bit N-1: signal N) that may have another action than their default: what the
/// process was started with is unknown. Children have their parent's, and this with it.
///
/// Handlers that others than this module install do not matter: exec resets them.
static UNKNOWN: AtomicU64 = AtomicU64::new(u64::MAX);

fn bit(number: i32) -> u64 {
    1 << (number - 1)
}

/// Gives every signal its default action and unblocks all: what a program expects at its start.
/// After the first time a process and its children only touch what [`ignore`] has changed since.
pub fn reset() -> io::Result<()> {
    let unknown = UNKNOWN.swap(0, Ordering::Relaxed);
    for number in 1..=libc::SIGRTMAX() {
        if matches!(number, libc::SIGKILL | libc::SIGSTOP) || unknown & bit(number) == 0 {
            continue;
        }
        // SAFETY: the default action installs no handler. libc refuses the two numbers that it
        // keeps for itself below SIGRTMIN; nothing is lost by that.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// Gives one signal its default action.
pub fn set_default(signal: Signal) -> io::Result<()> {
    // SAFETY: SIG_DFL installs no handler.
    let before = unsafe { libc::signal(signal as i32, libc::SIG_DFL) };
    if before == libc::SIG_ERR {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Makes the caller deaf to `signal`.
pub fn ignore(signal: Signal) -> io::Result<()> {
    UNKNOWN.fetch_or(bit(signal as i32), Ordering::Relaxed);
    // SAFETY: SIG_IGN installs no handler.
    let before = unsafe { libc::signal(signal as i32, libc::SIG_IGN) };
    if before == libc::SIG_ERR {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The number of a signal by name (`SIGTERM`, `TERM`, `SIGRTMIN+3`, `RTMAX-1`) or by number,
/// 1–64.
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=libc::SIGRTMAX()).contains(&number).then_some(number);
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let (base, offset) = if let Some(rest) = name.strip_prefix("RTMIN") {
        (libc::SIGRTMIN(), rest)
    } else if let Some(rest) = name.strip_prefix("RTMAX") {
        (libc::SIGRTMAX(), rest)
    } else {
        return format!("SIG{name}")
            .parse::<Signal>()
            .ok()
            .map(|signal| signal as i32);
    };
    let offset = match offset {
        "" => 0,
        _ if !offset.starts_with(['+', '-']) => return None,
        _ => offset.parse::<i32>().ok()?,
    };
    let number = base.checked_add(offset)?;
    (libc::SIGRTMIN()..=libc::SIGRTMAX())
        .contains(&number)
        .then_some(number)
}

/// Whether the caller ignores `signal`, as `nohup` and shells' background jobs ask for.
pub fn is_ignored(signal: Signal) -> io::Result<bool> {
    // SAFETY: an all-zero sigaction is a valid value; sigaction(2) overwrites it.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: no new action is given; `now` is writable and outlives the call.
    let done = unsafe { libc::sigaction(signal as i32, std::ptr::null(), &raw mut now) };
    super::process::check(done.into())?;
    Ok(now.sa_sigaction == libc::SIG_IGN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        assert_eq!(number("SIGTERM"), Some(libc::SIGTERM));
        assert_eq!(number("PWR"), Some(libc::SIGPWR));
        assert_eq!(number("9"), Some(9));
        assert_eq!(number("SIGRTMIN+3"), Some(libc::SIGRTMIN() + 3));
        assert_eq!(number("SIGRTMAX-1"), Some(libc::SIGRTMAX() - 1));
        for wrong in [
            "",
            "SIGFOO",
            "0",
            "65",
            "-1",
            "SIGRTMIN+99",
            "RTMIN3",
            "RTMAX+1",
        ] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_reset_after_the_first_one_finds_what_was_ignored_since() {
        let child = crate::process::fork(|| {
            ignore(Signal::SIGHUP).unwrap();
            reset().unwrap();
            let first = is_ignored(Signal::SIGHUP).unwrap();
            ignore(Signal::SIGPIPE).unwrap();
            let child = crate::process::fork(|| {
                reset().unwrap();
                let ignored = |signal| is_ignored(signal).unwrap();
                u8::from(ignored(Signal::SIGPIPE) || ignored(Signal::SIGHUP))
            });
            let second = !child.unwrap().pidfd.wait().unwrap().success();
            u8::from(first || second)
        });
        assert!(child.unwrap().pidfd.wait().unwrap().success());
    }

    #[test]
    fn ignored_signals_are_known() {
        assert!(!is_ignored(Signal::SIGURG).unwrap());
        ignore(Signal::SIGURG).unwrap();
        assert!(is_ignored(Signal::SIGURG).unwrap());
    }
}
