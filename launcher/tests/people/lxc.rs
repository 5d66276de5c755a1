//! Beside LXC: each sees what runs under the other, stops it, and does not start it again.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Output;

use berth_common::{Gid, Uid};
use berth_kernel::{cred, process};

use crate::world::{Container, Owner, eventually, on_host_with};

/// LXC needs every directory on the way to a container to be passable for its root.
fn with_container(owner: Owner, body: impl FnOnce(&Container<'_>)) {
    on_host_with(
        |setup| setup.home_mode = 0o755,
        |host| {
            let container = Container::create(host, owner, "web");
            container.append("lxc.apparmor.profile = unconfined");
            body(&container);
            container.destroy();
        },
    );
}

fn lxc(container: &Container<'_>, tool: &str, words: &[&str]) -> Output {
    let mut command = container.command(tool);
    command.args(["-n", "web"]).args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn state(container: &Container<'_>) -> String {
    container.info("State")
}

#[test]
fn what_runs_under_berth_is_seen_and_stopped_by_lxc() {
    for owner in [Owner::User, Owner::Root] {
        with_container(owner, |container| {
            container.start();
            let shown = |key: &str| said(&lxc(container, "lxc-info", &[key, "-H"]));
            assert_eq!(shown("-s"), "RUNNING");
            assert_eq!(shown("-p"), container.info("PID"));
            let listed = container.sh_on_host("lxc-ls --active -1; lxc-ls --running -1");
            assert_eq!(listed, "web\nweb");
            let again = lxc(container, "lxc-start", &[]);
            assert!(said(&again).contains("already running"), "{}", said(&again));
            assert_eq!(container.sh("echo lives"), "lives");

            let stopped = lxc(container, "lxc-stop", &["-t", "30"]);
            assert!(stopped.status.success(), "{}", said(&stopped));
            eventually("the stop", || state(container) == "stopped");
            container.start();
            let killed = lxc(container, "lxc-stop", &["-k"]);
            assert!(killed.status.success(), "{}", said(&killed));
            eventually("the end", || state(container) == "stopped");
            assert_eq!(said(&lxc(container, "lxc-info", &["-s", "-H"])), "STOPPED");
        });
    }
}

#[test]
fn what_runs_under_lxc_is_seen_and_stopped_by_berth() {
    for owner in [Owner::User, Owner::Root] {
        with_container(owner, |container| {
            let start = || {
                let started = lxc(container, "lxc-start", &[]);
                assert!(started.status.success(), "{}", said(&started));
                assert_eq!(state(container), "running (lxc)");
            };
            start();
            let listed = container.ok(&["ls", "--json"]);
            let pid = said(&lxc(container, "lxc-info", &["-p", "-H"]));
            assert!(listed.contains("\"lxc\": true"), "{listed}");
            assert!(listed.contains(&format!("\"pid\": {pid}")), "{listed}");
            let all = container
                .host
                .as_root("berth")
                .args(["ls", "--all-users", "--json"])
                .output();
            let all = said(&all.unwrap());
            assert!(all.contains(&format!("\"pid\": {pid}")), "{all}");
            for (words, code) in [
                (&["start", "--here", "web"][..], 1),
                (&["destroy", "web"], 1),
                (&["exec", "web", "--", "true"], 125),
                (&["copy", "web", "twin"], 1),
                (&["copy", "--running", "web", "twin"], 1),
                (&["copy", "--snapshot", "web", "twin"], 1),
                (&["rename", "web", "twin"], 1),
                (&["snapshot", "create", "web"], 1),
                (&["stop", "--reboot", "web"], 1),
            ] {
                let output = container.berth(words);
                assert_eq!(output.status.code(), Some(code), "{words:?}");
                let said = said(&output);
                assert!(
                    said.contains("runs under LXC") || said.contains("needs --force"),
                    "{said}"
                );
            }
            assert_eq!(container.ok(&["ls", "-1"]), "web\n");
            container.ok(&["stop", "--nokill", "-t", "30", "web"]);
            assert_eq!(state(container), "stopped");
            start();
            container.ok(&["stop", "--kill", "web"]);
            assert_eq!(state(container), "stopped");
            assert_eq!(said(&lxc(container, "lxc-info", &["-s", "-H"])), "STOPPED");
            container.start();
            assert_eq!(container.sh("echo own"), "own");
            container.stop();
            start();
            container.ok(&["destroy", "--force", "web"]);
            assert!(!container.dir().exists());
            container.ok(&["create", "web"]);
        });
    }
}

/// Anybody may listen under the name that LXC's socket of the container would have.
#[test]
fn a_strangers_socket_fools_and_holds_up_nobody() {
    with_container(Owner::User, |container| {
        let name = format!("{}/command", container.dir().display());
        let stranger = process::fork(|| {
            cred::set_groups(&[]).unwrap();
            cred::set_all_gids(Gid::new(4000).unwrap()).unwrap();
            cred::set_all_uids(Uid::new(4000).unwrap()).unwrap();
            let address = SocketAddr::from_abstract_name(&name).unwrap();
            let _listener = UnixListener::bind_addr(&address).unwrap();
            loop {
                std::thread::park();
            }
        })
        .unwrap();
        eventually("the socket", || {
            std::fs::read_to_string("/proc/net/unix")
                .unwrap()
                .contains(&name)
        });
        assert_eq!(state(container), "stopped");
        container.start();
        assert_eq!(state(container), "running");
        container.stop();
        assert_eq!(state(container), "stopped");
        stranger.pidfd.signal(9).unwrap();
        stranger.pidfd.wait().unwrap();
    });
}
