//! Commands that are killed at any moment: what they were about is done or not, and the next command
//! removes the rest.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::world::{Container, Owner, eventually, on_host};
use crate::{lxcpath, names, other};

/// How often each command is killed, at moments spread over the time that it takes.
const KILLS: u32 = 6;

/// Runs a command whole, to see how long it takes, then again and again with a kill in between.
/// `judge` is asked after each.
fn sweep(container: &Container, command: &[&str], before: impl Fn(), judge: impl Fn(bool)) {
    before();
    let start = Instant::now();
    container.ok(command);
    let takes = start.elapsed();
    judge(true);
    for kill in 0..KILLS {
        before();
        let mut running = container.command("berth").args(command).spawn().unwrap();
        std::thread::sleep(takes * kill / KILLS);
        let _ = running.kill();
        let done = running.wait().unwrap().success();
        judge(done);
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A container with some files, which a copy takes a while for.
fn container<'h>(host: &'h berth_test_private_host::Host) -> Container<'h> {
    let container = Container::create(host, Owner::User, "web");
    container.start();
    container.sh("mkdir /srv/d; for i in $(seq 150); do echo $i > /srv/d/$i; done");
    container.stop();
    container
}

#[test]
fn copies_that_are_killed_are_whole_or_leave_nothing() {
    on_host(|host| {
        let container = container(host);
        let all = lxcpath(&container);
        for how in [
            &["copy", "web", "b"][..],
            &["copy", "--snapshot", "web", "b"],
        ] {
            let judge = |done: bool| {
                if names(&all).iter().any(|name| name == "b") {
                    let copied = other(&container, "b");
                    let lower = match how.len() {
                        3 => copied.dir().join("rootfs/srv/d"),
                        _ => container.dir().join("rootfs/srv/d"),
                    };
                    assert_eq!(names(&lower).len(), 150);
                    container.ok(&["destroy", "--force", "b"]);
                } else {
                    assert!(!done);
                    // The next one removes what is left.
                    container.ok(&["create", "--template", "none", "c"]);
                    container.ok(&["destroy", "--force", "c"]);
                }
                assert_eq!(names(&all), ["web"]);
                // Whatever is noted holds nothing.
                container.ok(&["rename", "web", "w"]);
                container.ok(&["rename", "w", "web"]);
                assert_eq!(text(&container.dir().join("lxc_snapshots")), "");
            };
            sweep(&container, how, || {}, judge);
        }
        container.destroy();
    });
}

#[test]
fn restores_that_are_killed_lose_neither_state_nor_snapshots() {
    on_host(|host| {
        let container = container(host);
        let all = lxcpath(&container);
        container.ok(&["snapshot", "create", "web"]);
        let state = container.dir().join("state");
        let before = || {
            container.sh_on_host(&format!("echo new > {}", state.display()));
        };
        sweep(
            &container,
            &["snapshot", "restore", "web", "snap0"],
            before,
            |done| {
                // Any next command settles it.
                container.start();
                assert_eq!(container.sh("ls /srv/d | wc -l"), "150");
                container.stop();
                let restored = text(&state).is_empty();
                assert!(restored || !done);
                assert_eq!(names(&container.dir().join("snaps")), ["snap0"]);
                container.ok(&["snapshot", "create", "web"]);
                container.ok(&["snapshot", "delete", "web", "snap1"]);
                assert_eq!(names(&all), ["web"]);
            },
        );
        container.ok(&["destroy", "--force", "--snapshots", "web"]);
        assert!(names(&all).is_empty());
    });
}

#[test]
fn snapshots_and_renames_that_are_killed_are_whole_after_the_next_command() {
    on_host(|host| {
        let container = container(host);
        let all = lxcpath(&container);
        container.ok(&["copy", "--snapshot", "web", "top"]);
        let top = other(&container, "top");
        sweep(
            &container,
            &["snapshot", "create", "web"],
            || {},
            |done| {
                let listed = container.ok(&["snapshot", "list", "--json", "web"]);
                let made = listed.contains("snap0");
                assert!(made || !done);
                if made {
                    let files = container.dir().join("snaps/snap0/rootfs/srv/d");
                    assert_eq!(names(&files).len(), 150);
                }
                // The killed command's own child may be about to end.
                eventually("nothing is left", || {
                    container.ok(&["snapshot", "delete", "--all", "web"]);
                    !names(&container.dir()).contains(&"snaps".to_owned())
                });
            },
        );
        let judge = |_: bool| {
            let name = match names(&all).iter().any(|name| name == "www") {
                true => "www",
                false => "web",
            };
            // Whichever command comes next, with whichever container.
            top.start();
            assert_eq!(top.sh("ls /srv/d | wc -l"), "150");
            top.stop();
            let own = text(&all.join(name).join("config"));
            assert!(own.contains(&format!("/{name}/rootfs")), "{own}");
            assert!(text(&top.dir().join("lxc_rdepends")).ends_with(&format!("\n{name}\n")));
            if name == "www" {
                container.ok(&["rename", "www", "web"]);
            }
            let rest: Vec<String> = names(&all)
                .into_iter()
                .filter(|name| name.starts_with('.'))
                .collect();
            assert!(rest.is_empty(), "{rest:?}");
        };
        sweep(&container, &["rename", "web", "www"], || {}, judge);
        top.destroy();
        container.destroy();
        assert!(names(&all).is_empty());
    });
}
