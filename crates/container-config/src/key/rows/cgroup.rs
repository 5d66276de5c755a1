//! Control groups.

use super::*;

pub(super) static ROWS: &[Key] = &[
    obeyed(
        "lxc.cgroup2",
        "all control group settings",
        only_empty,
        |config, _| {
            config.cgroup.clear();
            config.devices.clear();
            Ok(())
        },
    )
    .shown_by("keys::running::files_of_the_cgroup_are_set_and_cleared"),
    obeyed(
        "lxc.cgroup2.*",
        "a control group's file",
        |config, entry| {
            if entry.rest.starts_with(value::DEVICES_PREFIX) {
                return add_device_rule(config, entry);
            }
            let setting = value::cgroup_setting(entry.rest, entry.value)?;
            config.cgroup.push(entry.place(setting));
            Ok(())
        },
        |config, entry| {
            if entry.rest.starts_with(value::DEVICES_PREFIX) {
                return clear_device_rules(config, entry);
            }
            value::cgroup_file(entry.rest)?;
            config.cgroup.retain(|setting| setting.file != entry.rest);
            Ok(())
        },
    )
    .shown_by("keys::running::files_of_the_cgroup_are_set_and_cleared"),
    scalar!(
        "lxc.cgroup.dir",
        "the control group in which the container's is made, below its owner's",
        running.cgroup_dir,
        value::cgroup_path
    )
    .shown_by("keys::cgroup_dir::the_containers_cgroup_is_made_there"),
    scalar!(
        "lxc.cgroup.dir.container",
        "the container's control group, with its limits, below its owner's",
        running.cgroup_container,
        value::cgroup_path
    )
    .shown_by("keys::cgroup_dir::container_and_monitor_are_where_each_is_said_to_be"),
    scalar!(
        "lxc.cgroup.dir.container.inner",
        "the control group below that one which the container sees as the top",
        running.cgroup_inner,
        value::cgroup_path
    )
    .shown_by("keys::cgroup_dir::the_container_is_below_its_limits"),
    scalar!(
        "lxc.cgroup.dir.monitor",
        "the monitor's control group, below its owner's",
        running.cgroup_monitor,
        value::cgroup_path
    )
    .shown_by("keys::cgroup_dir::container_and_monitor_are_where_each_is_said_to_be"),
    scalar!(
        "lxc.cgroup.dir.monitor.pivot",
        "the control group in which a monitor ends; it stays",
        running.cgroup_pivot,
        value::cgroup_path
    )
    .shown_by("keys::cgroup_dir::a_monitor_ends_in_the_pivot"),
    scalar!(
        "lxc.cgroup.relative",
        "staying below the caller's control group, as all containers do",
        running.cgroup_relative,
        value::boolean
    )
    .shown_by("keys::running::containers_stay_below_their_owners_cgroup"),
    obeyed(
        "lxc.cgroup.*",
        "a file of version 1: of devices the same as lxc.cgroup2, others are refused",
        |config, entry| {
            if entry.rest.starts_with(value::DEVICES_PREFIX) {
                return add_device_rule(config, entry);
            }
            Err(Refusal::Other(
                "control groups of version 1 are not used, and the container would be without \
                 the limit; write it as lxc.cgroup2.… (berth config migrate does)"
                    .to_owned(),
            ))
        },
        // Snippets of LXC clear both versions.
        |config, entry| match entry.rest.starts_with(value::DEVICES_PREFIX) {
            true => clear_device_rules(config, entry),
            false => Ok(()),
        },
    )
    .shown_by("keys::devices::rules_of_both_versions_are_read_and_an_ordinary_users_mean_nothing"),
];

fn add_device_rule(config: &mut Config, entry: &Entry<'_>) -> Result<(), Refusal> {
    let access = value::device_access(entry.rest)?;
    let rule = value::device_rule(access, entry.value)?;
    config.devices.push(entry.place(rule));
    Ok(())
}

fn clear_device_rules(config: &mut Config, entry: &Entry<'_>) -> Result<(), Refusal> {
    let access = value::device_access(entry.rest)?;
    config.devices.retain(|rule| rule.access != access);
    Ok(())
}
