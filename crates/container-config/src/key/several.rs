//! Which keys take several lines, and which stand for a family of others.

use super::lookup;

/// Keys whose lines add up.
const LISTS: [&str; 29] = [
    "lxc.include",
    "lxc.environment",
    "lxc.environment.runtime",
    "lxc.environment.hooks",
    "lxc.init.groups",
    "lxc.idmap",
    "lxc.mount.entry",
    "lxc.mount.auto",
    "lxc.group",
    "lxc.cap.drop",
    "lxc.cap.keep",
    "lxc.apparmor.raw",
    "lxc.hook.pre-start",
    "lxc.hook.pre-mount",
    "lxc.hook.mount",
    "lxc.hook.autodev",
    "lxc.hook.start-host",
    "lxc.hook.start",
    "lxc.hook.stop",
    "lxc.hook.post-stop",
    "lxc.hook.clone",
    "lxc.hook.destroy",
    "lxc.net.N.ipv4.address",
    "lxc.net.N.ipv6.address",
    "lxc.net.N.veth.ipv4.route",
    "lxc.net.N.veth.ipv6.route",
    "lxc.net.N.veth.vlan.tagged.id",
    "lxc.cgroup2.*",
    "lxc.cgroup.*",
];
/// Keys that, empty, clear all keys that begin like them.
const FAMILIES: [&str; 7] = [
    "lxc.net",
    "lxc.network",
    "lxc.hook",
    "lxc.cgroup2",
    "lxc.prlimit",
    "lxc.sysctl",
    "lxc.proc",
];

/// Whether several lines with a key add up, so that none makes an earlier one useless.
pub fn takes_several(key: &str) -> bool {
    let Some(found) = lookup(key) else {
        return false;
    };
    match found.key.pattern {
        "lxc.cgroup2.*" | "lxc.cgroup.*" => one_line_a_device(found.rest),
        pattern => LISTS.contains(&pattern),
    }
}

/// Files of a control group in which each write is about one device, or about one rule.
fn one_line_a_device(file: &str) -> bool {
    ["devices.", "io.", "blkio.", "rdma.", "misc."]
        .iter()
        .any(|prefix| file.starts_with(prefix))
}

/// Whether the key, empty, clears this other one.
pub fn clears(key: &str, other: &str) -> bool {
    if key == other {
        return true;
    }
    let is_interface = key
        .strip_prefix("lxc.net.")
        .is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()));
    (FAMILIES.contains(&key) || is_interface)
        && other
            .strip_prefix(key)
            .is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::keys;

    #[test]
    fn every_list_is_a_key() {
        for list in LISTS {
            assert!(keys().any(|key| key.pattern == list), "{list}");
        }
    }

    #[test]
    fn lists_and_families() {
        for several in [
            "lxc.idmap",
            "lxc.net.3.ipv4.address",
            "lxc.cgroup2.io.max",
            "lxc.cgroup2.devices.allow",
        ] {
            assert!(takes_several(several), "{several}");
        }
        for one in ["lxc.uts.name", "lxc.cgroup2.memory.max", "lxc.nonsense"] {
            assert!(!takes_several(one), "{one}");
        }
        assert!(clears("lxc.net", "lxc.net.0.type") && clears("lxc.net.1", "lxc.net.1.link"));
        assert!(clears("lxc.tty.max", "lxc.tty.max"));
        for (key, other) in [
            ("lxc.net.1", "lxc.net.11.link"),
            ("lxc.environment", "lxc.environment.hooks"),
            ("lxc.net", "lxc.network"),
        ] {
            assert!(!clears(key, other), "{key} {other}");
        }
    }
}
