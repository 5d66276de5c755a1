//! A container from inside: from its first process to init, top to bottom.
//!
//! The first process is born with the container's user and pid namespaces. It still has its
//! owner's uid, so his files (homes of mode 0700 too) can be reached, and all capabilities in its
//! own user namespace. While its ids are being mapped, which takes two programs and milliseconds,
//! it makes the other namespaces and takes hold of everything that is the owner's to reach; then
//! it becomes the container's root, which can reach nothing of his.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use berth_common::{Gid, Uid};
use berth_container_config::Personality;
use berth_kernel::fs::{self, Resolve};
use berth_kernel::mount::{self, Attributes, DetachedMount, Propagation};
use berth_kernel::tty::{self, PseudoTerminal};
use berth_kernel::{cred, process, signal};
use berth_session_protocol::Connection;
use nix::fcntl::{AT_FDCWD, OFlag};

use super::network;
use super::plan::{AutoMount, Create, MountPlan, MountSource, StartPlan};
use super::sync;
use crate::error::Plain;
use crate::mapped::explain_no_user_namespace;

/// The devices that every container has, by name below /dev.
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];
/// Links below /dev and what they lead to.
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// Below /proc: what reaches beyond the container and is read-only in `proc:mixed`.
const PROC_READ_ONLY: [&str; 2] = ["sys", "sysrq-trigger"];
/// The group that terminals belong to (Debian's `tty`), where the container has it.
const TTY_GROUP: u32 = 5;
const NO_PROGRAMS: Attributes = Attributes::NO_SUID;

/// What failed, for the person who started the container.
type Failure = String;

/// The first process of a container. Returns only if something failed, after having told so.
pub fn run(plan: &StartPlan, monitor: Connection) -> u8 {
    let failure = match set_up(plan, &monitor) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    // If the monitor is gone there is nobody to tell.
    let _ = monitor.send(&sync::failed(&failure), &[]);
    1
}

fn set_up(plan: &StartPlan, monitor: &Connection) -> Result<std::convert::Infallible, Failure> {
    // The monitor's descriptors lead to the host, and paths of the container are going to be
    // followed: /proc/self/fd/N must lead nowhere (CVE-2024-21626).
    process::close_others(&[monitor.as_fd()]).map_err(because("close descriptors"))?;
    isolate(plan)?;
    monitor
        .send(&sync::isolated(), &[])
        .map_err(|error| format!("cannot reach the monitor: {error}"))?;
    mount::set_all_propagation(Propagation::Private).map_err(because("make mounts private"))?;
    let held = Held::take(plan)?;
    held.rootfs
        .attach_at(&plan.rootfs)
        .map_err(because_of("mount the root directory at", &plan.rootfs))?;
    nix::unistd::sethostname(OsStr::new(&*plan.hostname.to_string_lossy()))
        .map_err(|errno| because("set the host name")(errno.into()))?;
    let mut network = match plan.host_network {
        true => None,
        false => Some(network::set_up_loopback()?),
    };

    let nics = sync::wait_for_go(monitor)?;
    become_root(plan)?;
    process::set_parent_death_signal(plan.pdeath_signal)
        .map_err(because("ask for a signal at the monitor's end"))?;
    if let Some(network) = &mut network {
        network::configure(network, &plan.nets, &nics)?;
    }

    let root = held.rootfs.as_fd();
    mount_proc(plan, root)?;
    mount_sys(plan, root, held.host_sys.as_ref())?;
    let terminals = mount_dev(plan, root, &held.devices)?;
    for (entry, bind) in plan.mounts.iter().zip(held.binds) {
        mount_entry(entry, bind, root)?;
    }
    mount::pivot_into(root).map_err(because("make the root directory the root"))?;

    confine(plan)?;
    open_console(terminals, monitor)?;
    nix::unistd::chdir(&plan.cwd)
        .map_err(|errno| because_of("change to directory", &plan.cwd)(errno.into()))?;
    signal::reset().map_err(because("reset signals"))?;
    process::mark_close_on_exec(3).map_err(because("close descriptors"))?;
    let program = Path::new(OsStr::new(
        plan.init
            .first()
            .ok_or("lxc.init.cmd names no program")?
            .to_str()
            .map_err(|_| "init's path is not UTF-8".to_owned())?,
    ));
    let error = process::exec(program, &plan.init, &plan.environment);
    Err(match error.raw_os_error() {
        Some(2) => format!(
            "there is no {} in the container, or the interpreter it names is missing \
             (lxc.init.cmd says which program is init)",
            program.display()
        ),
        _ => because_of("execute", program)(error),
    })
}

/// Makes the namespaces that the process was not born with. They belong to its user namespace; its
/// cgroup, where it was born, is the root of its cgroup namespace.
fn isolate(plan: &StartPlan) -> Result<(), Failure> {
    process::unshare(plan.own_namespaces()).map_err(|error| match error.raw_os_error() {
        // A user namespace without rights in it is what AppArmor leaves of a forbidden one.
        Some(nix::libc::EPERM | nix::libc::EACCES) if !plan.idmap.is_empty() => {
            explain_no_user_namespace(error).to_string()
        }
        Some(nix::libc::ENOSPC) => "cannot make the container's namespaces: one of the limits \
             user.max_…_namespaces is reached (sysctl user)"
            .to_owned(),
        _ => because("make the container's namespaces")(error),
    })
}

/// What the owner can reach and the container's root cannot.
struct Held {
    rootfs: DetachedMount,
    devices: Vec<(&'static str, DetachedMount)>,
    /// Beside each mount entry: its source if that is a bind; the failure of an optional one is
    /// `None` as well.
    binds: Vec<Option<DetachedMount>>,
    /// The host's /sys, for a container in the host's network: a new one is refused there.
    host_sys: Option<DetachedMount>,
}

impl Held {
    fn take(plan: &StartPlan) -> Result<Self, Failure> {
        let rootfs = DetachedMount::bind(AT_FDCWD, &plan.rootfs, true)
            .map_err(because_of("open the root directory", &plan.rootfs))?;
        let mut devices = Vec::new();
        if plan.autodev {
            for name in DEVICES {
                let path = Path::new("/dev").join(name);
                let device = DetachedMount::bind(AT_FDCWD, &path, false)
                    .map_err(because_of("open device", &path))?;
                devices.push((name, device));
            }
        }
        let mut binds = Vec::new();
        for entry in &plan.mounts {
            let bind = match &entry.source {
                // A source in the container is the container's to reach, and to misguide.
                MountSource::New { .. } | MountSource::BindWithin { .. } => None,
                MountSource::Bind { path, recursive } => {
                    match DetachedMount::bind(AT_FDCWD, path, *recursive) {
                        Ok(bind) => Some(bind),
                        Err(_) if entry.optional => None,
                        Err(error) => return Err(bind_failure(entry, path, *recursive, &error)),
                    }
                }
            };
            binds.push(bind);
        }
        let host_sys = if plan.host_network && plan.sys != AutoMount::No {
            let sys = DetachedMount::bind(AT_FDCWD, Path::new("/sys"), true);
            Some(sys.map_err(because("open /sys"))?)
        } else {
            None
        };
        Ok(Self {
            rootfs,
            devices,
            binds,
            host_sys,
        })
    }
}

fn bind_failure(entry: &MountPlan, path: &Path, recursive: bool, error: &io::Error) -> Failure {
    let hint = if error.raw_os_error() == Some(22) && !recursive {
        " (something is mounted below it: use rbind)"
    } else {
        ""
    };
    format!(
        "{}: cannot bind {}: {}{hint}",
        entry.at,
        path.display(),
        Plain(error)
    )
}

fn become_root(plan: &StartPlan) -> Result<(), Failure> {
    if plan.idmap.is_empty() {
        return Ok(());
    }
    cred::set_groups(&[]).map_err(because("clear supplementary groups"))?;
    cred::set_all_gids(Gid::ROOT).map_err(because("become group 0 of the container"))?;
    cred::set_all_uids(Uid::ROOT).map_err(because("become root of the container"))?;
    // Until exec nobody in the container may look into this process. (Not earlier: newuidmap
    // serves only a process whose /proc entry is its caller's.)
    process::set_dumpable(false).map_err(because("protect the process"))
}

fn mount_proc(plan: &StartPlan, root: BorrowedFd<'_>) -> Result<(), Failure> {
    if plan.proc == AutoMount::No {
        return Ok(());
    }
    let attributes = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
    let new = DetachedMount::new(c"proc", Some(c"proc"), &[], attributes)
        .map_err(because("mount /proc"))?;
    attach(&new, root, "proc")?;
    if plan.proc == AutoMount::ReadWrite {
        return Ok(());
    }
    let proc_root = new.as_fd();
    // The network's switches are the container's own and stay writable.
    let net = DetachedMount::bind(proc_root, Path::new("sys/net"), false);
    for path in PROC_READ_ONLY {
        let part = match DetachedMount::bind(proc_root, Path::new(path), false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(because("protect /proc"))?,
        };
        part.set_attributes(Attributes::READ_ONLY, false)
            .map_err(because("protect /proc"))?;
        let target = open_beneath(proc_root, Path::new(path)).map_err(because("protect /proc"))?;
        part.attach(target.as_fd())
            .map_err(because("protect /proc"))?;
    }
    if let Ok(net) = net {
        let target = open_beneath(proc_root, Path::new("sys/net"))
            .map_err(because("mount /proc/sys/net"))?;
        net.attach(target.as_fd())
            .map_err(because("mount /proc/sys/net"))?;
    }
    Ok(())
}

fn mount_sys(
    plan: &StartPlan,
    root: BorrowedFd<'_>,
    host_sys: Option<&DetachedMount>,
) -> Result<(), Failure> {
    if plan.sys == AutoMount::No {
        return Ok(());
    }
    let attributes = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
    let new;
    let sys = match host_sys {
        Some(host) => {
            host.set_attributes(attributes | read_only(plan.sys), true)
                .map_err(because("protect /sys"))?;
            host
        }
        None => {
            new = DetachedMount::new(c"sysfs", Some(c"sysfs"), &[], attributes)
                .map_err(because("mount /sys"))?;
            &new
        }
    };
    attach(sys, root, "sys")?;
    if plan.sys != AutoMount::ReadWrite {
        let net = DetachedMount::bind(sys.as_fd(), Path::new("devices/virtual/net"), false);
        sys.set_attributes(Attributes::READ_ONLY, false)
            .map_err(because("protect /sys"))?;
        if let (AutoMount::Mixed, Ok(net)) = (plan.sys, net) {
            open_beneath(sys.as_fd(), Path::new("devices/virtual/net"))
                .and_then(|target| net.attach(target.as_fd()))
                .map_err(because("mount /sys/devices/virtual/net"))?;
        }
    }
    mount_cgroup(plan.cgroup_mount, sys.as_fd())
}

fn read_only(how: AutoMount) -> Attributes {
    match how {
        AutoMount::ReadWrite => Attributes::NONE,
        _ => Attributes::READ_ONLY,
    }
}

/// The container sees its own cgroup as the root of the hierarchy, where the host has one.
fn mount_cgroup(how: AutoMount, sys: BorrowedFd<'_>) -> Result<(), Failure> {
    if how == AutoMount::No {
        return Ok(());
    }
    let Ok(target) = open_beneath(sys, Path::new("fs/cgroup")) else {
        return Ok(());
    };
    let mut attributes = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
    if how == AutoMount::ReadOnly {
        attributes |= Attributes::READ_ONLY;
    }
    match DetachedMount::new(c"cgroup2", Some(c"cgroup2"), &[], attributes) {
        Ok(cgroup) => cgroup
            .attach(target.as_fd())
            .map_err(because("mount the cgroup")),
        // A kernel or host without cgroup v2 that this container could see.
        Err(_) => Ok(()),
    }
}

/// The terminals whose other ends are the monitor's: the console first, then /dev/tty1 and on.
struct Terminals {
    console: Option<PseudoTerminal>,
    ttys: Vec<PseudoTerminal>,
}

fn mount_dev(
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
    let options: [(&CStr, Option<&CStr>); 2] =
        [(c"size", Some(c"500000")), (c"mode", Some(c"755"))];
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

fn mount_terminals(plan: &StartPlan, dev: BorrowedFd<'_>) -> Result<Terminals, Failure> {
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
fn terminal_at(
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

fn mount_entry(
    entry: &MountPlan,
    bind: Option<DetachedMount>,
    root: BorrowedFd<'_>,
) -> Result<(), Failure> {
    let result = try_mount_entry(entry, bind, root);
    match result {
        Err(_) if entry.optional => Ok(()),
        other => other.map_err(|error| {
            format!(
                "{}: cannot mount {}: {}",
                entry.at,
                entry.target.display(),
                Plain(&error)
            )
        }),
    }
}

fn try_mount_entry(
    entry: &MountPlan,
    bind: Option<DetachedMount>,
    root: BorrowedFd<'_>,
) -> io::Result<()> {
    let mount = match (&entry.source, bind) {
        (MountSource::Bind { .. }, None) => return Ok(()), // optional, and not to be had
        (MountSource::Bind { recursive, .. }, Some(bind)) => {
            if !entry.attributes.is_empty() {
                bind.set_attributes(entry.attributes, *recursive)?;
            }
            bind
        }
        (MountSource::BindWithin { path, recursive }, _) => {
            let source = open_beneath(root, path)?;
            let bind = DetachedMount::bind(source.as_fd(), Path::new(""), *recursive)?;
            if !entry.attributes.is_empty() {
                bind.set_attributes(entry.attributes, *recursive)?;
            }
            bind
        }
        (
            MountSource::New {
                kind,
                source,
                options,
            },
            _,
        ) => {
            let options: Vec<(&CStr, Option<&CStr>)> = options
                .iter()
                .map(|(key, value)| (key.as_c_str(), value.as_deref()))
                .collect();
            DetachedMount::new(kind, Some(source), &options, entry.attributes)?
        }
    };
    let target = match open_beneath(root, &entry.target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match entry.create {
            Create::No => return Err(error),
            Create::Directory => make_all(root, &entry.target, true)?,
            Create::File => make_all(root, &entry.target, false)?,
        },
        other => other?,
    };
    mount.attach(target.as_fd())?;
    match entry.propagation {
        Some((propagation, recursive)) => mount.set_propagation(propagation, recursive),
        None => Ok(()),
    }
}

/// Makes a path below `root` step by step; links on the way lead nowhere but below `root`.
fn make_all(root: BorrowedFd<'_>, path: &Path, directory: bool) -> io::Result<OwnedFd> {
    let mut at = root.try_clone_to_owned()?;
    let mut parts = path
        .components()
        .filter_map(|part| match part {
            std::path::Component::Normal(name) => Some(name),
            _ => None,
        })
        .peekable();
    let mut done = std::path::PathBuf::new();
    while let Some(name) = parts.next() {
        done.push(name);
        at = match open_beneath(root, &done) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if parts.peek().is_none() && !directory {
                    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
                    let mode = nix::sys::stat::Mode::from_bits_truncate(0o644);
                    nix::fcntl::openat(&at, name, flags | OFlag::O_CLOEXEC, mode)?
                } else {
                    fs::make_dir_at(at.as_fd(), name, 0o755)?.0
                }
            }
            other => other?,
        };
    }
    Ok(at)
}

/// Takes away what nobody in the container may have; the same for init and for commands.
pub fn confine(plan: &StartPlan) -> Result<(), Failure> {
    process::leave_session_keyring().map_err(because("make a session keyring"))?;
    cred::drop_from_bounding_set(plan.dropped_capabilities)
        .map_err(because("drop capabilities"))?;
    if plan.personality == Some(Personality::Linux32) {
        process::set_personality_32_bit().map_err(because("set the architecture"))?;
    }
    if plan.no_new_privs {
        cred::set_no_new_privs().map_err(because("set no_new_privs"))?;
    }
    Ok(())
}

/// Makes the console init's terminal and gives the other ends to the monitor.
fn open_console(terminals: Terminals, monitor: &Connection) -> Result<(), Failure> {
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

/// Opens something below `root`; links lead nowhere but below it.
fn open_beneath(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let path = path.strip_prefix("/").unwrap_or(path);
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    fs::openat2(
        root,
        path,
        OFlag::O_PATH,
        0,
        Resolve::IN_ROOT | Resolve::NO_MAGICLINKS,
    )
}

/// Attaches a mount at a directory of the container, made if it is missing.
fn attach(mount: &DetachedMount, root: BorrowedFd<'_>, name: &'static str) -> Result<(), Failure> {
    let target = match open_beneath(root, Path::new(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_all(root, Path::new(name), true)
        }
        other => other,
    };
    target
        .and_then(|target| mount.attach(target.as_fd()))
        .map_err(|error| format!("cannot mount /{name} of the container: {}", Plain(&error)))
}

fn make_file(dir: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::openat(
        dir,
        name,
        flags,
        nix::sys::stat::Mode::from_bits_truncate(0o666),
    )?)
}

fn make_dir(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Failure> {
    match fs::make_dir_at(dir, OsStr::new(name), 0o755) {
        Ok((made, _)) => Ok(made),
        Err(error) => Err(format!("cannot make /dev/{name}: {}", Plain(&error))),
    }
}

fn because(what: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| format!("cannot {what}: {}", Plain(&error))
}

fn because_of<'path>(
    what: &'static str,
    path: &'path Path,
) -> impl Fn(io::Error) -> Failure + 'path {
    move |error| format!("cannot {what} {}: {}", path.display(), Plain(&error))
}
