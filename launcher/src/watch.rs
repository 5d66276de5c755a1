//! Waiting for what a container's monitor writes down.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::error::{Error, Result};
use crate::state::Runtime;
use crate::time;

/// A state file in place of another, a monitor's end (its lock is let go), a directory that goes.
pub(crate) fn what_tells() -> AddWatchFlags {
    AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_ONLYDIR
}

/// An inotify(7) that never blocks when it is read.
pub(crate) fn inotify() -> Result<Inotify> {
    Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
        .map_err(|errno| Error::os("watch files (sysctl fs.inotify.max_user_instances)", errno))
}

pub(crate) fn add(inotify: &Inotify, dir: &Path, what: AddWatchFlags) -> Result<()> {
    inotify
        .add_watch(dir, what)
        .map(drop)
        .map_err(|errno| Error::file("watch", dir, errno.into()))
}

/// Looks at a container until `look` finds something, each time its monitor has written something
/// down or has ended; `None` when the time is over. What does not stay may go unseen.
pub fn until<T>(
    runtime: &Runtime,
    limit: Option<Duration>,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let end = limit.map(|limit| Instant::now() + limit);
    let inotify = inotify()?;
    loop {
        // Anew each time: the directory may be another one by now.
        let is_there = match add(&inotify, runtime.dir(), what_tells()) {
            Ok(()) => true,
            Err(Error::File { source, .. }) if source.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if !is_there {
            runtime.make_dir()?;
            continue;
        }
        let left = match end {
            None => PollTimeout::NONE,
            Some(end) => {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(None);
                }
                time::poll_timeout(left)
            }
        };
        wait(&inotify, left)?;
    }
}

/// Waits for something to happen, and forgets what it was.
fn wait(inotify: &Inotify, limit: PollTimeout) -> Result<()> {
    let failed = |errno: Errno| Error::os("watch files", errno);
    match poll(
        &mut [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)],
        limit,
    ) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(failed(errno)),
    }
    loop {
        match inotify.read_events() {
            Ok(_) => {}
            Err(Errno::EAGAIN) => return Ok(()),
            Err(errno) => return Err(failed(errno)),
        }
    }
}
