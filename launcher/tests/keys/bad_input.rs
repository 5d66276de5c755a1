//! What goes wrong is told with the file, the line and what would be right, and leaves nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use berth_test_private_host::SUBID;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::{Container, Owner, eventually, on_host};

const BOTH: [Owner; 2] = [Owner::User, Owner::Root];

/// Adds a line; where it is, as messages say it.
fn add(container: &Container, line: &str) -> String {
    container.append(line);
    let text = fs::read_to_string(container.config()).unwrap();
    let before = text.lines().position(|other| other == line).unwrap();
    format!("{}:{}", container.config().display(), before + 1)
}

/// A start with this line is refused: `file:line: key…` and why.
fn refused_with_its_line(line: &str, key: &str, why: &str) {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        let at = add(&container, line);
        container.start_is_refused(&format!("{at}: {key}"));
        container.start_is_refused(why);
        container.destroy();
    });
}

/// A file of the container's root file system.
fn put(container: &Container, name: &str, text: &str, mode: u32) {
    let path = container.dir().join("rootfs").join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_init_that_cannot_be_executed_is_told_with_its_line() {
    for owner in BOTH {
        on_host(|host| {
            let container = Container::create(host, owner, "web");
            put(&container, "bin/plain", "#!/bin/sh\nexit 0\n", 0o644);
            put(&container, "bin/strange", "neither script nor ELF", 0o755);
            put(&container, "bin/lost", "#!/no/interpreter\n", 0o755);
            let before = fs::read_to_string(container.config()).unwrap();
            for (init, why) in [
                ("/no/init", "there is no /no/init in the container"),
                ("/bin/lost", "the interpreter it names is missing"),
                ("/bin/plain", "not executable (chmod +x"),
                ("/etc", "cannot execute /etc: it is"),
                ("/bin/strange", "no program for this machine"),
            ] {
                let at = add(&container, &format!("lxc.init.cmd = {init}"));
                container.start_is_refused(&format!("{at}: lxc.init.cmd: "));
                container.start_is_refused(why);
                assert_eq!(container.info("State"), "stopped");
                assert!(
                    container
                        .log()
                        .contains("the start failed while executing init")
                );
                fs::write(container.config(), &before).unwrap();
            }
            container.destroy();
        });
    }
}

/// The start worked: init was executed. What became of it is told with its exit code.
#[test]
fn an_init_that_exits_at_once_is_told_with_its_code() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.append("lxc.init.cmd = /bin/sh -c 'exit 7'");
        container.start();
        eventually("the end", || container.info("State") == "stopped");
        assert!(container.info("Last ended").contains("exit code 7"));
        assert!(container.log().contains("init ended: exit code 7"));
        container.destroy();
    });
}

#[test]
fn a_hook_that_fails_is_told_with_its_line_and_code() {
    refused_with_its_line(
        "lxc.hook.pre-start = sh -c 'exit 9'",
        "lxc.hook.pre-start: the hook “sh -c",
        "failed (exit code 9); it said nothing",
    );
}

#[test]
fn ctrl_c_ends_a_start_whose_hook_hangs() {
    for kind in ["pre-start", "mount", "start-host"] {
        on_host(|host| {
            let container = Container::create(host, Owner::User, "web");
            container.append(&format!(
                "lxc.hook.{kind} = sh -c 'echo >/run/user/59731/hangs; sleep 7532'"
            ));
            let mut start = container.command("berth");
            start.args(["start", "--here", "web"]).stderr(Stdio::null());
            let mut start = start.spawn().unwrap();
            let hangs = || {
                let found = container
                    .command("pgrep")
                    .args(["-f", "sleep 7532$"])
                    .output();
                !found.unwrap().stdout.is_empty()
            };
            eventually("the hook", hangs);
            let began = Instant::now();
            kill(Pid::from_raw(start.id().cast_signed()), Signal::SIGINT).unwrap();
            start.wait().unwrap();
            eventually("the hook's end", || !hangs());
            eventually("the end", || container.info("State") == "stopped");
            assert!(began.elapsed() < Duration::from_secs(15));
            container.destroy();
        });
    }
}

#[test]
fn a_limit_that_cannot_be_set_is_told_with_its_line() {
    refused_with_its_line(
        "lxc.cgroup2.cgroup.max.depth = deep",
        "lxc.cgroup2.cgroup.max.depth: cannot set cgroup.max.depth to “deep”",
        "Invalid argument",
    );
}

/// Mounts a tmpfs there and fills it.
fn fill(container: &Container, dir: &str, options: &str) {
    container.on_host(&format!(
        "mkdir -p {dir} && mount -t tmpfs -o {options} tmpfs {dir}"
    ));
}

#[test]
fn a_full_disk_under_the_state_file_ends_the_start() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        // It makes the directory.
        container.start();
        container.stop();
        let runtime = "/run/user/59731/berth";
        fill(&container, runtime, "size=16k,mode=700,uid=59731,gid=59731");
        container.on_host(&format!("dd if=/dev/zero of={runtime}/filler bs=4k || :"));
        container.start_is_refused("state.json: No space left on device");
        container.on_host(&format!("rm {runtime}/filler"));
        container.start();
        container.destroy();
    });
}

#[test]
fn a_full_disk_under_the_log_does_not_keep_a_container_from_its_life() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        fill(&container, "/run/full", "size=4k,mode=1777");
        container.on_host("dd if=/dev/zero of=/run/full/filler bs=4k || :");
        container.append("lxc.log.file = /run/full/web.log");
        container.start();
        assert_eq!(container.sh("echo lives"), "lives");
        container.destroy();
    });
}

#[test]
fn a_full_disk_under_the_root_file_system_names_the_mount_that_found_no_place() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        let rootfs = container.dir().join("rootfs");
        fill(&container, "/run/full", "size=32m,mode=755");
        container.on_host(&format!(
            "cp -a {}/. /run/full && chown {SUBID}:{SUBID} /run/full && \
             used=$(df --output=iused /run/full | tail -n 1) && \
             mount -o remount,nr_inodes=$((used + 3)) /run/full && \
             while touch /run/full/$((used += 1)) 2>/dev/null; do :; done",
            rootfs.display()
        ));
        container.append("lxc.rootfs.path = dir:/run/full");
        let at = add(
            &container,
            "lxc.mount.entry = tmpfs srv/new tmpfs create=dir 0 0",
        );
        container.start_is_refused(&format!("{at}: "));
        container.start_is_refused("No space left on device");
        assert!(!fs::exists("/run/full/srv/new").unwrap());
        container.on_host("umount /run/full");
        container.destroy();
    });
}

#[test]
fn without_processes_a_start_says_which_limits_there_are() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        for most in [1, 2, 3, 4] {
            let script = format!("ulimit -u {most}; exec berth start --here web");
            let output = container
                .command("bash")
                .args(["-c", &script])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{most}: {said}");
            assert!(
                said.contains("Resource temporarily unavailable (ulimit -u"),
                "{most}: {said}"
            );
            assert_eq!(container.info("State"), "stopped");
            eventually("the end", || !container.cgroup().exists());
        }
        container.start();
        container.destroy();
    });
}

/// How much a start takes is its own affair; where it does not get that, nothing is left.
#[test]
fn without_memory_a_start_leaves_nothing() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        let mut failed = 0;
        for kib in (2_000..26_000).step_by(1_500) {
            let script = format!("ulimit -v {kib}; exec berth start --here web");
            let output = container
                .command("bash")
                .args(["-c", &script])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!said.contains("panicked"), "{kib}: {said}");
            if output.status.success() {
                container.stop();
            } else {
                failed += 1;
                assert!(
                    !said.is_empty() || output.status.code().is_none(),
                    "{kib}: silent"
                );
                let state = container.info("State");
                assert!(
                    ["stopped", "aborted"].contains(&state.as_str()),
                    "{kib}: {state}"
                );
            }
            eventually("the end", || !container.cgroup().exists());
        }
        assert!(failed > 0);
        container.start();
        container.destroy();
    });
}
