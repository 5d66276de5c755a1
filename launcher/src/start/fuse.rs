//! Images of ordinary users: the kernel lets them mount none, so a program reads the file and
//! serves its content (fuse(4)).
//!
//! The program has its owner's uid, since the file may be his alone, and is in the container's
//! user, mount, network and IPC namespaces, so that ids of the image are the container's, and in a
//! pid namespace of its own: whoever attacks it through the image or from the container finds
//! nothing of the owner's around it. It is not among the container's processes, who could end it.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use berth_kernel::cred::{self, CapabilitySet};
use berth_kernel::mount::{Attributes, DetachedMount};
use berth_kernel::process::{self, PidFd};
use berth_kernel::{signal, sock};
use berth_session_protocol::{Connection, Frame};
use nix::fcntl::{AT_FDCWD, FcntlArg, SealFlag};
use nix::sched::CloneFlags;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;

use super::image;
use super::plan::{FusePlan, ImagePlan, StartPlan};
use crate::error::{Error, Plain, Result};

/// So long the program has until its file system is mounted, and then the container's first
/// process until init runs: a program that hangs must not hold up a start for ever.
pub const PATIENCE: Duration = Duration::from_secs(10);

const MOUNTED: u8 = 1;
const FAILED: u8 = 2;

/// A program that serves an image. It ends when this is dropped.
pub struct Server {
    keeper: PidFd,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The kernel ends the program with it.
        let _ = self.keeper.signal(Signal::SIGKILL as i32);
        let _ = self.keeper.wait();
    }
}

/// Starts the program in the container's namespaces and waits until the root file system is
/// mounted there.
pub fn serve(
    plan: &StartPlan,
    image: &ImagePlan,
    fuse: &FusePlan,
    init: &PidFd,
) -> Result<(Server, DetachedMount)> {
    let refused = |why: String| {
        Error::other(format!(
            "{}: lxc.rootfs.path: cannot mount {}: {why}",
            plan.root.at,
            image.path.display()
        ))
    };
    let file = image::open(&image.path, image.read_only)
        .map_err(|error| refused(Plain(&error).to_string()))?;
    let said = words().map_err(|error| Error::os("make a file in memory", error))?;
    let (ours, theirs) =
        Connection::pair().map_err(|error| Error::os("make a socket pair", error))?;
    let mut ours = Some(ours);
    let keeper = process::clone(CloneFlags::empty(), None, || {
        drop(ours.take());
        keep(plan, image, fuse, init, [&file, &said], theirs)
    })
    .map_err(|error| Error::os("make a process for the image", error))?;
    let server = Server {
        keeper: keeper.pidfd,
    };
    let ours = ours.ok_or_else(|| Error::other("the socket pair is gone"))?;
    sock::set_receive_timeout(ours.as_fd(), Some(PATIENCE))
        .map_err(|error| Error::os("set up a socket", error))?;
    let program = fuse.program.display();
    match ours.recv() {
        Ok(Some((frame, fds))) if frame.kind == MOUNTED => match fds.into_iter().next() {
            Some(mount) => Ok((server, DetachedMount::from_owned(mount))),
            None => Err(refused(format!("{program} mounted nothing"))),
        },
        Ok(Some((frame, _))) => {
            let why = frame.fields.first().map(|why| String::from_utf8_lossy(why));
            let said = read_words(said);
            Err(refused(format!(
                "{program}: {}{said}",
                why.unwrap_or_default()
            )))
        }
        Ok(None) => Err(refused(format!("{program} was killed"))),
        Err(error) if error.is_would_block() => Err(refused(format!(
            "{program} did not mount it within {} s",
            PATIENCE.as_secs()
        ))),
        Err(error) => Err(refused(format!("cannot hear from {program}: {error}"))),
    }
}

/// So many bytes of what the program prints are kept.
const MAX_WORDS: usize = 2048;

/// A file in memory for what the program prints, which cannot grow.
fn words() -> io::Result<File> {
    let file = memfd_create(
        c"berth-fuse",
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
    )?;
    let file = File::from(file);
    file.set_len(MAX_WORDS as u64)?;
    nix::fcntl::fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW))?;
    Ok(file)
}

fn read_words(mut file: File) -> String {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    match read.is_ok() && !text.is_empty() {
        true => format!("; it said: {}", text.replace('\n', " ")),
        false => String::new(),
    }
}

/// The process between the monitor and the program: with it both end.
fn keep(
    plan: &StartPlan,
    image: &ImagePlan,
    fuse: &FusePlan,
    init: &PidFd,
    files: [&File; 2],
    monitor: Connection,
) -> u8 {
    match try_keep(plan, image, fuse, init, files, &monitor) {
        Ok(program) => {
            drop(monitor);
            let _ = program.wait();
            0
        }
        Err(failure) => {
            let _ = monitor.send(&Frame::new(FAILED, vec![failure.into_bytes()]), &[]);
            1
        }
    }
}

fn try_keep(
    plan: &StartPlan,
    image: &ImagePlan,
    fuse: &FusePlan,
    init: &PidFd,
    [file, said]: [&File; 2],
    monitor: &Connection,
) -> std::result::Result<PidFd, String> {
    let because =
        |what: &'static str| move |error: io::Error| format!("cannot {what}: {}", Plain(&error));
    process::close_others(&[init.as_fd(), file.as_fd(), said.as_fd(), monitor.as_fd()])
        .map_err(because("close descriptors"))?;
    let mut namespaces = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWNET;
    namespaces &= plan.entered_namespaces();
    init.enter_namespaces(namespaces)
        .map_err(because("enter the container"))?;
    // Not earlier: another user namespace makes the kernel forget it.
    let die_with_parent = || process::set_parent_death_signal(Signal::SIGKILL as i32);
    die_with_parent().map_err(because("ask for a signal at the monitor's end"))?;
    // Some programs mount over nothing but an empty directory.
    let options: [(&CStr, Option<&CStr>); 4] = [
        (c"uid", Some(c"0")),
        (c"gid", Some(c"0")),
        (c"mode", Some(c"755")),
        (c"size", Some(c"4k")),
    ];
    DetachedMount::new(c"tmpfs", Some(c"tmpfs"), &options, Attributes::READ_ONLY)
        .and_then(|empty| empty.attach_at(&plan.rootfs))
        .map_err(because("make a mount point"))?;
    let program = process::clone(CloneFlags::CLONE_NEWPID, None, || {
        let _ = die_with_parent();
        let error = execute(plan, image, fuse, file, said);
        u8::try_from(error.raw_os_error().unwrap_or(1)).unwrap_or(1)
    })
    .map_err(because("make a process"))?
    .pidfd;
    let begun = Instant::now();
    while !is_mounted(&plan.rootfs) {
        if let Some(exit) = program.try_wait().map_err(because("wait"))? {
            return Err(format!("it ended ({exit}) without mounting anything"));
        }
        if begun.elapsed() > PATIENCE {
            return Err("it did not mount anything in time".to_owned());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let mount = DetachedMount::bind(AT_FDCWD, &plan.rootfs, false)
        .map_err(because("take hold of the mount"))?;
    monitor
        .send(&Frame::new(MOUNTED, Vec::new()), &[mount.as_fd()])
        .map_err(|error| format!("cannot reach the monitor: {error}"))?;
    Ok(program)
}

/// Whether a file system in user space is the last thing that was mounted at a path.
fn is_mounted(point: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut at_point = mounts.lines().filter(|line| {
        let at = line.split(' ').nth(4).map(crate::destroy::unescape);
        at.is_some_and(|at| at == point)
    });
    at_point.next_back().is_some_and(|line| {
        let kind = line.split(" - ").nth(1);
        kind.is_some_and(|kind| kind.starts_with("fuse"))
    })
}

/// Becomes the program; returns why not.
fn execute(
    plan: &StartPlan,
    image: &ImagePlan,
    fuse: &FusePlan,
    file: &File,
    said: &File,
) -> io::Error {
    let read_only = if image.read_only { ",ro" } else { "" };
    let words = [
        fuse.program.as_os_str().as_bytes().to_vec(),
        format!("/proc/self/fd/{}", file.as_raw_fd()).into_bytes(),
        plan.rootfs.as_os_str().as_bytes().to_vec(),
        b"-f".to_vec(),
        b"-o".to_vec(),
        format!("allow_other,default_permissions,suid,dev{read_only}").into_bytes(),
    ];
    let words: Vec<CString> = words
        .into_iter()
        .filter_map(|word| CString::new(word).ok())
        .collect();
    // It is no root there, and mounts nevertheless; no set-user-id program helps it.
    let mounts = CapabilitySet::of(cred::capability_number("sys_admin"));
    let ready = cred::keep_capabilities_across_exec(mounts)
        .and_then(|()| cred::set_no_new_privs())
        .and_then(|()| process::set_standard_stream(1, said.as_fd()))
        .and_then(|()| process::set_standard_stream(2, said.as_fd()))
        .and_then(|()| signal::reset())
        .and_then(|()| process::mark_close_on_exec(3))
        .and_then(|()| process::keep_across_exec(file.as_fd()));
    match ready {
        Ok(()) => process::exec(&fuse.program, &words, &[c"PATH=/usr/bin:/bin".to_owned()]),
        Err(error) => error,
    }
}
