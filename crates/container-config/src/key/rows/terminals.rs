//! Terminals and the console.

use super::*;

pub(super) static ROWS: &[Key] = &[
    scalar!(
        "lxc.tty.max",
        "number of terminals",
        tty_max,
        value::terminals
    )
    .shown_by("keys::terminals::tty_max"),
    scalar!(
        "lxc.tty.dir",
        "directory of terminals below /dev",
        tty_dir,
        value::relative_path
    )
    .shown_by("keys::terminals::tty_dir"),
    scalar!(
        "lxc.pty.max",
        "number of pseudo-terminals",
        pty_max,
        value::terminals
    )
    .shown_by("keys::terminals::pty_max"),
    scalar!(
        "lxc.console.path",
        "what the console is joined with",
        console.peer,
        value::console_peer
    )
    .shown_by("keys::terminals::console_path"),
    scalar!(
        "lxc.console.logfile",
        "a log of the console",
        console.log_file,
        value::absolute_path
    )
    .shown_by("keys::terminals::console_logfile"),
    scalar!(
        "lxc.console.size",
        "the most that the console's log takes",
        console.log_size,
        value::log_size
    )
    .shown_by("keys::terminals::console_size_and_rotate"),
    scalar!(
        "lxc.console.buffer.size",
        "how much of the console's output is kept in memory",
        console.buffer_size,
        value::buffer_size
    )
    .shown_by("keys::terminals::console_buffer_size"),
    scalar!(
        "lxc.console.rotate",
        "whether a full log of the console is kept",
        console.rotate,
        value::boolean
    )
    .shown_by("keys::terminals::console_size_and_rotate"),
];
