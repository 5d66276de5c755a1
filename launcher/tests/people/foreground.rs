//! Starts in the foreground, and what is different for one start only.

use std::process::{Child, Stdio};

use crate::seat::Seated;
use crate::world::{Container, Owner, eventually, on_host};

fn with_container(owner: Owner, body: impl FnOnce(&Container<'_>)) {
    on_host(|host| {
        let container = Container::create(host, owner, "web");
        body(&container);
        container.destroy();
    });
}

fn foreground(container: &Container<'_>, words: &[&str]) -> Child {
    let mut berth = container.command("berth");
    berth.args(["start", "--here", "-F", "web"]).args(words);
    berth.stdout(Stdio::piped()).stderr(Stdio::piped());
    berth.spawn().unwrap()
}

#[test]
fn it_shows_all_that_the_console_prints_and_returns_inits_code() {
    for owner in [Owner::User, Owner::Root] {
        with_container(owner, |container| {
            for (script, code) in [("exit 7", 7), ("kill -9 $$; sleep 1", 7), ("exit 0", 0)] {
                // Init in a pid namespace cannot kill itself by a signal.
                let script = format!("echo first; echo last; {script}; exit 7");
                let output = foreground(container, &["--", "/bin/sh", "-c", &script])
                    .wait_with_output()
                    .unwrap();
                let printed = String::from_utf8(output.stdout).unwrap();
                assert_eq!(printed, "first\r\nlast\r\n");
                assert_eq!(output.status.code(), Some(code), "{:?}", output.stderr);
            }
            assert!(container.ok(&["ls"]).contains("stopped"));
            let output = foreground(container, &["--", "/none"]).wait_with_output();
            let output = output.unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(
                said.contains("there is no /none in the container"),
                "{said}"
            );
        });
    }
}

#[test]
fn signals_stop_it_in_order_and_then_kill() {
    with_container(Owner::User, |container| {
        let running = || container.ok(&["ls"]).contains("running");
        let signal = |child: &Child, name: &str| {
            container.on_host(&format!("kill -{name} {}", child.id()));
        };
        let patient =
            "trap 'echo asked; exit 3' PWR USR1; : >/etc/ready; while :; do sleep 0.05; done";
        for name in ["INT", "TERM", "HUP"] {
            let berth = foreground(container, &["--", "/bin/sh", "-c", patient]);
            eventually("it runs", running);
            container.wait_for("test -e /etc/ready");
            container.sh("rm /etc/ready");
            signal(&berth, name);
            let output = berth.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(3), "{output:?}");
            assert!(output.stdout.ends_with(b"asked\r\n"), "{output:?}");
        }
        let deaf = "trap '' PWR USR1 TERM INT; : >/etc/ready; while :; do sleep 0.05; done";
        let mut berth = foreground(container, &["--", "/bin/sh", "-c", deaf]);
        eventually("it runs", running);
        container.wait_for("test -e /etc/ready");
        signal(&berth, "TERM");
        eventually("it was asked", || {
            container.ok(&["ls"]).contains("stopping")
        });
        assert!(berth.try_wait().unwrap().is_none());
        signal(&berth, "TERM");
        assert_eq!(berth.wait().unwrap().code(), Some(137));
        // Who is killed himself leaves the container running.
        let mut berth = foreground(container, &["--", "/bin/sh", "-c", deaf]);
        eventually("it runs", running);
        signal(&berth, "KILL");
        berth.wait().unwrap();
        assert_eq!(container.sh("echo lives"), "lives");
    });
}

#[test]
fn its_terminal_is_the_consoles_over_all_lives() {
    with_container(Owner::User, |container| {
        let script = "test -t 0 && echo terminal; read word; echo got-$word; read word; echo more-$word; exit 4";
        let words = [
            "start", "--here", "-F", "web", "--", "/bin/sh", "-c", script,
        ];
        let mut seat = Seated::at(container, &words);
        seat.sees("terminal");
        seat.types("one\n");
        seat.sees("got-one");
        seat.types("two\n");
        seat.sees("more-two");
        seat.ends(4);
        // A reboot is a new life at the same terminal.
        let mut seat = Seated::at(container, &["start", "--here", "-F", "web"]);
        eventually("it runs", || container.ok(&["ls"]).contains("running"));
        container.reboot();
        container.sh("echo second life >/dev/console");
        seat.sees("second life");
        seat.types("\x01q");
        seat.ends(0);
        assert_eq!(container.sh("echo lives"), "lives");
    });
}

#[test]
fn keys_are_set_for_one_start_only() {
    for owner in [Owner::User, Owner::Root] {
        with_container(owner, |container| {
            let before = std::fs::read_to_string(container.config()).unwrap();
            let set = ["-s", "lxc.uts.name = other", "--set", "lxc.environment=A=b"];
            container.ok(&[&["start", "--here", "web"], &set[..]].concat());
            assert_eq!(container.sh("uname -n; echo $A"), "other\nb");
            container.stop();
            assert_eq!(std::fs::read_to_string(container.config()).unwrap(), before);
            container.start();
            assert_eq!(container.sh("uname -n"), "web");
            container.stop();
            for (setting, code, text) in [
                ("lxc.uts.nam=x", 1, "--set:2"),
                ("lxc.uts.name", 2, "--set wants KEY=VALUE"),
                (
                    "lxc.uts.name=a\nlxc.ephemeral=1",
                    2,
                    "--set wants KEY=VALUE",
                ),
            ] {
                let output = container.berth(&["start", "--here", "web", "-s", setting]);
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert_eq!(output.status.code(), Some(code), "{said}");
                assert!(said.contains(text), "{said}");
            }
        });
    }
}
