//! Whose the place is where a login sits: ours to choose, or that of whoever keeps his books in
//! the hierarchy.

use berth_cgroups::CgroupPath;
use berth_cgroups::legacy::LegacyHierarchy;
use berth_common::{Uid, unit};
use std::ffi::OsStr;

/// systemd's own hierarchy: it tells by it which process is of which unit.
const SYSTEMD: &str = "name=systemd";
/// elogind's: it finds a process's session by it.
const ELOGIND: &str = "name=elogind";

/// What may be done with a login in one hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Move it to a cgroup of its user.
    Ours,
    /// systemd has made it a scope of the session's in its own hierarchy. It stays there; if
    /// systemd delegated the scope it becomes the user's.
    Session,
    /// Leave it where it is, for this reason.
    Kept(&'static str),
}

/// Where the process of a login by `uid` sits in this hierarchy, and what that means.
pub(super) fn of(hierarchy: &LegacyHierarchy, uid: Uid) -> Place {
    if hierarchy.has(ELOGIND) {
        return Place::Kept("elogind's own");
    }
    let below = hierarchy.init().suffix_of(hierarchy.own());
    let names: Vec<_> = below.into_iter().flatten().collect();
    let is_systemds = hierarchy.has(SYSTEMD);
    match &names[..] {
        [top, slice, scope] if *top == unit::USER_SLICE && is_session(scope) => {
            if slice.to_str() != Some(&unit::user_slice(uid)) {
                Place::Kept("the session is another user's")
            } else if is_systemds {
                Place::Session
            } else {
                Place::Kept("systemd gave the session its place")
            }
        }
        // The user's limits are there, or another's: leaving would lift them.
        [top, ..] if *top == unit::USER_SLICE => Place::Kept("systemd gave the user his place"),
        // The login managers of 2014.
        [.., user, session] if ends(user, ".user") && ends(session, ".session") => {
            if user.to_str() == Some(&format!("{uid}.user")) {
                Place::Kept("logind gave the session its place")
            } else {
                Place::Kept("the session is another user's")
            }
        }
        [top, ..] if is_systemds && is_unit(top) => Place::Kept("a unit of systemd's"),
        _ => Place::Ours,
    }
}

/// Whether a process in `own` of version 2 belongs to no login manager's session and to no unit.
pub(super) fn is_free(root: &CgroupPath, own: &CgroupPath, session: Option<&str>) -> bool {
    let top = root.suffix_of(own).and_then(|below| below.iter().next());
    match top {
        // Above the init system's own: nothing is known of it.
        None if root != own => false,
        None => true,
        // elogind names a session's cgroup after it.
        Some(top) => !is_unit(top) && session.is_none_or(|id| top != id),
    }
}

fn is_session(name: &OsStr) -> bool {
    let name = name.to_str();
    name.is_some_and(|name| name.starts_with("session-") && name.ends_with(".scope"))
}

fn is_unit(name: &OsStr) -> bool {
    [".slice", ".scope", ".service"]
        .iter()
        .any(|kind| ends(name, kind))
}

fn ends(name: &OsStr, end: &str) -> bool {
    name.to_str().is_some_and(|name| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_cgroups::legacy::Hierarchies;

    fn place(name: &str, own: &str, init: &str) -> Place {
        let mounts = format!("9 8 0:9 / /sys/fs/cgroup/x rw - cgroup cgroup rw,xattr,{name}\n");
        let line = |path| format!("3:{name}:{path}\n");
        let all = Hierarchies::parse(
            mounts.as_bytes(),
            line(own).as_bytes(),
            line(init).as_bytes(),
        );
        of(all.iter().next().unwrap(), Uid::new(1000).unwrap())
    }

    #[test]
    fn who_gave_a_login_its_place() {
        let own = "/user.slice/user-1000.slice/session-3.scope";
        let other = "/user.slice/user-1001.slice/session-3.scope";
        let manager = "/user.slice/user-1000.slice/user@1000.service";
        let cases = [
            ("memory", "/", "/", None),
            ("memory", "/user/alice/0", "/", None),
            ("memory", "/sshd", "/init.scope", None),
            ("memory", "/system.slice/cron.service", "/", None),
            ("memory", "/ct", "/ct", None),
            (
                "memory",
                own,
                "/init.scope",
                Some("systemd gave the session"),
            ),
            ("memory", other, "/", Some("another user's")),
            ("memory", manager, "/", Some("systemd gave the user")),
            ("name=systemd", "/", "/", None),
            ("name=systemd", other, "/", Some("another user's")),
            ("name=systemd", manager, "/", Some("systemd gave the user")),
            (
                "name=systemd",
                "/system.slice/cron.service",
                "/",
                Some("a unit"),
            ),
            (
                "name=systemd",
                "/user/1000.user/c2.session",
                "/",
                Some("logind"),
            ),
            (
                "freezer",
                "/user/1001.user/c2.session",
                "/",
                Some("another user's"),
            ),
            ("name=elogind", "/c1", "/", Some("elogind")),
            ("name=openrc", "/sshd", "/", None),
        ];
        for (name, own, init, kept) in cases {
            match (place(name, own, init), kept) {
                (Place::Ours, None) => {}
                (Place::Kept(why), Some(part)) if why.contains(part) => {}
                other => panic!("{name}:{own}: {other:?}"),
            }
        }
        assert_eq!(place("name=systemd", own, "/init.scope"), Place::Session);
        let inner = format!("/ct{own}");
        assert_eq!(
            place("name=systemd", &inner, "/ct/init.scope"),
            Place::Session
        );
    }

    #[test]
    fn who_has_a_login_in_version_2() {
        let path = |text: &str| CgroupPath::new(text).unwrap();
        let free = |own: &str, id| is_free(&CgroupPath::root(), &path(own), id);
        for own in ["/", "/openrc.sshd", "/user/alice/0/init.scope", "/sshd"] {
            assert!(free(own, Some("c1")) && free(own, None), "{own}");
        }
        assert!(!free("/c1", Some("c1")));
        assert!(!free("/user.slice/user-1000.slice/session-3.scope", None));
        assert!(!free("/system.slice/cron.service", None));
        assert!(!free("/init.scope", None));
        assert!(is_free(&path("/ct"), &path("/ct/sshd"), None));
        assert!(!is_free(&path("/ct"), &path("/elsewhere"), None));
    }
}
