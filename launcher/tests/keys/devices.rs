//! Which devices a container may use.

use crate::world::{Owner, in_container, refused};

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
        container.sh("echo >/dev/null");
    });
}

#[test]
fn what_would_be_without_effect_is_refused() {
    let wrong = "lxc.cgroup2.devices.allow = c 1:3";
    refused(
        Owner::User,
        wrong,
        "lxc.cgroup2.devices.allow: expected “a”",
    );
    refused(Owner::Root, RULES, "lxc.cgroup2.devices: this version");
    let limit = "lxc.cgroup.memory.limit_in_bytes = 1G";
    refused(
        Owner::User,
        limit,
        "lxc.cgroup.memory.limit_in_bytes: control groups of version 1",
    );
}
