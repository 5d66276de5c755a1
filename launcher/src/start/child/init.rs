//! What init and commands run with.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

use berth_common::{Gid, Uid};
use berth_kernel::fs::{self, Resolve};
use berth_kernel::mount::{Attributes, DetachedMount};
use berth_kernel::{core_sched, cred, process};
use berth_session_protocol::Connection;
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;

use super::super::plan::{CLONE_NEWTIME, InitPlan, SettingPlan, StartPlan};
use super::super::sync;
use super::beneath::{Failure, because};
use crate::error::Plain;
use crate::monitor::ready;

/// Sets the clocks of the time namespace that the process has just made for its children, and
/// enters it.
pub(super) fn set_clocks(plan: &InitPlan) -> Result<(), Failure> {
    let Some(offsets) = &plan.clock_offsets else {
        return Ok(());
    };
    std::fs::write("/proc/self/timens_offsets", offsets)
        .map_err(because("set the container's clocks (lxc.time.offset)"))?;
    let namespace = File::open("/proc/self/ns/time_for_children")
        .map_err(because("open the container's time namespace"))?;
    nix::sched::setns(namespace, CloneFlags::from_bits_retain(CLONE_NEWTIME))
        .map_err(|errno| because("enter the container's time namespace")(errno.into()))
}

/// Init's environment. Where it says when it is ready, with the socket for that, whose other end
/// goes to the monitor.
pub(super) fn environment(plan: &StartPlan, monitor: &Connection) -> Result<Vec<CString>, Failure> {
    const NAME: &str = "NOTIFY_SOCKET=";
    let mut environment = plan.environment.clone();
    let Some(name) = &plan.notify else {
        return Ok(environment);
    };
    let socket = ready::bind(name).map_err(because("make the socket for ready.notify"))?;
    monitor
        .send(&sync::notify(), &[socket.as_fd()])
        .map_err(|error| format!("cannot reach the monitor: {error}"))?;
    let variable = CString::new(format!("{NAME}@{name}"));
    environment.retain(|entry| !entry.as_bytes().starts_with(NAME.as_bytes()));
    environment.push(variable.map_err(|_| "the socket's name has a zero byte".to_owned())?);
    Ok(environment)
}

/// Keeps other programs off a core while one of the container's runs there.
pub(super) fn separate_cores(plan: &InitPlan) -> Result<(), Failure> {
    match plan.core_scheduling {
        true => core_sched::create_cookie().map_err(because("keep cores apart (lxc.sched.core)")),
        false => Ok(()),
    }
}

/// Writes the kernel parameters of the container's namespaces. Its own `/proc`, mounted for that:
/// the host's may be read-only.
pub(super) fn write_sysctls(plan: &InitPlan) -> Result<(), Failure> {
    if plan.sysctls.is_empty() {
        return Ok(());
    }
    let proc = DetachedMount::new(c"proc", Some(c"proc"), &[], Attributes::NONE)
        .map_err(because("mount /proc for lxc.sysctl"))?;
    for setting in &plan.sysctls {
        let path = Path::new("sys").join(&setting.path);
        let inside = Resolve::BENEATH | Resolve::NO_MAGICLINKS;
        fs::openat2(proc.as_fd(), &path, OFlag::O_WRONLY, 0, inside)
            .and_then(|file| File::from(file).write_all(setting.value.as_bytes()))
            .map_err(|error| cannot_set(setting, &error))?;
    }
    Ok(())
}

fn cannot_set(setting: &SettingPlan, error: &std::io::Error) -> Failure {
    let why = match error.raw_os_error() {
        Some(nix::libc::ENOENT) => {
            "a container of this kernel has no such parameter (or its module is not loaded)"
                .to_owned()
        }
        Some(nix::libc::EACCES | nix::libc::EPERM) => {
            "the kernel lets only the host's root set it".to_owned()
        }
        Some(nix::libc::EINVAL | nix::libc::ERANGE) => {
            format!("the kernel does not take the value “{}”", setting.value)
        }
        _ => Plain(error).to_string(),
    };
    format!("{}: {why}", setting.at)
}

/// Whose init and commands are: from root to somebody else, without any capability then.
pub fn become_user(plan: &InitPlan) -> Result<(), Failure> {
    become_ids(plan.uid, plan.gid, &plan.groups)
}

/// From root to these ids, all of the container's; without any capability unless they are root's.
pub fn become_ids(uid: Uid, gid: Gid, groups: &[Gid]) -> Result<(), Failure> {
    if !groups.is_empty() {
        cred::set_groups(groups).map_err(because("take the supplementary groups"))?;
    }
    if gid != Gid::ROOT {
        cred::set_all_gids(gid).map_err(because("become the group"))?;
    }
    if uid != Uid::ROOT {
        cred::set_all_uids(uid).map_err(because("become the user"))?;
    }
    process::set_dumpable(false).map_err(because("protect the process"))
}

/// Limits resources; the very last act before exec, which must not fail for want of them.
pub fn limit_resources(plan: &InitPlan) -> Result<(), Failure> {
    for limit in &plan.limits {
        limit
            .resource
            .set(limit.soft, limit.hard)
            .map_err(|error| format!("{}: cannot be set: {}", limit.at, Plain(&error)))?;
    }
    Ok(())
}

/// Why exec refused init, and what would be right.
pub(super) fn why_not_executed(plan: &StartPlan, program: &Path, error: &io::Error) -> Failure {
    let (at, shown) = (&plan.init_at, program.display());
    match error.raw_os_error() {
        Some(nix::libc::ENOENT) => format!(
            "{at}: there is no {shown} in the container, or the interpreter it names is missing \
             (lxc.init.cmd says which program is init)"
        ),
        Some(nix::libc::EACCES) => format!(
            "{at}: cannot execute {shown}: it is not executable (chmod +x in the container), \
             no file, or on a mount with noexec"
        ),
        Some(nix::libc::ENOEXEC) => format!(
            "{at}: cannot execute {shown}: it is no program for this machine (a script \
             begins with #! and its interpreter)"
        ),
        _ => format!("{at}: cannot execute {shown}: {}", Plain(error)),
    }
}
