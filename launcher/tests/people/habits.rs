//! Several names, names as LXC's commands have them, and help for words that are wrong.

use std::process::Output;

use crate::world::{Container, Owner, eventually, on_host};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn several_are_started_and_stopped_at_once() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let db = Container::create(host, Owner::User, "db");
        web.ok(&["start", "--here", "web", "db", "web"]);
        assert_eq!(web.ok(&["ls"]).matches("running").count(), 2);
        let again = web.berth(&["start", "--here", "web", "nope"]);
        assert_eq!(again.status.code(), Some(1));
        assert!(said(&again).contains("berth: web: container “web” runs already"));
        assert!(said(&again).contains("berth: nope: there is no container “nope”"));
        web.ok(&["stop", "-n", "web", "--name=db", "-k"]);
        assert_eq!(web.ok(&["ls"]).matches("stopped").count(), 2);
        let both = web.berth(&["start", "--here", "-F", "web", "db"]);
        assert_eq!(both.status.code(), Some(2), "{}", said(&both));
        web.destroy();
        db.destroy();
    });
}

#[test]
fn what_lxcs_commands_take_is_taken() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        web.ok(&["start", "--here", "-d", "-n", "web"]);
        assert_eq!(
            web.ok(&["attach", "-n", "web", "--", "echo", "-n", "in"]),
            "in"
        );
        assert!(web.ok(&["info", "--name", "web"]).contains("running"));
        // Asked, and not waited for.
        web.ok(&["stop", "-n", "web", "-W"]);
        eventually("the stop", || web.ok(&["ls"]).contains("stopped"));
        let again = web.berth(&["stop", "-W", "web"]);
        assert!(said(&again).contains("does not run"), "{}", said(&again));
        web.destroy();
    });
}

#[test]
fn wrong_words_are_answered_with_the_right_ones() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let wrong = |words: &[&str]| {
            let output = web.berth(words);
            assert!(!output.status.success());
            said(&output)
        };
        assert!(wrong(&["start", "wbe"]).contains("did you mean “web”?"));
        assert!(wrong(&["exec", "-n", "we", "--", "true"]).contains("did you mean “web”?"));
        assert!(wrong(&["strat", "web"]).contains("'start'"));
        assert!(wrong(&["lxc-checkconfig"]).contains("berth doctor"));
        assert!(wrong(&["rm", "web"]).contains("berth destroy NAME"));
        assert!(wrong(&["stop", "-n"]).contains("<NAME>"));
        let help = wrong(&[]);
        assert!(
            help.contains("Every day:") && help.lines().count() < 60,
            "{help}"
        );
        web.destroy();
    });
}

#[test]
fn a_list_has_the_columns_and_containers_that_are_asked_for() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let db = Container::create(host, Owner::User, "db");
        let cache = Container::create(host, Owner::User, "cache");
        web.append("lxc.group = front\nlxc.group = all\nlxc.start.auto = 1");
        db.append("lxc.group = all");
        web.ok(&["publish", "web", "8080:80"]);
        web.start();
        let table = |words: &[&str]| {
            let printed = web.ok(&[&["ls"], words].concat());
            let rows = printed.lines().map(|line| line.split_whitespace());
            rows.map(|row| row.collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            table(&["--columns", "state,name,groups,ports,unprivileged"]),
            [
                "STATE NAME GROUPS PORTS UNPRIVILEGED",
                "stopped cache - - yes",
                "stopped db all - yes",
                "running web front, all 8080:80 yes"
            ]
        );
        // lxc-ls' words; the headings are ours.
        assert_eq!(
            table(&["-f", "-F", "NAME,AUTOSTART", "--active"]),
            ["NAME BOOT", "web yes"]
        );
        let ram = table(&["--fancy-format", "RAM,SWAP", "--running"]);
        let has_memory = web.cgroup().join("payload/memory.current").exists();
        assert!(
            ram[0] == "MEMORY SWAP" && ram[1].starts_with("- ") != has_memory,
            "{ram:?}"
        );
        assert_eq!(table(&["-1", "-g", "all"]), ["db", "web"]);
        assert_eq!(table(&["-1", "--groups", "all,front"]), ["web"]);
        assert_eq!(table(&["-1", "-g", "all", "--stopped"]), ["db"]);
        assert_eq!(table(&["-1", "--defined"]), ["cache", "db", "web"]);
        assert!(table(&["--group", "none"]).is_empty());
        // What is shown is what the JSON has.
        let json = web.ok(&["ls", "--json", "--group", "front"]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json.as_array().unwrap().len(), 1);
        assert_eq!(json[0]["groups"], serde_json::json!(["front", "all"]));
        assert_eq!(json[0]["memory"].is_u64(), has_memory);
        assert_eq!(json[0]["unprivileged"], true);
        let wrong = web.berth(&["ls", "--columns", "NAME,SIZE"]);
        assert_eq!(wrong.status.code(), Some(2));
        assert!(said(&wrong).contains("SIZE") && said(&wrong).contains("MEMORY"));
        let owners = host
            .as_root("berth")
            .args(["ls", "--all-users", "--columns", "OWNER,NAME", "-g", "all"])
            .output()
            .unwrap();
        let owners = String::from_utf8(owners.stdout).unwrap();
        let user = berth_test_private_host::USER;
        assert!(owners.contains(&format!("{user}  web")) && !owners.contains("cache"));
        web.stop();
        for container in [web, db, cache] {
            container.destroy();
        }
    });
}

#[test]
fn a_stop_kills_nobody_if_it_may_not_and_may_be_a_reboot() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let stubborn = Container::create(host, Owner::User, "db");
        stubborn
            .append("lxc.init.cmd = /bin/sh -c \"trap : PWR TERM INT; while :; do sleep 1; done\"");
        web.ok(&["start", "--here", "web", "db"]);
        web.ok(&["stop", "--nokill", "-t", "30", "web"]);
        assert_eq!(web.info("State"), "stopped");
        for time in ["1", "0"] {
            let asked = web.berth(&["stop", "-n", "db", "--nokill", "-t", time]);
            assert_eq!(asked.status.code(), Some(1));
            assert!(said(&asked).contains("is not killed"), "{}", said(&asked));
        }
        assert_eq!(stubborn.info("State"), "stopping");
        assert!(stubborn.info("PID").parse::<u32>().is_ok());
        stubborn.stop();
        // As lxc-stop -r has it.
        web.start();
        let before = web.info("PID");
        web.ok(&["stop", "-r", "-n", "web", "-t", "30"]);
        assert_ne!(web.info("PID"), before);
        assert_eq!(web.info("State"), "running");
        web.ok(&["stop", "--nolock", "-k", "web"]);
        let both = web.berth(&["stop", "--nokill", "-k", "web"]);
        assert_eq!(both.status.code(), Some(2));
        web.destroy();
        stubborn.destroy();
    });
}
