//! One run of the guest's kernel: from power on to power off.

use crate::command::wait;
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// The guest's address, in a network of its own.
pub const GUEST_ADDRESS: &str = "192.0.2.2";
/// The machine's end of that network; it exists only in the guest's network namespace.
pub const MACHINE_ADDRESS: &str = "192.0.2.1";

/// Init of the guest's own pid and network namespace. Its standard input is held open by the
/// test process: when that ends in whatever way, the power is cut and with this script every
/// process of the namespaces, the tap device and the network are gone.
const SUPERVISOR: &str = r#"
set -eu
exec 3<&0 </dev/null
ip link set lo up
ip tuntap add tap0 mode tap
ip address add "$1/24" dev tap0
ip link set tap0 up
cpu=$2
shift 2
taskset --cpu-list "$cpu" linux.uml "$@" >>console.log 2>&1 4>>journal.log 3<&- &
uml=$!
{ cat <&3 >/dev/null; kill -KILL $uml 2>/dev/null; } &
wait $uml
"#;

/// A running kernel.
#[derive(Debug)]
pub(crate) struct Guest {
    /// `unshare`, the parent of the namespaces' init.
    child: Child,
    power: Option<ChildStdin>,
}

/// What the kernel is told.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// Directory of disk, console and sockets.
    pub(crate) dir: PathBuf,
    /// The image below the copy-on-write disk.
    pub(crate) base: PathBuf,
    /// Memory in MiB.
    pub(crate) memory: u32,
    /// The one processor that it runs on. The kernel and the programs in it are processes that take
    /// turns at every system call: on two processors each turn waits for the other to wake up, and
    /// everything takes twice as long.
    pub(crate) processor: usize,
    /// More words for the kernel's command line.
    pub(crate) arguments: Vec<String>,
}

impl Guest {
    /// Turns the power on; `more` goes to the kernel's command line too.
    pub(crate) fn start(machine: &Machine, more: &[&str]) -> Result<Self> {
        check_prerequisites()?;
        // Where the kernel of an earlier boot has left its pid, which means nothing by now.
        drop(fs::remove_dir_all(machine.dir.join("guest")));
        let disk = format!("ubd0t=disk.cow,{}", machine.base.display());
        let memory = format!("mem={}M", machine.memory);
        let mut child = Command::new("unshare")
            .args([
                "--net",
                "--pid",
                "--fork",
                "--kill-child=KILL",
                "sh",
                "-c",
                SUPERVISOR,
            ])
            .args(["guest", MACHINE_ADDRESS, &machine.processor.to_string()])
            .args([&memory, &disk, "root=/dev/ubda", "rw", "noreboot"])
            .args(["umid=guest", "uml_dir=./", "eth0=tuntap,tap0"])
            .args(["con=null", "con0=null,fd:1", "ssl=null", "ssl0=null,fd:4"])
            .args(["init=/sbin/init", "lsm=yama,apparmor", "apparmor=1"])
            .args(more)
            .args(&machine.arguments)
            .current_dir(&machine.dir)
            .env("TMPDIR", memory_dir(machine))
            // Ctrl-C on the terminal is for the test process; the guest ends with it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(machine.dir.join("supervisor.log"))?)
            .spawn()
            .context("cannot run unshare")?;
        let power = child.stdin.take();
        Ok(Self { child, power })
    }

    /// The way into the guest's network and pid namespaces.
    pub(crate) fn namespaces(&self) -> Namespaces {
        Namespaces(self.child.id())
    }

    /// Waits until the guest has powered itself off.
    pub(crate) fn wait_off(&mut self, limit: Duration) -> Result<()> {
        match wait(&mut self.child, limit)? {
            Some(_) => Ok(()),
            None => bail!("the guest did not power off within {limit:?}"),
        }
    }

    /// `kill -9` of the kernel: what a power cut is for the disk.
    pub(crate) fn power_cut(&mut self) -> Result<()> {
        self.power.take();
        if wait(&mut self.child, Duration::from_secs(10))?.is_none() {
            self.child.kill().context("cannot kill the guest")?;
            self.child.wait().context("cannot wait for the guest")?;
        }
        Ok(())
    }
}

/// The network and pid namespaces of a guest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Namespaces(u32);

impl Namespaces {
    /// Whether the guest is still on.
    pub(crate) fn exist(self) -> bool {
        // A process that has ended and was not waited for has no namespaces any more.
        fs::read_link(format!("/proc/{}/ns/net", self.0)).is_ok()
    }

    /// A command that runs in them. It ends with the guest, and when its [`Child`] is killed.
    pub(crate) fn command(self, program: &str) -> Command {
        let proc = format!("/proc/{}/ns", self.0);
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={proc}/net"));
        command.arg(format!("--pid={proc}/pid_for_children"));
        // nsenter waits for its child and forwards no signal.
        command.args(["--", "setpriv", "--pdeathsig", "KILL", program]);
        command
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // An error here could only be that it is gone already.
        drop(self.power_cut());
    }
}

fn check_prerequisites() -> Result<()> {
    let missing: Vec<_> = [
        ("linux.uml", "user-mode-linux"),
        ("ip", "iproute2"),
        ("ssh", "openssh-client"),
        ("unshare", "util-linux"),
    ]
    .into_iter()
    .filter(|(program, _)| !in_path(program))
    .map(|(_, package)| package)
    .collect();
    if !missing.is_empty() {
        bail!("a booted host needs: apt-get install {}", missing.join(" "));
    }
    if !Path::new("/dev/net/tun").exists() {
        bail!("a booted host needs /dev/net/tun, which this machine does not have");
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("a booted host needs root, for its own network and pid namespaces");
    }
    Ok(())
}

fn in_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists()))
}

/// Where the file that is the guest's memory goes: /dev/shm, unless it is as small there as
/// container engines make it.
fn memory_dir(machine: &Machine) -> PathBuf {
    let shm = PathBuf::from("/dev/shm");
    let free = nix::sys::statvfs::statvfs(&shm)
        .map_or(0, |stat| stat.blocks_available() * stat.fragment_size());
    if free > u64::from(machine.memory) * 1024 * 1024 {
        shm
    } else {
        machine.dir.clone()
    }
}
