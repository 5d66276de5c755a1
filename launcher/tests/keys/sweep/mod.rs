//! A start that fails, or one of whose processes is killed, at each of its system calls: it says
//! why, and nothing of it is left.

mod tracer;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::{Duration, Instant};

use berth_kernel::process::{self, PidFd};
use berth_test_private_host::{BRIDGE, Host};

use crate::world::{Container, Owner, eventually, on_host};
use tracer::{CALLS, Fault, Point, Role, Trace, Tracer};

/// A container that has some of everything.
fn container(host: &Host) -> Container<'_> {
    let container = Container::create(host, Owner::User, "web");
    let home = host.home().display();
    let dir = container.dir();
    let [rootfs, upper] = ["rootfs", UPPER].map(|name| dir.join(name).display().to_string());
    container.append(&format!(
        "lxc.rootfs.path = overlay:{rootfs}:{upper}\n\
         lxc.net.0.type = veth\nlxc.net.0.link = {BRIDGE}\nlxc.net.0.flags = up\n\
         lxc.net.0.ipv4.address = 10.233.0.7/24\n\
         lxc.mount.entry = {home} mnt none bind,optional,create=dir 0 0\n\
         lxc.mount.entry = tmpfs tmp tmpfs size=64k\n\
         lxc.hook.pre-start = /bin/true\n\
         lxc.hook.post-stop = /bin/true\n\
         lxc.sysctl.net.ipv4.ip_forward = 1\n\
         lxc.prlimit.nofile = 100:200\n\
         lxc.init.cmd = /bin/sleep 1000\n\
         lxc.cgroup2.cgroup.max.descendants = 100\n"
    ));
    container
}

/// What takes an overlay's changes, and what the kernel needs beside it.
const UPPER: &str = "delta";
const WORK: &str = "olwork";

/// Removes what a start makes of an overlay, and what stays as part of the container.
fn without_overlay(container: &Container) {
    for name in [UPPER, WORK] {
        let _ = fs::remove_dir_all(container.dir().join(name));
    }
}

/// Everything of a host that a start could leave behind.
#[derive(Debug, PartialEq, Eq)]
struct Inventory(BTreeSet<String>);

impl Inventory {
    fn take(container: &Container) -> Self {
        let mut found = BTreeSet::new();
        let roots = [
            container.host.home().to_owned(),
            "/run".into(),
            "/var/lib".into(),
            container.cgroup().parent().unwrap().to_owned(),
        ];
        for root in &roots {
            walk(root, &mut found);
        }
        for line in fs::read_to_string("/proc/self/mountinfo").unwrap().lines() {
            found.insert(format!("mount {line}"));
        }
        for link in names("/sys/class/net") {
            found.insert(format!("link {link}"));
        }
        let own = std::process::id().to_string();
        for pid in names("/proc") {
            if pid.bytes().all(|b| b.is_ascii_digit()) && pid != own {
                // One that has ended is nothing, whether it was reaped or not.
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                if !stat.is_empty() && !stat.contains(") Z ") {
                    let name = stat.split(['(', ')']).nth(1).unwrap_or_default();
                    found.insert(format!("process {pid} {name}"));
                }
            }
        }
        Self(found)
    }

    fn difference(&self, other: &Self) -> String {
        let gone = self
            .0
            .difference(&other.0)
            .map(|what| format!("- {what}\n"));
        let new = other
            .0
            .difference(&self.0)
            .map(|what| format!("+ {what}\n"));
        gone.chain(new).collect()
    }
}

fn names(dir: impl AsRef<Path>) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        // It went meanwhile.
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

fn walk(dir: &Path, found: &mut BTreeSet<String>) {
    for name in names(dir) {
        let path = dir.join(&name);
        // The log tells what happened; files of a cgroup come and go with it.
        let Ok(data) = path.symlink_metadata() else {
            continue;
        };
        let in_cgroup = dir.starts_with("/sys/fs/cgroup") && !data.is_dir();
        if in_cgroup || name == "web.log" {
            continue;
        }
        let (mode, owner) = (data.mode(), data.uid());
        found.insert(format!("file {} {mode:o} {owner}", path.display()));
        if data.is_dir() {
            walk(&path, found);
        }
    }
}

/// What one start said and did.
struct Start {
    trace: Trace,
    said: String,
}

fn start(container: &Container, fault: Option<(Point, Fault)>) -> Start {
    without_overlay(container);
    let said = Path::new("/run/said");
    let stderr = File::create(said).unwrap();
    let (mut ready, mut go) = std::io::pipe().unwrap();
    let child = process::fork(|| {
        let mut byte = [0];
        ready.read_exact(&mut byte).unwrap();
        let mut command = container.command("berth");
        command.args(["start", "--here", container.name]);
        let error = command.stderr(stderr).exec();
        panic!("{error}");
    })
    .unwrap();
    // A start that hangs is one that fails.
    let starter = PidFd::open(child.pid).unwrap();
    let watchdog = process::fork(|| {
        std::thread::sleep(Duration::from_secs(30));
        u8::from(starter.signal(9).is_err())
    })
    .unwrap();
    let trace = Tracer::follow(child.pid, fault, || go.write_all(b"g").unwrap());
    let _ = watchdog.pidfd.signal(9);
    let _ = watchdog.pidfd.wait();
    let said = fs::read_to_string(said).unwrap();
    Start { trace, said }
}

/// How long things may take to vanish.
const PATIENCE: Duration = Duration::from_secs(10);

fn named(point: &Point) -> String {
    let name = CALLS.iter().find(|(number, ..)| *number == point.number);
    let name = name.map_or("?", |(_, name, _)| name);
    format!("{:?} {name} {}", point.role, point.nth)
}

/// One start's calls that are worth a failure. What the dynamic linker does comes before Berth.
fn points(container: &Container) -> Vec<Point> {
    let start = start(container, None);
    assert_eq!(start.trace.code, Some(0), "{}", start.said);
    container.stop();
    let mut points = start.trace.points;
    points.retain(|point| {
        let is_linkers = point.role == Role::Starter && point.nth <= LINKED && is_linkers(point);
        // Of calls that are made for one mount, file or setting after the other, some will do.
        let is_chosen = point.nth <= 3 || point.nth % 5 == 0;
        is_chosen && !is_linkers && CALLS.iter().any(|(number, ..)| *number == point.number)
    });
    let roles: BTreeSet<Role> = points.iter().map(|point| point.role).collect();
    assert!(roles.is_superset(&[Role::Starter, Role::Monitor, Role::First].into()));
    assert!(points.len() > 120, "{}", points.len());
    points
}

/// `ld.so.cache`, libgcc and libc are opened first.
const LINKED: usize = 3;

/// A kill there is one at the call before it.
fn changes_its_process_only(point: &Point) -> bool {
    use nix::libc::{
        SYS_fcntl, SYS_fsconfig, SYS_ioctl, SYS_openat, SYS_openat2, SYS_poll, SYS_prctl, SYS_read,
        SYS_recvmsg, SYS_setsockopt,
    };
    let calls = [
        SYS_fcntl,
        SYS_fsconfig,
        SYS_ioctl,
        SYS_poll,
        SYS_read,
        SYS_recvmsg,
        SYS_openat,
        SYS_openat2,
        SYS_prctl,
        SYS_setsockopt,
    ];
    calls.contains(&point.number)
}

fn is_linkers(point: &Point) -> bool {
    [nix::libc::SYS_openat, nix::libc::SYS_read].contains(&point.number)
}

/// Goes through all calls of a start with a fault at one after the other.
fn sweep(
    fault: impl Fn(&Point) -> Option<Fault>,
    judge: impl Fn(&Container, &Start) -> Result<(), String>,
) {
    on_host(|host| {
        let container = container(host);
        // What the first start of all makes for those to come.
        container.start();
        container.stop();
        File::create("/run/said").unwrap();
        let points = points(&container);
        // A network namespace ends a while after its last process, and its interfaces with it.
        // So does the process that removes the container's cgroup.
        eventually("the end", || !container.cgroup().exists() && !has_nic());
        without_overlay(&container);
        let mut before = Inventory::take(&container);
        eventually("the last process's end", || {
            before = Inventory::take(&container);
            !before.0.iter().any(|what| what.ends_with(" berth-monitor"))
        });
        let mut wrong = Vec::new();
        for (point, fault) in points
            .iter()
            .filter_map(|point| Some((point, fault(point)?)))
        {
            let start = start(&container, Some((*point, fault)));
            let judged = judge(&container, &start).and_then(|()| wait_for(&container, &before));
            if let Err(what) = judged {
                wrong.push(format!("{}: {what}\n{}", named(point), start.said));
            }
            assert!(wrong.len() < 8, "{}", wrong.join("\n"));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        container.destroy();
    });
}

/// Whether the host has an end of a container's interface.
fn has_nic() -> bool {
    let mut links = fs::read_dir("/sys/class/net").unwrap();
    links.any(|link| {
        link.unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with("veth")
    })
}

fn wait_for(container: &Container, before: &Inventory) -> Result<(), String> {
    without_overlay(container);
    let limit = Instant::now() + PATIENCE;
    loop {
        let after = Inventory::take(container);
        if after == *before {
            return Ok(());
        }
        if Instant::now() > limit {
            return Err(format!("left\n{}", before.difference(&after)));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Ends a container that runs; says so if there is none.
fn stop(container: &Container) -> Result<(), String> {
    let output = container.berth(&["stop", "-k", container.name]);
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn a_start_that_fails_at_any_system_call_says_so_and_leaves_nothing() {
    let fault = |point: &Point| {
        let call = CALLS.iter().find(|(number, ..)| *number == point.number);
        call.map(|(_, _, error)| Fault::Error(*error))
    };
    sweep(fault, |container, start| match start.trace.code {
        // It could do without.
        Some(0) => stop(container),
        Some(1) if is_a_reason(&start.said) => Ok(()),
        Some(127) if start.said.contains("shared libraries") => Ok(()),
        other => Err(format!("ended with {other:?}")),
    });
}

/// Whether it is a message of Berth's own, without the standard library's number of the error.
fn is_a_reason(said: &str) -> bool {
    said.starts_with("berth: ") && !said.contains("panicked") && !said.contains("(os error")
}

/// A container that does not run is known as such, and the next command clears up what its killed
/// monitor could not.
fn aborted_or_gone(container: &Container, start: &Start) -> Result<(), String> {
    if start.trace.code == Some(0) {
        // At its last calls the first process is as good as init, which may end at any time.
        let ended = || container.info("State") == "stopped";
        return stop(container).or_else(|why| match ended() {
            true if container.info("Last ended").contains("SIGKILL") => Ok(()),
            _ => Err(why),
        });
    }
    if !is_a_reason(&start.said) {
        return Err(format!("ended with {:?}", start.trace.code));
    }
    let state = container.info("State");
    match state.as_str() {
        "stopped" => Ok(()),
        "aborted" => {
            let output = container.berth(&["stop", container.name]);
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.success() && said.contains("had been aborted") {
                true => Ok(()),
                false => Err(format!("stop said {said}")),
            }
        }
        other => Err(format!("it is {other}")),
    }
}

#[test]
fn where_the_monitor_the_first_process_or_a_helper_is_killed_it_is_told_and_nothing_is_left() {
    let seen = std::cell::RefCell::new(BTreeSet::new());
    let aborted = std::cell::Cell::new(0);
    sweep(
        |point| {
            let is_new = seen.borrow_mut().insert((point.role, point.number));
            let others = point.role != Role::Starter && !changes_its_process_only(point);
            (is_new && others).then_some(Fault::Kill)
        },
        |container, start| {
            if !start.trace.reached {
                return Err("was not reached".to_owned());
            }
            let is_aborted = start.trace.code != Some(0) && container.info("State") == "aborted";
            aborted.set(aborted.get() + u32::from(is_aborted));
            match is_aborted && aborted.get().is_multiple_of(2) {
                // A start clears up as a stop does.
                true => {
                    container.start();
                    stop(container)
                }
                false => aborted_or_gone(container, start),
            }
        },
    );
}

#[test]
fn where_the_starter_is_killed_the_next_commands_tell_the_truth_and_leave_nothing() {
    sweep(
        |point| {
            (point.role == Role::Starter && !changes_its_process_only(point)).then_some(Fault::Kill)
        },
        |container, _| {
            eventually("an end of the start", || {
                !container.ok(&["ls"]).contains("starting")
            });
            // Where the starter was killed the container may run.
            if !container.ok(&["ls"]).contains("running") {
                container.start();
            }
            stop(container)
        },
    );
}
