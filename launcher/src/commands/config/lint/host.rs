//! What the lines say of this host, and whether it is so.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use berth_common::path;
use berth_container_config::{
    Assignment, IdKind, IdMapping, Position, Survey, Warning, value::id_mapping,
};
use berth_kernel::user::{self, User};
use berth_usernic::usernet;

use crate::default_config;

/// Warnings about what lines name.
pub fn suspicious(file: &Path, survey: &Survey, caller: &User) -> Vec<Warning> {
    let top = (Position::new(file, 0), file.to_owned());
    let files = std::iter::once(&top).chain(&survey.includes);
    let mut warnings: Vec<Warning> = files
        .filter_map(|(at, path)| open_to_others(at, path, caller))
        .collect();
    let lines = survey.effective();
    for line in &lines {
        let message = match line.key.as_str() {
            "lxc.rootfs.path" => missing_root(&line.value),
            "lxc.idmap" if !caller.uid.is_root() => foreign_ids(&line.value, caller),
            _ => None,
        };
        warnings.extend(message.map(|message| warning(line, message)));
    }
    warnings.extend(bridges(&lines, caller));
    warnings
}

fn warning(line: &Assignment, message: String) -> Warning {
    Warning {
        at: line.at.clone(),
        key: Some(line.key.clone()),
        message,
    }
}

/// Somebody else decides what the container is.
fn open_to_others(at: &Position, path: &Path, caller: &User) -> Option<Warning> {
    const OTHERS_WRITE: u32 = 0o002;
    let found = std::fs::metadata(path).ok()?;
    let message = if found.permissions().mode() & OTHERS_WRITE != 0 {
        format!(
            "everybody may change {}, and so what runs in the container (chmod o-w)",
            path.display()
        )
    } else if found.uid() != 0 && found.uid() != caller.uid.raw() {
        format!(
            "{} belongs to uid {}, who decides with it what runs in the container",
            path.display(),
            found.uid()
        )
    } else {
        return None;
    };
    Some(Warning {
        at: at.clone(),
        key: (at.line > 0).then(|| "lxc.include".to_owned()),
        message,
    })
}

/// The directories or the image of a root that are not there.
fn missing_root(value: &str) -> Option<String> {
    let paths = match value.split_once(':') {
        Some(("dir" | "loop" | "overlay" | "overlayfs" | "btrfs", paths)) => paths,
        // LXC's names of volumes are no paths.
        Some((kind, _)) if !kind.contains('/') => return None,
        _ => value,
    };
    let missing = paths
        .split(':')
        .find(|path| path.starts_with('/') && !Path::new(path).exists())?;
    Some(format!("{missing} does not exist"))
}

/// Ids that newuidmap will refuse.
fn foreign_ids(value: &str, caller: &User) -> Option<String> {
    let mapping = id_mapping(value).ok()?;
    let is_himself = mapping.count == 1
        && match mapping.kind {
            IdKind::User => mapping.host == caller.uid.raw(),
            IdKind::Group => mapping.host == caller.gid.raw(),
        };
    let ranges = default_config::own_ranges(caller, mapping.kind).ok()?;
    if is_himself || is_within(&mapping, &ranges) {
        return None;
    }
    let table = match mapping.kind {
        IdKind::User => "/etc/subuid",
        IdKind::Group => "/etc/subgid",
    };
    let own = match ranges.first() {
        None => format!("{} has none (berth grant {0} gives some)", caller.name),
        Some((first, count)) => format!("{} has {count} from {first} on", caller.name),
    };
    Some(format!(
        "these ids are not all subordinate ones of {} in {table}; {own}",
        caller.name
    ))
}

/// Ranges may follow one another.
fn is_within(mapping: &IdMapping, ranges: &[(u32, u32)]) -> bool {
    let end = u64::from(mapping.host) + u64::from(mapping.count);
    let mut next = u64::from(mapping.host);
    while next < end {
        let reach = ranges
            .iter()
            .map(|(first, count)| (u64::from(*first), u64::from(*first) + u64::from(*count)))
            .filter(|(first, last)| *first <= next && next < *last)
            .map(|(_, last)| last)
            .max();
        match reach {
            Some(last) => next = last,
            None => return false,
        }
    }
    true
}

/// Bridges that are not there, or on which the caller may have no interface.
fn bridges(lines: &[&Assignment], caller: &User) -> Vec<Warning> {
    let is_veth = |prefix: &str| {
        let key = format!("{prefix}type");
        lines
            .iter()
            .any(|line| line.key == key && line.value == "veth")
    };
    let links = lines.iter().filter(|line| {
        line.key.starts_with("lxc.net.") && line.key.strip_suffix("link").is_some_and(is_veth)
    });
    links
        .filter_map(|line| Some(warning(line, bridge(&line.value, caller)?)))
        .collect()
}

fn bridge(name: &str, caller: &User) -> Option<String> {
    if !caller.uid.is_root() && quota(name, caller) == 0 {
        return Some(format!(
            "{0} may have no interface on {name}: no line for it in {1} (an administrator adds \
             one with: sudo berth grant {0} --bridge {name})",
            caller.name,
            path::USERNET
        ));
    }
    let exists = !name.contains('/') && Path::new("/sys/class/net").join(name).exists();
    (!exists).then(|| format!("there is no bridge {name} on this host"))
}

fn quota(bridge: &str, caller: &User) -> u64 {
    let text = std::fs::read(path::USERNET).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let groups: Vec<String> = user::own_groups()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|gid| user::group_name(gid).ok().flatten())
        .collect();
    let is_member = |group: &str| groups.iter().any(|own| own == group);
    usernet::quota(&text, &caller.name, is_member, "veth", bridge).map_or(0, |quota| quota.limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_lie_within_ranges_that_follow_one_another() {
        let ranges = [(100, 50), (150, 50), (300, 10)];
        let within = |first, count| {
            let mapping = IdMapping::new(IdKind::User, 0, first, count).unwrap();
            is_within(&mapping, &ranges)
        };
        assert!(within(100, 100) && within(149, 2) && within(300, 10));
        assert!(!within(99, 2) && !within(100, 101) && !within(200, 1) && !within(305, 6));
    }

    #[test]
    fn roots_are_looked_for_by_their_kind() {
        for (value, missing) in [
            ("dir:/proc", None),
            ("/proc", None),
            ("dir:/nowhere", Some("/nowhere does not exist")),
            ("overlay:/proc:/nowhere", Some("/nowhere does not exist")),
            ("zfs:tank/web", None),
        ] {
            assert_eq!(missing_root(value).as_deref(), missing, "{value}");
        }
    }
}
