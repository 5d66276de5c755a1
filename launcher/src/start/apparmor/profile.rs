//! What a generated profile says.
//!
//! What is inside is the container's; what a profile is for is the rest: parts of /proc and /sys
//! that are the whole host's, signals to and looks into processes elsewhere, and mounts that would
//! show the former at other places. A container with ids of its own is kept from most of that by the
//! kernel, so it may mount as it likes.

use std::fmt::Write;

/// What a profile depends on.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The container's name.
    pub container: &'a str,
    /// The directory that holds it.
    pub lxcpath: &'a str,
    /// Whether it has ids of its own.
    pub mapped: bool,
    /// Whether there may be containers in it (`lxc.apparmor.allow_nesting`).
    pub nesting: bool,
    /// Rules to be added (`lxc.apparmor.raw`).
    pub raw: &'a [&'a str],
}

/// The profile's name: as LXC's, so that two containers of a name have two profiles.
pub fn name(subject: &Subject<'_>) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() || "/._-+".contains(c) {
        true => c.to_string(),
        // Two directories never get the same name.
        false => format!("%{:x}", u32::from(c)),
    };
    let lxcpath: String = subject.lxcpath.chars().map(plain).collect();
    format!("lxc-{}_<{lxcpath}>", subject.container)
}

/// The whole profile.
pub fn text(subject: &Subject<'_>) -> String {
    let mut text = format!(
        "profile \"{}\" flags=(attach_disconnected,mediate_deleted) {{\n",
        name(subject)
    );
    let mut add = |rules: &str| {
        for rule in rules.lines() {
            let _ = writeln!(text, "  {}", rule.trim());
        }
    };
    add(INSIDE);
    add(HOST);
    add(&deny_but("/proc/sys", PROC_SYS));
    add(&deny_but("/sys", SYS));
    match subject.mapped || subject.nesting {
        true => add("mount,\nremount,\npivot_root,"),
        false => add(MOUNTS),
    }
    if subject.nesting {
        // The whole ones are there for the kernel to see, not for anybody to use.
        add("deny /dev/.lxc/{proc,sys}/** rw,\nchange_profile -> **,");
    }
    for rule in subject.raw {
        add(rule);
    }
    text.push_str("}\n");
    text
}

/// What the container is free to do with what is its own.
const INSIDE: &str = "\
    file,
    network,
    capability,
    umount,
    dbus,
    unix,
    signal (receive),
    signal (send) peer=@{profile_name},
    ptrace (readby, tracedby),
    ptrace (read, trace) peer=@{profile_name},";

/// What is the whole host's, wherever it is mounted below its own place.
const HOST: &str = "\
    deny /proc/sysrq-trigger rwklx,
    deny /proc/kcore rwklx,
    deny /proc/kmem rwklx,
    deny /proc/mem rwklx,
    deny /proc/acpi/** rwklx,
    deny /proc/bus/** wklx,
    deny /sys/firmware/** wklx,
    deny /sys/kernel/debug/{,**} rwklx,
    deny /sys/kernel/security/{,**} wklx,";

/// Parameters that a container has of its own.
const PROC_SYS: &[&str] = &[
    "kernel/shm*",
    "kernel/sem*",
    "kernel/msg*",
    "kernel/hostname",
    "kernel/domainname",
    "net/**",
];

/// Where a container manages what is its own.
const SYS: &[&str] = &["fs/cgroup/**", "devices/virtual/net/**", "class/net/**"];

/// What init systems and services mount where ids are the host's.
const MOUNTS: &str = "\
    mount options=(rw, make-private) -> **,
    mount options=(rw, make-rprivate) -> **,
    mount options=(rw, make-slave) -> **,
    mount options=(rw, make-rslave) -> **,
    mount options=(rw, make-shared) -> **,
    mount options=(rw, make-rshared) -> **,
    mount options=(rw, make-unbindable) -> **,
    mount fstype=tmpfs,
    mount fstype=ramfs,
    mount fstype=hugetlbfs,
    mount fstype=mqueue,
    mount fstype=fuse,
    mount fstype=fuse.*,
    mount fstype=overlay,
    mount fstype=proc -> /proc/,
    mount fstype=sysfs -> /sys/,
    mount fstype=cgroup -> /sys/fs/cgroup/**,
    mount fstype=cgroup2 -> /sys/fs/cgroup/**,
    mount options=(ro, remount) -> /,
    mount options in (ro, remount, bind, nosuid, nodev, noexec, noatime, relatime) -> **,
    mount options in (rw, bind, rbind, move) /[^spd]*{,/**} -> **,
    mount options in (rw, bind, rbind, move) /d[^e]*{,/**} -> **,
    mount options in (rw, bind, rbind, move) /de[^v]*{,/**} -> **,
    mount options in (rw, bind, rbind, move) /p[^r]*{,/**} -> **,
    mount options in (rw, bind, rbind, move) /pr[^o]*{,/**} -> **,
    mount options in (rw, bind, rbind, move) /pro[^c]*{,/**} -> **,
    mount options in (rw, bind, rbind, move) /s[^y]*{,/**} -> **,
    mount options in (rw, bind, rbind, move) /sy[^s]*{,/**} -> **,
    mount options in (rw, bind, rbind, move) /dev/** -> /dev/**,";

/// Rules that forbid writing to everything below a directory but what `allowed` names: AppArmor
/// lets a prohibition win over any permission, so what is prohibited has to be spelled out, name
/// by name: those that begin like no allowed one.
fn deny_but(directory: &str, allowed: &[&str]) -> String {
    let mut rules = String::new();
    let mut levels = vec![(directory.to_owned(), allowed.to_vec())];
    while let Some((directory, allowed)) = levels.pop() {
        let names: Vec<&str> = allowed
            .iter()
            .map(|path| path.split('/').next().unwrap_or_default())
            .collect();
        deny_other_names(&mut rules, &directory, &names);
        let mut entered: Vec<&str> = Vec::new();
        for name in names {
            let below: Vec<&str> = allowed
                .iter()
                .filter_map(|path| path.strip_prefix(name)?.strip_prefix('/'))
                .filter(|rest| *rest != "**")
                .collect();
            if !below.is_empty() && !entered.contains(&name) {
                entered.push(name);
                levels.push((format!("{directory}/{name}"), below));
            }
        }
    }
    rules
}

/// Forbids each name in a directory that begins differently from all these; one may end in `*`.
fn deny_other_names(rules: &mut String, directory: &str, names: &[&str]) {
    let mut prefixes = vec![String::new()];
    while let Some(prefix) = prefixes.pop() {
        let mut next: Vec<char> = Vec::new();
        let mut open = false;
        for name in names {
            match name
                .strip_prefix(&*prefix)
                .and_then(|rest| rest.chars().next())
            {
                Some('*') => open = true,
                Some(c) if !next.contains(&c) => next.push(c),
                _ => {}
            }
        }
        // From an asterisk on everything is allowed.
        if open {
            continue;
        }
        next.sort_unstable();
        let others: String = next.iter().collect();
        let _ = match next.is_empty() {
            // The name is whole: what goes on is another name.
            true => writeln!(rules, "deny {directory}/{prefix}?*{{,/**}} wklx,"),
            false => writeln!(rules, "deny {directory}/{prefix}[^{others}]*{{,/**}} wklx,"),
        };
        prefixes.extend(next.iter().rev().map(|c| format!("{prefix}{c}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: Subject<'_> = Subject {
        container: "web",
        lxcpath: "/var/lib/lxc",
        mapped: false,
        nesting: false,
        raw: &[],
    };

    #[test]
    fn names_tell_containers_apart() {
        assert_eq!(name(&WEB), "lxc-web_</var/lib/lxc>");
        let odd = |path: &'static str| {
            name(&Subject {
                lxcpath: path,
                ..WEB
            })
        };
        assert_eq!(odd("/srv/my \"lxc\""), "lxc-web_</srv/my%20%22lxc%22>");
        assert_ne!(odd("/a b"), odd("/a%20b"));
    }

    #[test]
    fn all_but_the_allowed_is_denied() {
        let rules = deny_but("/proc/sys", &["kernel/ho", "net/**"]);
        let lines: Vec<&str> = rules.lines().collect();
        for expected in [
            "deny /proc/sys/[^kn]*{,/**} wklx,",
            "deny /proc/sys/k[^e]*{,/**} wklx,",
            "deny /proc/sys/kernel?*{,/**} wklx,",
            "deny /proc/sys/ne[^t]*{,/**} wklx,",
            "deny /proc/sys/kernel/[^h]*{,/**} wklx,",
            "deny /proc/sys/kernel/h[^o]*{,/**} wklx,",
            "deny /proc/sys/kernel/ho?*{,/**} wklx,",
        ] {
            assert!(lines.contains(&expected), "{expected} is not in {rules}");
        }
        assert!(!rules.contains("/proc/sys/net/"), "{rules}");
        // An asterisk ends the prohibition.
        let open = deny_but("/p", &["shm*"]);
        assert!(
            open.contains("deny /p/sh[^m]*") && !open.contains("shm?"),
            "{open}"
        );
    }

    #[test]
    fn who_has_the_hosts_ids_may_mount_less() {
        let strict = text(&WEB);
        assert!(strict.starts_with("profile \"lxc-web_</var/lib/lxc>\" flags=("));
        assert!(strict.ends_with("}\n"));
        let has = |text: &str, rule: &str| text.lines().any(|line| line.trim() == rule);
        assert!(!has(&strict, "mount,") && has(&strict, "mount fstype=proc -> /proc/,"));
        let mapped = text(&Subject {
            mapped: true,
            raw: &["mount fstype=nfs,"],
            ..WEB
        });
        assert!(has(&mapped, "mount,") && has(&mapped, "mount fstype=nfs,"));
        for profile in [&strict, &mapped] {
            assert!(has(profile, "deny /proc/sysrq-trigger rwklx,"));
            assert!(!has(profile, "change_profile -> **,"));
        }
        let nesting = text(&Subject {
            nesting: true,
            ..WEB
        });
        assert!(has(&nesting, "change_profile -> **,"));
    }
}
