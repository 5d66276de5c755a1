//! Control groups.

use super::*;

pub(super) static ROWS: &[Key] = &[
    obeyed(
        "lxc.cgroup2",
        "all control group settings",
        only_empty,
        |config, _| {
            config.cgroup.clear();
            Ok(())
        },
    ),
    obeyed(
        "lxc.cgroup2.*",
        "a control group's file",
        |config, entry| {
            let setting = value::cgroup_setting(entry.rest, entry.value)?;
            config.cgroup.push(entry.place(setting));
            Ok(())
        },
        |config, entry| {
            value::cgroup_file(entry.rest)?;
            config.cgroup.retain(|setting| setting.file != entry.rest);
            Ok(())
        },
    ),
    not_obeyed("lxc.cgroup.dir", "the control group's parent"),
    not_obeyed("lxc.cgroup.dir.container", "the container's control group"),
    not_obeyed(
        "lxc.cgroup.dir.container.inner",
        "the control group namespace's root",
    ),
    not_obeyed("lxc.cgroup.dir.monitor", "the monitor's control group"),
    not_obeyed(
        "lxc.cgroup.dir.monitor.pivot",
        "the dying monitor's control group",
    ),
    not_obeyed(
        "lxc.cgroup.relative",
        "staying below the caller's control group",
    ),
    not_obeyed(
        "lxc.cgroup.*",
        "control group settings of version 1; lxc.cgroup2 is obeyed",
    ),
];
