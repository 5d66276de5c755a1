//! Signals by which init is asked to reboot and ended by force.

use std::fs;
use std::time::{Duration, Instant};

use crate::world::{Container, Owner, eventually, in_container, on_host};

/// An init that says which signal it got.
const TELLER: &str = "lxc.init.cmd = /bin/sh -c 'for s in USR1 INT; do \
    trap \"echo $s >/etc/got; exit 0\" $s; done; echo >/etc/ready; while :; do sleep 0.05; done'";

fn got(container: &Container<'_>) -> String {
    let file = container.dir().join("rootfs/etc/got");
    let text = fs::read_to_string(file).unwrap_or_default();
    text.trim().to_owned()
}

#[test]
fn the_reboot_signal_asks_init_to_reboot() {
    for owner in [Owner::User, Owner::Root] {
        // What the template made is SIGTERM, which busybox's init takes.
        in_container(owner, "", |container| {
            let (monitor, init) = (container.info("Monitor"), container.info("PID"));
            container.ok(&["restart", "--reboot", "web"]);
            assert_eq!(container.info("State"), "running");
            assert_eq!(container.info("Monitor"), monitor);
            assert_ne!(container.info("PID"), init);
        });
    }
    for (line, signal) in [
        ("lxc.signal.reboot =", "INT"),
        ("lxc.signal.reboot = SIGUSR1", "USR1"),
    ] {
        let lines = format!("{TELLER}\n{line}");
        in_container(Owner::User, &lines, |container| {
            container.wait_for("test -e /etc/ready");
            let output = container.berth(&["restart", "--reboot", "web"]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1));
            assert!(said.contains("has ended instead of rebooting"), "{said}");
            assert_eq!(got(container), signal);
        });
    }
    // One that does not take it runs on.
    let lines = format!("{TELLER}\nlxc.signal.reboot = SIGUSR2");
    in_container(Owner::User, &lines, |container| {
        let output = container.berth(&["restart", "--reboot", "-t", "0", "web"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("has not rebooted in 0 s"), "{said}");
        assert_eq!(container.info("State"), "running");
        container.stop();
        let output = container.berth(&["restart", "--reboot", "web"]);
        assert!(String::from_utf8_lossy(&output.stderr).contains("is stopped"));
    });
}

#[test]
fn the_stop_signal_comes_before_the_end_by_force() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.append(TELLER);
        // Nothing is asked, and nothing waited for, with what ends it anyway.
        for (line, signal) in [
            ("lxc.signal.stop =", ""),
            ("lxc.signal.stop = SIGKILL", ""),
            // It is ended by force where init does not know the signal.
            ("lxc.signal.stop = SIGUSR2", ""),
            ("lxc.signal.stop = SIGUSR1", "USR1"),
        ] {
            container.append(line);
            let _ = fs::remove_file(container.dir().join("rootfs/etc/ready"));
            container.start();
            container.wait_for("test -e /etc/ready");
            let begun = Instant::now();
            container.stop();
            assert_eq!(got(&container), signal, "{line}");
            assert!(begun.elapsed() < Duration::from_secs(20));
            eventually("the cgroup's end", || !container.cgroup().exists());
        }
        container.destroy();
    });
}

/// The kernel drops a signal that init does not handle: one that has just begun is asked again.
#[test]
fn a_stop_before_init_can_hear_it_is_not_lost() {
    let late = "lxc.signal.halt = SIGUSR1\n\
                lxc.init.cmd = /bin/sh -c \"sleep 1; trap 'exit 0' USR1; while :; do sleep 0.05; done\"";
    in_container(Owner::User, late, |container| {
        container.ok(&["stop", "-t", "30", "web"]);
        let log = container.log();
        assert!(log.contains("asked init to stop by signal 10"), "{log}");
        assert!(!log.contains("killed"), "{log}");
        assert_eq!(log.matches("asked init").count(), 1, "{log}");
    });
}
