//! Where a container's cgroup is made.

use std::fs;
use std::path::{Path, PathBuf};

use berth_test_private_host::BASE;

use crate::world::{Container, Owner, eventually, on_host, refused_each};

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
            "lxc.cgroup.dir.container = a",
            "lxc.cgroup.dir.container: LXC knows this key, but",
        ),
        (
            "lxc.cgroup.dir.container.inner = a",
            "the container cannot change its limits in any case",
        ),
        (
            "lxc.cgroup.dir.monitor = a",
            "it is always monitor beside payload",
        ),
        (
            "lxc.cgroup.dir.monitor.pivot = a",
            "its control group is removed after its end",
        ),
    ];
    refused_each(Owner::User, &wrong);
}
