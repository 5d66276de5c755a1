//! Starting, stopping, logging.

use super::*;

pub(super) static ROWS: &[Key] = &[
    scalar!(
        "lxc.signal.halt",
        "asks init to halt",
        signals.halt,
        value::signal
    )
    .shown_by("keys::running::the_halt_signal_asks_init_to_stop"),
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
    )
    .shown_by("keys::running::what_init_gets_when_its_monitor_dies"),
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
    )
    .shown_by("keys::running::log_file"),
    scalar!(
        "lxc.ephemeral",
        "whether the container is destroyed when it has stopped",
        running.ephemeral,
        value::boolean
    )
    .shown_by("keys::running::an_ephemeral_container_is_gone_after_its_stop"),
    not_obeyed("lxc.log.syslog", "logging by syslog"),
    scalar!(
        "lxc.monitor.unshare",
        "whether the monitor has mounts of its own (root's only)",
        running.monitor_unshare,
        value::boolean
    )
    .shown_by("keys::running::a_monitor_with_mounts_of_its_own"),
];
