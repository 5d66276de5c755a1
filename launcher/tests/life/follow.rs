//! What happens and what is printed, as it happens.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::beside::settings;
use crate::world::{Container, Owner, eventually, in_container, on_host};

/// A command whose lines are read as they come; it ends with this.
struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    fn start(container: &Container<'_>, arguments: &[&str]) -> Self {
        let mut command = container.command("berth");
        let mut child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                if send.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn line(&self) -> String {
        let line = self.lines.recv_timeout(Duration::from_secs(20));
        line.unwrap_or_else(|error| panic!("no line: {error}"))
    }

    /// Waits for a line that has all of this; what came before is passed over.
    fn wait_for(&self, parts: &[&str]) -> String {
        loop {
            let line = self.line();
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Events are told from the moment on that it watches.
fn events(container: &Container<'_>, arguments: &[&str]) -> Follower {
    let follower = Follower::start(container, &[&["events"], arguments].concat());
    let pid = follower.child.id();
    eventually("that it watches", || {
        container.on_host(&format!(
            "grep -cs inotify /proc/{pid}/fdinfo/* | grep -c ':[2-9]' || :"
        )) != "0"
    });
    follower
}

#[test]
fn what_lasts_is_told_of_every_container() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let follower = events(&web, &["--json"]);
        web.start();
        let line = follower.wait_for(&["\"running\""]);
        assert!(
            line.starts_with("{\"time\":\"20") && line.contains("\"container\":\"web\""),
            "{line}"
        );
        assert!(follower.line().contains("\"ready\""));
        web.ok(&["freeze", "web"]);
        assert!(follower.line().contains("\"frozen\""));
        web.ok(&["unfreeze", "web"]);
        assert!(follower.line().contains("\"thawed\""));
        web.reboot();
        follower.wait_for(&["\"exited\"", "\"exit\":\"rebooted\""]);
        follower.wait_for(&["\"restarted\""]);
        web.stop();
        follower.wait_for(&["\"stopped\"", "\"exit\":\"signal SIGKILL\""]);
        // One that comes and goes.
        let db = Container::create(host, Owner::User, "db");
        follower.wait_for(&["db", "\"created\""]);
        db.start();
        follower.wait_for(&["db", "\"running\""]);
        db.kill_monitor();
        follower.wait_for(&["db", "\"aborted\""]);
        db.destroy();
        follower.wait_for(&["db", "\"destroyed\""]);
        web.destroy();
    });
}

#[test]
fn restarts_are_told_and_only_of_the_containers_that_are_meant() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let db = Container::create(host, Owner::User, "db");
        settings(
            &web,
            "[restart]\npolicy = \"always\"\ndelay = \"500ms\"\nlimit = 1\n",
        );
        web.append("lxc.init.cmd = /bin/sh -c \"sleep 0.3; exit 3\"");
        let follower = events(&web, &["web"]);
        db.start();
        web.start();
        let mut told = vec![follower.wait_for(&["running"])];
        while !told.last().unwrap().contains("stopped (") {
            told.push(follower.line());
        }
        let all = told.join("\n");
        for part in [
            "exited (exit code 3)",
            "restarting",
            "restarted",
            "stopped (exit code 3)",
        ] {
            assert!(all.contains(part), "no {part} in {all}");
        }
        assert!(!all.contains("db"), "{all}");
        assert_eq!(web.berth(&["events", "wbe"]).status.code(), Some(1));
        web.destroy();
        db.destroy();
    });
}

#[test]
fn what_the_console_prints_is_shown_and_followed() {
    in_container(Owner::User, "", |web| {
        // Nothing keeps it: what the monitor wrote down, and what comes.
        assert!(
            web.ok(&["logs", "web"])
                .contains("running, init is process")
        );
        let live = Follower::start(web, &["logs", "-f", "web"]);
        eventually("a line as it is printed", || {
            web.sh("echo line-now > /dev/console");
            live.lines
                .recv_timeout(Duration::from_millis(50))
                .is_ok_and(|line| line.contains("line-now"))
        });
        web.stop();
        let mut live = live;
        eventually("the end with the container", || {
            live.child.try_wait().unwrap().is_some()
        });
        // The last of it in memory.
        web.append("lxc.console.buffer.size = 4096");
        web.start();
        // What init prints there comes first.
        eventually("init's prompt", || {
            web.ok(&["logs", "web"]).contains("press Enter")
        });
        web.sh("echo first > /dev/console; echo second > /dev/console");
        eventually("both lines", || web.ok(&["logs", "web"]).contains("second"));
        let last = web.ok(&["logs", "web", "--lines", "1"]);
        assert!(last.contains("second") && !last.contains("first"), "{last}");
        let live = Follower::start(web, &["logs", "web", "--follow"]);
        live.wait_for(&["second"]);
        web.sh("echo third > /dev/console");
        live.wait_for(&["third"]);
        assert!(
            web.ok(&["logs", "web", "--monitor", "-l", "1"])
                .lines()
                .count()
                == 1
        );
    });
}

#[test]
fn a_log_file_is_followed_over_its_rotation() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        let file = host.home().join("console.log");
        web.append(&format!(
            "lxc.console.logfile = {}\nlxc.console.size = 4096\nlxc.console.rotate = 1",
            file.display()
        ));
        web.start();
        let mut live = Follower::start(&web, &["logs", "-f", "web"]);
        web.sh("echo one > /dev/console");
        live.wait_for(&["one"]);
        web.sh("for n in $(seq 1 300); do echo filler-$n-aaaaaaaaaaaaaaaaaa; done > /dev/console");
        web.sh("echo two > /dev/console");
        live.wait_for(&["two"]);
        web.stop();
        eventually("the end with the container", || {
            live.child.try_wait().unwrap().is_some()
        });
        web.destroy();
    });
}
