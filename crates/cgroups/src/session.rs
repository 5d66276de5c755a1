//! A login session's scope: whose it is, and how it changes hands.

use crate::{CgroupDir, CgroupPath, Controllers, DelegationSet, Error, Result, leaf};
use berth_common::{Gid, Uid, unit};

/// PAM services that log nobody in: the user's service manager and display managers' greeters.
const SERVICES_WITHOUT_PERSON: [&str; 4] = [
    "systemd-user",
    "gdm-launch-environment",
    "lightdm-greeter",
    "sddm-greeter",
];
/// Classes of sessions in which no person works (`XDG_SESSION_CLASS`, pam_systemd(8)).
const CLASSES_WITHOUT_PERSON: [&str; 5] =
    ["greeter", "manager", "manager-early", "lock-screen", "none"];
/// Longer ones are none of logind's: it takes the audit session's number or counts `c1`, `c2` ….
const MAX_SESSION_ID: usize = 64;

/// Whether somebody works in sessions of this PAM service.
pub fn service_has_person(service: &str) -> bool {
    !SERVICES_WITHOUT_PERSON.contains(&service)
}

/// Whether somebody works in sessions of this class.
pub fn class_has_person(class: &str) -> bool {
    !CLASSES_WITHOUT_PERSON.contains(&class)
}

/// Whether logind may call a session so.
pub fn is_session_id(id: &str) -> bool {
    (1..=MAX_SESSION_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The uid in `ROOT/user.slice/user-UID.slice/session-ID.scope`, for the session `id`; `None`
/// for every other path.
pub fn session_owner(root: &CgroupPath, path: &CgroupPath, id: &str) -> Option<Uid> {
    let mut names = root.suffix_of(path)?.iter().map(|name| name.to_str());
    let mut next = || names.next().flatten();
    if next()? != unit::USER_SLICE {
        return None;
    }
    let slice = next()?;
    let uid = slice
        .strip_prefix("user-")?
        .strip_suffix(".slice")?
        .parse::<Uid>()
        .ok()?;
    let is_session = slice == unit::user_slice(uid) && next()? == unit::session_scope(id);
    (is_session && names.next().is_none()).then_some(uid)
}

/// Puts a session's processes into the leaf of its scope and gives the scope to the user. The caller
/// has made sure that systemd marked the scope as delegated and that the session is this user's.
///
/// `go_on` is asked before each step; a no ends with [`Error::OutOfTime`]. What is done by then
/// does no harm: until the scope's directory, which comes last, is the user's, every program
/// takes it for an undelegated one. What an earlier attempt has done is not done again.
///
/// The leaf's directory stays root's. Podman takes a shell whose cgroup is its user's for one that
/// his service manager delegated, does not move itself there, and then cannot reach into its own
/// containers, which live there (`podman exec`: EACCES; measured with 4.3). All others ask whose
/// the scope is.
///
/// A controller that cannot be turned on (the real-time scheduler's processes stand in cpu's way
/// on some kernels) takes away a limit, not the session.
pub fn hand_over(
    scope: &CgroupDir,
    uid: Uid,
    gid: Gid,
    mut go_on: impl FnMut() -> bool,
) -> Result<Controllers> {
    let mut check = || {
        go_on().then_some(()).ok_or_else(|| Error::OutOfTime {
            path: scope.path().to_owned(),
        })
    };
    check()?;
    let leaf = leaf::make(scope, || check().is_ok())?;
    match scope.drain_into(&leaf, || check().is_ok()) {
        Err(Error::NotDrained { .. }) if check().is_err() => check()?,
        drained => drop(drained?),
    }
    check()?;
    // Before the leaf changes hands: the files that a controller brings belong to whoever
    // turned it on, and some of them are to be delegated.
    let controllers = scope.enable_available_controllers()?;
    check()?;
    let set = DelegationSet::of_kernel()?;
    leaf.open_to(&set, uid, gid)?;
    check()?;
    // A logind that delegates sessions itself has done it already.
    if !scope.is_owned_by(uid)? {
        scope.delegate_files_to(&set, uid, gid)?;
    }
    Ok(controllers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_session_being_opened_counts() {
        let root = CgroupPath::root();
        let owner = |path: &str, id| session_owner(&root, &CgroupPath::new(path).unwrap(), id);
        let uid = Uid::new(1000);
        assert_eq!(
            owner("/user.slice/user-1000.slice/session-3.scope", "3"),
            uid
        );
        assert_eq!(
            owner("/user.slice/user-1000.slice/session-c12.scope", "c12"),
            uid
        );
        for (path, id) in [
            ("/user.slice/user-1000.slice/session-3.scope", "4"),
            (
                "/user.slice/user-1000.slice/session-3.scope/init.scope",
                "3",
            ),
            ("/user.slice/user-01000.slice/session-3.scope", "3"),
            ("/user.slice/user-.slice/session-3.scope", "3"),
            ("/user.slice/user-+1000.slice/session-3.scope", "3"),
            ("/user.slice/user-1000.slice/user@1000.service", "3"),
            ("/x/user.slice/user-1000.slice/session-3.scope", "3"),
            ("/system.slice/sshd.service", "3"),
            ("/user.slice", "3"),
            ("/", "3"),
        ] {
            assert_eq!(owner(path, id), None, "{path}");
        }
        let inner = CgroupPath::new("/ct/payload").unwrap();
        let path = "/ct/payload/user.slice/user-1000.slice/session-3.scope";
        assert_eq!(
            session_owner(&inner, &CgroupPath::new(path).unwrap(), "3"),
            uid
        );
    }

    #[test]
    fn session_ids() {
        assert!(is_session_id("3") && is_session_id("c1"));
        for bad in ["", "../3", "3/4", "3 ", "3\n", &"1".repeat(65)] {
            assert!(!is_session_id(bad), "{bad:?}");
        }
    }
}
