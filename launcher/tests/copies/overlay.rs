//! Copies that are overlays, and what may happen to what is below them.

use std::fs;

use crate::world::{Container, Owner, eventually, on_host};
use crate::{OWNERS, lxcpath, names, other, refused};

#[test]
fn an_overlay_keeps_its_changes_and_holds_what_is_below_it() {
    on_host(|host| {
        for owner in OWNERS {
            let container = Container::create(host, owner, "web");
            container.ok(&["copy", "--snapshot", "web", "top"]);
            let top = other(&container, "top");
            top.start();
            assert_eq!(top.sh("hostname; cat /etc/hostname"), "top\ntop");
            top.sh("rm /etc/passwd; rm -r /var; mkdir /var; echo new > /var/own");
            top.stop();
            assert!(container.dir().join("rootfs/etc/passwd").exists());
            let held = ["destroy", "--force", "web"];
            refused(&container, &held, "below those of top");

            // A whole copy has what is seen, and needs nothing below it.
            container.ok(&["copy", "top", "whole"]);
            let rootfs = lxcpath(&container).join("whole/rootfs");
            assert!(!rootfs.join("etc/passwd").exists() && rootfs.join("etc/group").exists());
            assert_eq!(names(&rootfs.join("var")), ["own"]);
            // An overlay upon an overlay has the same below it.
            container.ok(&["copy", "--snapshot", "top", "chain"]);
            let chain = other(&container, "chain");
            top.destroy();
            chain.start();
            assert_eq!(
                chain.sh("ls /var; hostname; test ! -e /etc/passwd"),
                "own\nchain"
            );
            chain.stop();
            refused(&container, &held, "below those of chain");
            chain.destroy();
            assert!(!container.dir().join("lxc_snapshots").exists());
            container.destroy();
            let whole = other(&container, "whole");
            whole.start();
            whole.destroy();
        }
    });
}

#[test]
fn an_ephemeral_copy_is_gone_when_it_has_stopped() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        let name = container.ok(&["copy", "--ephemeral", "--here", "web"]);
        let name = name.trim();
        assert!(name.starts_with("web_") && name.len() == 10, "{name}");
        assert_eq!(container.ok(&["exec", name, "--", "hostname"]).trim(), name);
        refused(&container, &["destroy", "--force", "web"], name);
        container.ok(&["stop", "--kill", name]);
        let dir = lxcpath(&container);
        eventually("the end of the copy", || names(&dir) == ["web"]);
        eventually("its origin's freedom", || {
            names(&container.dir()) == ["config", "rootfs"]
        });
        // One that cannot start is gone as well.
        container.append("lxc.init.cmd = /nowhere");
        let failed = container.berth(&["copy", "--ephemeral", "--here", "web", "brief"]);
        assert_eq!(failed.status.code(), Some(1), "{failed:?}");
        assert_eq!(names(&dir), ["web"]);
        container.destroy();
    });
}

#[test]
fn what_is_noted_in_vain_holds_nothing() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.ok(&["copy", "--snapshot", "web", "top"]);
        // As after somebody removed it by hand.
        container.on_host(&format!(
            "rm -r {}",
            lxcpath(&container).join("top").display()
        ));
        let note = container.dir().join("lxc_snapshots");
        assert!(fs::read_to_string(&note).unwrap().ends_with("\ntop\n"));
        // What is not noted but so holds all the same.
        container.ok(&["copy", "--snapshot", "web", "other"]);
        fs::remove_file(&note).unwrap();
        refused(&container, &["destroy", "--force", "web"], "other");
        container.ok(&["destroy", "--force", "other"]);
        container.destroy();
    });
}

#[test]
fn images_have_no_overlays() {
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        let image = container.dir().join("image");
        fs::File::create(&image).unwrap().set_len(1 << 20).unwrap();
        container.append(&format!("lxc.rootfs.path = loop:{}", image.display()));
        refused(
            &container,
            &["copy", "--snapshot", "web", "top"],
            "an overlay needs a directory",
        );
        container.ok(&["copy", "web", "whole"]);
        let config = fs::read_to_string("/var/lib/lxc/whole/config").unwrap();
        assert!(
            config.contains("lxc.rootfs.path = loop:/var/lib/lxc/whole/image\n"),
            "{config}"
        );
        assert_eq!(
            fs::metadata("/var/lib/lxc/whole/image").unwrap().len(),
            1 << 20
        );
        container.ok(&["destroy", "--force", "whole"]);
        container.destroy();
    });
}
