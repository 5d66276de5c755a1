//! The cgroup that belongs to a user, and its leaf.

use crate::dir::Controllers;
use crate::{CgroupDir, CgroupPath, Error, Hierarchy, OwnTree, Result};
use berth_common::{Uid, cgroup, unit};
use berth_kernel::cred;

/// A cgroup delegated to a user. Processes never sit in it directly but in its leaf
/// `init.scope`, since a cgroup with processes cannot hand controllers on; containers' cgroups
/// are the leaf's siblings.
#[derive(Debug)]
pub struct DelegatedBase {
    dir: CgroupDir,
    path: CgroupPath,
}

impl DelegatedBase {
    /// The delegated cgroup in which the caller sits, be it directly, in the leaf or deeper.
    ///
    /// Going up from the caller's cgroup as long as the cgroup is the effective user's, it is
    /// the first one that systemd marked as delegated. Without any mark (no systemd, or one
    /// before 251) it is the topmost, or what elogind has delegated in it
    /// (`DelegateSessionCgroups=`) for a caller in that session. The cgroup of the user's service manager (`user@…`) is
    /// never taken: it is the user's, but its inside is that manager's business. Root owns
    /// nearly every cgroup, so for root only a marked one counts.
    pub fn of_caller(hierarchy: &Hierarchy) -> Result<Option<Self>> {
        Self::around(hierarchy, hierarchy.path_of_self()?, cred::effective_uid())
    }

    /// As [`Self::of_caller`] for a process in `path` whose effective user is `uid`.
    pub fn around(hierarchy: &Hierarchy, path: CgroupPath, uid: Uid) -> Result<Option<Self>> {
        let mut topmost: Option<Self> = None;
        let mut below_topmost = None;
        // Whose the leaf is says nothing: a session's stays root's.
        let leaf = path.name().is_some_and(|name| name == cgroup::LEAF);
        let mut here = if leaf { path.parent() } else { Some(path) };
        while let Some(path) = here {
            let dir = match hierarchy.open(&path) {
                Ok(dir) => dir,
                Err(error) if error.is_permission_denied() => break,
                Err(error) => return Err(error),
            };
            // A root cgroup has no such files in every kernel's eyes; it is nobody's.
            match dir.is_owned_by(uid) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if error.is_not_found() => break,
                Err(error) => return Err(error),
            }
            if is_service_manager(&path) {
                return Ok(None);
            }
            let parent = path.parent();
            let marked =
                dir.is_marked_delegated()? || (!uid.is_root() && is_unit_of_container(&path));
            let base = Self { dir, path };
            if marked {
                return Ok(Some(base));
            }
            below_topmost = topmost.replace(base).map(|base| base.path);
            here = parent;
        }
        let topmost = topmost.filter(|_| !uid.is_root());
        let Some(session) = &topmost else {
            return Ok(None);
        };
        let in_layout = below_topmost.is_some_and(|path| {
            [cgroup::ELOGIND_LEAF, cgroup::ELOGIND_DELEGATED]
                .iter()
                .any(|name| path.name().is_some_and(|own| own == *name))
        });
        // Containers may have these names, too, but then there is our leaf beside them.
        if in_layout
            && session.dir.child(cgroup::LEAF).is_err()
            && session.dir.child(cgroup::ELOGIND_LEAF).is_ok()
            && let Ok(dir) = session.dir.child(cgroup::ELOGIND_DELEGATED)
            && dir.is_owned_by(uid)?
        {
            let path = session.path.child(cgroup::ELOGIND_DELEGATED)?;
            return Ok(Some(Self { dir, path }));
        }
        Ok(topmost)
    }

    /// The user's lasting delegated cgroup, if it is there and his.
    pub fn lasting_of(hierarchy: &Hierarchy, uid: Uid) -> Result<Option<Self>> {
        for path in lasting_paths(hierarchy, uid) {
            let dir = match hierarchy.open(&path) {
                Ok(dir) => dir,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            match dir.is_owned_by(uid) {
                Ok(true) => return Ok(Some(Self { dir, path })),
                Ok(false) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Whether this is the lasting one of that user, which outlives his sessions.
    pub fn is_lasting(&self, hierarchy: &Hierarchy, uid: Uid) -> bool {
        lasting_paths(hierarchy, uid).contains(&self.path)
    }

    /// Makes the leaf `init.scope` if need be and moves every process there that sits directly
    /// in the delegated cgroup. Returns the leaf.
    pub fn drain_into_leaf(&self) -> Result<CgroupDir> {
        let leaf = self.dir.make_child(cgroup::LEAF)?;
        self.dir.drain_into(&leaf, || true)?;
        Ok(leaf)
    }

    /// Hands every controller that reaches the delegated cgroup on to its children. Refused
    /// ([`Error::NotDrained`]) while processes sit directly in it: the kernel would take `cpu`
    /// and `pids` all the same, make the cgroup the root of a threaded tree by that, and let no
    /// process move into the leaf any more (`EOPNOTSUPP`; measured on 6.1).
    pub fn enable_available_controllers(&self) -> Result<Controllers> {
        if !self.dir.processes()?.is_empty() {
            return Err(Error::NotDrained {
                path: self.dir.path().to_owned(),
            });
        }
        self.dir.enable_available_controllers()
    }

    /// Whether nothing lives here but processes of the holder's own, in the leaf. A cgroup that was
    /// removed meanwhile is idle.
    pub fn is_idle(&self, is_own: impl Fn(i32) -> bool) -> Result<bool> {
        let look = || -> Result<bool> {
            for name in self.dir.children()? {
                if name != cgroup::LEAF && self.dir.child(&name)?.is_populated()? {
                    return Ok(false);
                }
            }
            let mut here = self.dir.child(cgroup::LEAF)?.processes_below()?;
            here.extend(self.dir.processes()?);
            Ok(here.into_iter().all(is_own))
        };
        match look() {
            Err(error) if error.is_not_found() => Ok(!self.dir.is_populated().unwrap_or(false)),
            other => other,
        }
    }

    /// Its place in the hierarchy.
    pub fn path(&self) -> &CgroupPath {
        &self.path
    }

    /// The open directory.
    pub fn dir(&self) -> &CgroupDir {
        &self.dir
    }
}

/// Where a user's lasting delegated cgroup may be: the service's on systemd, below the init
/// system's own cgroup elsewhere.
pub fn lasting_paths(hierarchy: &Hierarchy, uid: Uid) -> [CgroupPath; 2] {
    let root = hierarchy.init_root();
    let below = |names: &[&str]| {
        // Each name is a single component, whatever the number in it.
        names
            .iter()
            .fold(root.clone(), |path, name| path.child(name).unwrap_or(path))
    };
    [
        below(&[
            unit::USER_SLICE,
            &unit::user_slice(uid),
            &unit::lasting_base(uid),
        ]),
        OwnTree::new(hierarchy).path_of(uid),
    ]
}

/// A user's service manager does not mark what it delegates (systemd 252), but these units are ours and
/// say `Delegate=yes`. The host's marks them.
fn is_unit_of_container(path: &CgroupPath) -> bool {
    path.name()
        .and_then(|name| name.to_str())
        .is_some_and(unit::is_of_container)
}

fn is_service_manager(path: &CgroupPath) -> bool {
    path.name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| {
            name.strip_prefix("user@")
                .and_then(|rest| rest.strip_suffix(".service"))
                .is_some_and(|uid| uid.parse::<Uid>().is_ok())
        })
}
