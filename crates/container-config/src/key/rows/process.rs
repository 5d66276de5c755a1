//! What init is given and what it runs in.

use super::*;

pub(super) static ROWS: &[Key] = &[
    scalar!(
        "lxc.arch",
        "the processor that programs see",
        arch,
        value::arch
    )
    .shown_by("keys::process::arch"),
    scalar!("lxc.uts.name", "the host name", uts_name, value::host_name)
        .shown_by("keys::process::uts_name"),
    scalar!(
        "lxc.init.cmd",
        "init and its arguments",
        init_cmd,
        value::command
    )
    .shown_by("keys::process::init_command_and_directory"),
    scalar!(
        "lxc.init.cwd",
        "init's working directory",
        init_cwd,
        value::absolute_path
    )
    .shown_by("keys::process::init_command_and_directory"),
    scalar!(
        "lxc.init.uid",
        "init's user, and that of commands",
        process.uid,
        value::id
    )
    .shown_by("keys::process::init_as_another_user"),
    scalar!(
        "lxc.init.gid",
        "init's group, and that of commands",
        process.gid,
        value::id
    )
    .shown_by("keys::process::init_as_another_user"),
    scalar!(
        "lxc.init.groups",
        "init's supplementary groups, and those of commands",
        process.groups,
        value::ids
    )
    .shown_by("keys::process::init_as_another_user"),
    scalar!(
        "lxc.execute.cmd",
        "the command of lxc-execute; berth start runs init",
        process.execute_cmd,
        value::command
    )
    .shown_by("keys::process::the_command_of_lxc_execute_is_not_init"),
    list!("lxc.environment", "the environment of init and hooks", environment, one value::environment)
        .shown_by("keys::process::environment"),
    list!(
        "lxc.environment.runtime",
        "init's environment alone",
        process.environment_runtime,
        one value::environment
    )
    .shown_by("keys::process::environment"),
    list!(
        "lxc.environment.hooks",
        "the hooks' environment alone",
        process.environment_hooks,
        one value::environment
    )
    .shown_by("keys::hooks::hooks_have_an_environment_of_their_own"),
    obeyed(
        "lxc.prlimit.*",
        "a resource limit of init and what it starts",
        |config, entry| {
            let limit = entry.place(value::resource_limit(entry.rest, entry.value)?);
            let limits = &mut config.process.limits;
            limits.retain(|other| other.resource != limit.resource);
            limits.push(limit);
            Ok(())
        },
        |config, entry| {
            let resource = value::resource(entry.rest)?;
            let limits = &mut config.process.limits;
            limits.retain(|other| other.resource != resource);
            Ok(())
        },
    )
    .shown_by("keys::process::resource_limits"),
    obeyed(
        "lxc.proc.*",
        "a file in init's directory in /proc",
        |config, entry| {
            let file = entry.place(value::proc_file(entry.rest, entry.value)?);
            let files = &mut config.process.proc_files;
            files.retain(|other| other.path != file.path);
            files.push(file);
            Ok(())
        },
        |config, entry| {
            let path = value::proc_file_name(entry.rest)?;
            config.process.proc_files.retain(|other| other.path != path);
            Ok(())
        },
    )
    .shown_by("keys::process::files_in_proc"),
    obeyed(
        "lxc.sysctl.*",
        "a kernel parameter of the container's namespaces",
        |config, entry| {
            let sysctl = entry.place(value::sysctl(entry.rest, entry.value)?);
            let sysctls = &mut config.process.sysctls;
            sysctls.retain(|other| other.path != sysctl.path);
            sysctls.push(sysctl);
            Ok(())
        },
        |config, entry| {
            let (path, _) = value::sysctl_name(entry.rest)?;
            config.process.sysctls.retain(|other| other.path != path);
            Ok(())
        },
    )
    .shown_by("keys::process::kernel_parameters"),
    scalar!(
        "lxc.sched.core",
        "whether no other program runs on the same core",
        process.core_scheduling,
        value::boolean
    )
    .shown_by("keys::process::core_scheduling"),
    scalar!(
        "lxc.namespace.clone",
        "which namespaces are new; mnt and pid always are",
        process.namespaces_new,
        value::namespaces
    )
    .shown_by("keys::namespaces::only_what_is_named_is_new"),
    scalar!(
        "lxc.namespace.keep",
        "which namespaces are the host's: net, ipc, uts, cgroup or time",
        process.namespaces_kept,
        value::namespaces
    )
    .shown_by("keys::namespaces::what_is_kept_is_the_hosts"),
    obeyed(
        "lxc.namespace.share.*",
        "another container's, process's or file's namespace: net, ipc, uts or time",
        |config, entry| {
            let share = entry.place(value::share(entry.rest, entry.value)?);
            let shared = &mut config.process.namespaces_shared;
            shared.retain(|other| other.kind != share.kind);
            shared.push(share);
            Ok(())
        },
        |config, entry| {
            let kind = value::namespace_kind(entry.rest)?;
            config
                .process
                .namespaces_shared
                .retain(|other| other.kind != kind);
            Ok(())
        },
    )
    .shown_by("keys::sharing::what_is_shared_is_another_containers"),
    scalar!(
        "lxc.time.offset.boot",
        "an offset of the time since boot",
        process.time_boot,
        value::time_offset
    )
    .shown_by("keys::process::clocks"),
    scalar!(
        "lxc.time.offset.monotonic",
        "an offset of the monotonic clock",
        process.time_monotonic,
        value::time_offset
    )
    .shown_by("keys::process::clocks"),
];
