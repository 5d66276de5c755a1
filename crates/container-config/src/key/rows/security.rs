//! What confines a container.

use super::*;

pub(super) static ROWS: &[Key] = &[
    obeyed(
        "lxc.cap.drop",
        "capabilities to take away; an empty value: none",
        |config, entry| {
            let list = value::capabilities(entry.value)?;
            let dropped = config.cap_drop.get_or_insert_default();
            dropped.extend(list.into_iter().map(|cap| entry.place(cap)));
            Ok(())
        },
        |config, _| {
            config.cap_drop = Some(Vec::new());
            Ok(())
        },
    )
    .shown_by("keys::security::cap_drop"),
    obeyed(
        "lxc.cap.keep",
        "capabilities to keep",
        |config, entry| {
            let list = value::kept_capabilities(entry.value)?;
            let kept = config.cap_keep.get_or_insert_default();
            match list {
                // `none` forgets what earlier lines kept.
                None => kept.clear(),
                Some(list) => kept.extend(list.into_iter().map(|cap| entry.place(cap))),
            }
            Ok(())
        },
        |config, _| {
            config.cap_keep = None;
            Ok(())
        },
    )
    .shown_by("keys::security::cap_keep"),
    scalar!(
        "lxc.no_new_privs",
        "no privileges by exec",
        no_new_privs,
        value::boolean
    )
    .shown_by("keys::security::no_new_privs"),
    scalar!(
        "lxc.apparmor.profile",
        "AppArmor profile, where the kernel has AppArmor",
        security.apparmor.profile,
        value::apparmor_profile
    )
    .shown_by("keys::security::apparmor_profile"),
    scalar!(
        "lxc.apparmor.allow_incomplete",
        "starting under a profile that cannot govern mounts",
        security.apparmor.allow_incomplete,
        value::boolean
    )
    .shown_by("keys::security::apparmor_settings"),
    scalar!(
        "lxc.apparmor.allow_nesting",
        "containers in the container, by a generated profile",
        security.apparmor.allow_nesting,
        value::boolean
    )
    .shown_by("keys::security::apparmor_settings"),
    list!(
        "lxc.apparmor.raw",
        "rules at the end of a generated profile",
        security.apparmor.raw,
        one value::apparmor_rule
    )
    .shown_by("keys::security::apparmor_settings"),
    scalar!(
        "lxc.selinux.context",
        "SELinux context, where the kernel has SELinux",
        security.selinux.context,
        value::selinux_context
    )
    .shown_by("keys::security::selinux_contexts"),
    scalar!(
        "lxc.selinux.context.keyring",
        "SELinux context of the key ring",
        security.selinux.keyring,
        value::selinux_context
    )
    .shown_by("keys::security::selinux_contexts"),
    scalar!(
        "lxc.keyring.session",
        "a session key ring of its own",
        security.session_keyring,
        value::boolean
    )
    .shown_by("keys::security::keyring_session"),
    scalar!(
        "lxc.seccomp.profile",
        "a filter of system calls",
        security.seccomp.profile,
        value::absolute_path
    )
    .shown_by("keys::seccomp::the_policy_that_lxc_ships"),
    scalar!(
        "lxc.seccomp.allow_nesting",
        "a filter beside that of the caller; 1 unless said otherwise",
        security.seccomp.allow_nesting,
        value::boolean
    )
    .shown_by("keys::seccomp::allow_nesting"),
    scalar!(
        "lxc.seccomp.notify.proxy",
        "the supervisor that decides about system calls whose action is notify",
        security.seccomp.notify_proxy,
        value::unix_address
    )
    .shown_by("keys::supervisors::a_supervisor_decides"),
    scalar!(
        "lxc.seccomp.notify.cookie",
        "what the supervisor is told beside each system call",
        security.seccomp.notify_cookie,
        value::text
    )
    .shown_by("keys::supervisors::a_supervisor_decides"),
];
