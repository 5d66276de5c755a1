//! Starting, stopping, logging.

use super::*;

pub(super) static ROWS: &[Key] = &[
    scalar!(
        "lxc.signal.halt",
        "asks init to halt",
        signals.halt,
        value::signal
    ),
    scalar!(
        "lxc.signal.reboot",
        "asks init to reboot",
        signals.reboot,
        value::signal
    ),
    scalar!(
        "lxc.signal.stop",
        "ends init by force",
        signals.stop,
        value::signal
    ),
    scalar!(
        "lxc.start.auto",
        "whether to start at boot",
        start.auto,
        value::boolean
    ),
    scalar!(
        "lxc.start.delay",
        "seconds to wait after a start",
        start.delay,
        value::unsigned
    ),
    scalar!(
        "lxc.start.order",
        "place in the order of starts",
        start.order,
        value::integer
    ),
    list!("lxc.group", "groups for starts at boot", groups, many value::groups),
    scalar!(
        "lxc.monitor.signal.pdeath",
        "what init gets when its monitor dies",
        monitor_pdeath,
        value::signal_or_none
    ),
    scalar!(
        "lxc.log.level",
        "how much to log",
        log_level,
        value::log_level
    ),
    scalar!(
        "lxc.log.file",
        "where to log",
        log_file,
        value::absolute_path
    ),
    not_obeyed("lxc.ephemeral", "destruction on stop"),
    not_obeyed("lxc.log.syslog", "logging by syslog"),
    not_obeyed("lxc.monitor.unshare", "a mount namespace for the monitor"),
];
