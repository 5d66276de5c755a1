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
    )
    .shown_by("keys::signals::the_reboot_signal_asks_init_to_reboot"),
    scalar!(
        "lxc.signal.stop",
        "ends init by force",
        signals.stop,
        value::signal
    )
    .shown_by("keys::signals::the_stop_signal_comes_before_the_end_by_force"),
    scalar!(
        "lxc.start.auto",
        "whether to start at boot",
        start.auto,
        value::boolean
    )
    .shown_by("keys::boot::enabled_containers_are_taken_by_groups_and_in_order"),
    scalar!(
        "lxc.start.delay",
        "seconds to wait after a start",
        start.delay,
        value::unsigned
    )
    .shown_by("engine::the_longest_delay_of_a_rank_passes_before_the_next_start"),
    scalar!(
        "lxc.start.order",
        "place in the order of starts",
        start.order,
        value::integer
    )
    .shown_by("keys::boot::enabled_containers_are_taken_by_groups_and_in_order"),
    list!("lxc.group", "groups for starts at boot", groups, many value::groups)
        .shown_by("keys::boot::enabled_containers_are_taken_by_groups_and_in_order"),
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
    )
    .shown_by("keys::logs::what_matters_less_than_the_level_is_left_out"),
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
    scalar!(
        "lxc.log.syslog",
        "as what the system's log gets what is logged",
        running.syslog,
        value::facility
    )
    .shown_by("keys::logs::the_systems_log_gets_it_too"),
    scalar!(
        "lxc.monitor.unshare",
        "whether the monitor has mounts of its own (root's only)",
        running.monitor_unshare,
        value::boolean
    )
    .shown_by("keys::running::a_monitor_with_mounts_of_its_own"),
];
