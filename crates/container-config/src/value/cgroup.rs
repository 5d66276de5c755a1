//! `lxc.cgroup2.FILE`

use crate::error::printable;
use crate::key::Refusal;
use berth_common::cgroup::{self, CONTROL_FILE_PREFIXES};

/// A control group's file and what is written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupSetting {
    /// The file's name: no slash, a known controller's.
    pub file: String,
    /// What to write.
    pub value: String,
}

/// Files of `cgroup.` that are settings. The others move processes, hand out controllers or kill,
/// which is the launcher's business.
const CORE_SETTINGS: [&str; 3] = [
    "cgroup.max.depth",
    "cgroup.max.descendants",
    "cgroup.pressure",
];

/// Checks a control group file's name.
pub fn cgroup_file(name: &str) -> Result<(), Refusal> {
    let refuse = |why: &str| Err(Refusal::Other(format!("“{}” {why}", printable(name))));
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !name.bytes().all(allowed) {
        return refuse("is no name of a control group file");
    }
    if name.starts_with("cgroup.") && !CORE_SETTINGS.contains(&name) {
        return refuse(
            "is no setting: of the files cgroup.* only cgroup.max.depth, cgroup.max.descendants \
             and cgroup.pressure may be set",
        );
    }
    let known = |prefix: &&str| name.len() > prefix.len() && name.starts_with(*prefix);
    if !CONTROL_FILE_PREFIXES.iter().any(known) {
        return refuse(
            "is no file of a control group of version 2 (memory.max, cpu.max, pids.max, io.max, …)",
        );
    }
    Ok(())
}

/// The most cgroups that a path may lead through.
const MAX_STEPS: usize = 8;

/// A relative path of cgroups: its names. None leads upwards, and none can be mistaken for a file
/// of the kernel's or a cgroup of Berth's own.
pub fn cgroup_path(text: &str) -> Result<Vec<String>, Refusal> {
    let refuse = |why: String| {
        Err(Refusal::Other(format!(
            "expected a relative path of cgroups below your own (shop/front), found “{}”: {why}",
            printable(text)
        )))
    };
    if text.starts_with('/') {
        return refuse("it is absolute".to_owned());
    }
    let names: Vec<&str> = text.trim_end_matches('/').split('/').collect();
    if names.len() > MAX_STEPS {
        return refuse(format!("it leads through more than {MAX_STEPS}"));
    }
    for name in &names {
        let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'@');
        let taken = [cgroup::LEAF, cgroup::MONITOR, cgroup::PAYLOAD].contains(name)
            || CONTROL_FILE_PREFIXES.iter().any(|p| name.starts_with(p));
        let wrong = name.is_empty() || name.len() > 200 || name.starts_with('.');
        if wrong || taken || !name.bytes().all(letter) {
            return refuse(format!("“{}” cannot be one", printable(name)));
        }
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// A file's name and what is to be written to it.
pub fn cgroup_setting(file: &str, value: &str) -> Result<CgroupSetting, Refusal> {
    cgroup_file(file)?;
    if let Some(newer) = of_version_1(file) {
        return Err(Refusal::Other(format!(
            "“{}” is a file of control groups of version 1; write {newer} instead",
            printable(file)
        )));
    }
    Ok(CgroupSetting {
        file: file.to_owned(),
        value: value.to_owned(),
    })
}

/// What replaces a file that only version 1 has.
fn of_version_1(file: &str) -> Option<&'static str> {
    Some(match file {
        "memory.limit_in_bytes" => "lxc.cgroup2.memory.max",
        "memory.soft_limit_in_bytes" => "lxc.cgroup2.memory.low",
        "memory.memsw.limit_in_bytes" => "lxc.cgroup2.memory.swap.max",
        "cpu.shares" => "lxc.cgroup2.cpu.weight",
        "cpu.cfs_quota_us" | "cpu.cfs_period_us" => "lxc.cgroup2.cpu.max",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_those_of_version_2() {
        for file in [
            "memory.max",
            "cpu.max",
            "pids.max",
            "io.max",
            "cpuset.cpus",
            "hugetlb.2MB.max",
        ] {
            let setting = cgroup_setting(file, "1").unwrap_or_else(|e| panic!("{file}: {e:?}"));
            assert_eq!((setting.file.as_str(), setting.value.as_str()), (file, "1"));
        }
        for file in [
            "memory.",
            "memory",
            "../memory.max",
            "memory.max/x",
            "cgroup.procs",
            "cgroup.kill",
            "cgroup.subtree_control",
            "blkio.weight",
            "freezer.state",
            "memory.limit_in_bytes",
            "memory max",
            "mémory.max",
        ] {
            assert!(cgroup_setting(file, "1").is_err(), "{file}");
        }
        let message = cgroup_setting("cpu.shares", "512")
            .unwrap_err()
            .message("512");
        assert!(message.contains("cpu.weight"), "{message}");
    }
}
