//! A request that is killed, stopped or hit by a limit at each of its system calls, and one that
//! its caller's cgroup freezes or starves: no NIC beyond the quota, nothing that counts and does
//! not exist, and other users are served meanwhile.
//!
//! The tracer is root's (strace), over a process that starts with alice's ids: a tracer of hers
//! would make the setuid bit void.

mod world;

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use world::{ALICE, BOB, Container, World, answer, refusal};

/// The n-th call of one system call.
type Point = (String, usize);

struct Sweep {
    world: World,
    hers: Container,
    his: Container,
}

impl Sweep {
    fn new() -> Self {
        let world = World::new("alice veth br0 1\nbob veth br0 1\n");
        let (hers, his) = (world.container(ALICE), world.container(BOB));
        Self { world, hers, his }
    }

    fn strace(&self, options: &[&str]) -> std::process::Command {
        let helper = self.world.helper();
        let request = [
            &helper,
            "create",
            "/p",
            "web",
            &self.hers.pid,
            "veth",
            "br0",
            "eth0",
        ];
        let tracer = ["strace", "-u", "alice", "-q"];
        let mut command = self
            .world
            .command(&[&tracer, options, &request[..]].concat());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Every system call of a request, as it can be told to strace.
    fn points(&self) -> Vec<Point> {
        let trace = self.world.path("trace");
        let status = self.strace(&["-o", &trace]).status().unwrap();
        assert!(
            status.success(),
            "strace is missing, or the request failed under it"
        );
        let text = std::fs::read_to_string(trace).unwrap();
        self.clean();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut points = Vec::new();
        for line in text.lines() {
            let Some((name, _)) = line.split_once('(') else {
                continue;
            };
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                continue;
            }
            let number = seen.entry(name.to_owned()).or_default();
            *number += 1;
            points.push((name.to_owned(), *number));
        }
        assert!(points.len() > 60, "{text}");
        assert!(points.iter().any(|(name, _)| name == "flock"), "{text}");
        points
    }

    fn inject(&self, point: &Point, signal: &str) -> Child {
        let (name, number) = point;
        let inject = format!("inject={name}:signal={signal}:when={number}");
        let trace = format!("trace={name}");
        let options = ["-o", "/dev/null", "-e", &trace, "-e", &inject];
        self.strace(&options).spawn().unwrap()
    }

    fn up_ports(&self) -> usize {
        let ports = self.world.ports("br0");
        let is_up = |port: &&String| {
            let path = self.world.inner(&format!("/sys/class/net/{port}/flags"));
            let flags = std::fs::read_to_string(path).unwrap();
            let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap();
            flags & 1 == 1
        };
        ports.iter().filter(is_up).count()
    }

    fn clean(&self) {
        for port in self.world.ports("br0") {
            self.world.must(&["ip", "link", "del", &port]);
        }
    }

    /// Whatever happened to her request, her next one finds the truth.
    fn settle(&self, point: &Point) {
        let live = self.up_ports();
        assert!(live <= 1, "{point:?}: {live} NICs under quota 1");
        let next = self.world.create(ALICE, &self.hers.pid, "br0", "eth0");
        if live == 0 {
            answer(&next);
        } else {
            assert!(
                refusal(&next).contains("quota reached"),
                "{point:?}: {next:?}"
            );
        }
        assert_eq!(self.world.ports("br0").len(), 1, "{point:?}");
        self.clean();
    }

    fn serve_bob(&self, point: &Point) {
        let [_, _, host, _] = answer(&self.world.create(BOB, &self.his.pid, "br0", "eth0"));
        self.world.must(&["ip", "link", "del", &host]);
        let _ = point;
    }
}

fn end_at_every_call(signal: &str) {
    let sweep = Sweep::new();
    let mut ended = 0;
    for point in sweep.points() {
        let status = sweep.inject(&point, signal).wait().unwrap();
        ended += usize::from(!status.success());
        sweep.settle(&point);
    }
    // Signals that can be blocked are, from the helper's first acts on.
    assert!(ended > 30, "{signal} ended {ended} requests only");
}

#[test]
fn killed_at_every_system_call() {
    end_at_every_call("SIGKILL");
}

#[test]
fn over_a_file_size_limit_at_every_system_call() {
    end_at_every_call("SIGXFSZ");
}

#[test]
fn stopped_at_every_system_call_while_bob_is_served() {
    let sweep = Sweep::new();
    for point in sweep.points() {
        let mut tracer = sweep.inject(&point, "SIGSTOP");
        let deadline = Instant::now() + Duration::from_secs(10);
        let stopped = loop {
            if tracer.try_wait().unwrap().is_some() {
                // After the last of its acts; nothing is left to stop.
                break None;
            }
            if let Some(pid) = stopped_helper(&sweep.world) {
                break Some(pid);
            }
            assert!(
                Instant::now() < deadline,
                "{point:?}: neither stopped nor done"
            );
            std::thread::sleep(Duration::from_millis(2));
        };
        assert!(sweep.up_ports() <= 1, "{point:?}");
        sweep.serve_bob(&point);
        if let Some(pid) = stopped {
            sweep.world.must(&["kill", "-KILL", &pid]);
        }
        tracer.wait().unwrap();
        sweep.settle(&point);
    }
}

/// Number of a helper of this world that is stopped.
fn stopped_helper(world: &World) -> Option<String> {
    let script = "for status in /proc/[0-9]*/status; do
            grep -q '^Name:.berth-usernic' $status 2>/dev/null || continue
            grep -q '^State:.[Tt]' $status 2>/dev/null || continue
            pid=${status#/proc/}; echo ${pid%/status}
        done; true";
    let text = world.must(&["sh", "-c", script]);
    let pid = text.lines().next()?.to_owned();
    // A traced process is in that state at each of its calls, for a moment.
    std::thread::sleep(Duration::from_millis(10));
    let again = world.must(&["sh", "-c", script]);
    again.lines().any(|line| line == pid).then_some(pid)
}
