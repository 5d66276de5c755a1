//! The layout of systemd: logind has made the session's scope, and systemd, told so by a drop-in,
//! has marked it as delegated.
#![forbid(unsafe_code)]

use crate::arguments::Arguments;
use crate::session::{Clock, Done, Failure, Handle, Host, Skip, person, refused, session_id};
use berth_cgroups::session::{hand_over, session_owner};
use berth_common::Uid;

/// Gives the session's scope to its user.
pub(crate) fn open(
    handle: &mut impl Handle,
    host: &impl Host,
    arguments: &Arguments,
) -> Result<Done, Failure> {
    if !arguments.delegate {
        return Err(Skip::SwitchedOff.into());
    }
    let id = session_id(handle).ok_or(Skip::NoSession)?;
    let hierarchy = host.hierarchy()?;
    let path = host.own_path(&hierarchy)?;
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
    let without = refused(&controllers);
    Ok(Done { path, without })
}
