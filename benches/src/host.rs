//! A host of the measurement's own: namespaces in which an ordinary user has subordinate ids, a
//! delegated cgroup, a bridge and a quota for NICs. The machine itself keeps nothing of it.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use berth_cgroups::{CgroupDir, CgroupPath, Hierarchy};
use berth_common::{Gid, Uid, cgroup, path};
use berth_kernel::{cred, process, signal, signal::SignalQueue};
use berth_netlink::{Address, Bridge, LinkChange, Socket};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, wait};

use crate::binaries;
use crate::contender::Build;

/// The user who starts containers.
pub const USER: &str = "bench";
/// His uid and gid: high enough to be nobody's on the machine.
pub const ID: u32 = 59_731;
/// The first of his subordinate uids and gids.
pub const SUBID: u32 = 1_073_741_824;
/// How many he has.
pub const SUBIDS: u32 = 65_536;
/// The bridge that he may use.
pub const BRIDGE: &str = "benchbr0";
/// His delegated cgroup, as seen by the measurement.
pub const BASE: &str = "base";

/// Where the programs of a build are.
fn bin(build: Build) -> &'static Path {
    Path::new(match build {
        Build::Measured => "/run/berth-bench/bin",
        Build::Against => "/run/berth-bench/against",
    })
}

/// The host, seen from inside.
pub struct Host {
    home: PathBuf,
}

impl Host {
    /// The user's home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// His containers.
    pub fn lxcpath(&self) -> PathBuf {
        self.home.join(path::USER_LXCPATH)
    }

    /// One of [`binaries::NAMES`] as it was built.
    pub fn program(&self, build: Build, name: &str) -> PathBuf {
        bin(build).join(name)
    }

    /// A command in the environment of his login.
    pub fn as_user(&self, program: impl AsRef<Path>) -> Command {
        let mut command = self.command(program);
        command.uid(ID).gid(ID);
        command
    }

    /// A command of root's.
    pub fn as_root(&self, program: impl AsRef<Path>) -> Command {
        self.command(program)
    }

    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("HOME", &self.home)
            .env("USER", USER)
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("XDG_RUNTIME_DIR", runtime_dir())
            .current_dir(&self.home);
        command
    }
}

fn runtime_dir() -> String {
    format!("/run/user/{ID}")
}

/// Runs `body` in a host of its own and returns what it returned. A signal ends it early; what
/// the host had is removed in any case.
pub fn within(builds: &[(Build, PathBuf)], body: impl FnOnce(&Host) -> u8) -> Result<u8> {
    ensure!(
        cred::effective_uid().is_root(),
        "only root can make the namespaces of a measurement: run it with sudo"
    );
    let remains = Remains::make()?;
    let watched = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    let signals = SignalQueue::new(&watched).context("cannot watch signals")?;
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    let init = process::clone(namespaces, Some(remains.cgroup.as_fd()), || {
        init(&remains, builds, body).unwrap_or_else(|error| {
            eprintln!("berth-benches: {error:#}");
            1
        })
    })
    .context("cannot make namespaces")?;
    let mut fds = [
        PollFd::new(init.pidfd.as_fd(), PollFlags::POLLIN),
        PollFd::new(signals.as_fd(), PollFlags::POLLIN),
    ];
    while poll(&mut fds, PollTimeout::NONE) == Err(Errno::EINTR) {}
    // Nothing to end if it ended by itself.
    let _ = init.pidfd.signal(Signal::SIGKILL as i32);
    match init.pidfd.wait().context("cannot wait for the host")? {
        process::Exit::Code(code) => Ok(u8::try_from(code).unwrap_or(1)),
        process::Exit::Signal(_) => bail!("ended early by a signal"),
    }
}

/// What lies outside of the namespaces; removed when dropped.
struct Remains {
    scratch: PathBuf,
    parent: CgroupDir,
    cgroup: CgroupDir,
    name: String,
}

impl Remains {
    fn make() -> Result<Self> {
        let name = format!("berth-bench-{}", std::process::id());
        let scratch = std::env::temp_dir().join(&name);
        fs::create_dir(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
        fs::set_permissions(&scratch, fs::Permissions::from_mode(0o755))?;
        let made = || -> Result<(CgroupDir, CgroupDir)> {
            let parent = Hierarchy::detect()?.open(&CgroupPath::root())?;
            let cgroup = parent.make_child(&name)?;
            Ok((parent, cgroup))
        };
        match made() {
            Ok((parent, cgroup)) => Ok(Self {
                scratch,
                parent,
                cgroup,
                name,
            }),
            Err(error) => {
                // The first error is the one to tell.
                let _ = fs::remove_dir(&scratch);
                Err(error.context("the measurement needs a cgroup of its own"))
            }
        }
    }

    fn remove(&self) -> Result<()> {
        self.cgroup.kill()?;
        self.cgroup.wait_unpopulated(Duration::from_secs(10))?;
        self.parent.remove_tree(&self.name)?;
        fs::remove_dir_all(&self.scratch)?;
        Ok(())
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!(
                "berth-benches: cannot remove {} and the cgroup {}: {error:#}",
                self.scratch.display(),
                self.name
            );
        }
    }
}

/// Process 1 of the host: furnishes it, starts the body and reaps whatever falls to it.
fn init(
    remains: &Remains,
    builds: &[(Build, PathBuf)],
    body: impl FnOnce(&Host) -> u8,
) -> Result<u8> {
    process::set_parent_death_signal(Signal::SIGKILL as i32)?;
    signal::reset()?;
    process::unshare(CloneFlags::CLONE_NEWCGROUP).context("cannot make a cgroup namespace")?;
    let host = furnish(&remains.scratch, builds).context("cannot furnish the host")?;
    let worker = process::fork(|| body(&host)).context("cannot fork")?;
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if pid.as_raw() == worker.pid => {
                return Ok(u8::try_from(code).unwrap_or(1));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == worker.pid => {
                bail!("the measurement was ended by {signal}");
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => bail!("cannot wait for the measurement: {errno}"),
        }
    }
}

fn furnish(scratch: &Path, builds: &[(Build, PathBuf)]) -> Result<Host> {
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    for (kind, at) in [("proc", "/proc"), ("sysfs", "/sys")] {
        new_mount(kind, Path::new(at), "")?;
    }
    new_mount("cgroup2", Path::new("/sys/fs/cgroup"), "")?;
    let over = scratch.join("over");
    fs::create_dir(&over)?;
    new_mount("tmpfs", &over, "mode=0755")?;
    for dir in ["/etc", "/usr/share"] {
        lay_over(Path::new(dir), &over)?;
    }
    new_mount("tmpfs", Path::new("/run"), "mode=0755")?;
    let home = scratch.join("home");
    make_user(&home)?;
    for (build, dir) in builds {
        install(*build, dir)?;
    }
    delegate()?;
    make_bridge()?;
    Ok(Host { home })
}

fn new_mount(kind: &str, at: &Path, options: &str) -> Result<()> {
    let options = Some(options).filter(|options| !options.is_empty());
    mount(Some(kind), at, Some(kind), MsFlags::empty(), options)
        .with_context(|| format!("cannot mount {kind} at {}", at.display()))
}

/// Makes a directory of the machine writable without changing it.
fn lay_over(dir: &Path, over: &Path) -> Result<()> {
    let key = dir.display().to_string().replace('/', "-");
    let (upper, work) = (
        over.join(format!("upper{key}")),
        over.join(format!("work{key}")),
    );
    fs::create_dir(&upper)?;
    fs::create_dir(&work)?;
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        dir.display(),
        upper.display(),
        work.display()
    );
    new_mount("overlay", dir, &options)
}

fn make_user(home: &Path) -> Result<()> {
    let append = |file: &str, line: &str| -> Result<()> {
        let mut text = fs::read_to_string(file).unwrap_or_default();
        text.push_str(line);
        fs::write(file, text).with_context(|| format!("cannot write {file}"))
    };
    append(
        "/etc/passwd",
        &format!("{USER}:x:{ID}:{ID}::{}:/bin/sh\n", home.display()),
    )?;
    append("/etc/group", &format!("{USER}:x:{ID}:\n"))?;
    for file in ["/etc/subuid", "/etc/subgid"] {
        fs::write(file, format!("{USER}:{SUBID}:{SUBIDS}\n"))?;
    }
    let usernet = Path::new(path::USERNET);
    fs::create_dir_all(usernet.parent().unwrap_or(Path::new("/etc")))?;
    fs::write(usernet, format!("{USER} veth {BRIDGE} 10\n"))?;
    let runtime = PathBuf::from(runtime_dir());
    fs::create_dir_all(&runtime)?;
    fs::create_dir(home)?;
    // LXC and crun walk to the root directory as the container's root, so others may enter.
    for (dir, mode) in [(home, 0o755), (&runtime, 0o700)] {
        chown(dir, Some(ID), Some(ID))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn install(build: Build, from: &Path) -> Result<()> {
    fs::create_dir_all(bin(build))?;
    for name in binaries::NAMES {
        let to = bin(build).join(name);
        fs::copy(from.join(name), &to)?;
        let mode = if name == "berth" { 0o755 } else { 0o4755 };
        fs::set_permissions(&to, fs::Permissions::from_mode(mode))?;
    }
    fs::create_dir_all(path::CONFIG_SNIPPET_DIR)?;
    let user = include_str!("../../config/user.conf");
    fs::write(path::USER_SNIPPET, user)?;
    Ok(())
}

/// The caller and all that come after it sit in the leaf of the user's delegated cgroup.
fn delegate() -> Result<()> {
    let user = (
        Uid::new(ID).context("the uid is invalid")?,
        Gid::new(ID).context("the gid is invalid")?,
    );
    let top = Hierarchy::at("/sys/fs/cgroup")?.open(&CgroupPath::root())?;
    let base = top.make_child(BASE)?;
    let leaf = base.make_child(cgroup::LEAF)?;
    leaf.move_self()?;
    for dir in [&top, &base] {
        dir.enable_available_controllers()?;
    }
    base.delegate_to(user.0, user.1)?;
    leaf.delegate_to(user.0, user.1)?;
    Ok(())
}

fn make_bridge() -> Result<()> {
    let mut socket = Socket::open()?;
    let lo = socket.link(&"lo".parse()?)?;
    socket.change_link(lo.index, &LinkChange::new().up(true))?;
    let name = BRIDGE.parse()?;
    socket.create_bridge(&Bridge {
        name: &name,
        mac: None,
        mtu: None,
    })?;
    let bridge = socket.link(&name)?;
    let address = Address::new("10.233.0.1".parse()?, 24)?;
    socket.add_address(bridge.index, &address)?;
    socket.change_link(bridge.index, &LinkChange::new().up(true))?;
    Ok(())
}
