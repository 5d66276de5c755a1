//! What confines a container.

use super::*;

pub(super) static ROWS: &[Key] = &[
    list!("lxc.cap.drop", "capabilities to take away", cap_drop, many value::capabilities),
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
    ),
    scalar!(
        "lxc.apparmor.profile",
        "AppArmor profile",
        apparmor,
        value::apparmor
    ),
    scalar!(
        "lxc.no_new_privs",
        "no privileges by exec",
        no_new_privs,
        value::boolean
    ),
    not_obeyed(
        "lxc.apparmor.allow_incomplete",
        "starting without full AppArmor support",
    ),
    not_obeyed("lxc.apparmor.allow_nesting", "containers in the container"),
    not_obeyed("lxc.apparmor.raw", "lines of an AppArmor profile"),
    not_obeyed("lxc.selinux.context", "SELinux context"),
    not_obeyed(
        "lxc.selinux.context.keyring",
        "SELinux context of the key ring",
    ),
    not_obeyed("lxc.keyring.session", "a session key ring of its own"),
    not_obeyed("lxc.seccomp.profile", "a filter of system calls"),
    not_obeyed(
        "lxc.seccomp.allow_nesting",
        "merging of system call filters",
    ),
    not_obeyed("lxc.seccomp.notify.proxy", "a supervisor of system calls"),
    not_obeyed(
        "lxc.seccomp.notify.cookie",
        "a cookie for the supervisor of system calls",
    ),
];
