//! Directories of the host's in a container.

use std::fs;
use std::os::unix::fs::MetadataExt;

use berth_test_private_host::{Host, ID};

use crate::world::{Container, Owner, on_host};

fn create<'h>(host: &'h Host, owner: Owner, shares: &[&str]) -> Container<'h> {
    let container = Container {
        host,
        owner,
        name: "web",
    };
    let mut words = vec!["create", "--template", "busybox", "web"];
    for share in shares {
        words.extend(["--share", share]);
    }
    container.ok(&words);
    container.append("lxc.net =\n");
    container
}

#[test]
fn the_owners_files_are_his_inside() {
    on_host(|host| {
        let by = Container {
            host,
            owner: Owner::User,
            name: "web",
        };
        by.sh_on_host(
            "mkdir -p ~/src '~/'; mkdir -p ~/'a b'; echo hers >~/src/file; chmod 600 ~/src/file",
        );
        let blank = format!("{}/a b:/srv/blank dir", host.home().display());
        let container = create(host, Owner::User, &["src:/srv/src", &blank, "src"]);
        container.start();
        let as_owner = format!("{ID}:{ID}");
        let run = |user: &str, script: &str| {
            container.ok(&["exec", "web", "--user", user, "--", "sh", "-c", script])
        };
        let file = "cat /srv/src/file; stat -c %u:%g /srv/src/file";
        assert_eq!(run(&as_owner, file), format!("hers\n{ID}:{ID}\n"));
        run(
            &as_owner,
            "echo new >/srv/src/new && mkdir '/srv/blank dir/made'",
        );
        let made = fs::metadata(host.home().join("src/new")).unwrap();
        assert_eq!((made.uid(), made.gid()), (ID, ID));
        assert!(host.home().join("a b/made").is_dir());
        // At the same path without another, and root inside may do what its ids may.
        let same = format!("cat {}/src/new", host.home().display());
        assert_eq!(run("0", &same), "new\n");
        // Others inside are others.
        let other =
            container.berth(&["exec", "web", "--user", "5:5", "--", "cat", "/srv/src/file"]);
        assert_eq!(other.status.code(), Some(1));
        // The container's own files of that user, in copies and to their end.
        run(
            "0",
            &format!("mkdir /home2 && touch /home2/x && chown {ID}:{ID} /home2 /home2/x"),
        );
        container.stop();
        container.ok(&["copy", "web", "twin"]);
        let twin = Container {
            name: "twin",
            ..container
        };
        twin.start();
        assert_eq!(
            twin.sh("stat -c %u /home2/x; cat /srv/src/new"),
            format!("{ID}\nnew")
        );
        twin.destroy();
        by.destroy();
        // What is shared is nobody's to remove.
        assert_eq!(
            fs::read_to_string(host.home().join("src/new")).unwrap(),
            "new\n"
        );
    });
}

#[test]
fn what_cannot_be_shared_is_refused_before_anything_is_made() {
    on_host(|host| {
        let container = Container {
            host,
            owner: Owner::User,
            name: "web",
        };
        container.sh_on_host("mkdir ~/src; touch ~/file");
        for (share, code, text) in [
            ("gone", 1, "cannot share gone: No such file or directory"),
            ("file", 1, "cannot share file: it is no directory"),
            (
                "src:/",
                1,
                "as the container's own root; say where: --share src:/DIR",
            ),
            ("src:/a/../b", 2, "absolute path without “..”"),
            ("", 2, "HOSTDIR"),
        ] {
            let output = container.berth(&["create", "web", "--share", share]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{share}: {said}");
            assert!(said.contains(text), "{share}: {said}");
            assert!(!container.dir().exists());
        }
    });
}

#[test]
fn roots_container_shares_as_it_is() {
    on_host(|host| {
        let shared = host.home().join("shared");
        fs::create_dir(&shared).unwrap();
        let share = format!("{}:/shared", shared.display());
        let container = create(host, Owner::Root, &[&share]);
        let config = fs::read_to_string(container.config()).unwrap();
        assert!(!config.contains("lxc.idmap"), "{config}");
        container.start();
        container.sh("echo x >/shared/file");
        assert_eq!(fs::read_to_string(shared.join("file")).unwrap(), "x\n");
        container.destroy();
        assert!(shared.join("file").exists());
    });
}
