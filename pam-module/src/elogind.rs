//! The layout of elogind on cgroup v2: `/SESSION` at the top for each session, root's and without
//! controllers. It finds the session of a process by the first name of its cgroup, so nobody is
//! moved out of there; the user's cgroup is made inside. Where elogind delegates sessions itself
//! (`DelegateSessionCgroups=`), its layout is used as it stands.
#![forbid(unsafe_code)]

use crate::arguments::Arguments;
use crate::session::{Clock, Done, Failure, Handle, Host, Skip, person, refused, session_id};
use crate::{limits, own_tree};
use berth_cgroups::session::{hand_over, is_session_id};
use berth_cgroups::{CgroupPath, Error, Hierarchy};
use berth_common::{Uid, cgroup};
use berth_kernel::fs;
use std::os::fd::AsFd;

/// How many cgroups at the top one look takes into account, control files included.
const MAX_AT_TOP: usize = 4096;

/// Gives the session's cgroup to its user and makes his lasting one.
pub(crate) fn open(
    handle: &mut impl Handle,
    host: &impl Host,
    arguments: &Arguments,
) -> Result<Done, Failure> {
    let hierarchy = host.hierarchy()?;
    let path = host.own_path(&hierarchy)?;
    let root = hierarchy.init_root();
    let names = names_below(&root, &path);
    let own = session_id(handle).filter(|id| names.first() == Some(id));
    let Some(id) = own else {
        let first = names.first().filter(|name| is_session_id(name));
        return match first.and_then(|id| host.session_user(id)) {
            // su inside somebody's session stays in that session, as elogind wants it.
            Some(_) => lasting_only(handle, host, arguments, &hierarchy),
            // Whom elogind knows nothing of: cron, su from a service.
            None => own_tree::open(handle, host, arguments),
        };
    };
    let user = person(handle)?;
    if host.session_user(&id) != Some(user.uid) {
        return Err(Skip::OtherCgroup(path).into());
    }
    let clock = Clock::start(host, arguments.deadline);
    // First, since it has the controllers reach the session's cgroup, too.
    let lasting = own_tree::make(host, arguments, &hierarchy, &user, false, &clock);
    let mut without = match lasting {
        Ok(done) if !arguments.delegate => return Ok(done),
        Ok(done) => done.without,
        Err(failure @ Failure::Deadline(_)) => return Err(failure),
        Err(failure) => vec![format!("a lasting cgroup ({failure})")],
    };
    let inside: Vec<_> = names.iter().skip(1).map(String::as_str).collect();
    let path = match inside[..] {
        // In the leaf it is if another stack has opened the session before, to the end or not.
        [] | [cgroup::LEAF] => root.child(&id)?,
        [cgroup::ELOGIND_LEAF] => return Ok(Done::new(path, without)),
        _ => return Err(Skip::OtherCgroup(path).into()),
    };
    clock.check()?;
    let session = hierarchy.open(&path)?;
    if session.is_owned_by(user.uid)? {
        return Ok(Done::new(path, without));
    }
    let owner = session.owner()?.0;
    if owner != user.uid.raw() && owner != Uid::ROOT.raw() {
        return Err(Skip::ForeignScope(owner).into());
    }
    without.extend(limits::of_user(host, &user).apply(&session));
    let handed = hand_over(&session, user.uid, user.gid, || clock.check().is_ok());
    without.extend(refused(&clock.heed(handed)?));
    own_tree::clear_up_after_others(host, &hierarchy, user.uid, &clock);
    // It is nothing that this login needs.
    let _ = clear_up_sessions(host, &hierarchy, &clock);
    Ok(Done::new(path, without))
}

/// Removes the cgroups of sessions that were given to a user and that elogind knows no more: it
/// leaves them behind (246.10), and when it counts from the beginning again another user's session
/// would get the one that is somebody's already.
fn clear_up_sessions<H: Host>(
    host: &H,
    hierarchy: &Hierarchy,
    clock: &Clock<'_, H>,
) -> Result<(), Failure> {
    clock.check()?;
    let top = hierarchy.open(&hierarchy.init_root())?;
    let mut left = own_tree::CLEARED_AT_A_LOGIN;
    for name in top.children_up_to(MAX_AT_TOP)? {
        clock.check()?;
        let Some(id) = name.to_str().filter(|name| is_session_id(name)) else {
            continue;
        };
        let (None, Ok(dir)) = (host.session_user(id), top.child(id)) else {
            continue;
        };
        let given = Uid::new(dir.owner()?.0).is_some_and(Uid::is_person);
        let old = fs::status(dir.as_fd())
            .is_ok_and(|status| host.time().saturating_sub(status.modified) >= own_tree::IDLE);
        if given && old && !dir.is_populated()? && left > 0 {
            left -= 1;
            clock.heed(top.remove_tree_while(id, || clock.check().is_ok()))?;
        }
    }
    Ok(())
}

/// Makes the user's lasting cgroup and nothing else.
fn lasting_only(
    handle: &mut impl Handle,
    host: &impl Host,
    arguments: &Arguments,
    hierarchy: &Hierarchy,
) -> Result<Done, Failure> {
    let user = person(handle)?;
    let clock = Clock::start(host, arguments.deadline);
    own_tree::make(host, arguments, hierarchy, &user, false, &clock)
}

/// Whether somebody is in a session of the user's, other than the one that `path` is in.
pub(crate) fn has_sessions(
    host: &impl Host,
    hierarchy: &Hierarchy,
    uid: Uid,
    path: &CgroupPath,
) -> Result<bool, Error> {
    if host.layout() != crate::session::Layout::Elogind {
        return Ok(false);
    }
    let root = hierarchy.init_root();
    let own = names_below(&root, path).into_iter().next();
    let top = hierarchy.open(&root)?;
    let names = top.children_up_to(MAX_AT_TOP)?;
    let mut ids = names.iter().filter_map(|name| {
        let id = name.to_str()?;
        (is_session_id(id) && own.as_deref() != Some(id)).then_some(id)
    });
    Ok(ids.any(|id| {
        host.session_user(id) == Some(uid)
            && top
                .child(id)
                .is_ok_and(|dir| dir.is_populated().unwrap_or(true))
    }))
}

fn names_below(root: &CgroupPath, path: &CgroupPath) -> Vec<String> {
    let names = root
        .suffix_of(path)
        .into_iter()
        .flat_map(|path| path.iter());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}
