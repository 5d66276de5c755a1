//! `/dev` with its devices and terminals, and init's console.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use berth_kernel::mount::{Attributes, DetachedMount};
use berth_kernel::process;
use berth_kernel::tty::{self, PseudoTerminal};
use berth_session_protocol::Connection;

use super::super::plan::StartPlan;
use super::super::sync;
use super::beneath::{Failure, NO_PROGRAMS, attach, because, make_all, make_dir, make_file};

/// Links below /dev and what they lead to.
pub(super) const DEVICE_LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// The group that terminals belong to (Debian's `tty`), where the container has it.
pub(super) const TTY_GROUP: u32 = 5;

/// The terminals whose other ends are the monitor's: the console first, then /dev/tty1 and on.
pub(super) struct Terminals {
    pub(super) console: Option<PseudoTerminal>,
    pub(super) ttys: Vec<PseudoTerminal>,
}

pub(super) fn mount_dev(
    plan: &StartPlan,
    root: BorrowedFd<'_>,
    devices: &[(&'static str, DetachedMount)],
) -> Result<Terminals, Failure> {
    if !plan.autodev {
        return Ok(Terminals {
            console: None,
            ttys: Vec::new(),
        });
    }
    let size = CString::new(plan.autodev_size.to_string()).unwrap_or_default();
    let options: [(&CStr, Option<&CStr>); 2] = [(c"size", Some(&size)), (c"mode", Some(c"755"))];
    let dev = DetachedMount::new(c"tmpfs", Some(c"tmpfs"), &options, NO_PROGRAMS)
        .map_err(because("mount /dev"))?;
    attach(&dev, root, "dev")?;
    let dev = dev.as_fd();
    for (name, device) in devices {
        let file = make_file(dev, name).map_err(because("make a file in /dev"))?;
        device
            .attach(file.as_fd())
            .map_err(because("mount a device"))?;
    }
    for (name, target) in DEVICE_LINKS {
        nix::unistd::symlinkat(target, dev, name)
            .map_err(|errno| because("make a link in /dev")(errno.into()))?;
    }
    let private = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
    let shm = make_dir(dev, "shm")?;
    DetachedMount::new(
        c"tmpfs",
        Some(c"tmpfs"),
        &[(c"mode", Some(c"1777"))],
        Attributes::NO_SUID | Attributes::NO_DEV,
    )
    .and_then(|mount| mount.attach(shm.as_fd()))
    .map_err(because("mount /dev/shm"))?;
    let mqueue = make_dir(dev, "mqueue")?;
    match DetachedMount::new(c"mqueue", Some(c"mqueue"), &[], private) {
        Ok(mount) => mount
            .attach(mqueue.as_fd())
            .map_err(because("mount /dev/mqueue"))?,
        // A kernel built without POSIX message queues.
        Err(error) if error.raw_os_error() == Some(19) => {}
        Err(error) => return Err(because("mount /dev/mqueue")(error)),
    }
    mount_terminals(plan, dev)
}

pub(super) fn mount_terminals(plan: &StartPlan, dev: BorrowedFd<'_>) -> Result<Terminals, Failure> {
    let group = CString::new(TTY_GROUP.to_string()).unwrap_or_default();
    let most = CString::new(plan.pty_max.to_string()).unwrap_or_default();
    let mut options: Vec<(&CStr, Option<&CStr>)> = vec![
        (c"ptmxmode", Some(c"0666")),
        (c"mode", Some(c"0620")),
        (c"max", Some(&most)),
    ];
    if plan.has_group(TTY_GROUP) {
        options.push((c"gid", Some(&group)));
    }
    let attributes = Attributes::NO_SUID | Attributes::NO_EXEC;
    let devpts = DetachedMount::new(c"devpts", Some(c"devpts"), &options, attributes)
        .map_err(because("mount /dev/pts"))?;
    let target = make_dir(dev, "pts")?;
    devpts
        .attach(target.as_fd())
        .map_err(because("mount /dev/pts"))?;
    let devpts = devpts.as_fd();
    // With lxc.tty.dir the files stand in a directory of their own, so that a package that
    // replaces /dev/console inside replaces a link only.
    let subdir = plan.tty_dir.as_deref();
    let place = match subdir {
        Some(subdir) => make_all(dev, subdir, true).map_err(because("make lxc.tty.dir in /dev"))?,
        None => dev.try_clone_to_owned().map_err(because("use /dev"))?,
    };
    let link = |name: &str| match subdir {
        Some(subdir) => nix::unistd::symlinkat(&subdir.join(name), dev, name)
            .map_err(|errno| because("make a link in /dev")(errno.into())),
        None => Ok(()),
    };
    let console = terminal_at(place.as_fd(), devpts, "console")?;
    link("console")?;
    let mut ttys = Vec::new();
    for number in 1..=plan.tty_max {
        let name = format!("tty{number}");
        ttys.push(terminal_at(place.as_fd(), devpts, &name)?);
        link(&name)?;
    }
    Ok(Terminals {
        console: Some(console),
        ttys,
    })
}

/// A new terminal whose slave also stands at `/dev/NAME`.
pub(super) fn terminal_at(
    dev: BorrowedFd<'_>,
    devpts: BorrowedFd<'_>,
    name: &str,
) -> Result<PseudoTerminal, Failure> {
    let terminal = PseudoTerminal::open(devpts).map_err(because("make a terminal"))?;
    let file = make_file(dev, name).map_err(because("make a file in /dev"))?;
    DetachedMount::bind(devpts, Path::new(&terminal.number.to_string()), false)
        .and_then(|slave| slave.attach(file.as_fd()))
        .map_err(because("mount a terminal"))?;
    Ok(terminal)
}

/// Makes the console init's terminal and gives the other ends to the monitor.
pub(super) fn open_console(terminals: Terminals, monitor: &Connection) -> Result<(), Failure> {
    // Init does not lead a session yet: its parent made it in its own.
    nix::unistd::setsid().map_err(|errno| because("make a session")(errno.into()))?;
    let mut ends = Vec::new();
    match &terminals.console {
        Some(console) => {
            tty::set_controlling(console.slave.as_fd())
                .map_err(because("make the console the terminal"))?;
            for number in 0..=2 {
                process::set_standard_stream(number, console.slave.as_fd())
                    .map_err(because("use the console"))?;
            }
            ends.extend([console.master.as_fd(), console.slave.as_fd()]);
        }
        None => {
            let null = std::fs::File::options()
                .read(true)
                .write(true)
                .open("/dev/null")
                .map_err(because("open /dev/null of the container"))?;
            for number in 0..=2 {
                process::set_standard_stream(number, null.as_fd())
                    .map_err(because("use /dev/null"))?;
            }
        }
    }
    for tty in &terminals.ttys {
        ends.extend([tty.master.as_fd(), tty.slave.as_fd()]);
    }
    // A packet carries only so many descriptors.
    for ends in ends.chunks(sync::DESCRIPTORS_PER_FRAME) {
        monitor
            .send(&sync::terminals(), ends)
            .map_err(|error| format!("cannot reach the monitor: {error}"))?;
    }
    monitor
        .send(&sync::ready(), &[])
        .map_err(|error| format!("cannot reach the monitor: {error}"))
}
