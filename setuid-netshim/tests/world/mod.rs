//! A host of its own for a test: private mount, network and pid namespaces with their own `/etc`,
//! `/run`, `/dev`, `/proc` and `/sys`, the bridges `br0` and `br1`, the users alice, bob and
//! carol, and the helper installed setuid root. Needs root and util-linux; leaves nothing behind.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub const ALICE: u32 = 1000;
pub const BOB: u32 = 1001;
/// A user whose uid is above what LXC writes into interface names.
pub const CAROL: u32 = 700_001;

pub struct World {
    dir: PathBuf,
    holder: Child,
    init: u32,
    pub log: UnixDatagram,
}

/// A process in namespaces of its own that stands for a container.
pub struct Container {
    /// Its number in the world's pid namespace.
    pub pid: String,
    world_init: u32,
    process: Child,
}

impl Container {
    pub fn end(mut self) {
        self.kill();
    }

    /// Twice is once: the second finds nothing and says so to nobody.
    fn kill(&mut self) {
        let mut kill = enter(self.world_init);
        let _ = kill
            .args(["kill", "-9", &self.pid])
            .stderr(Stdio::null())
            .status();
        let _ = self.process.wait();
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let mut kill = Command::new("kill");
        let _ = kill
            .args(["-9", &self.init.to_string()])
            .stderr(Stdio::null())
            .status();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl World {
    pub fn new(usernet: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("berth-usernic-test-{}-{number}", std::process::id());
        // Not the place for temporary files, which may be mounted nosuid or nodev.
        let dir = Path::new("/var/lib").join(name);
        fs::create_dir(&dir).expect("these tests need root");
        install(&dir.join("berth-usernic"), 0o4755);
        write_etc(&dir.join("etc"), usernet);
        make_dev(&dir.join("dev"));
        let log = UnixDatagram::bind(dir.join("dev/log")).unwrap();
        fs::set_permissions(dir.join("dev/log"), fs::Permissions::from_mode(0o666)).unwrap();
        log.set_nonblocking(true).unwrap();

        let script = "set -e; cd /; mount -t sysfs sysfs /sys; mount --bind \"$1/etc\" /etc
            mount -t tmpfs -o mode=755 tmpfs /run; mount --bind \"$1/dev\" /dev
            for br in br0 br1; do ip link add $br type bridge; ip link set $br up; done
            ip link set br0 mtu 1400; echo up; exec sleep 600";
        let mut holder = Command::new("unshare")
            .args([
                "-m",
                "-n",
                "-p",
                "-f",
                "--mount-proc",
                "--propagation",
                "private",
            ])
            .args(["--kill-child", "sh", "-c", script, "sh"])
            .arg(&dir)
            .stdout(Stdio::piped())
            // It complains when it is killed with its world.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "up\n", "the world did not come up");
        let children =
            fs::read_to_string(format!("/proc/{0}/task/{0}/children", holder.id())).unwrap();
        let init = children.trim().parse().unwrap();
        Self {
            dir,
            holder,
            init,
            log,
        }
    }

    pub fn helper(&self) -> String {
        self.path("berth-usernic")
    }

    /// Installs a second copy of the helper with another mode.
    pub fn helper_with_mode(&self, mode: u32) -> String {
        let path = self.dir.join(format!("berth-usernic-{mode:o}"));
        install(&path, mode);
        path.to_str().unwrap().to_owned()
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    pub fn write_usernet(&self, text: &str) {
        fs::write(self.dir.join("etc/lxc/lxc-usernet"), text).unwrap();
    }

    /// A command to be run inside, as root.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        let init = self.init.to_string();
        command
            .args(["-t", init.as_str(), "-m", "-n", "-p", "-w/", "--"])
            .args(words);
        command
    }

    pub fn root(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs a command as root that must succeed, and gives its output.
    pub fn must(&self, words: &[&str]) -> String {
        let output = self.root(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A command to be run inside, as this user with his groups.
    pub fn command_as(&self, uid: u32, words: &[&str]) -> Command {
        let uid = uid.to_string();
        let identity = [
            "setpriv",
            "--reuid",
            &uid,
            "--regid",
            &uid,
            "--init-groups",
            "--",
        ];
        self.command(&[&identity, words].concat())
    }

    pub fn run_as(&self, uid: u32, words: &[&str]) -> Output {
        self.command_as(uid, words).output().unwrap()
    }

    /// Starts a container's stand-in: user and network namespace of this user's.
    pub fn container(&self, uid: u32) -> Container {
        self.spawn(self.command_as(
            uid,
            &[
                "unshare",
                "-U",
                "-r",
                "-n",
                "sh",
                "-c",
                "echo $$; exec sleep 600",
            ],
        ))
    }

    /// Starts something that prints its number first.
    pub fn spawn(&self, mut command: Command) -> Container {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut pid)
            .unwrap();
        let pid = pid.trim().to_owned();
        assert!(!pid.is_empty(), "the container's stand-in did not start");
        Container {
            pid,
            world_init: self.init,
            process,
        }
    }

    pub fn create_command(&self, uid: u32, pid: &str, bridge: &str, name: &str) -> Command {
        let helper = self.helper();
        self.command_as(
            uid,
            &[&helper, "create", "/p", "web", pid, "veth", bridge, name],
        )
    }

    pub fn create(&self, uid: u32, pid: &str, bridge: &str, name: &str) -> Output {
        self.create_command(uid, pid, bridge, name)
            .output()
            .unwrap()
    }

    /// As [`Self::create`], again for some seconds while the quota is reached: the kernel needs a
    /// moment to let go of a process that was killed.
    pub fn create_when_there_is_room(
        &self,
        uid: u32,
        pid: &str,
        bridge: &str,
        name: &str,
    ) -> Output {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let output = self.create(uid, pid, bridge, name);
            if output.status.success() || Instant::now() > end {
                return output;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ports of a bridge, sorted.
    pub fn ports(&self, bridge: &str) -> Vec<String> {
        let dir = self.inner(&format!("/sys/class/net/{bridge}/brif"));
        let mut ports: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|port| port.unwrap().file_name().into_string().unwrap())
            .collect();
        ports.sort();
        ports
    }

    /// A path inside, as the test's own process reaches it.
    pub fn inner(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.init))
    }

    /// Waits until a bridge has this many ports.
    pub fn wait_for_ports(&self, bridge: &str, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.ports(bridge).len() != count {
            assert!(
                Instant::now() < deadline,
                "ports of {bridge}: {:?}",
                self.ports(bridge)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs a command in a container's network namespace as root.
    pub fn inside(&self, container: &Container, words: &[&str]) -> String {
        let enter = ["nsenter", "-t", &container.pid, "-n", "--"];
        self.must(&[&enter, words].concat())
    }

    /// What the helper told the system log so far.
    pub fn logged(&self) -> String {
        let mut text = String::new();
        let mut buffer = [0; 2048];
        while let Ok(length) = self.log.recv(&mut buffer) {
            text.push_str(&String::from_utf8_lossy(&buffer[..length]));
            text.push('\n');
        }
        text
    }
}

fn enter(init: u32) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["-t", &init.to_string(), "-m", "-n", "-p", "-w/", "--"]);
    command
}

fn install(path: &Path, mode: u32) {
    // Tests of other packages use these worlds without the helper.
    let Some(helper) = option_env!("CARGO_BIN_EXE_berth-usernic") else {
        return;
    };
    fs::copy(helper, path).unwrap();
    chown(path, Some(0), Some(0)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn write_etc(etc: &Path, usernet: &str) {
    fs::create_dir_all(etc.join("lxc")).unwrap();
    let line = |name: &str, uid: u32| format!("{name}:x:{uid}:{uid}::/:/bin/sh\n");
    let passwd =
        line("root", 0) + &line("alice", ALICE) + &line("bob", BOB) + &line("carol", CAROL);
    fs::write(etc.join("passwd"), passwd).unwrap();
    let group = format!(
        "root:x:0:\nalice:x:{ALICE}:\nbob:x:{BOB}:\ncarol:x:{CAROL}:\nstaff:x:50:alice,bob\n"
    );
    fs::write(etc.join("group"), group).unwrap();
    fs::write(etc.join("nsswitch.conf"), "passwd: files\ngroup: files\n").unwrap();
    fs::write(etc.join("lxc/lxc-usernet"), usernet).unwrap();
    // What dynamically linked programs look up.
    let _ = fs::copy("/etc/ld.so.cache", etc.join("ld.so.cache"));
}

fn make_dev(dev: &Path) {
    fs::create_dir(dev).unwrap();
    for (name, minor) in [
        ("null", "3"),
        ("zero", "5"),
        ("full", "7"),
        ("random", "8"),
        ("urandom", "9"),
    ] {
        let path = dev.join(name);
        let mut made = Command::new("mknod");
        made.args(["-m", "666"]).arg(path).args(["c", "1", minor]);
        assert!(made.status().unwrap().success(), "mknod {name}");
    }
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The four fields of a successful answer.
pub fn answer(output: &Output) -> [String; 4] {
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        stderr(output),
        "",
        "liblxc would read this as a part of the answer"
    );
    let text = stdout(output);
    let line = text.strip_suffix('\n').expect("a whole line");
    let fields: Vec<String> = line.split(':').map(Into::into).collect();
    fields
        .try_into()
        .unwrap_or_else(|fields| panic!("four fields, not {fields:?}"))
}

/// The words of a refusal.
pub fn refusal(output: &Output) -> String {
    assert!(
        output.status.code().is_some_and(|code| code != 0),
        "{output:?}"
    );
    assert_eq!(stdout(output), "");
    stderr(output)
}
