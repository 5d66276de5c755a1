//! What running containers use.

use std::fs;

use crate::seat::Seated;
use crate::world::{Container, Owner, in_container};

/// What `berth top --json` says of a container in one look.
fn usage(container: &Container<'_>, line: &str) -> serde_json::Value {
    let look: serde_json::Value = serde_json::from_str(line).unwrap();
    let all = look.as_array().unwrap().iter();
    let mut own = all.filter(|one| one["name"] == container.name);
    own.next().unwrap().clone()
}

#[test]
fn a_busy_container_is_seen_and_what_is_not_counted_is_no_nought() {
    in_container(Owner::User, "", |web| {
        let idle = web.ok(&["top", "--json"]);
        let idle = usage(web, idle.trim());
        assert_eq!(idle["state"], "running");
        web.sh("(while :; do :; done) >/dev/null 2>&1 &");
        let looks = web.ok(&["top", "web", "--json", "--count", "2", "--delay", "300ms"]);
        let looks: Vec<&str> = looks.lines().collect();
        assert_eq!(looks.len(), 2);
        for look in looks {
            let used = usage(web, look);
            let percent = used["cpu_percent"].as_f64().unwrap();
            assert!((5.0..150.0).contains(&percent), "{used}");
            assert!(used["cpu_usec"].as_u64() > idle["cpu_usec"].as_u64());
            // Hosts of tests hand no controller on.
            let has_memory = web.cgroup().join("payload/memory.current").exists();
            assert_eq!(used["memory"].is_u64(), has_memory, "{used}");
        }
        let table = web.ok(&["top", "--batch", "--sort", "memory"]);
        let head = table.lines().next().unwrap();
        assert!(
            head.starts_with("NAME") && head.ends_with("PROCESSES"),
            "{table}"
        );
        assert!(table.lines().nth(1).unwrap().starts_with("web"), "{table}");
        let unknown = web.berth(&["top", "wbe"]);
        assert_eq!(unknown.status.code(), Some(1));
    });
}

#[test]
fn at_a_terminal_keys_sort_and_end_it() {
    in_container(Owner::User, "", |web| {
        let mut seat = Seated::at(web, &["top", "--delay", "10s"]);
        seat.sees("1 running, sorted by cpu");
        seat.sees("web");
        seat.types("m");
        seat.sees("sorted by memory");
        seat.types("q");
        seat.ends(0);
        use nix::sys::termios::LocalFlags;
        let settings = nix::sys::termios::tcgetattr(&seat.terminal.slave).unwrap();
        let usual = LocalFlags::ICANON | LocalFlags::ECHO;
        assert!(settings.local_flags.contains(usual));
    });
}

/// With one that cannot be read among them, and one that is no container.
#[test]
fn two_hundred_are_in_one_list_whatever_is_wrong_with_one_of_them() {
    in_container(Owner::User, "", |web| {
        let place = web.dir();
        let place = place.parent().unwrap();
        let config = fs::read_to_string(web.config()).unwrap();
        for number in 1..200 {
            let name = format!("c{number:03}");
            web.on_host(&format!("mkdir {}", place.join(&name).display()));
            let config = config.replace("/web", &format!("/{name}"));
            let config = match number {
                100 => "lxc.tty.max = many\n".to_owned(),
                _ => config + "lxc.group = crowd\n",
            };
            fs::write(place.join(&name).join("config"), config).unwrap();
        }
        web.on_host(&format!("mkdir {}/other", place.display()));
        let lines = web.ok(&["ls", "--json"]);
        let lines: serde_json::Value = serde_json::from_str(&lines).unwrap();
        let lines = lines.as_array().unwrap();
        let names: Vec<_> = lines
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        let mut expected: Vec<_> = (1..200).map(|number| format!("c{number:03}")).collect();
        expected.push("web".to_owned());
        assert_eq!(names, expected);
        for one in lines {
            let state = match &one["name"] == "web" {
                true => "running",
                false => "stopped",
            };
            assert_eq!(one["state"], state, "{one}");
            let problem = one["problem"].as_str().unwrap_or("");
            match &one["name"] == "c100" {
                true => assert!(problem.contains("c100/config:1: lxc.tty.max"), "{problem}"),
                false => assert_eq!(problem, ""),
            }
        }
        let table = web.ok(&["ls"]);
        let first = |line: &str| line.split(' ').next().unwrap().to_owned();
        assert_eq!(
            table
                .lines()
                .skip(1)
                .take(200)
                .map(first)
                .collect::<Vec<_>>(),
            expected
        );
        assert_eq!(
            web.ok(&["ls", "-g", "crowd", "-c", "name"]).lines().count(),
            199
        );
        assert_eq!(web.ok(&["ls", "--running", "--line"]).trim(), "web");
    });
}
