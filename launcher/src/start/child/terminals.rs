//! The container's terminals: its devpts, its console and `/dev/ttyN`.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use berth_common::Uid;
use berth_kernel::fs::{self, Resolve};
use berth_kernel::mount::{Attributes, DetachedMount};
use berth_kernel::process;
use berth_kernel::tty::{self, PseudoTerminal};
use berth_session_protocol::Connection;
use nix::fcntl::OFlag;

use super::super::plan::StartPlan;
use super::super::sync;
use super::beneath::{Failure, because, make_all, make_dir, make_file, open_beneath};

/// The group that terminals belong to (Debian's `tty`), where the container has it.
const TTY_GROUP: u32 = 5;

/// The terminals whose other ends are the monitor's: the console first, then /dev/tty1 and on.
pub(super) struct Terminals {
    console: Option<PseudoTerminal>,
    ttys: Vec<PseudoTerminal>,
}

/// Mounts them. They come after the mounts of the configuration, as LXC has it, so that one of
/// the host's console is covered.
pub(super) fn mount_terminals(
    plan: &StartPlan,
    root: BorrowedFd<'_>,
) -> Result<Terminals, Failure> {
    let dev = Path::new("dev");
    let dev = match open_beneath(root, dev) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_all(root, dev, true),
        other => other,
    };
    let dev = dev.map_err(because("open /dev of the container"))?;
    let dev = dev.as_fd();
    let devpts = mount_devpts(plan, dev)?;
    let devpts = devpts.as_fd();
    let subdir = plan.tty_dir.as_deref();
    let place = match subdir {
        Some(subdir) => make_all(dev, subdir, true).map_err(because("make lxc.tty.dir in /dev"))?,
        None => dev.try_clone_to_owned().map_err(because("use /dev"))?,
    };
    let terminal = |name: &str| -> Result<PseudoTerminal, Failure> {
        let terminal = PseudoTerminal::open(devpts).map_err(because("make a terminal"))?;
        show(&terminal, devpts, place.as_fd(), name).map_err(because("mount a terminal"))?;
        // A package that replaces /dev/console inside replaces a link only.
        if let Some(subdir) = subdir {
            link(&terminal, devpts, dev, name, &subdir.join(name))
                .map_err(because("make a link in /dev"))?;
        }
        Ok(terminal)
    };
    let console = match plan.console.exists {
        true => Some(terminal("console")?),
        false => None,
    };
    if let (Some(console), true) = (&console, plan.process.uid != Uid::ROOT) {
        // Who opens it again by its name needs the rights, whatever is inherited.
        let owner = Some(nix::unistd::Uid::from_raw(plan.process.uid.raw()));
        nix::unistd::fchown(&console.slave, owner, None)
            .map_err(|errno| because("give init's user the console")(errno.into()))?;
    }
    let ttys = (1..=plan.tty_max).map(|number| terminal(&format!("tty{number}")));
    Ok(Terminals {
        console,
        ttys: ttys.collect::<Result<_, _>>()?,
    })
}

fn mount_devpts(plan: &StartPlan, dev: BorrowedFd<'_>) -> Result<DetachedMount, Failure> {
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
    // A device of that name finds the devpts beside it; where there is none, a link leads there.
    if !plan.autodev {
        match nix::unistd::symlinkat("pts/ptmx", dev, "ptmx") {
            Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
            Err(errno) => return Err(because("make /dev/ptmx")(errno.into())),
        }
    }
    Ok(devpts)
}

/// Lets a terminal stand at a name of `/dev`, over what stands there. A link there is replaced.
fn show(
    terminal: &PseudoTerminal,
    devpts: BorrowedFd<'_>,
    dev: BorrowedFd<'_>,
    name: &str,
) -> io::Result<()> {
    let file = match make_file(dev, name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => existing(dev, name)?,
        other => other?,
    };
    DetachedMount::bind(devpts, Path::new(&terminal.number.to_string()), false)
        .and_then(|slave| slave.attach(file.as_fd()))
}

fn existing(dev: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
    let is_link = fs::status_at(dev, OsStr::new(name))?.is_symlink();
    if is_link {
        fs::unlink_at(dev, OsStr::new(name))?;
        return make_file(dev, name);
    }
    let resolve = Resolve::IN_ROOT | Resolve::NO_SYMLINKS;
    fs::openat2(dev, Path::new(name), OFlag::O_PATH, 0, resolve)
}

/// Lets a link lead to a terminal; where something is mounted in its place, the terminal stands
/// over that.
fn link(
    terminal: &PseudoTerminal,
    devpts: BorrowedFd<'_>,
    dev: BorrowedFd<'_>,
    name: &str,
    target: &Path,
) -> io::Result<()> {
    let make = || nix::unistd::symlinkat(target, dev, name).map_err(io::Error::from);
    match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            match fs::unlink_at(dev, OsStr::new(name)) {
                Ok(()) => make(),
                Err(_) => show(terminal, devpts, dev, name),
            }
        }
        other => other,
    }
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
