//! Programs that are run at certain points of a container's life.

use super::*;
use crate::value::HookKind;

/// A row of one kind of hooks.
macro_rules! hook {
    ($pattern:literal, $summary:literal, $kind:expr) => {
        obeyed(
            $pattern,
            $summary,
            |config, entry| {
                let command = entry.place(entry.value.to_owned());
                config.hooks.commands.push(($kind, command));
                Ok(())
            },
            |config, _| {
                config.hooks.commands.retain(|(kind, _)| *kind != $kind);
                Ok(())
            },
        )
    };
}

pub(super) static ROWS: &[Key] = &[
    obeyed("lxc.hook", "all hooks", only_empty, |config, _| {
        config.hooks.commands.clear();
        Ok(())
    })
    .shown_by("keys::hooks::hooks_are_cleared"),
    scalar!(
        "lxc.hook.version",
        "how hooks are told what they are for",
        hooks.version,
        value::hook_version
    )
    .shown_by("keys::hooks::version_1_tells_by_variables"),
    hook!(
        "lxc.hook.pre-start",
        "a program before the start",
        HookKind::PreStart
    )
    .shown_by("keys::hooks::hooks_run_in_order_where_they_belong"),
    hook!(
        "lxc.hook.pre-mount",
        "a program before the root file system is mounted",
        HookKind::PreMount
    )
    .shown_by("keys::hooks::what_a_pre_mount_hook_mounts_is_the_root"),
    hook!(
        "lxc.hook.mount",
        "a program after the mounts",
        HookKind::Mount
    )
    .shown_by("keys::hooks::mount_and_autodev_hooks_add_to_the_container"),
    hook!(
        "lxc.hook.autodev",
        "a program after /dev is made",
        HookKind::Autodev
    )
    .shown_by("keys::hooks::mount_and_autodev_hooks_add_to_the_container"),
    hook!(
        "lxc.hook.start-host",
        "a program on the host before init",
        HookKind::StartHost
    )
    .shown_by("keys::hooks::hooks_run_in_order_where_they_belong"),
    hook!(
        "lxc.hook.start",
        "a program in the container before init",
        HookKind::Start
    )
    .shown_by("keys::hooks::a_start_hook_is_the_containers_own"),
    hook!("lxc.hook.stop", "a program at the stop", HookKind::Stop)
        .shown_by("keys::hooks::stop_hooks_have_the_namespaces"),
    hook!(
        "lxc.hook.post-stop",
        "a program after the stop",
        HookKind::PostStop
    )
    .shown_by("keys::hooks::hooks_run_in_order_where_they_belong"),
    hook!(
        "lxc.hook.clone",
        "a program for copies, which berth does not make",
        HookKind::Clone
    )
    .shown_by("keys::hooks::a_clone_hook_does_not_run_at_a_start"),
    hook!(
        "lxc.hook.destroy",
        "a program before the destruction",
        HookKind::Destroy
    )
    .shown_by("keys::hooks::a_destroy_hook_runs_first_and_may_refuse"),
];
