//! Hosts without systemd: users' lasting cgroups are made here, and without elogind sessions sit
//! in them.
#![forbid(unsafe_code)]

use crate::arguments::Arguments;
use crate::session::{Clock, Done, Failure, Handle, Host, Person, Record, person};
use crate::{elogind, limits};
use berth_cgroups::{CgroupPath, Error, Hierarchy, OwnTree};
use berth_common::Uid;

/// How often to begin again when another session's end removed what this one was making.
const ATTEMPTS: u32 = 4;
/// A cgroup without anybody in it is left to the login that is making it for so many seconds.
pub(crate) const IDLE: i64 = 60;
/// How many cgroups that crashed sessions left one login clears up.
pub(crate) const CLEARED_AT_A_LOGIN: usize = 8;

/// Makes the user's lasting cgroup and puts the process that opens the session into its leaf.
pub(crate) fn open(
    handle: &mut impl Handle,
    host: &impl Host,
    arguments: &Arguments,
) -> Result<Done, Failure> {
    let hierarchy = host.hierarchy()?;
    let origin = host.own_path(&hierarchy)?;
    let user = person(handle)?;
    let clock = Clock::start(host, arguments.deadline);
    // One who is in his own tree already, in a container's cgroup perhaps, stays there.
    let inside = is_within(&OwnTree::new(&hierarchy).path_of(user.uid), &origin);
    let enter = arguments.delegate && !inside;
    let done = make(host, arguments, &hierarchy, &user, enter, &clock)?;
    if enter {
        handle.remember(Record {
            user: user.clone(),
            origin,
        });
    }
    clear_up_after_others(host, &hierarchy, user.uid, &clock);
    Ok(done)
}

/// Makes or finds a user's lasting cgroup, with his limits; with `enter` the calling process
/// moves to the leaf.
pub(crate) fn make<H: Host>(
    host: &H,
    arguments: &Arguments,
    hierarchy: &Hierarchy,
    user: &Person,
    enter: bool,
    clock: &Clock<'_, H>,
) -> Result<Done, Failure> {
    clock.check()?;
    let limits = limits::of_user(host, user);
    let settings: Vec<_> = limits.limits.iter().map(|limit| &limit.setting).collect();
    let controllers: Vec<&str> = arguments.controllers.iter().map(String::as_str).collect();
    let tree = OwnTree::new(hierarchy);
    let mut attempt = 0;
    let base = loop {
        attempt += 1;
        let who = (user.uid, user.gid);
        let made = tree.make(who, &controllers, &settings, || clock.check().is_ok());
        let entered = made.and_then(|base| {
            if enter {
                base.leaf.move_process(host.process())?;
            }
            tree.keep(&base, host.starts_at_boot(user))?;
            Ok(base)
        });
        match entered {
            Err(error) if error.is_not_found() && attempt < ATTEMPTS => clock.check()?,
            done => break clock.heed(done)?,
        }
    };
    let mut without = limits.problems.clone();
    let refused = base.refused.iter();
    without.extend(refused.map(|(name, error)| format!("{name} ({error})")));
    without.extend(limits.unset(&base.unset));
    Ok(Done::new(base.path, without))
}

/// Leaves the user's cgroup and removes it if nobody is left in it. Where his containers run it
/// stays, and where they start at boot.
pub(crate) fn close(
    handle: &mut impl Handle,
    host: &impl Host,
    arguments: &Arguments,
) -> Result<(), Failure> {
    let record = handle.recall();
    let user = match &record {
        Some(record) => record.user.clone(),
        // It stayed where it was, or the module was installed meanwhile.
        None => person(handle)?,
    };
    let clock = Clock::start(host, arguments.deadline);
    let hierarchy = host.hierarchy()?;
    let tree = OwnTree::new(&hierarchy);
    let own = host.own_path(&hierarchy)?;
    clock.check()?;
    if let Some(record) = record
        && is_within(&tree.path_of(user.uid), &own)
    {
        leave(host, &hierarchy, &record.origin)?;
        clock.check()?;
    }
    if !host.starts_at_boot(&user) && !elogind::has_sessions(host, &hierarchy, user.uid, &own)? {
        let pruned = tree.prune(user.uid, || clock.check().is_ok());
        clock.heed(pruned)?;
    }
    Ok(())
}

/// Puts the process back to where it opened the session from. It is about to end, as a rule, and
/// until then would keep the cgroup from being empty.
fn leave(host: &impl Host, hierarchy: &Hierarchy, origin: &CgroupPath) -> Result<(), Failure> {
    let go = |path: &CgroupPath| hierarchy.open(path)?.move_process(host.process());
    // The origin may have been removed meanwhile.
    Ok(go(origin).or_else(|_| go(&hierarchy.init_root()))?)
}

/// Removes the cgroups of users that nobody is in: a session whose process was killed does not
/// close. What cannot be removed now is left to the next login.
pub(crate) fn clear_up_after_others<H: Host>(
    host: &H,
    hierarchy: &Hierarchy,
    except: Uid,
    clock: &Clock<'_, H>,
) {
    let tree = OwnTree::new(hierarchy);
    let clear_up = || -> Result<(), Error> {
        let idle = tree.idle(IDLE, host.time())?;
        let others = idle.into_iter().filter(|uid| *uid != except);
        for uid in others.take(CLEARED_AT_A_LOGIN) {
            if clock.check().is_err() {
                break;
            }
            if !elogind::has_sessions(host, hierarchy, uid, &CgroupPath::root())? {
                tree.prune(uid, || clock.check().is_ok())?;
            }
        }
        Ok(())
    };
    // It is nothing that this login needs.
    if clock.check().is_ok() {
        let _ = clear_up();
    }
}

/// Whether `path` is `top` or below it.
fn is_within(top: &CgroupPath, path: &CgroupPath) -> bool {
    top.suffix_of(path).is_some()
}
