//! What systemd does for root's containers: a scope of their own.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use berth_cgroups::{CgroupPath, DelegatedBase, Hierarchy};
use berth_common::unit;
use berth_kernel::process::Exit;

use crate::error::{Error, Result};

const SYSTEMD_RUN: &str = "/usr/bin/systemd-run";
const SCOPE_PREFIX: &str = "berth-root-";
const SCOPE_SUFFIX: &str = ".scope";

/// Whether systemd is this host's init system (sd_booted(3)).
pub fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Whether root, who calls, must go into a scope for his containers to have cgroups that last: nothing
/// delegated is around him, be it that he works in another user's session (sudo) or in a service
/// (cron), whose cgroups systemd shares with nobody; or only his login session is, which ends before
/// they do and, at shutdown, out of order.
pub fn root_needs_scope() -> Result<bool> {
    if !has_systemd() || !Path::new(SYSTEMD_RUN).exists() {
        return Ok(false);
    }
    let Ok(hierarchy) = Hierarchy::detect() else {
        return Ok(false);
    };
    let tell = |error| Error::other(format!("cannot tell which cgroup this is: {error}"));
    let base = DelegatedBase::of_caller(&hierarchy).map_err(tell)?;
    let is_of_session = |base: &DelegatedBase| {
        let name = base.path().name().and_then(OsStr::to_str);
        name.is_some_and(unit::is_session_scope)
    };
    if base.is_some_and(|base| !is_of_session(&base)) {
        return Ok(false);
    }
    // A systemd that does not mark what it delegates would have this go on for ever.
    Ok(!is_in_scope(&hierarchy.path_of_self().map_err(tell)?))
}

fn is_in_scope(path: &CgroupPath) -> bool {
    path.as_path().iter().any(|name| {
        name.to_str()
            .is_some_and(|name| name.starts_with(SCOPE_PREFIX) && name.ends_with(SCOPE_SUFFIX))
    })
}

/// Runs `berth` with these arguments in a new delegated scope, which ends with the last process in
/// it; its exit code.
pub fn run_in_scope<T: AsRef<OsStr>>(arguments: &[T]) -> Result<u8> {
    let mut description = OsString::from("Containers of root: berth");
    for argument in arguments {
        description.push(" ");
        description.push(argument);
    }
    let program = std::env::current_exe()
        .map_err(|error| Error::os("find out which program this is", error))?;
    // Unique: the scope of an earlier process with this number may be there still.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_nanos());
    let scope = format!("{SCOPE_PREFIX}{}-{now:x}{SCOPE_SUFFIX}", std::process::id());
    let status = Command::new(SYSTEMD_RUN)
        .args(["--system", "--scope", "--quiet", "--collect"])
        .args(["--slice=machine.slice", "--property=Delegate=yes"])
        .arg("--property=TasksMax=infinity")
        // Containers are stopped in order by that unit, and what is left by the end of this scope.
        .arg(format!("--property=Before={}", unit::ROOT_BOOT))
        .arg(format!("--unit={scope}"))
        .arg("--description")
        .arg(description)
        .arg("--")
        .arg(program)
        .args(arguments)
        .status()
        .map_err(|error| Error::os(format!("execute {SYSTEMD_RUN}"), error))?;
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    };
    Ok(code.shell_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_told_by_its_name() {
        let is = |path| is_in_scope(&CgroupPath::new(path).unwrap());
        assert!(is("/machine.slice/berth-root-12-ab.scope"));
        assert!(is("/machine.slice/berth-root-12-ab.scope/init.scope"));
        assert!(!is("/user.slice/user-0.slice/session-1.scope"));
        assert!(!is("/system.slice/cron.service"));
    }
}
