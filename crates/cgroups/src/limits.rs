//! Limits: control files of cgroup v2 with a value.

use crate::{CgroupDir, Error, Result};

/// A value is a number, a word, or a device with a few pairs `key=value`.
const MAX_VALUE: usize = 4096;

/// Controllers of cgroup v2 whose files can be set.
const CONTROLLERS: [&str; 9] = [
    "cpu", "cpuset", "dmem", "hugetlb", "io", "memory", "misc", "pids", "rdma",
];
/// The files of the cgroup core that bound a tree. The others (`cgroup.procs`,
/// `cgroup.subtree_control`, `cgroup.kill` …) do something else than limit.
const CORE_LIMITS: [&str; 2] = ["cgroup.max.depth", "cgroup.max.descendants"];

/// A setting such as `memory.max` = `512M`, its name checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSetting {
    file: String,
    value: String,
}

impl LimitSetting {
    /// Checks that `file` has the form of a cgroup v2 setting. Whether this kernel has it and
    /// what values it takes, only the kernel knows.
    pub fn new(file: &str, value: &str) -> Result<Self> {
        let bad = |why| {
            Err(Error::BadSetting {
                file: file.chars().take(80).collect(),
                why,
            })
        };
        let Some((controller, rest)) = file.split_once('.') else {
            return bad("it is not of the form CONTROLLER.NAME");
        };
        let plain =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_');
        // Page sizes have capitals: hugetlb.2MB.max.
        let huge = |b: u8| controller == "hugetlb" && b.is_ascii_uppercase();
        if rest.is_empty() || rest.starts_with('.') || !rest.bytes().all(|b| plain(b) || huge(b)) {
            return bad("a name has lower-case letters, digits, dots and _ only");
        }
        if controller == "devices" {
            return bad(
                "version 2 has no devices controller; the kernel filters devices by program",
            );
        }
        if controller == "cgroup" && !CORE_LIMITS.contains(&file) {
            return bad(
                "of the cgroup core, only cgroup.max.depth and cgroup.max.descendants limit",
            );
        }
        if controller != "cgroup" && !CONTROLLERS.contains(&controller) {
            return bad(
                "there is no such controller (there are cpu, cpuset, dmem, hugetlb, io, memory, \
                 misc, pids, rdma)",
            );
        }
        if value.trim().is_empty() {
            return bad("its value is empty");
        }
        if value.len() > MAX_VALUE || value.chars().any(char::is_control) {
            return bad("its value is too long or has control characters");
        }
        Ok(Self {
            file: file.to_owned(),
            value: value.trim().to_owned(),
        })
    }

    /// The control file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The controller that the file belongs to; `None` for the cgroup core.
    pub fn controller(&self) -> Option<&str> {
        self.file.split('.').next().filter(|name| *name != "cgroup")
    }

    /// Sets it in a cgroup.
    pub fn apply(&self, dir: &CgroupDir) -> Result<()> {
        let written = dir.write(&self.file, &self.value);
        let Err(Error::Io { source, .. }) = written else {
            return written;
        };
        Err(Error::Setting {
            file: self.file.clone(),
            value: self.value.clone(),
            path: dir.path().to_owned(),
            controllers: dir
                .controllers()
                .map(|names| names.join(" "))
                .unwrap_or_default(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn settings_by_form() {
        for (file, value) in [
            ("memory.max", "512M"),
            ("memory.swap.max", "0"),
            ("cpu.max", "50000 100000"),
            ("cpuset.cpus", "0-1"),
            ("io.max", "8:0 rbps=1048576 wiops=max"),
            ("pids.max", "max"),
            ("hugetlb.2MB.max", "0"),
            ("cgroup.max.descendants", "100"),
        ] {
            assert!(LimitSetting::new(file, value).is_ok(), "{file}");
        }
        for (file, value) in [
            ("", "1"),
            ("memory", "1"),
            ("memory.", "1"),
            ("memory..max", "1"),
            ("memory./../x", "1"),
            ("../memory.max", "1"),
            ("Memory.max", "1"),
            ("devices.allow", "a"),
            ("freezer.state", "FROZEN"),
            ("cgroup.procs", "0"),
            ("cgroup.kill", "1"),
            ("memory.max", ""),
            ("memory.max", " "),
            ("memory.max", "1\n2"),
            ("memory.max", "1\0"),
        ] {
            assert!(
                LimitSetting::new(file, value).is_err(),
                "{file:?} {value:?}"
            );
        }
        let cpu = LimitSetting::new("cpu.max", " 1 2 ").unwrap();
        assert_eq!((cpu.controller(), cpu.value()), (Some("cpu"), "1 2"));
        assert_eq!(
            LimitSetting::new("cgroup.max.depth", "3")
                .unwrap()
                .controller(),
            None
        );
    }

    proptest! {
        #[test]
        fn no_setting_names_another_directory(file in ".{0,40}", value in ".{0,40}") {
            if let Ok(setting) = LimitSetting::new(&file, &value) {
                prop_assert!(!setting.file().contains('/') && !setting.file().contains(".."));
                prop_assert!(!setting.value().contains('\n'));
            }
        }

        #[test]
        fn no_known_controller_leads_out(rest in "[a-z./_]{0,20}") {
            if let Ok(setting) = LimitSetting::new(&format!("memory.{rest}"), "1") {
                prop_assert!(!setting.file().contains('/'));
            }
        }
    }
}
