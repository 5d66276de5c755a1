//! `berth snapshot`: kept, listed, gone back to, removed.

use std::fs;

use crate::world::{Container, Owner, on_host};
use crate::{OWNERS, lxcpath, names, other, refused};

#[test]
fn a_container_goes_back_to_what_it_was() {
    on_host(|host| {
        for owner in OWNERS {
            let container = Container::create(host, owner, "web");
            container.append("lxc.net.0.type = empty\n# one");
            let create = ["snapshot", "create", "web"];
            assert_eq!(container.ok(&create), "snap0\n");
            let config = fs::read(container.config()).unwrap();
            container.append("# two");
            container.start();
            refused(
                &container,
                &["snapshot", "restore", "web", "snap0"],
                "stop it first",
            );
            container.sh("rm /etc/group; echo second > /etc/state");
            container.stop();
            let commented = [&create[..], &["--comment", "with\u{1b} state"]].concat();
            assert_eq!(container.ok(&commented), "snap1\n");

            let listed = container.ok(&["snapshot", "list", "web"]);
            let lines: Vec<&str> = listed.lines().collect();
            assert!(
                lines[1].starts_with("snap0  2") && lines[1].ends_with("Z  -"),
                "{listed}"
            );
            assert!(
                lines[2].starts_with("snap1  2") && lines[2].ends_with("with\\u{1b} state"),
                "{listed}"
            );
            let json = container.ok(&["snapshot", "list", "--json", "web"]);
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(json[1]["name"], "snap1");

            refused(
                &container,
                &["snapshot", "restore", "web", "snap7"],
                "it has snap0, snap1",
            );
            container.ok(&["snapshot", "restore", "web", "snap0"]);
            assert_eq!(fs::read(container.config()).unwrap(), config);
            let etc = container.dir().join("rootfs/etc");
            assert!(etc.join("group").exists() && !etc.join("state").exists());
            assert_eq!(names(&container.dir().join("snaps")), ["snap0", "snap1"]);
            container.ok(&["snapshot", "restore", "--to", "second", "web", "snap1"]);
            let second = other(&container, "second");
            second.start();
            assert_eq!(
                second.sh("cat /etc/state; hostname; test ! -e /etc/group"),
                "second\nsecond"
            );
            second.destroy();

            refused(
                &container,
                &["destroy", "--force", "web"],
                "snapshots: snap0, snap1",
            );
            container.ok(&["snapshot", "delete", "web", "snap0"]);
            assert_eq!(container.ok(&create), "snap0\n");
            container.ok(&["snapshot", "delete", "--all", "web"]);
            assert!(!names(&container.dir()).contains(&"snaps".to_owned()));
            container.ok(&create);
            container.ok(&["destroy", "--force", "--snapshots", "web"]);
            assert!(names(&lxcpath(&container)).is_empty());
        }
    });
}

#[test]
fn a_snapshot_of_an_overlay_is_its_changes() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.ok(&["copy", "--snapshot", "web", "top"]);
        let top = other(&container, "top");
        top.start();
        top.sh("echo one > /etc/state; rm /etc/group");
        top.stop();
        container.ok(&["snapshot", "create", "top"]);
        top.start();
        top.sh("echo two > /etc/state; echo back > /etc/group");
        top.stop();
        container.ok(&["snapshot", "restore", "top", "snap0"]);
        container.ok(&["snapshot", "restore", "--to", "twin", "top", "snap0"]);
        for name in ["top", "twin"] {
            let name = other(&container, name);
            name.start();
            assert_eq!(name.sh("cat /etc/state; test ! -e /etc/group"), "one");
            name.stop();
        }
        let held = ["destroy", "--force", "--snapshots", "web"];
        refused(&container, &held, "top, twin, top’s snapshot snap0");
        refused(
            &container,
            &["snapshot", "restore", "web", "snap0"],
            "no snapshots",
        );
        container.ok(&["snapshot", "create", "web"]);
        refused(
            &container,
            &["snapshot", "restore", "web", "snap0"],
            "cannot be restored: its files are below",
        );
        container.ok(&["snapshot", "delete", "top", "snap0"]);
        for name in ["top", "twin"] {
            container.ok(&["destroy", "--force", name]);
        }
        container.ok(&held);
        assert!(names(&lxcpath(&container)).is_empty());
    });
}
