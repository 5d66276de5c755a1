//! The root file system, what is mounted in it, and who owns it.

use super::*;

pub(super) static ROWS: &[Key] = &[
    scalar!(
        "lxc.rootfs.path",
        "the root file system",
        rootfs,
        value::rootfs
    ),
    list!("lxc.idmap", "user and group ids on the host", idmap, one value::id_mapping),
    list!("lxc.mount.entry", "something to mount", mounts, one value::mount_entry),
    obeyed(
        "lxc.mount.auto",
        "kernel file systems to mount",
        |config, entry| value::mount_auto(&mut config.mount_auto, entry.value),
        |config, _| {
            config.mount_auto = Default::default();
            Ok(())
        },
    ),
    scalar!(
        "lxc.autodev",
        "whether to make a fresh /dev",
        autodev,
        value::boolean
    ),
    not_obeyed("lxc.autodev.tmpfs.size", "the size of /dev"),
    not_obeyed("lxc.mount.fstab", "a file of mounts"),
    not_obeyed("lxc.rootfs.mount", "where the root file system is mounted"),
    not_obeyed(
        "lxc.rootfs.options",
        "mount options of the root file system",
    ),
    not_obeyed(
        "lxc.rootfs.managed",
        "whether destroy removes the root file system",
    ),
];
