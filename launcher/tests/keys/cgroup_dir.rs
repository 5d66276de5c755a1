//! Where a container's cgroup is made.

use std::fs;
use std::path::{Path, PathBuf};

use berth_test_private_host::{BASE, Cgroups};

use crate::world::{Container, Owner, eventually, on_host, on_host_with, refused_each};

fn base() -> PathBuf {
    Path::new("/sys/fs/cgroup").join(BASE)
}

/// The cgroups that lead there stay; the test's host is removed with a delegated cgroup that is
/// as it was.
fn remove(path: &str) {
    for cgroup in base().join(path).ancestors().take_while(|p| **p != base()) {
        fs::remove_dir(cgroup).unwrap();
    }
}

#[test]
fn the_containers_cgroup_is_made_there() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let db = Container::create(host, Owner::User, "db");
        web.append("lxc.cgroup.dir = shop/front/\nlxc.cgroup2.cgroup.max.depth = 3");
        db.append("lxc.cgroup.dir = shop");
        web.start();
        db.start();
        let there = base().join("shop/front/web");
        let depth = || fs::read_to_string(there.join("payload/cgroup.max.depth")).unwrap();
        let holds = |which: &str| !fs::read_to_string(there.join(which)).unwrap().is_empty();
        assert!(holds("monitor/cgroup.procs"));
        assert_eq!(depth().trim(), "3");
        assert!(!web.cgroup().exists());
        assert!(web.info("Cgroup").ends_with("/shop/front/web"));
        assert!(base().join("shop/db/payload").exists());
        web.sh("grep -q ^0::/ /proc/self/cgroup && mkdir /sys/fs/cgroup/a");
        web.reboot();
        assert_eq!(depth().trim(), "3");

        // Whether it ends in order or not, its own goes and what leads there stays.
        web.stop();
        eventually("the cgroup's end", || !there.exists());
        assert!(base().join("shop/front").exists());
        web.start();
        web.sh("mkdir -p /sys/fs/cgroup/a/b");
        web.kill_monitor();
        web.start();
        assert!(holds("monitor/cgroup.procs"));
        web.kill_monitor();
        web.berth(&["stop", "web"]);
        assert!(!there.exists());
        assert_eq!(db.info("State"), "running");
        web.destroy();
        db.destroy();
        eventually("the cgroup's end", || !base().join("shop/db").exists());
        remove("shop/front");
    });
}

#[test]
fn no_container_is_in_the_cgroup_of_another() {
    on_host(|host| {
        let shop = Container::create(host, Owner::User, "shop");
        let web = Container::create(host, Owner::User, "web");
        web.append("lxc.cgroup.dir = shop/front");
        shop.start();
        web.start_is_refused("/shop is the cgroup of a container, and goes with that");
        assert_eq!(shop.info("State"), "running");
        shop.stop();
        eventually("the cgroup's end", || !shop.cgroup().exists());

        web.start();
        let output = shop.berth(&["start", "--here", "shop"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("holds others than this container's"),
            "{said}"
        );
        assert_eq!(web.info("State"), "running");
        // A start that fails leaves nothing but what was there.
        web.stop();
        web.append("lxc.cgroup.dir = new/ones\nlxc.init.cmd = /sbin/none");
        web.start_is_refused("there is no /sbin/none");
        eventually("the cgroup's end", || !base().join("new/ones/web").exists());
        web.destroy();
        eventually("the cgroup's end", || {
            !base().join("shop/front/web").exists()
        });
        remove("shop/front");
        remove("new/ones");
        shop.destroy();
    });
}

#[test]
fn places_within_it_are_refused() {
    let wrong = [
        ("lxc.cgroup.dir = /shop", "found “/shop”: it is absolute"),
        ("lxc.cgroup.dir = ../x", "“..” cannot be one"),
        ("lxc.cgroup.dir = a/../../x", "“..” cannot be one"),
        ("lxc.cgroup.dir = a//b", "“” cannot be one"),
        ("lxc.cgroup.dir = .exec", "“.exec” cannot be one"),
        ("lxc.cgroup.dir = init.scope", "“init.scope” cannot be one"),
        ("lxc.cgroup.dir = memory.max", "“memory.max” cannot be one"),
        ("lxc.cgroup.dir = a b", "“a b” cannot be one"),
        (
            "lxc.cgroup.dir = a/a/a/a/a/a/a/a/a",
            "it leads through more than 8",
        ),
        (
            "lxc.cgroup.dir.container = /a",
            "lxc.cgroup.dir.container: expected a relative path",
        ),
        (
            "lxc.cgroup.dir.container.inner = ../a",
            "lxc.cgroup.dir.container.inner: expected a relative path",
        ),
        ("lxc.cgroup.dir.monitor = a/../b", "“..” cannot be one"),
        (
            "lxc.cgroup.dir.monitor.pivot = payload",
            "“payload” cannot be one",
        ),
        (
            "lxc.cgroup.dir.container = a",
            "lxc.cgroup.dir.container: expected lxc.cgroup.dir.monitor, too",
        ),
        (
            "lxc.cgroup.dir.monitor = a",
            "lxc.cgroup.dir.monitor: expected lxc.cgroup.dir.container, too",
        ),
        (
            "lxc.cgroup.dir.container.inner = a",
            "lxc.cgroup.dir.container.inner: it is below lxc.cgroup.dir.container; expected that, too",
        ),
        (
            "lxc.cgroup.dir = c\nlxc.cgroup.dir.container = a\nlxc.cgroup.dir.monitor = b",
            "lxc.cgroup.dir: lxc.cgroup.dir.container and lxc.cgroup.dir.monitor say where",
        ),
        (
            "lxc.cgroup.dir.container = a\nlxc.cgroup.dir.monitor = a/b",
            "lxc.cgroup.dir.monitor: expected a cgroup that is neither in that of the container nor \
             around it, found a/b beside a",
        ),
        (
            "lxc.cgroup.dir.container = a/b\nlxc.cgroup.dir.monitor = a",
            "found a beside a/b",
        ),
        (
            "lxc.cgroup.dir.container = a/b\nlxc.cgroup.dir.monitor = a/c\n\
             lxc.cgroup.dir.monitor.pivot = a",
            "lxc.cgroup.dir.monitor.pivot: expected a cgroup that is neither in that",
        ),
        (
            "lxc.cgroup.dir.container = a/b\nlxc.cgroup.dir.monitor = a/c\n\
             lxc.cgroup.dir.monitor.pivot = a/c/d",
            "found a/c/d beside a/c",
        ),
        (
            "lxc.cgroup.dir = a\nlxc.cgroup.dir.monitor.pivot = a/web",
            "found a/web beside a/web",
        ),
    ];
    refused_each(Owner::User, &wrong);
}

fn read(cgroup: &Path, file: &str) -> String {
    let text = fs::read_to_string(cgroup.join(file)).unwrap();
    text.trim().to_owned()
}

fn has_process(cgroup: &Path, pid: &str) -> bool {
    read(cgroup, "cgroup.procs").lines().any(|line| line == pid)
}

const APART: &str = "lxc.cgroup.dir.container = lxc.payload/web\n\
    lxc.cgroup.dir.monitor = lxc.monitor/web";

#[test]
fn container_and_monitor_are_where_each_is_said_to_be() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        web.append(APART);
        web.append("lxc.cgroup2.cgroup.max.depth = 3");
        let (payload, monitor) = (
            base().join("lxc.payload/web"),
            base().join("lxc.monitor/web"),
        );
        let is_there = || {
            assert!(has_process(&payload, &web.info("PID")));
            assert!(has_process(&monitor, &web.info("Monitor")));
            assert_eq!(read(&payload, "cgroup.max.depth"), "3");
            assert_eq!(web.sh("sed -n s/^0:://p /proc/1/cgroup"), "/");
            assert_eq!(web.sh("sed -n s/^0:://p /proc/self/cgroup"), "/.exec");
        };
        let is_gone = || !payload.exists() && !monitor.exists();
        web.start();
        is_there();
        assert!(!web.cgroup().exists());
        assert!(web.info("Cgroup").ends_with("/lxc.payload/web"));
        web.reboot();
        is_there();
        web.ok(&["freeze", "web"]);
        assert_eq!(read(&payload, "cgroup.freeze"), "1");
        web.ok(&["unfreeze", "web"]);

        // However it ends, both go, and what leads there stays.
        web.stop();
        eventually("the end of both", is_gone);
        assert!(base().join("lxc.payload").exists());
        web.start();
        web.berth(&["exec", "web", "--", "/bin/sh", "-c", "kill -USR2 1"]);
        eventually("the end of both", is_gone);
        web.start();
        web.sh("mkdir -p /sys/fs/cgroup/a/b");
        web.kill_monitor();
        web.start();
        is_there();
        web.kill_monitor();
        web.berth(&["stop", "web"]);
        assert!(is_gone());
        // What was running when it was destroyed, too; and what could not be started.
        web.start();
        web.append("lxc.init.cmd = /sbin/none");
        web.stop();
        web.start_is_refused("there is no /sbin/none");
        eventually("the end of both", is_gone);
        web.destroy();
        remove("lxc.payload");
        remove("lxc.monitor");
    });
}

#[test]
fn the_container_is_below_its_limits() {
    for owner in [Owner::User, Owner::Root] {
        on_host(|host| {
            let web = Container::create(host, owner, "web");
            web.append(
                "lxc.cgroup.dir.container = jail/web\nlxc.cgroup.dir.monitor = watch/web\n\
                 lxc.cgroup.dir.container.inner = in/side\nlxc.cgroup2.cgroup.max.depth = 9",
            );
            let above = web.cgroup().parent().unwrap().to_owned();
            let limited = above.join("jail/web");
            let inner = limited.join("in/side");
            for _ in 0..2 {
                web.start();
                assert!(web.info("Cgroup").ends_with("/jail/web"));
                assert_eq!(read(&limited, "cgroup.max.depth"), "9");
                assert_eq!(read(&inner, "cgroup.max.depth"), "50");
                assert!(has_process(&inner, &web.info("PID")));
                assert_eq!(read(&limited, "cgroup.procs"), "");
                // It sees the inner one as the top, and nothing of the limits.
                assert_eq!(web.sh("sed -n s/^0:://p /proc/1/cgroup"), "/");
                assert_eq!(web.sh("sed -n s/^0:://p /proc/self/cgroup"), "/.exec");
                assert_eq!(web.sh("cat /sys/fs/cgroup/cgroup.max.depth"), "50");
                web.sh("echo 2 >/sys/fs/cgroup/cgroup.max.depth 2>/dev/null || :");
                assert_eq!(read(&limited, "cgroup.max.depth"), "9");
                web.reboot();
                assert!(has_process(&inner, &web.info("PID")));
                web.kill_monitor();
            }
            web.berth(&["stop", "web"]);
            for gone in [&limited, &above.join("watch/web")] {
                assert!(!gone.exists());
            }
            web.destroy();
            for way in ["jail", "watch"] {
                fs::remove_dir(above.join(way)).unwrap();
            }
        });
    }
}

/// A frozen cgroup holds up who comes into it.
#[test]
fn a_monitor_ends_in_the_pivot() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        web.append("lxc.cgroup.dir.monitor.pivot = ends/here");
        let pivot = base().join("ends/here");
        let halt = || web.berth(&["exec", "web", "--", "/bin/sh", "-c", "kill -USR2 1"]);
        for (lines, whole, monitor) in [
            ("", "web", "web/monitor"),
            (APART, "lxc.payload/web", "lxc.monitor/web"),
        ] {
            web.append(lines);
            let (whole, monitor) = (base().join(whole), base().join(monitor));
            web.start();
            let pid = web.info("Monitor");
            assert!(has_process(&monitor, &pid));
            web.sh("mkdir -p /sys/fs/cgroup/a/b");
            web.sh_on_host(&format!("echo 1 >{}/cgroup.freeze", pivot.display()));
            halt();
            eventually("the monitor's last move", || has_process(&pivot, &pid));
            assert_eq!(read(&monitor, "cgroup.procs"), "");
            web.sh_on_host(&format!("echo 0 >{}/cgroup.freeze", pivot.display()));
            eventually("the end", || !whole.exists() && !monitor.exists());
            eventually("the monitor's end", || {
                read(&pivot, "cgroup.procs").is_empty()
            });
            assert_eq!(web.info("State"), "stopped");
        }

        // Without it the end is as any other.
        web.start();
        fs::remove_dir(&pivot).unwrap();
        halt();
        eventually("the end", || !base().join("lxc.payload/web").exists());
        eventually("the end", || !base().join("lxc.monitor/web").exists());
        web.destroy();
        remove("ends");
        remove("lxc.payload");
        remove("lxc.monitor");
    });
}

#[test]
fn no_container_takes_the_cgroup_of_another() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let db = Container::create(host, Owner::User, "db");
        let solo = Container::create(host, Owner::User, "solo");
        web.append("lxc.cgroup.dir.container = shop/a\nlxc.cgroup.dir.monitor = solo");
        web.start();
        let config = fs::read_to_string(db.config()).unwrap();
        let is_refused = |container: &str, monitor: &str, text: &str| {
            db.append(&format!(
                "lxc.cgroup.dir.container = {container}\nlxc.cgroup.dir.monitor = {monitor}"
            ));
            db.start_is_refused(text);
            fs::write(db.config(), &config).unwrap();
        };
        is_refused(
            "shop/a",
            "watch",
            "/shop/a is the cgroup of another container",
        );
        is_refused("shop/b", "solo", "/solo is the cgroup of another container");
        assert!(!base().join("watch").exists() && !base().join("shop/b").exists());
        is_refused("shop", "watch", "/shop is there already, and in use");
        is_refused(
            "shop/a/b",
            "watch",
            "/shop/a is the cgroup of a container, and goes with that",
        );
        for (line, text) in [
            ("lxc.cgroup.dir = shop/a", "is the cgroup of a container"),
            (
                "lxc.cgroup.dir.monitor.pivot = solo",
                "/solo is the cgroup of a container",
            ),
        ] {
            db.append(line);
            db.start_is_refused(text);
            fs::write(db.config(), &config).unwrap();
        }
        let output = solo.berth(&["start", "--here", "solo"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("holds others than this container's"),
            "{said}"
        );
        assert_eq!(web.sh("echo runs"), "runs");

        // What an aborted one left is its own until it is cleared up, and nothing of it afterwards.
        web.kill_monitor();
        is_refused("shop/a", "watch", "is the cgroup of another container");
        web.berth(&["stop", "web"]);
        db.append("lxc.cgroup.dir.container = shop/a\nlxc.cgroup.dir.monitor = solo");
        db.start();
        web.start_is_refused("is the cgroup of another container");
        web.destroy();
        assert_eq!(db.sh("echo runs"), "runs");
        db.destroy();
        eventually("the end", || !base().join("solo").exists());
        solo.destroy();
        remove("shop");
    });
}

#[test]
fn without_a_cgroup_no_place_for_it_is_had() {
    on_host_with(
        |setup| setup.cgroups = Cgroups::None,
        |host| {
            let web = Container::create(host, Owner::User, "web");
            web.append("lxc.cgroup.dir.monitor.pivot = a");
            web.start_is_refused(
                "lxc.cgroup.dir.monitor.pivot cannot be obeyed: this host has no cgroup v2",
            );
            web.append(APART);
            web.start_is_refused("lxc.cgroup.dir.container cannot be obeyed: this host has");
            web.destroy();
        },
    );
}
