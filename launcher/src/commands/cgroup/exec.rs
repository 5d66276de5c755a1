//! `berth cgroup exec`: any command in the caller's lasting cgroup, or in his session's.
//!
//! `berth` itself goes there and becomes the command. So all that the caller's shell has given it
//! is the command's: terminal and job control, process number, parent, descriptors, limits,
//! environment; and the command's end is seen by whoever waits for `berth`.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;

use berth_cgroups::{CgroupPath, DelegatedBase, Hierarchy};
use berth_common::{Uid, cgroup, exit};
use berth_kernel::{cred, signal};
use berth_session_protocol::client::{LaunchError, attach};
use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::berthd::with_launch_socket;
use crate::error::{Error, Result};

/// Which delegated cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The lasting one.
    Lasting,
    /// The one of the login session that the caller is in.
    Session,
}

/// Goes there and executes the command. Returns only on failure, with exit code 125 if the command
/// was not reached, or 126 or 127 as a shell has them.
pub fn exec(which: Which, command: &[OsString]) -> Result<Infallible> {
    enter(which).map_err(|error| Error::Code {
        code: exit::RUN_FAILED,
        text: error.to_string(),
    })?;
    let failed = |code, text| Error::Code { code, text };
    let words: Vec<CString> = command
        .iter()
        .map(|word| CString::new(word.as_bytes()))
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| failed(exit::RUN_FAILED, "the command holds a NUL byte".to_owned()))?;
    let (Some(program), Some(shown)) = (words.first(), command.first()) else {
        return Err(failed(exit::RUN_FAILED, "there is no command".to_owned()));
    };
    // Rust programs ignore it from their start on.
    signal::set_default(Signal::SIGPIPE).map_err(|error| {
        let error = Error::os("reset SIGPIPE", error);
        failed(exit::RUN_FAILED, error.to_string())
    })?;
    let Err(errno) = nix::unistd::execvp(program, &words);
    let code = match errno {
        Errno::ENOENT | Errno::ENOTDIR => exit::NOT_FOUND,
        _ => exit::NOT_EXECUTABLE,
    };
    let reason = berth_kernel::error_text(errno as i32);
    let shown = shown.to_string_lossy();
    Err(failed(code, format!("cannot execute {shown}: {reason}")))
}

fn enter(which: Which) -> Result<()> {
    let hierarchy = Hierarchy::detect().map_err(fail)?;
    let here = hierarchy.path_of_self().map_err(fail)?;
    let base = DelegatedBase::around(&hierarchy, here.clone(), cred::effective_uid());
    let base = base.map_err(fail)?;
    let uid = cred::effective_uid();
    let is_lasting = base
        .as_ref()
        .is_some_and(|base| base.is_lasting(&hierarchy, uid));
    match (which, base) {
        (Which::Lasting, Some(base)) if is_lasting => enter_leaf(&base, &here),
        (Which::Lasting, _) if uid.is_root() => Err(Error::other(
            "root has no lasting cgroup; in this session's own: berth cgroup exec --session -- \
             COMMAND; as a unit of its own: systemd-run --scope -p Delegate=yes COMMAND",
        )),
        (Which::Lasting, _) => move_to_lasting(&hierarchy),
        (Which::Session, Some(base)) if !is_lasting => enter_leaf(&base, &here),
        (Which::Session, Some(base)) => Err(Error::other(format!(
            "this is no login session's cgroup but your lasting one ({}), which can only be left \
             by logging in; without --session the command runs here",
            base.path()
        ))),
        (Which::Session, None) => Err(Error::other(format!(
            "this session has no delegated cgroup of yours (it is in {here}); why, and what \
             helps, says: berth doctor cgroups. Without --session the command runs in your \
             lasting cgroup"
        ))),
    }
}

/// Goes into the leaf of the delegated cgroup that the caller is in or below.
fn enter_leaf(base: &DelegatedBase, here: &CgroupPath) -> Result<()> {
    let leaf = base.path().child(cgroup::LEAF).map_err(fail)?;
    if *here == leaf {
        return Ok(());
    }
    if here == base.path() {
        // Nobody has shaped it yet (a session without our PAM module): whoever hands controllers
        // on from here must have it free of processes.
        base.drain_into_leaf().map_err(fail)?;
        return Ok(());
    }
    let leaf = base.dir().make_child(cgroup::LEAF).map_err(fail)?;
    leaf.move_self().map_err(fail)
}

/// Goes there, or has the launch service move this process where the cgroup that is above both is
/// not the caller's to write to (`attach=session`, a session that is not delegated).
fn move_to_lasting(hierarchy: &Hierarchy) -> Result<()> {
    let uid = cred::effective_uid();
    if moves_itself(hierarchy, uid).is_ok_and(|moved| moved) {
        return Ok(());
    }
    with_launch_socket(|| attach(uid))?.map_err(|error| cannot_move(&error, hierarchy, uid))?;
    let here = hierarchy.path_of_self().map_err(fail)?;
    let base = DelegatedBase::around(hierarchy, here.clone(), uid).map_err(fail)?;
    match base.is_some_and(|base| base.is_lasting(hierarchy, uid)) {
        true => Ok(()),
        false => Err(Error::other(format!(
            "the service manager moved this process to {here}, which is not your lasting cgroup"
        ))),
    }
}

fn moves_itself(hierarchy: &Hierarchy, uid: Uid) -> berth_cgroups::Result<bool> {
    // In a sandbox the launch service judges whether it is the user's own.
    let base = match has_all_ids() {
        true => DelegatedBase::lasting_of(hierarchy, uid)?,
        false => None,
    };
    let Some(base) = base else {
        return Ok(false);
    };
    let leaf = base.dir().child(cgroup::LEAF)?;
    // Without its holder it is about to be removed.
    if leaf.processes()?.is_empty() {
        return Ok(false);
    }
    leaf.move_self()?;
    Ok(true)
}

/// Whether this is the host's user namespace, which maps every id to itself (user_namespaces(7)).
fn has_all_ids() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn cannot_move(error: &LaunchError, hierarchy: &Hierarchy, uid: Uid) -> Error {
    if !matches!(
        error,
        LaunchError::NoSocket(_) | LaunchError::Connect { .. }
    ) {
        return Error::other(error.to_string());
    }
    Error::other(match DelegatedBase::lasting_of(hierarchy, uid) {
        Ok(Some(base)) => format!(
            "{error}: your lasting cgroup is there ({}), but nobody who could move a process of \
             this session there; in this session's own: berth cgroup exec --session -- COMMAND",
            base.path()
        ),
        _ => format!(
            "{error}: you have no lasting cgroup. It comes with a login (ssh, console) on a host \
             where Berth is installed; under su, sudo or cron it is there while you are logged in \
             or linger (loginctl enable-linger). What is missing here, and what helps, says: \
             berth doctor cgroups"
        ),
    })
}

fn fail(error: berth_cgroups::Error) -> Error {
    Error::other(error.to_string())
}
