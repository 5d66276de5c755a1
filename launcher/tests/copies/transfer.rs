//! `berth cp` and `berth ls --disk`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use berth_test_private_host::{ID, SUBID};

use crate::world::{Container, Owner, on_host};
use crate::{OWNERS, lxcpath, names, other, refused};

fn whose(path: &Path) -> (u32, u32, u32) {
    let found = path.symlink_metadata().unwrap();
    (found.uid(), found.gid(), found.mode() & 0o7777)
}

#[test]
fn files_go_in_and_come_out_whether_it_runs_or_not() {
    on_host(|host| {
        for owner in OWNERS {
            let container = Container::create(host, owner, "web");
            let (own, id) = match owner {
                Owner::User => (ID, SUBID),
                Owner::Root => (0, 0),
            };
            container.sh_on_host(
                "rm -rf in out*; mkdir -p in/deep/er; echo one > in/one; chmod 6751 in/one; echo two > in/deep/two; \
                 ln -s /etc/passwd in/link; truncate -s 1G in/hole; touch -d @1000000000 in/deep/two",
            );
            container.ok(&["copy", "--snapshot", "web", "top"]);
            let top = other(&container, "top");
            for running in [false, true] {
                for target in [&container, &top] {
                    if running {
                        target.start();
                    }
                    let inside = |path: &str| format!("{}:{path}", target.name);
                    target.ok(&["cp", "in", &inside("/srv")]);
                    target.ok(&["cp", "--owner", "33:44", "in/one", &inside("/srv/other")]);
                    // Once more: what is there is replaced.
                    target.ok(&["cp", "in/one", &inside("/srv/in/")]);
                    let seen = target.dir().join(match target.name {
                        "web" => "rootfs/srv",
                        _ => "overlay/delta/srv",
                    });
                    assert_eq!(whose(&seen.join("in/one")), (id, id, 0o751));
                    assert_eq!(whose(&seen.join("in/deep")), (id, id, 0o755));
                    assert_eq!(whose(&seen.join("other")), (id + 33, id + 44, 0o751));
                    assert_eq!(
                        fs::metadata(seen.join("in/deep/two")).unwrap().mtime(),
                        1_000_000_000
                    );
                    assert_eq!(
                        fs::read_link(seen.join("in/link")).unwrap(),
                        Path::new("/etc/passwd")
                    );
                    let hole = fs::metadata(seen.join("in/hole")).unwrap();
                    assert!(hole.len() == 1 << 30 && hole.blocks() < 100);
                    assert_eq!(names(&seen.join("in")), ["deep", "hole", "link", "one"]);

                    let out = format!("out-{}-{running}", target.name);
                    target.ok(&["cp", &inside("/srv/in"), &out]);
                    let out = host.home().join(out);
                    assert_eq!(whose(&out.join("one")), (own, own, 0o751));
                    assert_eq!(fs::read_to_string(out.join("deep/two")).unwrap(), "two\n");
                    assert_eq!(names(&out), names(&seen.join("in")));
                    if running {
                        // A file system of the container's own.
                        assert_eq!(target.sh("mount -t tmpfs none /mnt && echo ok"), "ok");
                        target.ok(&["cp", "in/one", &inside("/mnt")]);
                        assert_eq!(target.sh("cat /mnt/one"), "one");
                        target.stop();
                    }
                }
            }
            top.destroy();
            container.destroy();
        }
    });
}

#[test]
fn no_link_of_the_containers_leads_out_of_it() {
    on_host(|host| {
        for owner in OWNERS {
            let container = Container::create(host, owner, "web");
            let secret = host.home().join("secret");
            fs::write(&secret, "the host's\n").unwrap();
            fs::write(host.home().join("new"), "new\n").unwrap();
            let rootfs = container.dir().join("rootfs");
            let home = host.home();
            // Plain ones, those that climb, and one in the place of what is to be written.
            symlink(&secret, rootfs.join("srv/plain")).unwrap();
            symlink(home, rootfs.join("srv/dir")).unwrap();
            let climb = format!("{}{}", "../".repeat(40), home.display());
            symlink(&climb, rootfs.join("srv/climb")).unwrap();
            symlink("/proc/self/root", rootfs.join("srv/proc")).unwrap();
            for path in [
                "/srv/plain",
                "/srv/dir/secret",
                "/srv/climb/secret",
                "/../../../srv/plain",
            ] {
                let from = format!("web:{path}");
                let output = container.berth(&["cp", &from, "out"]);
                assert_eq!(output.status.code(), Some(1), "{path}: {output:?}");
            }
            assert!(!home.join("out").exists());
            for path in [
                "/srv/dir",
                "/srv/dir/secret",
                "/srv/climb/secret",
                "/srv/proc/secret",
            ] {
                let to = format!("web:{path}");
                let _ = container.berth(&["cp", "new", &to]);
                assert_eq!(
                    fs::read_to_string(&secret).unwrap(),
                    "the host's\n",
                    "{path}"
                );
            }
            container.ok(&["cp", "new", "web:/srv/plain"]);
            assert_eq!(fs::read_to_string(&secret).unwrap(), "the host's\n");
            assert_eq!(
                fs::read_to_string(rootfs.join("srv/plain")).unwrap(),
                "new\n"
            );
            container.destroy();
        }
    });
}

#[test]
fn what_is_no_file_is_refused_by_name_and_nothing_half_done_is_left() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.sh_on_host(
            "mkdir in; echo one > in/a; mkfifo in/pipe; echo secret > mine; chmod 600 mine",
        );
        refused(
            &container,
            &["cp", "in", "web:/srv"],
            "in/pipe is a named pipe",
        );
        assert!(names(&container.dir().join("rootfs/srv")).is_empty());
        refused(
            &container,
            &["cp", "/dev/null", "web:/srv"],
            "/dev/null is a device",
        );
        refused(
            &container,
            &["cp", "web:/etc/nothing", "out"],
            "/etc/nothing: No such file",
        );
        refused(&container, &["cp", "mine", "web:/nowhere/mine"], "/nowhere");
        refused(
            &container,
            &["cp", "web:etc/passwd", "out"],
            "expected an absolute path",
        );
        refused(
            &container,
            &["cp", "mine", "out"],
            "expected one of the two in a container",
        );
        refused(&container, &["cp", "web:/etc", "mine"], "mine");
        // What only root may read stays so.
        fs::write(host.home().join("roots"), "x").unwrap();
        fs::set_permissions(host.home().join("roots"), fs::Permissions::from_mode(0o600)).unwrap();
        refused(
            &container,
            &["cp", "roots", "web:/srv"],
            "Permission denied",
        );
        assert!(!host.home().join("out").exists());
        container.destroy();
    });
}

#[test]
fn what_containers_take_on_the_disk_is_told() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.ok(&["copy", "--snapshot", "web", "top"]);
        // Of the container's ids, closed to its owner; a second name and a hole take nothing.
        let script = "umask 077; mkdir /srv/d; head -c 3000000 /dev/urandom > /srv/d/big; \
                      ln /srv/d/big /srv/d/again; truncate -s 1G /srv/d/hole";
        container.start();
        container.sh(script);
        container.stop();
        let told = container.ok(&["ls", "--disk", "--json"]);
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        let bytes = |at: &serde_json::Value| at["bytes"].as_u64().unwrap();
        let (top, web) = (bytes(&told["containers"][0]), bytes(&told["containers"][1]));
        let dir = container.dir();
        let du = container.on_host(&format!("du -s --block-size=1 {} | cut -f1", dir.display()));
        let own = fs::metadata(&dir).unwrap().blocks() * 512;
        assert_eq!(web + own, du.parse::<u64>().unwrap());
        assert!(web > 3_000_000 && top < 1_000_000, "{web} {top}");
        assert_eq!(bytes(&told["total"]), web + top);
        let table = container.ok(&["ls", "--disk"]);
        assert!(
            table.lines().last().unwrap().starts_with("all together"),
            "{table}"
        );
        container.ok(&["destroy", "--force", "top"]);
        container.destroy();
        assert!(names(&lxcpath(&container)).is_empty());
    });
}

#[test]
fn a_tar_archive_goes_in_and_comes_out() {
    on_host(|host| {
        for owner in OWNERS {
            let web = Container::create(host, owner, "web");
            let id = if owner == Owner::User { SUBID } else { 0 };
            let long = "long".repeat(40);
            web.sh_on_host(&format!(
                "rm -rf src out; mkdir -p src/deep/er; echo one >src/one; chmod 751 src/one; \
                 echo two >src/deep/{long}; ln -s ../one src/deep/link; touch -d @1000000000 src/one; \
                 head -c 100000 /dev/urandom >src/random; truncate -s 3M src/hole; mkdir src/closed; \
                 chmod 500 src/closed; : >src/empty"
            ));
            for running in [false, true] {
                if running {
                    web.start();
                }
                // By GNU's format and by POSIX's, in any order, with the directory itself.
                for format in ["gnu", "pax", "ustar"] {
                    // That has no room for it.
                    let (skip, other) = match format {
                        "ustar" => ("--exclude=long*", "--exclude=long* --exclude=src"),
                        _ => ("", "--exclude=src"),
                    };
                    web.sh_on_host(&format!(
                        "tar -c --format={format} {skip} -C src . | berth cp - web:/srv && \
                         berth cp web:/srv - >back.tar && rm -rf out && mkdir out && \
                         tar -x -p -C out -f back.tar && diff -r {other} src out/srv && \
                         test $(stat -c %a out/srv/one) = 751 && \
                         test $(stat -c %a out/srv/closed) = 500 && \
                         test $(stat -c %Y out/srv/one) = 1000000000 && \
                         test $(readlink out/srv/deep/link) = ../one"
                    ));
                }
                let seen = web.dir().join("rootfs/srv");
                assert_eq!(whose(&seen.join("one")), (id, id, 0o751));
                // A single file, whose directories are made; it belongs to whom it is said to.
                web.sh_on_host("tar -c src/deep/link src/one | berth cp -o 33:44 - web:/srv/");
                assert_eq!(whose(&seen.join("src/one")), (id + 33, id + 44, 0o751));
                assert_eq!(whose(&seen.join("src")), (id + 33, id + 44, 0o755));
                let one = web.sh_on_host("berth cp web:/srv/one - | tar -t");
                assert_eq!(one, "one");
            }
            web.destroy();
        }
    });
}

#[test]
fn no_archive_leads_out_of_its_directory() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        web.sh_on_host(
            "mkdir evil && echo x >evil/file && ln evil/file evil/second && mkfifo evil/pipe; \
             tar -cP --transform 's,^,../../,' -f up.tar evil/file; \
             tar -c -f hard.tar evil/file evil/second; tar -c -f pipe.tar evil/pipe; \
             ln -s /home evil/way; tar -c -f link.tar evil/way; rm evil/way; mkdir evil/way; \
             echo y >evil/way/in; tar -r -f link.tar evil/way/in; \
             tar -c -f whole.tar evil/file; head -c 700 whole.tar >cut.tar; : >empty",
        );
        for (archive, why) in [
            ("up.tar", "leads out of the directory"),
            ("hard.tar", "a hard link"),
            ("pipe.tar", "is a named pipe"),
            ("link.tar", "way"),
            ("cut.tar", "ends in the middle"),
            ("empty", "no tar archive came"),
            ("/etc/passwd", "is no tar archive"),
        ] {
            let script = format!("berth cp - web:/srv <{archive}");
            let output = web.command("sh").args(["-c", &script]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{archive}: {said}");
            assert!(said.contains(why), "{archive}: {said}");
        }
        let root = web.dir().join("rootfs");
        assert!(!root.join("home/in").exists() && !web.dir().join("evil").exists());
        for (words, why) in [
            ("- web:/nowhere", "/nowhere"),
            ("- web:/etc/passwd", "/etc/passwd"),
            ("- -", "expected one of the two in a container"),
        ] {
            let script = format!("berth cp {words} <whole.tar");
            let output = web.command("sh").args(["-c", &script]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                !output.status.success() && said.contains(why),
                "{words:?}: {said}"
            );
        }
        web.destroy();
    });
}
