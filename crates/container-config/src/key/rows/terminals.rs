//! Terminals and the console.

use super::*;

pub(super) static ROWS: &[Key] = &[
    scalar!(
        "lxc.tty.max",
        "number of terminals",
        tty_max,
        value::terminals
    ),
    scalar!(
        "lxc.tty.dir",
        "directory of terminals below /dev",
        tty_dir,
        value::relative_path
    ),
    scalar!(
        "lxc.pty.max",
        "number of pseudo-terminals",
        pty_max,
        value::terminals
    ),
    not_obeyed("lxc.console.path", "a device as the console's peer"),
    not_obeyed("lxc.console.logfile", "a log of the console"),
    not_obeyed("lxc.console.size", "the console log's size"),
    not_obeyed("lxc.console.buffer.size", "the console's ring buffer"),
    not_obeyed("lxc.console.rotate", "rotation of the console's log"),
];
