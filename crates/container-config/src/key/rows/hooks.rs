//! Programs that are run at certain points of a container's life.

use super::*;

pub(super) static ROWS: &[Key] = &[
    not_obeyed("lxc.hook", "all hooks"),
    not_obeyed("lxc.hook.version", "how hooks get their arguments"),
    not_obeyed("lxc.hook.pre-start", "a program before the start"),
    not_obeyed("lxc.hook.pre-mount", "a program before the mounts"),
    not_obeyed("lxc.hook.mount", "a program after the mounts"),
    not_obeyed("lxc.hook.autodev", "a program after /dev is made"),
    not_obeyed("lxc.hook.start-host", "a program on the host before init"),
    not_obeyed("lxc.hook.start", "a program in the container before init"),
    not_obeyed("lxc.hook.stop", "a program at the stop"),
    not_obeyed("lxc.hook.post-stop", "a program after the stop"),
    not_obeyed("lxc.hook.clone", "a program for copies"),
    not_obeyed("lxc.hook.destroy", "a program at the destruction"),
];
