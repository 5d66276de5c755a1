//! The root file system, what is mounted in it, and who owns it.

use super::*;

pub(super) static ROWS: &[Key] = &[
    scalar!(
        "lxc.rootfs.path",
        "the root file system",
        rootfs.path,
        value::rootfs
    )
    .shown_by("keys::files::rootfs_path_is_the_root"),
    list!("lxc.idmap", "user and group ids on the host", idmap, one value::id_mapping)
        .shown_by("keys::files::idmap"),
    list!("lxc.mount.entry", "something to mount", mounts, one value::mount_entry)
        .shown_by("keys::files::mount_entry_options"),
    obeyed(
        "lxc.mount.auto",
        "kernel file systems to mount",
        |config, entry| value::mount_auto(&mut config.mount_auto, entry.value),
        |config, _| {
            config.mount_auto = Default::default();
            Ok(())
        },
    )
    .shown_by("keys::files::mount_auto"),
    scalar!(
        "lxc.autodev",
        "whether to make a fresh /dev",
        autodev,
        value::boolean
    )
    .shown_by("keys::files::autodev"),
    scalar!(
        "lxc.autodev.tmpfs.size",
        "the most that /dev takes, in bytes",
        autodev_size,
        value::unsigned
    )
    .shown_by("keys::files::autodev"),
    scalar!(
        "lxc.mount.fstab",
        "a file of mounts",
        fstab,
        value::absolute_path
    )
    .shown_by("keys::files::mount_fstab"),
    scalar!(
        "lxc.rootfs.mount",
        "where the root file system is mounted",
        rootfs.mount,
        value::absolute_path
    )
    .shown_by("keys::files::rootfs_mount"),
    scalar!(
        "lxc.rootfs.options",
        "mount options of the root file system",
        rootfs.options,
        value::rootfs_options
    )
    .shown_by("keys::files::rootfs_options_read_only"),
    scalar!(
        "lxc.rootfs.managed",
        "whether destroy removes the root file system",
        rootfs.managed,
        value::boolean
    )
    .shown_by("keys::files::rootfs_managed"),
];
