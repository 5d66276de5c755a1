//! A user's slice on systemd: whether he may move processes between the groups below it.
//!
//! The kernel asks whoever moves a process for the right to write `cgroup.procs` of the lowest
//! cgroup above both places (cgroups(7), "Delegation containment"). From one login session to
//! another that is the slice's. The user gets that one file: not the directory, so groups and
//! units stay systemd's; not `cgroup.subtree_control` and no limit.

use crate::{CgroupDir, Result};
use berth_common::{Gid, Uid, unit};
use berth_kernel::fs;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;

const FILE: &str = "cgroup.procs";
/// The mode that the kernel makes it with. Its owner may have set another one.
const MODE: u32 = 0o644;
/// Entries of the slice's directory that are looked at, files included. A user with more sessions
/// than that attaches within each of them.
const MAX_ENTRIES: usize = 1024;
/// How often a session that opens at the same time is waited out.
const ROUNDS: u32 = 3;

/// Whether a user may move processes between all groups of his.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attach {
    /// He may.
    Any,
    /// The slice has no controllers on, so nothing would keep processes out of the slice itself.
    NoControllers,
    /// This session's scope is not his. Root's processes in it would be his to move.
    Undelegated(OsString),
}

/// Lets the user move processes between the groups below his slice, if every session in it is his.
/// The caller has made sure that it is this user's slice.
///
/// It may run beside other openings and beside [`close_to_user`]: whichever session comes last
/// finds the others as they are. One that is delegated last gives; one that is not to be
/// delegated takes, or is seen by the second look of who gave.
pub fn open_to_user(slice: &CgroupDir, uid: Uid, gid: Gid) -> Result<Attach> {
    if slice.owner()?.0 != Uid::ROOT.raw() {
        let denied = std::io::Error::from_raw_os_error(libc::EPERM);
        return Err(slice.error("open to its user", denied));
    }
    if slice.enabled_controllers()?.is_empty() {
        return Ok(Attach::NoControllers);
    }
    for _ in 0..ROUNDS {
        if let Some(scope) = undelegated_session(slice, uid)? {
            return Ok(Attach::Undelegated(scope));
        }
        if slice.file_owner(FILE)? != Some(uid.raw()) {
            chown(slice, uid, gid)?;
        }
        if undelegated_session(slice, uid)?.is_none() {
            return Ok(Attach::Any);
        }
        close_to_user(slice)?;
    }
    // Taken back and not given again: sessions came and went in every round.
    let seen = undelegated_session(slice, uid)?;
    Ok(Attach::Undelegated(seen.unwrap_or_default()))
}

/// Takes that right back; what is root's stays so. The owner goes first: he could set the mode
/// again.
pub fn close_to_user(slice: &CgroupDir) -> Result<()> {
    if matches!(slice.file_owner(FILE)?, None | Some(0)) {
        return Ok(());
    }
    chown(slice, Uid::ROOT, Gid::ROOT)?;
    fs::chmod_at(slice.as_fd(), OsStr::new(FILE), MODE)
        .map_err(|error| slice.file_error("set the mode of", FILE, error))
}

/// The group may not write. It changes hands too, since liblxc opens the file as root of a user
/// namespace with the user's ids, whose rights end at a file of a group that it does not map.
fn chown(slice: &CgroupDir, uid: Uid, gid: Gid) -> Result<()> {
    fs::chown_at(slice.as_fd(), OsStr::new(FILE), Some(uid), Some(gid))
        .map_err(|error| slice.file_error("change the owner of", FILE, error))
}

/// A session's scope that is not the user's; one that has ended meanwhile is none.
fn undelegated_session(slice: &CgroupDir, uid: Uid) -> Result<Option<OsString>> {
    for name in slice.children_up_to(MAX_ENTRIES)? {
        if !name.to_str().is_some_and(unit::is_session_scope) {
            continue;
        }
        match fs::status_at(slice.as_fd(), &name) {
            Ok(status) if status.uid == uid.raw() => {}
            Ok(_) => return Ok(Some(name)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(slice.file_error("examine", name, error)),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Subtree;

    fn alice() -> Uid {
        Uid::new(4242).unwrap()
    }

    #[test]
    fn without_controllers_nothing_changes_hands() {
        let tree = Subtree::new();
        let slice = tree.make("user-4242.slice");
        assert_eq!(
            open_to_user(&slice, alice(), Gid::ROOT).unwrap(),
            Attach::NoControllers
        );
        assert_eq!(slice.file_owner(FILE).unwrap(), Some(0));
    }

    #[test]
    fn a_session_that_is_not_hers_is_seen_and_units_do_not_count() {
        let tree = Subtree::new();
        let slice = tree.make("user-4242.slice");
        slice.make_child("user@4242.service").unwrap();
        slice.make_child("user-runtime-dir@4242.service").unwrap();
        let hers = slice.make_child("session-1.scope").unwrap();
        fs::chown(hers.as_fd(), Some(alice()), None).unwrap();
        assert_eq!(undelegated_session(&slice, alice()).unwrap(), None);
        slice.make_child("session-c2.scope").unwrap();
        let seen = undelegated_session(&slice, alice()).unwrap();
        assert_eq!(seen, Some("session-c2.scope".into()));
    }

    #[test]
    fn what_is_taken_back_has_roots_mode_too() {
        let tree = Subtree::new();
        let slice = tree.make("user-4242.slice");
        chown(&slice, alice(), Gid::new(4242).unwrap()).unwrap();
        fs::chmod_at(slice.as_fd(), OsStr::new(FILE), 0o666).unwrap();
        close_to_user(&slice).unwrap();
        let status = fs::status_at(slice.as_fd(), OsStr::new(FILE)).unwrap();
        assert_eq!((status.uid, status.permissions()), (0, MODE));
    }

    #[test]
    fn a_slice_that_is_not_roots_is_refused() {
        let tree = Subtree::new();
        let slice = tree.make("user-4242.slice");
        fs::chown(slice.as_fd(), Some(alice()), None).unwrap();
        assert!(open_to_user(&slice, alice(), Gid::ROOT).is_err());
    }
}
