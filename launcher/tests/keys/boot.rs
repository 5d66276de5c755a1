//! What is started at boot, and in which order.

use crate::world::{Container, Owner, on_host};

#[test]
fn enabled_containers_are_taken_by_groups_and_in_order() {
    on_host(|host| {
        let all = [
            ("late", "lxc.start.auto = 1\nlxc.start.order = 5"),
            ("first", "lxc.start.auto = 1\nlxc.start.order = -3"),
            ("off", "lxc.start.auto = 0"),
            (
                "grouped",
                "lxc.start.auto = 1\nlxc.group = site, onboot\nlxc.start.order = 1",
            ),
        ];
        let containers = all.map(|(name, lines)| {
            let container = Container::create(host, Owner::User, name);
            container.append(lines);
            container
        });
        let [late, ..] = &containers;
        let listed = |options: &[&str]| -> Vec<String> {
            let arguments = [&["autostart", "--list"], options].concat();
            let printed = late.ok(&arguments);
            let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
            printed.lines().filter_map(first).collect()
        };
        assert_eq!(listed(&[]), ["first", "late"]);
        assert_eq!(listed(&["--shutdown", "-A", "-a"]), [""; 0]);
        assert_eq!(listed(&["-g", "site"]), ["grouped"]);
        assert_eq!(listed(&["-a"]), ["first", "grouped", "late"]);
        assert_eq!(listed(&["-A"]), ["first", "off", "late"]);
        late.append("lxc.start.auto =");
        assert_eq!(listed(&[]), ["first"]);
        for container in &containers {
            container.destroy();
        }
    });
}

#[test]
fn what_came_of_a_run_is_told_until_the_next_one() {
    on_host(|host| {
        let containers = ["web", "db"].map(|name| {
            let container = Container::create(host, Owner::User, name);
            container.append("lxc.start.auto = 1");
            container
        });
        let [web, db] = &containers;
        assert_eq!(web.ok(&["autostart", "status"]), "");
        assert_eq!(web.ok(&["autostart", "status", "--json"]).trim(), "[]");
        // One that cannot be read is named and counted, and the rest is started.
        db.append("lxc.start.order = first");
        let started = web.berth(&["autostart"]);
        assert_eq!(started.status.code(), Some(2), "{started:?}");
        assert_eq!(web.info("State"), "running");
        let status = web.berth(&["autostart", "status"]);
        assert_eq!(status.status.code(), Some(2), "{status:?}");
        let status = String::from_utf8(status.stdout).unwrap();
        let line = |name: &str| {
            let mut lines = status.lines();
            let words = |line: &str| {
                line.split_whitespace()
                    .take(2)
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            lines.find(|line| line.trim().starts_with(name)).map(words)
        };
        assert_eq!(line("web").as_deref(), Some("web started"));
        assert_eq!(line("db").as_deref(), Some("db unreadable"));
        assert!(status.contains("lxc.start.order"), "{status}");
        // As long as it takes (lxc-autostart's negative -t).
        web.ok(&["autostart", "-s", "-a", "-A", "-t", "-1"]);
        assert_eq!(web.info("State"), "stopped");
        let status = web.ok(&["autostart", "status", "--json"]);
        let values: Vec<serde_json::Value> = serde_json::from_str(&status).unwrap();
        let runs: Vec<&str> = values
            .iter()
            .filter_map(|run| run["run"].as_str())
            .collect();
        assert_eq!(runs, ["start", "stop"]);
        assert_eq!(values[1]["containers"][0]["outcome"], "stopped");
        assert_eq!(values[1]["exit_code"], 0);
        for container in &containers {
            container.destroy();
        }
    });
}
