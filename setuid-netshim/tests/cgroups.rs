//! A request whose caller's cgroup freezes it, takes its processor time or its memory away: he
//! holds up himself alone, and the quota holds. By cgroup v2, or v1 where the controller is there.

mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use world::{ALICE, BOB, Container, World, answer, refusal};

/// A cgroup of the test's own, removed with it.
struct Cgroup {
    dir: PathBuf,
}

impl Cgroup {
    fn new(parent: &Path, name: &str) -> Self {
        let dir = parent.join(format!("berth-nic-{}-{name}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Self { dir }
    }

    /// In the v2 hierarchy, wherever it is mounted.
    fn unified(name: &str) -> Self {
        Self::new(&mounted("cgroup2", "rw"), name)
    }

    /// With a controller: v2's if it is delegated there, v1's otherwise.
    fn with(controller: &str, name: &str) -> Self {
        let unified = mounted("cgroup2", "rw");
        let enabled = fs::read_to_string(unified.join("cgroup.controllers")).unwrap();
        if enabled.split_whitespace().any(|word| word == controller) {
            fs::write(
                unified.join("cgroup.subtree_control"),
                format!("+{controller}"),
            )
            .unwrap();
            Self::new(&unified, name)
        } else {
            Self::new(&mounted("cgroup", controller), name)
        }
    }

    /// The first of these files that the hierarchy has.
    fn set(&self, files: &[(&str, &str)]) {
        let (file, value) = files
            .iter()
            .find(|(file, _)| self.dir.join(file).exists())
            .expect("one of the two generations of cgroups");
        fs::write(self.dir.join(file), value).unwrap();
    }

    fn spawn(&self, command: &Command) -> Child {
        let script = "echo 0 >\"$1/cgroup.procs\" && shift && exec \"$@\"";
        let mut inside = Command::new("sh");
        inside.args(["-c", script, "sh"]).arg(&self.dir);
        inside.arg(command.get_program()).args(command.get_args());
        inside
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for _ in 0..100 {
            if fs::remove_dir(&self.dir).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Where a hierarchy of this type with this option is mounted.
fn mounted(kind: &str, option: &str) -> PathBuf {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let line = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let found = line
        .filter(|words| words[2] == kind && words[3].split(',').any(|word| word == option))
        .map(|words| PathBuf::from(words[1]))
        .next();
    found.unwrap_or_else(|| panic!("no {kind} with {option} is mounted"))
}

struct Host {
    world: World,
    hers: Container,
    his: Container,
}

impl Host {
    fn new() -> Self {
        let world = World::new("alice veth br0 1\nbob veth br0 1\n");
        let (hers, his) = (world.container(ALICE), world.container(BOB));
        Self { world, hers, his }
    }

    fn request(&self, cgroup: &Cgroup) -> Child {
        cgroup.spawn(
            &self
                .world
                .create_command(ALICE, &self.hers.pid, "br0", "eth0"),
        )
    }

    fn serve_bob(&self) {
        let [_, _, host, _] = answer(&self.world.create(BOB, &self.his.pid, "br0", "eth0"));
        self.world.must(&["ip", "link", "del", &host]);
    }

    /// Hers that are done; one that is not yet is down and not counted here.
    fn live(&self) -> usize {
        let is_up = |port: &&String| {
            let path = self.world.inner(&format!("/sys/class/net/{port}/flags"));
            let flags = fs::read_to_string(path).unwrap_or_default();
            u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or(0) & 1 == 1
        };
        self.world.ports("br0").iter().filter(is_up).count()
    }

    fn settle(&self) {
        let live = self.live();
        assert!(live <= 1, "{live} NICs under quota 1");
        let world = &self.world;
        if live == 0 {
            // What it had begun the kernel may still finish or take down.
            let output = world.create_when_there_is_room(ALICE, &self.hers.pid, "br0", "eth0");
            assert!(output.status.success() || self.live() == 1, "{output:?}");
        } else {
            let next = world.create(ALICE, &self.hers.pid, "br0", "eth0");
            assert!(refusal(&next).contains("quota reached"), "{next:?}");
        }
        let ports = self.world.ports("br0");
        assert_eq!(ports.len(), 1);
        self.world.must(&["ip", "link", "del", &ports[0]]);
    }
}

#[test]
fn frozen_at_any_moment_she_holds_up_herself_alone() {
    let host = Host::new();
    let cgroup = Cgroup::unified("freeze");
    for step in 0..16 {
        let mut request = host.request(&cgroup);
        std::thread::sleep(Duration::from_millis(2) + Duration::from_micros(500) * step);
        cgroup.set(&[("cgroup.freeze", "1")]);
        host.serve_bob();
        assert!(host.live() <= 1);
        if step % 2 == 0 {
            // Killed as it lies there (which works on the frozen).
            cgroup.set(&[("cgroup.kill", "1")]);
        }
        cgroup.set(&[("cgroup.freeze", "0")]);
        request.wait().unwrap();
        host.settle();
    }
}

#[test]
fn without_processor_time_she_holds_up_herself_alone() {
    let host = Host::new();
    let cgroup = Cgroup::with("cpu", "cpu");
    cgroup.set(&[("cpu.max", "1000 100000"), ("cpu.cfs_quota_us", "1000")]);
    for _ in 0..3 {
        let mut request = host.request(&cgroup);
        std::thread::sleep(Duration::from_millis(300));
        host.serve_bob();
        assert!(request.wait().unwrap().success());
        host.settle();
    }
}

#[test]
fn without_memory_the_quota_holds() {
    let host = Host::new();
    let cgroup = Cgroup::with("memory", "memory");
    for kib in (64..1600).step_by(96) {
        let limit = (kib * 1024).to_string();
        cgroup.set(&[("memory.max", &limit), ("memory.limit_in_bytes", &limit)]);
        let mut request = host.request(&cgroup);
        host.serve_bob();
        request.wait().unwrap();
        host.settle();
    }
}
