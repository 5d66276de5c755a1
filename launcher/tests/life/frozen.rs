//! Containers that stand still, and waiting for states.

use std::process::Stdio;

use crate::world::{Container, Owner, eventually, in_container, on_host};

/// Its state, as `berth ls` shows it.
fn state(container: &Container<'_>) -> String {
    let list = container.ok(&["ls"]);
    let line = list.lines().find(|line| line.starts_with(container.name));
    let mut fields = line.unwrap().split_whitespace();
    fields.nth(1).unwrap().to_owned()
}

#[test]
fn a_frozen_container_stands_still_until_it_is_thawed() {
    in_container(Owner::User, "", |web| {
        web.sh("(while :; do date +%N > /run/now; done) >/dev/null 2>&1 &");
        web.wait_for("test -s /run/now");
        web.ok(&["freeze", "web"]);
        assert_eq!(state(web), "frozen");
        assert_eq!(web.info("State"), "frozen");
        // Once more is no error, and a command inside would stand still, too.
        web.ok(&["freeze", "web"]);
        let refused = web.berth(&["exec", "web", "--", "true"]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(125), "{said}");
        assert!(
            said.contains("frozen") && said.contains("berth unfreeze web"),
            "{said}"
        );
        web.ok(&["unfreeze", "web"]);
        web.ok(&["unfreeze", "web"]);
        assert_eq!(state(web), "running");
        let before = web.sh("cat /run/now");
        web.wait_for(&format!("test \"$(cat /run/now)\" != \"{before}\""));
    });
}

#[test]
fn whoever_froze_it_the_state_is_the_kernels() {
    in_container(Owner::User, "", |web| {
        let freeze = web.cgroup().join("payload/cgroup.freeze");
        web.sh_on_host(&format!("echo 1 > {}", freeze.display()));
        web.ok(&["wait", "web", "--state", "FROZEN", "--timeout", "20"]);
        web.sh_on_host(&format!("echo 0 > {}", freeze.display()));
        web.ok(&["wait", "web", "-s", "THAWED|STOPPED", "-t", "20s"]);
        assert_eq!(state(web), "running");
    });
}

#[test]
fn a_stop_thaws_first() {
    in_container(Owner::User, "", |web| {
        web.ok(&["freeze", "web"]);
        web.ok(&["stop", "--timeout", "20", "web"]);
        assert!(web.log().contains("init ended: "), "{}", web.log());
        assert!(!web.log().contains("killed"), "{}", web.log());
        web.start();
        web.ok(&["freeze", "web"]);
        web.stop();
        assert_eq!(state(web), "stopped");
    });
}

#[test]
fn who_waits_is_told_of_the_state_and_of_the_time() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let mut waits = web.command("berth");
        let waits = waits
            .args(["wait", "web", "--state", "running"])
            .stderr(Stdio::piped());
        let mut waits = waits.spawn().unwrap();
        web.start();
        assert!(waits.wait().unwrap().success());
        web.ok(&["wait", "web", "--ready", "--timeout", "20"]);
        let late = web.berth(&["wait", "web", "--timeout", "50ms"]);
        assert_eq!(late.status.code(), Some(1));
        let said = String::from_utf8_lossy(&late.stderr).into_owned();
        assert!(said.contains("is running after 0 s"), "{said}");
        assert_eq!(
            web.berth(&["wait", "web", "-s", "up"]).status.code(),
            Some(2)
        );
        assert_eq!(web.berth(&["wait", "wbe"]).status.code(), Some(1));
        // Its monitor killed, it has ended all the same.
        let mut waits = web.command("berth").args(["wait", "web"]).spawn().unwrap();
        web.kill_monitor();
        assert!(waits.wait().unwrap().success());
        web.ok(&["start", "--here", "web"]);
        let mut waits = web.command("berth");
        let mut waits = waits
            .args(["wait", "web", "-s", "frozen"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        web.destroy();
        eventually("the end of who waits for what was destroyed", || {
            waits
                .try_wait()
                .unwrap()
                .is_some_and(|status| status.code() == Some(1))
        });
    });
}
