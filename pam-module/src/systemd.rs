//! The layout of systemd: logind has made the session's scope, and systemd, told so by a drop-in,
//! has marked it as delegated. A logind with the patches of `logind-patches` may have done the rest
//! too: then the scope is the user's already, and the process sits in its leaf.
#![forbid(unsafe_code)]

use crate::arguments::Arguments;
use crate::session::{
    Clock, Done, Failure, Handle, Host, Person, Skip, person, refused, session_id,
};
use berth_cgroups::session::{hand_over, session_owner};
use berth_cgroups::slice::{self, Attach};
use berth_cgroups::{CgroupDir, CgroupPath, Error, Hierarchy};
use berth_common::{Uid, cgroup};

/// Gives the session's scope to its user, and with it the right to move processes between all
/// that is his.
pub(crate) fn open(
    handle: &mut impl Handle,
    host: &impl Host,
    arguments: &Arguments,
) -> Result<Done, Failure> {
    if !arguments.delegate {
        keep_others_out(handle, host)?;
        return Err(Skip::SwitchedOff.into());
    }
    let id = session_id(handle).ok_or(Skip::NoSession)?;
    let hierarchy = host.hierarchy()?;
    let path = own_session(host, &hierarchy)?;
    let root = hierarchy.init_root();
    let uid_in_path =
        session_owner(&root, &path, &id).ok_or_else(|| Skip::OtherCgroup(path.clone()))?;
    let user = person(handle)?;
    if user.uid != uid_in_path {
        return Err(Skip::OtherCgroup(path).into());
    }

    let clock = Clock::start(host, arguments.deadline);
    let scope = hierarchy.open(&path)?;
    clock.check()?;
    if !scope.is_marked_delegated()? {
        return Err(Skip::NotDelegated.into());
    }
    let owner = scope.owner()?.0;
    if owner != user.uid.raw() && owner != Uid::ROOT.raw() {
        return Err(Skip::ForeignScope(owner).into());
    }
    let handed = hand_over(&scope, user.uid, user.gid, || clock.check().is_ok());
    let controllers = clock.heed(handed)?;
    let mut done = Done::new(path, refused(&controllers));
    let attach = clock
        .check()
        .and_then(|()| Ok(settle_slice(&hierarchy, &done.path, &user, arguments)?));
    match attach {
        Ok(remark) => done.remark = remark,
        Err(failure) => done
            .without
            .push(format!("attaching from other sessions ({failure})")),
    }
    Ok(done)
}

/// Where the process is, or what it is the leaf of.
fn own_session(host: &impl Host, hierarchy: &Hierarchy) -> Result<CgroupPath, Error> {
    let path = host.own_path(hierarchy)?;
    let leaf = path.name().is_some_and(|name| name == cgroup::LEAF);
    Ok(match path.parent() {
        Some(parent) if leaf => parent,
        _ => path,
    })
}

/// `session=none`: root's processes in this session are not to be its user's to move, from another
/// session that is delegated.
fn keep_others_out(handle: &mut impl Handle, host: &impl Host) -> Result<(), Failure> {
    let Some(id) = session_id(handle) else {
        return Ok(());
    };
    let hierarchy = host.hierarchy()?;
    let path = own_session(host, &hierarchy)?;
    if session_owner(&hierarchy.init_root(), &path, &id).is_some_and(Uid::is_person) {
        slice::close_to_user(&slice_of(&hierarchy, &path)?)?;
    }
    Ok(())
}

/// `attach=`: whether the user may move processes between his sessions and services. Why he may
/// not, if that is not the administrator's wish.
fn settle_slice(
    hierarchy: &Hierarchy,
    session: &CgroupPath,
    user: &Person,
    arguments: &Arguments,
) -> Result<Option<String>, Error> {
    let slice = slice_of(hierarchy, session)?;
    if !arguments.attach_any {
        return slice::close_to_user(&slice).map(|()| None);
    }
    Ok(match slice::open_to_user(&slice, user.uid, user.gid)? {
        Attach::Any => None,
        Attach::NoControllers => Some("attach=session, since no controller is on".to_owned()),
        Attach::Undelegated(scope) => Some(format!(
            "attach=session, since {} is not delegated",
            scope.display()
        )),
    })
}

fn slice_of(hierarchy: &Hierarchy, session: &CgroupPath) -> Result<CgroupDir, Error> {
    let slice = session.parent().unwrap_or_else(CgroupPath::root);
    hierarchy.open(&slice)
}
