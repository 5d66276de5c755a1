//! Which devices a container may use.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use berth_test_private_host::{Cgroups, Setup};

use crate::world::{Container, Owner, in_container, on_host, on_host_with, refused};

/// As LXC's common.conf has them.
const RULES: &str = "lxc.cgroup.devices.deny = a\n\
                     lxc.cgroup.devices.allow = c *:* m\n\
                     lxc.cgroup2.devices.deny = a\n\
                     lxc.cgroup2.devices.allow = c 1:3 rwm";

#[test]
fn rules_of_both_versions_are_read_and_an_ordinary_users_mean_nothing() {
    in_container(Owner::User, RULES, |container| {
        container.sh("echo >/dev/null; head -c 1 /dev/zero");
        let made = container.sh("mknod /dev/made c 1 3 2>/dev/null && echo made || echo not");
        assert_eq!(made, "not", "no rule lets it make devices");
    });
    // Cleared as LXC's userns.conf does.
    let cleared = "\nlxc.cgroup.devices.deny =\nlxc.cgroup.devices.allow =\n\
                   lxc.cgroup2.devices.deny =\nlxc.cgroup2.devices.allow =";
    in_container(Owner::Root, &format!("{RULES}{cleared}"), |container| {
        container.sh("echo >/dev/null; head -c 1 /dev/zero; mknod /full c 1 7");
    });
}

/// A cgroup that systemd has marked as delegated to root, as his session has one; whoever calls
/// sits in its leaf from now on.
fn log_root_in() {
    let session = Path::new("/sys/fs/cgroup/root-session");
    let leaf = session.join("init.scope");
    fs::create_dir_all(&leaf).unwrap();
    let dir = fs::File::open(session).unwrap();
    berth_kernel::fs::set_xattr(dir.as_fd(), "trusted.delegate", b"1").unwrap();
    fs::write(leaf.join("cgroup.procs"), std::process::id().to_string()).unwrap();
}

fn in_roots_container(lines: &str, body: impl FnOnce(&Container)) {
    on_host(|host| {
        log_root_in();
        let container = Container::create(host, Owner::Root, "web");
        container.append(lines);
        container.start();
        body(&container);
        container.destroy();
    });
}

/// Whether something can be done inside.
fn can(container: &Container, command: &str) -> bool {
    let said = container.sh(&format!(
        "( {command} ) >/run/said 2>&1 && echo yes || echo no"
    ));
    said == "yes"
}

/// What every container needs to come up.
const USUAL: &str = "lxc.cgroup2.devices.allow = c 1:3 rwm\nlxc.cgroup2.devices.allow = c 1:5 r\n\
                     lxc.cgroup2.devices.allow = c 1:8 rwm\nlxc.cgroup2.devices.allow = c 1:9 rwm\n\
                     lxc.cgroup2.devices.allow = c 5:* rwm\nlxc.cgroup2.devices.allow = c 136:* rwm\n";

#[test]
fn what_is_not_allowed_is_denied() {
    let rules =
        format!("lxc.cgroup2.devices.deny = a\n{USUAL}lxc.cgroup2.devices.allow = b 7:* m\n");
    in_roots_container(&rules, |container| {
        for _ in 0..2 {
            assert!(can(container, "head -c 1 /dev/zero; echo >/dev/null"));
            assert!(!can(container, "echo >/dev/zero"), "for reading only");
            assert!(!can(container, "head -c 1 /dev/full"), "not in the list");
            assert!(!can(container, "mknod /full c 1 7"));
            assert!(can(container, "rm -f /loop; mknod /loop b 7 0"));
            assert!(!can(container, "head -c 1 /loop"), "for making only");
            container.stop();
            container.start();
        }
    });
}

#[test]
fn what_is_denied_is_denied_and_the_rest_is_not() {
    let rules = "lxc.cgroup2.devices.deny = c 1:7 w\nlxc.cgroup2.devices.deny = c 1:5 rwm\n\
                 lxc.cgroup2.devices.allow = c 1:5 rwm";
    in_roots_container(rules, |container| {
        assert!(can(container, "head -c 1 /dev/full; head -c 1 /dev/zero"));
        assert!(!can(container, "echo >/dev/full"));
        assert!(can(container, "mknod /null c 1 3 && echo >/null"));
    });
}

/// As cron, sudo and sshd leave root where nobody else arranges cgroups.
#[test]
fn root_has_a_cgroup_of_his_own_without_a_delegated_one() {
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        container.append(&format!("lxc.cgroup2.devices.deny = a\n{USUAL}"));
        container.append("lxc.cgroup2.cgroup.max.depth = 3");
        let inside = |file: &str| {
            let file = container.cgroup().join("payload").join(file);
            fs::read_to_string(file).unwrap()
        };
        for _ in 0..2 {
            container.start();
            assert!(container.info("Cgroup").ends_with("/berth/user-0/web"));
            assert!(inside("cgroup.procs").lines().count() > 0);
            assert_eq!(inside("cgroup.max.depth").trim(), "3");
            assert!(!can(&container, "head -c 1 /dev/full"));
            container.reboot();
            assert!(!can(&container, "head -c 1 /dev/full"));
            container.kill_monitor();
        }
        container.destroy();
    });
}

#[test]
fn without_a_cgroup_roots_container_is_not_started_with_rules() {
    let none = |setup: &mut Setup| setup.cgroups = Cgroups::None;
    on_host_with(none, |host| {
        let container = Container::create(host, Owner::Root, "web");
        container.append(RULES);
        container
            .start_is_refused("lxc.cgroup2.devices cannot be obeyed: this host has no cgroup v2");
        container.destroy();
    });
}

#[test]
fn what_is_malformed_or_would_be_without_effect_is_refused() {
    let wrong = "lxc.cgroup2.devices.allow = c 1:3";
    refused(
        Owner::User,
        wrong,
        "lxc.cgroup2.devices.allow: expected “a”",
    );
    let limit = "lxc.cgroup.memory.limit_in_bytes = 1G";
    refused(
        Owner::User,
        limit,
        "lxc.cgroup.memory.limit_in_bytes: control groups of version 1",
    );
}
