//! Keys that have another name, and keys that are gone.

use super::Outcome;
use super::rewrite::Edit;
use crate::key::{self, Action};

/// Names before 2.1 whose values mean today what they meant then.
const RENAMED: [(&str, &str); 22] = [
    ("lxc.aa_profile", "lxc.apparmor.profile"),
    ("lxc.aa_allow_incomplete", "lxc.apparmor.allow_incomplete"),
    ("lxc.se_context", "lxc.selinux.context"),
    ("lxc.id_map", "lxc.idmap"),
    ("lxc.pts", "lxc.pty.max"),
    ("lxc.tty", "lxc.tty.max"),
    ("lxc.devttydir", "lxc.tty.dir"),
    ("lxc.loglevel", "lxc.log.level"),
    ("lxc.logfile", "lxc.log.file"),
    ("lxc.syslog", "lxc.log.syslog"),
    ("lxc.mount", "lxc.mount.fstab"),
    ("lxc.utsname", "lxc.uts.name"),
    ("lxc.seccomp", "lxc.seccomp.profile"),
    ("lxc.console", "lxc.console.path"),
    ("lxc.haltsignal", "lxc.signal.halt"),
    ("lxc.rebootsignal", "lxc.signal.reboot"),
    ("lxc.stopsignal", "lxc.signal.stop"),
    ("lxc.init_cmd", "lxc.init.cmd"),
    ("lxc.init_uid", "lxc.init.uid"),
    ("lxc.init_gid", "lxc.init.gid"),
    ("lxc.limit", "lxc.prlimit"),
    ("lxc.cgroup", "lxc.cgroup2"),
];

pub(super) fn edit(key: &str, value: &str) -> Outcome {
    match key {
        "lxc.mount" | "lxc.mount.fstab" if value.is_empty() => gone("it names no file"),
        _ => match key::lookup(key).map(|found| &found.key.action) {
            Some(Action::Gone(why)) => gone(why),
            _ => renamed(key),
        },
    }
}

fn gone(why: &str) -> Outcome {
    Outcome::of(Edit::Comment(why.to_owned()))
}

fn renamed(key: &str) -> Outcome {
    if let Some(resource) = key.strip_prefix("lxc.limit.") {
        return Outcome::of(Edit::key(format!("lxc.prlimit.{resource}")));
    }
    let new = RENAMED.iter().find(|(old, _)| *old == key);
    Outcome::of(new.map_or(Edit::Keep, |(_, new)| Edit::key(*new)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_former_name_of_the_table_has_a_successor_that_exists() {
        for key in key::keys() {
            let Action::Renamed(_) = key.action else {
                continue;
            };
            let name = key.pattern.replace('*', "nofile");
            if name.starts_with("lxc.network") || name.starts_with("lxc.rootfs") {
                continue;
            }
            let Edit::Set { key: Some(new), .. } = edit(&name, "1").edit else {
                panic!("{name} stays");
            };
            let found = key::find(&new).unwrap_or_else(|e| panic!("{name} → {new}: {e}"));
            assert!(!matches!(found.key.action, Action::Renamed(_)), "{new}");
        }
    }
}
