//! A container's own cgroup: what its root may do there, and that all of it goes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::world::{Container, Owner, in_container};
use berth_kernel::process::PidFd;

/// A tree that only the container's root can remove, a part of which nobody else can look into.
const TREE: &str = "cd /sys/fs/cgroup && mkdir -p a/b/c a/d .exec/e/f && chmod 700 a/b && \
                    chmod 0 a/d && { sleep 1000 & } >/dev/null 2>&1 && echo $! > a/b/c/cgroup.procs";

/// What `info` says of its monitor, or of its init.
fn process_of(container: &Container, which: &str) -> i32 {
    let info = container.ok(&["info", "--json", container.name]);
    let pid = info
        .split(&format!("\"{which}\": "))
        .nth(1)
        .and_then(|rest| rest.split([',', '\n']).next())
        .and_then(|number| number.trim().parse().ok());
    pid.unwrap_or(0)
}

fn kill_monitor(container: &Container) {
    let monitor = PidFd::open(process_of(container, "monitor")).unwrap();
    monitor.signal(9).unwrap();
}

/// Where a process is in version 2, as seen inside.
fn place(container: &Container, process: &str) -> String {
    container.sh(&format!("sed -n s/^0:://p /proc/{process}/cgroup"))
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn children_of(cgroup: &Path) -> Vec<String> {
    let entries = fs::read_dir(cgroup).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<String> = entries
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn its_root_rules_below_it_and_not_over_its_limits() {
    in_container(Owner::User, "", |container| {
        container.sh(
            "cd /sys/fs/cgroup && mkdir -p a/b && echo $$ > a/b/cgroup.procs && \
                      grep -qx 0::/a/b /proc/self/cgroup && echo 5 > a/cgroup.max.depth && \
                      echo $$ > cgroup.procs && echo $$ > .exec/cgroup.procs && rmdir a/b a",
        );
        let payload = container.cgroup().join("payload");
        let files = fs::read_dir(&payload).unwrap().map(|entry| entry.unwrap());
        let delegated = fs::read_to_string("/sys/kernel/cgroup/delegate").unwrap();
        for file in files.filter(|entry| entry.file_type().unwrap().is_file()) {
            let name = file.file_name().into_string().unwrap();
            let open =
                format!("(exec 3>>/sys/fs/cgroup/{name}) 2>/dev/null && echo yes || echo no");
            let writable = container.sh(&open);
            let expected = delegated.lines().any(|line| line == name);
            assert_eq!(writable == "yes", expected, "{name}");
        }
        for (file, value) in [("cgroup.freeze", "1"), ("cgroup.max.depth", "max")] {
            container.sh(&format!(
                "! echo {value} > /sys/fs/cgroup/{file} 2>/dev/null"
            ));
        }
    });
}

#[test]
fn commands_from_outside_sit_in_a_cgroup_beside_what_its_init_makes() {
    in_container(Owner::User, "", |container| {
        assert_eq!(place(container, "self"), "/.exec");
        assert_eq!(place(container, "1"), "/");
        // Its root may use that, too, and may make it his own: then the top will do.
        container.sh("mkdir /sys/fs/cgroup/.exec/x && rmdir /sys/fs/cgroup/.exec/x");
        container
            .sh("cd /sys/fs/cgroup && echo $$ > cgroup.procs && rmdir .exec && mkdir -m 700 .exec");
        assert_eq!(place(container, "self"), "/");
    });
}

#[test]
fn what_it_made_there_goes_when_it_stops() {
    in_container(Owner::User, "", |container| container.sh(TREE).clear());
}

#[test]
fn what_it_made_there_goes_when_it_reboots() {
    in_container(Owner::User, "", |container| {
        container.sh(TREE);
        let payload = container.cgroup().join("payload");
        let before = process_of(container, "pid");
        container.berth(&["exec", container.name, "--", "reboot", "-f"]);
        wait_until("it does not come back", || {
            ![0, before].contains(&process_of(container, "pid"))
        });
        assert_eq!(children_of(&payload), Vec::<String>::new());
        assert_eq!(place(container, "self"), "/.exec");
    });
}

#[test]
fn what_it_made_there_goes_when_its_monitor_was_killed() {
    in_container(Owner::User, "", |container| {
        container.sh(TREE);
        // Its configuration is no place to look for the ids by then.
        let config = fs::read_to_string(container.config()).unwrap();
        let others = config.replace("lxc.idmap", "#lxc.idmap");
        for verb in ["stop", "start"] {
            kill_monitor(container);
            wait_until("it is not aborted", || {
                container.ok(&["ls"]).contains("aborted")
            });
            assert!(container.cgroup().join("payload/a").exists());
            if verb == "stop" {
                fs::write(container.config(), &others).unwrap();
                container.ok(&["stop", container.name]);
                assert!(!container.cgroup().exists());
                fs::write(container.config(), &config).unwrap();
            }
            container.start();
            assert!(!container.cgroup().join("payload/a").exists());
            container.sh(TREE);
        }
        // The rest is removed by `destroy`.
        kill_monitor(container);
    });
}

#[test]
fn it_can_make_no_more_than_can_be_removed() {
    in_container(Owner::User, "", |container| {
        let deep = "cd /sys/fs/cgroup && n=0 && while mkdir x 2>/dev/null && cd x; do \
                    n=$((n + 1)); [ $n -lt 1000 ] || exit 1; done; echo $n";
        assert_eq!(container.sh(deep), "50");
        assert_eq!(
            container.sh("cat /sys/fs/cgroup/cgroup.max.descendants"),
            "50000"
        );
    });
}
