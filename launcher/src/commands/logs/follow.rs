//! What comes after the end of a log.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use berth_common::ContainerName;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, Inotify};

use super::{Out, tail};
use crate::error::{Error, Result};
use crate::place::Place;
use crate::state::Runtime;
use crate::watch;

/// Prints what comes through a pipe, until its other end is closed.
pub(super) fn pipe(mut stream: File, out: &Out) -> Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let mut fds = [
            PollFd::new(stream.as_fd(), PollFlags::POLLIN),
            PollFd::new(out.fd(), PollFlags::empty()),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(Error::os("wait for the console", errno)),
        }
        let has_said = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        if !has_said(&fds[0]) && has_said(&fds[1]) {
            return Ok(());
        }
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                if !out.print(&buffer[..count])? {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::os("read what the console prints", error)),
        }
    }
}

/// Prints what is added to a file, also when another one has come in its place, until the
/// container has stopped.
pub(super) fn file(
    place: &Place,
    name: &ContainerName,
    path: &Path,
    mut file: Option<File>,
    mut shown: u64,
    out: &Out,
) -> Result<()> {
    let runtime = Runtime::new(place.runtime_dir(name));
    let inotify = watch::inotify()?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    let what = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
    loop {
        watch::add(&inotify, dir, what)?;
        match watch::add(&inotify, runtime.dir(), watch::what_tells()) {
            Err(Error::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            other => other?,
        }
        // Asked before reading: what it printed last is shown.
        let ends = !runtime.state()?.0.is_active();
        if let Some(open) = &file {
            shown = rest(open, shown, out)?;
        }
        if let Some(new) = successor(path, file.as_ref())? {
            shown = rest(&new, 0, out)?;
            file = Some(new);
        }
        if ends {
            return Ok(());
        }
        if !wait(&inotify, out)? {
            return Ok(());
        }
    }
}

/// Prints what is behind `shown`; how far it was read. A file that is shorter now began anew.
fn rest(file: &File, shown: u64, out: &Out) -> Result<u64> {
    let size = file
        .metadata()
        .map_err(|error| Error::os("read the log", error))?
        .len();
    let from = if size < shown { 0 } else { shown };
    tail::print_from(file, from, size, out)
}

/// The file at a path, if it is another one than `open`.
fn successor(path: &Path, open: Option<&File>) -> Result<Option<File>> {
    let new = match berth_kernel::fs::open_regular(path) {
        Ok(new) => new,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("read", path, error)),
    };
    let identity = |file: &File| file.metadata().map(|found| (found.dev(), found.ino())).ok();
    Ok((open.and_then(identity) != identity(&new)).then_some(new))
}

/// Waits for a change; `false` if nobody reads the output any more.
fn wait(inotify: &Inotify, out: &Out) -> Result<bool> {
    let mut fds = [
        PollFd::new(inotify.as_fd(), PollFlags::POLLIN),
        PollFd::new(out.fd(), PollFlags::empty()),
    ];
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(Error::os("watch files", errno)),
    }
    if fds[1].revents().is_some_and(|events| !events.is_empty()) {
        return Ok(false);
    }
    loop {
        match inotify.read_events() {
            Ok(_) => {}
            Err(Errno::EAGAIN) => return Ok(true),
            Err(errno) => return Err(Error::os("watch files", errno)),
        }
    }
}
