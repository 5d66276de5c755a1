//! The file beside a configuration.

use std::fs;
use std::time::{Duration, Instant};

use crate::world::{Container, Owner, in_container, on_host};

/// Writes the container's `berth.toml`.
pub fn settings(container: &Container<'_>, text: &str) {
    fs::write(container.dir().join("berth.toml"), text).unwrap();
}

#[test]
fn what_is_wrong_in_berth_toml_keeps_it_from_starting_and_lint_tells_all() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        settings(&web, "[stop]\ntimeout = \"soon\"\n[redy]\nport = 80\n");
        web.start_is_refused("berth.toml:2: stop.timeout: expected a duration");
        web.start_is_refused("berth.toml:3: redy: there is no such key; did you mean ready?");
        let lint = web.berth(&["config", "lint", "web"]);
        let told = String::from_utf8(lint.stdout).unwrap();
        assert_eq!(lint.status.code(), Some(1), "{told}");
        assert!(
            told.contains("berth.toml:2: error: stop.timeout: "),
            "{told}"
        );
        settings(&web, "[start]\nafter = [\"db\"]\n");
        let told = web.ok(&["config", "lint", "web"]);
        assert!(
            told.contains("berth.toml:2: warning: start.after: there is no"),
            "{told}"
        );
        web.destroy();
    });
}

#[test]
fn the_time_to_stop_is_that_of_berth_toml_unless_one_is_given() {
    // Init that hears nothing.
    let deaf = "lxc.init.cmd = /bin/sh -c \"trap '' PWR; while :; do sleep 1000; done\"";
    in_container(Owner::User, deaf, |web| {
        settings(web, "[stop]\ntimeout = \"200ms\"\n");
        let begun = Instant::now();
        web.ok(&["stop", "web"]);
        assert!(begun.elapsed() < Duration::from_secs(20));
        web.start();
        // A file that cannot be read keeps nobody from stopping it.
        settings(web, "[stop\n");
        web.ok(&["stop", "--timeout", "100ms", "web"]);
        let wrong = web.berth(&["stop", "--timeout", "soon", "web"]);
        assert_eq!(wrong.status.code(), Some(2));
        fs::remove_file(web.dir().join("berth.toml")).unwrap();
    });
}

#[test]
fn a_copy_has_the_berth_toml_too() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        web.ok(&["publish", "web", "127.0.0.1:8080:80"]);
        let file = web.dir().join("berth.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("# mine\nstop.timeout = \"7s\"\n{text}")).unwrap();
        let copied = web.berth(&["copy", "web", "twin"]);
        let told = String::from_utf8_lossy(&copied.stderr).into_owned();
        assert!(copied.status.success(), "{told}");
        let twin = Container {
            host,
            owner: Owner::User,
            name: "twin",
        };
        // All but the ports, which two cannot have, and it says so.
        assert!(told.contains("“twin” publishes none"), "{told}");
        assert!(told.contains("(127.0.0.1:8080:80)"), "{told}");
        let its = fs::read_to_string(twin.dir().join("berth.toml")).unwrap();
        assert!(its.contains("# mine") && its.contains("\"7s\""), "{its}");
        assert!(!twin.ok(&["info", "twin"]).contains("Published"));
        assert_eq!(web.info("Published"), "127.0.0.1:8080:80");
        web.ok(&["snapshot", "create", "web"]);
        let restored = web.berth(&["snapshot", "restore", "web", "snap0", "--to", "third"]);
        let told = String::from_utf8_lossy(&restored.stderr).into_owned();
        assert!(told.contains("“third” publishes none"), "{told}");
        // Back in its own place it has them.
        web.ok(&["snapshot", "restore", "web", "snap0"]);
        assert_eq!(web.info("Published"), "127.0.0.1:8080:80");
        web.ok(&["snapshot", "delete", "web", "--all"]);
        web.ok(&["destroy", "--force", "third"]);
        twin.ok(&["publish", "twin", "127.0.0.1:8080:80"]);
        web.start();
        twin.start_is_refused("in use by container “web”");
        twin.ok(&["unpublish", "twin", "--all"]);
        twin.start();
        twin.destroy();
        web.destroy();
    });
}
