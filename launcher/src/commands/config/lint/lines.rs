//! What the lines by themselves tell.

use std::path::Path;

use berth_container_config::key::{clears, takes_several};
use berth_container_config::{Assignment, Survey, Warning, distance};
use berth_kernel::user::User;

/// Files of a control group of version 2 that are settings (cgroup-v2.rst of Linux 6.12).
const CGROUP_FILES: [&str; 33] = [
    "cgroup.max.depth",
    "cgroup.max.descendants",
    "cgroup.pressure",
    "cpu.idle",
    "cpu.max",
    "cpu.max.burst",
    "cpu.uclamp.max",
    "cpu.uclamp.min",
    "cpu.weight",
    "cpu.weight.nice",
    "cpuset.cpus",
    "cpuset.cpus.exclusive",
    "cpuset.cpus.partition",
    "cpuset.mems",
    "devices.allow",
    "devices.deny",
    "dmem.low",
    "dmem.max",
    "dmem.min",
    "io.bfq.weight",
    "io.latency",
    "io.max",
    "io.prio.class",
    "io.weight",
    "memory.high",
    "memory.low",
    "memory.max",
    "memory.min",
    "memory.oom.group",
    "memory.swap.high",
    "memory.swap.max",
    "memory.zswap.max",
    "memory.zswap.writeback",
];
/// More of them: those of one line a device, or a number.
const MORE_CGROUP_FILES: [&str; 4] = ["misc.max", "pids.max", "rdma.max", "irq.pressure"];

/// Keys that mean nothing in a container of an ordinary user, by their ends, and why.
const IGNORED_FOR_USERS: [(&str, &str); 3] = [
    (
        ".veth.pair",
        "an ordinary user's interface is named by the helper that makes it; the line has no \
         effect",
    ),
    (
        ".devices.allow",
        "an ordinary user's container has its owner's rights to devices; the line has no effect",
    ),
    (
        ".devices.deny",
        "an ordinary user's container has its owner's rights to devices; the line has no effect",
    ),
];

/// Warnings about lines, for a container of this caller's.
pub fn suspicious(file: &Path, survey: &Survey, caller: &User) -> Vec<Warning> {
    let mut warnings = replaced(survey);
    for line in survey.effective() {
        if let Some(file) = line.key.strip_prefix("lxc.cgroup2.") {
            warnings.extend(unknown_file(file).map(|message| warning(line, message)));
        }
        // What snippets say is for root's containers as well.
        if !caller.uid.is_root() && &*line.at.file == file {
            warnings.extend(ignored(&line.key).map(|why| warning(line, why.to_owned())));
        }
    }
    warnings
}

fn warning(line: &Assignment, message: String) -> Warning {
    Warning {
        at: line.at.clone(),
        key: Some(line.key.clone()),
        message,
    }
}

/// Lines that another one of the same file makes useless. An include is there to be overridden,
/// and who clears a key knows that it was set.
fn replaced(survey: &Survey) -> Vec<Warning> {
    let lines = &survey.assignments;
    let mut warnings = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        if line.value.is_empty() || takes_several(&line.key) {
            continue;
        }
        let later = lines[number + 1..]
            .iter()
            .find(|later| clears(&later.key, &line.key));
        let again = later.filter(|later| {
            !later.value.is_empty() && later.at.file == line.at.file && later.at != line.at
        });
        if let Some(again) = again {
            let message = format!("it has no effect: line {} sets it again", again.at.line);
            warnings.push(warning(line, message));
        }
    }
    warnings
}

/// A file that no kernel has under this name. The table of keys refuses what cannot be one.
fn unknown_file(file: &str) -> Option<String> {
    let all = || CGROUP_FILES.iter().chain(&MORE_CGROUP_FILES);
    let of_huge_pages = file.starts_with("hugetlb.") && file.ends_with(".max");
    if of_huge_pages || all().any(|known| *known == file) {
        return None;
    }
    let near = all()
        .map(|known| (distance(file, known), known))
        .filter(|(distance, _)| *distance <= 3)
        .min_by_key(|(distance, _)| *distance);
    Some(match near {
        Some((_, near)) => format!("no kernel is known to have this file; did you mean {near}?"),
        None => "no kernel is known to have this file".to_owned(),
    })
}

fn ignored(key: &str) -> Option<&'static str> {
    IGNORED_FOR_USERS
        .iter()
        .find(|(end, _)| key.ends_with(end))
        .map(|(_, why)| *why)
}
