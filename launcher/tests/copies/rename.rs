//! `berth rename`: everything that named the old name names the new one.

use std::fs;

use crate::world::{Container, Owner, on_host};
use crate::{OWNERS, lxcpath, names, other, refused};

#[test]
fn a_renamed_container_starts_and_so_does_what_builds_upon_it() {
    on_host(|host| {
        for owner in OWNERS {
            let container = Container::create(host, owner, "web");
            let own = container.dir();
            let own = own.display();
            container.sh_on_host(&format!(
                "echo {own}/x mnt none bind,optional 0 0 > {own}/fstab"
            ));
            container.append(&format!("lxc.mount.fstab = {own}/fstab"));
            container.ok(&["snapshot", "create", "web"]);
            container.ok(&["copy", "--snapshot", "web", "top"]);
            container.ok(&["snapshot", "create", "top"]);
            container.ok(&["rename", "web", "www"]);
            let all = lxcpath(&container);
            assert_eq!(names(&all), ["top", "www"]);
            for file in [
                "www/config",
                "www/fstab",
                "www/snaps/snap0/config",
                "top/config",
                "top/lxc_rdepends",
                "top/snaps/snap0/config",
                "top/snaps/snap0/lxc_rdepends",
            ] {
                let text = fs::read_to_string(all.join(file)).unwrap();
                let is_named = |line: &str| line.contains("/web") || line == "web";
                assert!(!text.lines().any(is_named), "{file}: {text}");
            }
            let (www, top) = (other(&container, "www"), other(&container, "top"));
            www.start();
            assert_eq!(www.sh("hostname"), "www");
            top.start();
            refused(&container, &["rename", "www", "w"], "is running");
            www.stop();
            refused(
                &container,
                &["rename", "www", "w"],
                "files of “top”, which is running",
            );
            top.stop();
            refused(
                &container,
                &["destroy", "-f", "--snapshots", "www"],
                "below those of top",
            );
            // Its copy has another name now: what is below it knows that.
            container.ok(&["rename", "top", "cap"]);
            let noted = fs::read_to_string(all.join("www/lxc_snapshots")).unwrap();
            let noted: Vec<&str> = noted.lines().skip(1).step_by(2).collect();
            assert_eq!(noted, ["cap", "snap0"]);
            container.ok(&["destroy", "-f", "--snapshots", "cap"]);
            container.ok(&["snapshot", "restore", "www", "snap0"]);
            www.start();
            container.ok(&["stop", "-k", "www"]);
            container.ok(&["destroy", "-f", "--snapshots", "www"]);
            assert!(names(&all).is_empty());
        }
    });
}

#[test]
fn a_name_that_is_taken_is_not_given_away() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.ok(&["create", "other"]);
        refused(&container, &["rename", "web", "other"], "exists already");
        refused(
            &container,
            &["rename", "nobody", "x"],
            "there is no container",
        );
        assert_eq!(names(&lxcpath(&container)), ["other", "web"]);
        container.ok(&["destroy", "--force", "other"]);
        container.destroy();
    });
}
