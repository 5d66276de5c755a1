//! LXC's own tools understand what Berth makes of copies and snapshots, and the other way round.

use std::fs;
use std::process::Output;

use crate::world::{Container, Owner, on_host};
use crate::{lxcpath, names, other, refused};

fn lxc(container: &Container, program: &str, arguments: &[&str]) -> Output {
    container.command(program).args(arguments).output().unwrap()
}

#[test]
fn lxc_lists_snapshots_and_keeps_what_copies_build_upon() {
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        container.ok(&["snapshot", "create", "--comment", "the first", "web"]);
        let list = lxc(&container, "lxc-snapshot", &["-n", "web", "-L", "-C"]);
        let list = String::from_utf8(list.stdout).unwrap();
        assert!(
            list.starts_with("snap0 (/var/lib/lxc/web/snaps) 2"),
            "{list}"
        );
        assert!(list.ends_with("\nthe first\n"), "{list}");
        let deleted = lxc(&container, "lxc-snapshot", &["-n", "web", "-d", "snap0"]);
        assert!(deleted.status.success(), "{deleted:?}");
        assert!(container.ok(&["snapshot", "list", "--json", "web"]).trim() == "[]");

        container.ok(&["copy", "--snapshot", "web", "top"]);
        let kept = lxc(&container, "lxc-destroy", &["-n", "web"]);
        let said = String::from_utf8_lossy(&kept.stderr);
        assert!(
            !kept.status.success() && said.contains("has clones"),
            "{said}"
        );
        // LXC removes the copy, and the note of it; then nothing holds what was below.
        let gone = lxc(&container, "lxc-destroy", &["-n", "top"]);
        assert!(gone.status.success(), "{gone:?}");
        assert!(!container.dir().join("lxc_snapshots").exists());
        container.destroy();
    });
}

#[test]
fn copies_of_lxcs_are_understood() {
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        let made = lxc(
            &container,
            "lxc-copy",
            &["-n", "web", "-N", "top", "-s", "-B", "overlay"],
        );
        assert!(made.status.success(), "{made:?}");
        refused(
            &container,
            &["destroy", "--force", "web"],
            "below those of top",
        );
        container.ok(&["rename", "web", "www"]);
        let top = other(&container, "top");
        top.start();
        assert_eq!(top.sh("hostname"), "top");
        top.destroy();
        assert!(!fs::exists("/var/lib/lxc/www/lxc_snapshots").unwrap());
        container.ok(&["destroy", "--force", "www"]);
        assert!(names(&lxcpath(&container)).is_empty());
    });
}
