//! A private host: namespaces in which an ordinary user has subordinate ids, a delegated cgroup, a
//! bridge and a quota for NICs, and `berth` is installed. The machine itself keeps nothing of it.
#![forbid(unsafe_code)]

mod alone;

pub use alone::ran_alone;

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

/// The user who starts containers.
pub const USER: &str = "carol";
/// His uid and gid: high enough to be nobody's on the machine.
pub const ID: u32 = 59_731;
/// The first of his subordinate uids and gids.
pub const SUBID: u32 = 1_073_741_824;
/// How many he has.
pub const SUBIDS: u32 = 65_536;
/// The bridge that he may use.
pub const BRIDGE: &str = "testbr0";
/// The bridge's address.
pub const BRIDGE_ADDRESS: &str = "10.233.0.1";
/// His delegated cgroup, below the root of the hierarchy as the host sees it.
pub const BASE: &str = "base";

/// The programs that are installed.
pub const PROGRAMS: [&str; 2] = ["berth", "berth-usernic"];
/// One that is installed if it has been built: only policies of system calls need it.
const COMPILER: &str = "berth-seccomp";

/// What a host is to have.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Directories of the machine with [`PROGRAMS`], and where each is installed on the host. The
    /// first is where commands are looked for.
    pub programs: Vec<(PathBuf, PathBuf)>,
    /// The mode of the user's home.
    pub home_mode: u32,
    /// What there is of control groups.
    pub cgroups: Cgroups,
    /// Whether there is [`BRIDGE`].
    pub bridge: bool,
}

/// What a host has of control groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cgroups {
    /// The user sits in the leaf of a delegated one with all controllers.
    #[default]
    Delegated,
    /// The same beside version 1, which has the controllers.
    Hybrid,
    /// Version 2, of which nothing is the user's.
    NotDelegated,
    /// None at all.
    None,
}

impl Setup {
    /// Programs from one directory, a home that is the user's alone.
    pub fn of_programs(dir: impl Into<PathBuf>) -> Self {
        Self {
            programs: vec![(dir.into(), "/run/berth-test/bin".into())],
            home_mode: 0o700,
            cgroups: Cgroups::default(),
            bridge: true,
        }
    }
}

/// The host, seen from inside.
pub struct Host {
    home: PathBuf,
    path: String,
    nic_helper: Option<PathBuf>,
    compiler: Option<PathBuf>,
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
            .env("PATH", &self.path)
            .env("XDG_RUNTIME_DIR", runtime_dir())
            .current_dir(&self.home);
        if let Some(helper) = &self.nic_helper {
            command.env("BERTH_USERNIC", helper);
        }
        if let Some(compiler) = &self.compiler {
            command.env("BERTH_SECCOMP", compiler);
        }
        command
    }
}

fn runtime_dir() -> String {
    format!("/run/user/{ID}")
}

/// Runs `body` in a host of its own and returns what it returned. A signal ends it early; what
/// the host had is removed in any case.
///
/// The calling process must have one thread only.
pub fn within(setup: &Setup, body: impl FnOnce(&Host) -> u8) -> Result<u8> {
    ensure!(
        cred::effective_uid().is_root(),
        "only root can make the namespaces of a private host: run it with sudo"
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
        init(&remains, setup, body).unwrap_or_else(|error| {
            eprintln!("private host: {error:#}");
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
        let name = format!("berth-private-{}", std::process::id());
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
                Err(error.context("the private host needs a cgroup of its own"))
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
                "private host: cannot remove {} and the cgroup {}: {error:#}",
                self.scratch.display(),
                self.name
            );
        }
    }
}

/// Process 1 of the host: furnishes it, starts the body and reaps whatever falls to it.
fn init(remains: &Remains, setup: &Setup, body: impl FnOnce(&Host) -> u8) -> Result<u8> {
    process::set_parent_death_signal(Signal::SIGKILL as i32)?;
    signal::reset()?;
    process::unshare(CloneFlags::CLONE_NEWCGROUP).context("cannot make a cgroup namespace")?;
    let host = furnish(&remains.scratch, setup).context("cannot furnish the host")?;
    let worker = process::fork(|| body(&host)).context("cannot fork")?;
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if pid.as_raw() == worker.pid => {
                return Ok(u8::try_from(code).unwrap_or(1));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == worker.pid => {
                bail!("the body was ended by {signal}");
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => bail!("cannot wait for the body: {errno}"),
        }
    }
}

fn furnish(scratch: &Path, setup: &Setup) -> Result<Host> {
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    for (kind, at) in [("proc", "/proc"), ("sysfs", "/sys")] {
        new_mount(kind, Path::new(at), "")?;
    }
    mount_cgroups(setup.cgroups)?;
    let over = scratch.join("over");
    fs::create_dir(&over)?;
    new_mount("tmpfs", &over, "mode=0755")?;
    for dir in ["/etc", "/usr/share"] {
        lay_over(Path::new(dir), &over)?;
    }
    // What the machine's administrator says about containers does not count here.
    fs::create_dir_all("/etc/lxc")?;
    for dir in ["/run", "/var/lib", "/etc/lxc"] {
        new_mount("tmpfs", Path::new(dir), "mode=0755")?;
    }
    let home = scratch.join("home");
    make_user(&home, setup.home_mode)?;
    for (from, to) in &setup.programs {
        install(from, to)?;
    }
    install_snippets()?;
    delegate(setup.cgroups)?;
    make_bridge(setup.bridge)?;
    let system = "/usr/bin:/bin:/usr/sbin:/sbin";
    let programs = setup.programs.first().map(|(_, at)| at.as_path());
    Ok(Host {
        home,
        path: match programs {
            Some(at) => format!("{}:{system}", at.display()),
            None => system.to_owned(),
        },
        nic_helper: programs.map(|at| at.join("berth-usernic")),
        compiler: programs.map(|at| at.join(COMPILER)),
    })
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

fn make_user(home: &Path, home_mode: u32) -> Result<()> {
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
    for (dir, mode) in [(home, home_mode), (&runtime, 0o700)] {
        chown(dir, Some(ID), Some(ID))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn install(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let compiler = from.join(COMPILER).exists().then_some(COMPILER);
    for name in PROGRAMS.into_iter().chain(compiler) {
        let program = to.join(name);
        fs::copy(from.join(name), &program)
            .with_context(|| format!("cannot install {name} from {}", from.display()))?;
        let mode = if name == "berth-usernic" {
            0o4755
        } else {
            0o755
        };
        fs::set_permissions(&program, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// What configurations include.
fn install_snippets() -> Result<()> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    copy_files(&from, Path::new(path::CONFIG_SNIPPET_DIR))?;
    copy_files(&from.join("lxc"), Path::new(path::OWN_LXC_SNIPPET_DIR))
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn mount_cgroups(cgroups: Cgroups) -> Result<()> {
    let top = Path::new("/sys/fs/cgroup");
    match cgroups {
        Cgroups::Delegated | Cgroups::NotDelegated => new_mount("cgroup2", top, ""),
        Cgroups::Hybrid => {
            new_mount("tmpfs", top, "mode=0755")?;
            let unified = top.join("unified");
            fs::create_dir(&unified)?;
            new_mount("cgroup2", &unified, "")
        }
        Cgroups::None => new_mount("tmpfs", top, "mode=0755"),
    }
}

/// The caller and all that come after it sit in the leaf of the user's delegated cgroup, if there
/// is to be one.
fn delegate(cgroups: Cgroups) -> Result<()> {
    let mount_point = match cgroups {
        Cgroups::Delegated => "/sys/fs/cgroup",
        Cgroups::Hybrid => "/sys/fs/cgroup/unified",
        Cgroups::NotDelegated | Cgroups::None => return Ok(()),
    };
    let user = (
        Uid::new(ID).context("the uid is invalid")?,
        Gid::new(ID).context("the gid is invalid")?,
    );
    let top = Hierarchy::at(mount_point)?.open(&CgroupPath::root())?;
    let base = top.make_child(BASE)?;
    let leaf = base.make_child(cgroup::LEAF)?;
    leaf.move_self()?;
    if cgroups == Cgroups::Delegated {
        for dir in [&top, &base] {
            dir.enable_available_controllers()?;
        }
    }
    base.delegate_to(user.0, user.1)?;
    leaf.delegate_to(user.0, user.1)?;
    Ok(())
}

fn make_bridge(bridge: bool) -> Result<()> {
    let mut socket = Socket::open()?;
    let lo = socket.link(&"lo".parse()?)?;
    socket.change_link(lo.index, &LinkChange::new().up(true))?;
    if !bridge {
        return Ok(());
    }
    let name = BRIDGE.parse()?;
    socket.create_bridge(&Bridge {
        name: &name,
        mac: None,
        mtu: None,
        vlan_filtering: false,
    })?;
    let bridge = socket.link(&name)?;
    let address = Address::new(BRIDGE_ADDRESS.parse()?, 24)?;
    socket.add_address(bridge.index, &address)?;
    socket.change_link(bridge.index, &LinkChange::new().up(true))?;
    Ok(())
}
