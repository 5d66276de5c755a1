//! What init is given and what it runs in.

use super::*;

pub(super) static ROWS: &[Key] = &[
    scalar!(
        "lxc.arch",
        "the processor that programs see",
        arch,
        value::arch
    ),
    scalar!("lxc.uts.name", "the host name", uts_name, value::host_name)
        .shown_by("keys::process::uts_name"),
    scalar!(
        "lxc.init.cmd",
        "init and its arguments",
        init_cmd,
        value::command
    ),
    scalar!(
        "lxc.init.cwd",
        "init's working directory",
        init_cwd,
        value::absolute_path
    ),
    list!("lxc.environment", "init's environment", environment, one value::environment),
    not_obeyed("lxc.execute.cmd", "the default command of lxc-execute"),
    not_obeyed("lxc.init.uid", "init's user"),
    not_obeyed("lxc.init.gid", "init's group"),
    not_obeyed("lxc.init.groups", "init's supplementary groups"),
    not_obeyed("lxc.sched.core", "core scheduling"),
    not_obeyed("lxc.proc.*", "files in init's /proc directory"),
    not_obeyed("lxc.sysctl.*", "kernel parameters"),
    not_obeyed("lxc.prlimit.*", "resource limits"),
    not_obeyed("lxc.namespace.clone", "which namespaces are new"),
    not_obeyed("lxc.namespace.keep", "which namespaces are the host's"),
    not_obeyed("lxc.namespace.share.*", "another container's namespaces"),
    not_obeyed("lxc.time.offset.boot", "an offset of the time since boot"),
    not_obeyed(
        "lxc.time.offset.monotonic",
        "an offset of the monotonic clock",
    ),
    not_obeyed("lxc.environment.runtime", "init's environment alone"),
    not_obeyed("lxc.environment.hooks", "the hooks' environment"),
];
