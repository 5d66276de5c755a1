//! `-c` step by step, with scripted clocks and obstacles, on a named hierarchy of the test's own
//! and a subtree of version 2. Needs root.
#![forbid(unsafe_code)]

mod support;

use berth_cgroups::{CgroupPath, DelegatedBase};
use pam_berth::arguments::Arguments;
use pam_berth::session::{Level, close, open};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use support::{Machine, Script, alice};

/// A machine without a login manager that has a hierarchy of version 1, mounted where only the
/// thread of the test sees it.
struct World {
    machine: Machine,
    name: String,
    mount: PathBuf,
}

impl World {
    fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("berth-test-steps-{}-{number}", std::process::id());
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).expect("this needs root");
        let mut machine = Machine::without_manager();
        machine.legacy = true;
        let mount = machine.tree.make("mnt").path().to_owned();
        let world = Self {
            machine,
            name,
            mount,
        };
        world.sh("mount --make-rprivate / && mount -t cgroup -o none,name=$NAME none $MOUNT");
        world
    }

    fn sh(&self, script: &str) {
        let status = Command::new("sh")
            .args(["-c", script])
            .env("NAME", &self.name)
            .env("MOUNT", &self.mount)
            .status();
        assert!(status.unwrap().success(), "{script}");
    }

    fn arguments(&self) -> Arguments {
        let list = format!("name={},unified", self.name);
        Arguments::parse(["-c", &list])
    }

    /// Where the process that logs in is, in version 1.
    fn place(&self) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/cgroup", self.machine.process));
        let start = format!("name={}:", self.name);
        let text = text.unwrap();
        let line = text.lines().find_map(|line| line.split_once(&start));
        line.expect("the hierarchy is there").1.to_owned()
    }

    fn has_users_cgroup(&self) -> bool {
        self.mount.join("user/alice").exists()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.machine.sleepers.clear();
        let script = "for try in $(seq 100); do \
                          find $MOUNT -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null; \
                          [ -z \"$(find $MOUNT -mindepth 1 -type d)\" ] && break; sleep 0.05; \
                      done; \
                      for round in $(seq 20); do \
                          sleep 0.2; umount $MOUNT; \
                          for try in $(seq 40); do \
                              grep -q \"name=$NAME:\" /proc/self/cgroup || exit 0; \
                              sleep 0.05; \
                          done; \
                          mount -t cgroup -o none,name=$NAME none $MOUNT; \
                      done; exit 1";
        if !std::thread::panicking() {
            self.sh(script);
        } else {
            let _ = Command::new("sh")
                .args(["-c", script])
                .env("NAME", &self.name)
                .env("MOUNT", &self.mount)
                .status();
        }
    }
}

#[test]
fn a_session_opens_and_closes_and_its_place_in_version_2_is_a_base() {
    let world = World::new();
    let mut pam = Script::login();
    open(&mut pam, &world.machine, &world.arguments());
    assert_eq!(pam.lines, []);
    assert_eq!(pam.user_asked, 1, "the name service is asked once");
    assert_eq!(world.place(), "/user/alice/0");
    let hierarchy = world.machine.tree.hierarchy();
    let leaf = CgroupPath::new("/user/alice/0/init.scope").unwrap();
    let place = world.machine.place_of(world.machine.process);
    assert_eq!(place, leaf.to_string());
    // What `berth start` looks for from there.
    let base = DelegatedBase::around(hierarchy, leaf, alice().0).unwrap();
    assert_eq!(base.unwrap().path().to_string(), "/user/alice/0");

    let mut pam = Script::login();
    close(&mut pam, &world.machine, &world.arguments());
    assert_eq!(pam.lines, []);
    assert_eq!(world.place(), "/");
    assert!(!world.has_users_cgroup());
    assert!(world.machine.cgroup("/user/alice").is_none());
}

#[test]
fn time_may_run_out_at_any_step() {
    let world = World::new();
    let mut steps = 0;
    loop {
        let mut pam = Script::login();
        world.machine.asked.set(0);
        let machine = Machine {
            late_from: 2 + steps,
            legacy: true,
            process: world.machine.process,
            ..Machine::without_manager()
        };
        // Version 2 has its place in another subtree, so only version 1 is selected here.
        let list = format!("name={}", world.name);
        let arguments = Arguments::parse(["session=delegate", "-c", &list]);
        pam_berth::legacy::open(&mut pam, &machine, &arguments);
        match &pam.lines[..] {
            [] => break,
            [(Level::Warning, line)] => assert!(line.contains("deadline"), "{line}"),
            other => panic!("one line expected: {other:?}"),
        }
        assert_eq!(world.place(), "/", "nobody moved");
        assert!(!world.has_users_cgroup(), "what was made is gone");
        steps += 1;
        assert!(steps < 50);
    }
    assert!(steps >= 5, "{steps}");
    assert_eq!(world.place(), "/user/alice/0");
}

#[test]
fn a_read_only_hierarchy_costs_one_line_and_not_the_others() {
    let world = World::new();
    world.sh("mount -o remount,bind,ro $MOUNT");
    let mut pam = Script::login();
    open(&mut pam, &world.machine, &world.arguments());
    let [(Level::Warning, line)] = &pam.lines[..] else {
        panic!("one line expected: {:?}", pam.lines);
    };
    assert!(
        line.contains(&world.name) && line.contains("Read-only"),
        "{line}"
    );
    assert_eq!(world.place(), "/");
    let place = world.machine.place_of(world.machine.process);
    assert_eq!(place, "/user/alice/0/init.scope");
    world.sh("mount -o remount,bind,rw $MOUNT");
}

#[test]
fn what_is_not_roots_is_not_entered() {
    let world = World::new();
    world.sh("mkdir $MOUNT/user && chown 4244 $MOUNT/user");
    let list = format!("name={}", world.name);
    let mut pam = Script::login();
    pam_berth::legacy::open(&mut pam, &world.machine, &Arguments::parse(["-c", &list]));
    let [(Level::Warning, line)] = &pam.lines[..] else {
        panic!("one line expected: {:?}", pam.lines);
    };
    assert!(line.contains("4244"), "{line}");
    assert_eq!(world.place(), "/");
    assert!(!world.has_users_cgroup());
}
