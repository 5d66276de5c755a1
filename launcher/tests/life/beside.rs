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
        web.ok(&["copy", "web", "twin"]);
        let twin = Container {
            host,
            owner: Owner::User,
            name: "twin",
        };
        assert_eq!(twin.info("Published"), "127.0.0.1:8080:80");
        // Two cannot have one port.
        web.start();
        twin.start_is_refused("in use by container “web”");
        twin.ok(&["unpublish", "twin", "--all"]);
        twin.start();
        twin.destroy();
        web.destroy();
    });
}
