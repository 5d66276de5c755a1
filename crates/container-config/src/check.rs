//! What no line can be blamed for alone.

use crate::config::Config;
use crate::error::{Problem, printable};
use crate::position::{Position, Positioned};
use crate::value::{IdKind, IdMapping, NetType};
use std::path::Path;

/// The most lines of one map that the kernel takes (UID_GID_MAP_MAX_EXTENTS, Linux 4.15).
const MAX_EXTENTS: usize = 340;

/// Judges a configuration as a whole, and brings absolute mount targets below the root.
pub(crate) fn whole(config: &mut Config, file: &Path, problems: &mut Vec<Problem>) {
    idmap(config, file, problems);
    nets(config, file, problems);
    capabilities(config, problems);
    namespaces(config, problems);
    mount_targets(config, file, problems);
}

fn problem(problems: &mut Vec<Problem>, at: &Position, key: &str, message: String) {
    problems.push(Problem {
        at: at.clone(),
        key: Some(key.to_owned()),
        message,
    });
}

fn idmap(config: &Config, file: &Path, problems: &mut Vec<Problem>) {
    if config.idmap.is_empty() {
        return;
    }
    for (kind, name) in [(IdKind::User, "user"), (IdKind::Group, "group")] {
        let maps: Vec<&Positioned<IdMapping>> = config
            .idmap
            .iter()
            .filter(|mapping| mapping.kind == kind)
            .collect();
        if let Some(extra) = maps.get(MAX_EXTENTS) {
            let message = format!("the kernel takes at most {MAX_EXTENTS} ranges of {name} ids");
            problem(problems, &extra.at, "lxc.idmap", message);
            continue;
        }
        if !maps.iter().any(|mapping| mapping.covers_inside(0)) {
            let message = format!(
                "the container's root has no {name} id on the host: expected a line \
                 “lxc.idmap = {kind} 0 …”"
            );
            problem(problems, &Position::new(file, 0), "lxc.idmap", message);
        }
        overlaps(&maps, problems);
    }
}

fn overlaps(maps: &[&Positioned<IdMapping>], problems: &mut Vec<Problem>) {
    let meet = |a: u32, a_count: u32, b: u32, b_count: u32| {
        u64::from(a) < u64::from(b) + u64::from(b_count)
            && u64::from(b) < u64::from(a) + u64::from(a_count)
    };
    for (i, later) in maps.iter().enumerate() {
        for earlier in &maps[..i] {
            let side = if meet(later.inside, later.count, earlier.inside, earlier.count) {
                "inside"
            } else if meet(later.host, later.count, earlier.host, earlier.count) {
                "on the host"
            } else {
                continue;
            };
            let message = format!(
                "expected ranges that do not overlap, found “{}” and “{}” ({}), which share ids \
                 {side}",
                later.value, earlier.value, earlier.at
            );
            problem(problems, &later.at, "lxc.idmap", message);
        }
    }
}

fn nets(config: &Config, file: &Path, problems: &mut Vec<Problem>) {
    let mut names: Vec<&Positioned<String>> = Vec::new();
    for (index, net) in &config.nets {
        let somewhere = net
            .link
            .as_ref()
            .or(net.name.as_ref())
            .map(|value| value.at.clone());
        let Some(kind) = &net.kind else {
            let at = somewhere.unwrap_or_else(|| Position::new(file, 0));
            let key = format!("lxc.net.{index}.type");
            problem(
                problems,
                &at,
                &key,
                "expected a line with the interface's type".to_owned(),
            );
            continue;
        };
        if kind.value == NetType::None && config.nets.len() > 1 {
            let key = format!("lxc.net.{index}.type");
            let message = "expected no other interface beside “none”, which is the host's network";
            problem(problems, &kind.at, &key, message.to_owned());
        }
        if let Some((key, at, owner)) = net.of_another_type() {
            let message = format!(
                "expected this only where lxc.net.{index}.type is {}, found type {}",
                owner.word(),
                kind.value.word()
            );
            problem(problems, at, &format!("lxc.net.{index}.{key}"), message);
        }
        if let Some(name) = &net.name {
            if let Some(earlier) = names.iter().find(|earlier| earlier.value == name.value) {
                let message = format!(
                    "expected a name of its own, found “{}” as at {}",
                    printable(name),
                    earlier.at
                );
                problem(
                    problems,
                    &name.at,
                    &format!("lxc.net.{index}.name"),
                    message,
                );
            }
            names.push(name);
        }
    }
}

fn capabilities(config: &Config, problems: &mut Vec<Problem>) {
    let dropped = config.cap_drop.iter().flatten().next();
    if let (Some(drop), Some(_)) = (dropped, &config.cap_keep) {
        let message = "expected either lxc.cap.drop or lxc.cap.keep, found both".to_owned();
        problem(problems, &drop.at, "lxc.cap.drop", message);
    }
}

fn namespaces(config: &Config, problems: &mut Vec<Problem>) {
    let process = &config.process;
    if let (Some(_), Some(kept)) = (&process.namespaces_new, &process.namespaces_kept) {
        let message = "expected either lxc.namespace.clone or lxc.namespace.keep, found both";
        problem(problems, &kept.at, "lxc.namespace.keep", message.to_owned());
    }
}

/// An absolute target begins with the root directory, under any of its names.
fn mount_targets(config: &mut Config, file: &Path, problems: &mut Vec<Problem>) {
    let tops = config.root_names(file.parent().unwrap_or(Path::new("/")));
    for entry in &mut config.mounts {
        if !entry.value.target.is_absolute() {
            continue;
        }
        let below = tops
            .iter()
            .find_map(|top| entry.value.target.strip_prefix(top).ok());
        match below.map(Path::to_owned) {
            Some(target) => entry.value.target = target,
            None => {
                let target = printable(&entry.value.target.to_string_lossy());
                let message = format!(
                    "expected a target relative to the container's root (srv/data), found \
                     “{target}”"
                );
                problem(problems, &entry.at, "lxc.mount.entry", message);
            }
        }
    }
}
