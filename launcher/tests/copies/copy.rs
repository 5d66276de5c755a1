//! `berth copy`: whole copies, their configuration and hooks.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::world::{Container, Owner, eventually, on_host};
use crate::{OWNERS, lxcpath, names, other, refused};

#[test]
fn a_copy_is_a_container_of_its_own() {
    on_host(|host| {
        for owner in OWNERS {
            let container = Container::create(host, owner, "web");
            container.ok(&["copy", "web", "copy"]);
            let copy = other(&container, "copy");
            copy.start();
            assert_eq!(copy.sh("hostname; cat /etc/hostname"), "copy\ncopy");
            copy.sh("rm /etc/hostname");
            container.start();
            assert_eq!(container.sh("cat /etc/hostname"), "web");
            container.destroy();
            copy.destroy();
        }
    });
}

#[test]
fn its_configuration_names_itself() {
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        let dir = container.dir();
        let own = dir.display();
        fs::write(
            dir.join("more.conf"),
            format!("lxc.mount.entry = {own}/data srv none bind,optional 0 0\n"),
        )
        .unwrap();
        fs::write(
            dir.join("fstab"),
            format!("{own}/data mnt none bind,optional 0 0\n"),
        )
        .unwrap();
        container.append(&format!(
            "lxc.include = {own}/more.conf\nlxc.mount.fstab = {own}/fstab\n\
             lxc.mount.entry = {own}2/data mnt none bind,optional 0 0\n\
             lxc.log.file = {own}/own.log\nlxc.net.0.type = empty\n\
             lxc.net.1.type = veth\nlxc.net.1.hwaddr = 00:16:3e:11:22:33\n"
        ));
        container.ok(&["copy", "web", "a"]);
        container.ok(&["copy", "--keep-mac", "--keep-name", "web", "b"]);
        let read = |name: &str, file: &str| {
            fs::read_to_string(lxcpath(&container).join(name).join(file)).unwrap()
        };
        let a = read("a", "config");
        for line in [
            "lxc.uts.name = a\n",
            "lxc.rootfs.path = dir:/var/lib/lxc/a/rootfs\n",
            "lxc.include = /var/lib/lxc/a/more.conf\n",
            "lxc.mount.fstab = /var/lib/lxc/a/fstab\n",
            "lxc.mount.entry = /var/lib/lxc/web2/data mnt ",
            "lxc.log.file = /var/lib/lxc/a/own.log\n",
        ] {
            assert!(a.contains(line), "no {line} in {a}");
        }
        assert!(!a.contains("00:16:3e:11:22:33"), "{a}");
        assert!(read("a", "more.conf").contains("= /var/lib/lxc/a/data "));
        assert!(read("a", "fstab").starts_with("/var/lib/lxc/a/data "));
        let b = read("b", "config");
        assert!(
            b.contains("lxc.uts.name = web\n") && b.contains("00:16:3e:11:22:33"),
            "{b}"
        );
        assert_eq!(read("b", "rootfs/etc/hostname"), "web\n");
        for name in ["a", "b", "web"] {
            container.ok(&["destroy", "--force", name]);
        }
    });
}

#[test]
fn hooks_for_copies_find_the_new_root_and_may_refuse() {
    on_host(|host| {
        for owner in OWNERS {
            let container = Container::create(host, owner, "web");
            let hook = host.home().join("hook");
            let script = "#!/bin/sh\nR=${LXC_ROOTFS_MOUNT:?}\n\
                 echo \"$*|$LXC_NAME|$LXC_SRC_NAME|$LXC_HOOK_TYPE|$(id -u)\" > $R/told\n\
                 test -f ${LXC_CONFIG_FILE:?} && test ! -e ${0%/*}/refuse\n";
            fs::write(&hook, script).unwrap();
            fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
            container.append(&format!("lxc.hook.clone = {} more", hook.display()));
            for (version, told) in [
                ("0", "more a lxc clone|a|web||0\n"),
                ("1", "more|a|web|clone|0\n"),
            ] {
                container.append(&format!("lxc.hook.version = {version}"));
                for how in [
                    &["copy", "web", "a"][..],
                    &["copy", "--snapshot", "web", "a"],
                ] {
                    container.ok(how);
                    let dir = lxcpath(&container).join("a");
                    let told_in = |place: &str| fs::read_to_string(dir.join(place));
                    let found = told_in("rootfs/told").or_else(|_| told_in("overlay/delta/told"));
                    assert_eq!(found.unwrap(), told, "{how:?}");
                    container.ok(&["destroy", "--force", "a"]);
                }
            }
            fs::write(host.home().join("refuse"), "").unwrap();
            refused(&container, &["copy", "web", "a"], "lxc.hook.clone");
            fs::remove_file(host.home().join("refuse")).unwrap();
            assert_eq!(names(&lxcpath(&container)), ["web"]);
            container.destroy();
        }
    });
}

#[test]
fn a_running_container_stands_still_while_it_is_copied() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.start();
        refused(&container, &["copy", "web", "b"], "--running");
        refused(&container, &["snapshot", "create", "web"], "stop it first");
        container.ok(&["copy", "--running", "web", "b"]);
        let freeze = container.cgroup().join("payload/cgroup.freeze");
        assert_eq!(fs::read_to_string(&freeze).unwrap(), "0\n");
        // One that its owner has frozen stays so.
        container.ok(&["freeze", "web"]);
        container.ok(&["copy", "--running", "web", "c"]);
        assert_eq!(fs::read_to_string(&freeze).unwrap(), "1\n");
        container.ok(&["unfreeze", "web"]);
        // Whoever copies it is killed: it goes on.
        let rootfs = container.dir().join("rootfs/srv");
        for number in 0..3000 {
            fs::write(rootfs.join(number.to_string()), "x").unwrap();
        }
        let mut copying = container
            .command("berth")
            .args(["copy", "--running", "web", "d"])
            .spawn()
            .unwrap();
        eventually("standing still", || {
            fs::read_to_string(&freeze).unwrap() == "1\n"
        });
        copying.kill().unwrap();
        copying.wait().unwrap();
        eventually("going on", || fs::read_to_string(&freeze).unwrap() == "0\n");
        // The monitor sees it a moment later.
        container.wait_for("true");
        assert_eq!(container.sh("echo lives"), "lives");
        for name in ["b", "c"] {
            container.ok(&["destroy", "--force", name]);
        }
        container.destroy();
        assert!(names(&lxcpath(&container)).is_empty());
    });
}

#[test]
fn what_is_there_or_is_not_is_told_before_anything_is_made() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.ok(&["create", "other"]);
        refused(&container, &["copy", "wep", "b"], "did you mean “web”?");
        refused(&container, &["copy", "web", "other"], "exists already");
        container.append("lxc.rootfs.path = dir:/nowhere/at/all");
        refused(
            &container,
            &["copy", "web", "b"],
            "there is no directory /nowhere/at/all",
        );
        assert_eq!(names(&lxcpath(&container)), ["other", "web"]);
        container.ok(&["destroy", "--force", "other"]);
        container.destroy();
    });
}
