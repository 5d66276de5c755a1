//! The names before LXC 2.1.

use super::*;

pub(super) static ROWS: &[Key] = &[
    renamed("lxc.aa_profile", "lxc.apparmor.profile"),
    renamed("lxc.aa_allow_incomplete", "lxc.apparmor.allow_incomplete"),
    renamed("lxc.se_context", "lxc.selinux.context"),
    renamed("lxc.id_map", "lxc.idmap"),
    renamed("lxc.pts", "lxc.pty.max"),
    renamed("lxc.tty", "lxc.tty.max"),
    renamed("lxc.devttydir", "lxc.tty.dir"),
    renamed("lxc.loglevel", "lxc.log.level"),
    renamed("lxc.logfile", "lxc.log.file"),
    renamed("lxc.syslog", "lxc.log.syslog"),
    renamed("lxc.limit.*", "lxc.prlimit.…"),
    renamed(
        "lxc.network.*",
        "lxc.net.N.… (lxc.net.0.type, lxc.net.0.link, …)",
    ),
    renamed("lxc.network", "lxc.net"),
    renamed("lxc.mount", "lxc.mount.fstab"),
    renamed("lxc.rootfs", "lxc.rootfs.path"),
    renamed(
        "lxc.rootfs.backend",
        "a prefix of lxc.rootfs.path (dir:/path)",
    ),
    renamed("lxc.utsname", "lxc.uts.name"),
    renamed("lxc.seccomp", "lxc.seccomp.profile"),
    renamed("lxc.console", "lxc.console.path"),
    renamed("lxc.haltsignal", "lxc.signal.halt"),
    renamed("lxc.rebootsignal", "lxc.signal.reboot"),
    renamed("lxc.stopsignal", "lxc.signal.stop"),
    renamed("lxc.init_cmd", "lxc.init.cmd"),
    renamed("lxc.init_uid", "lxc.init.uid"),
    renamed("lxc.init_gid", "lxc.init.gid"),
    gone(
        "lxc.kmsg",
        "nothing links /dev/kmsg to the console any more",
    ),
    gone("lxc.pivotdir", "the old root needs no directory any more"),
];
