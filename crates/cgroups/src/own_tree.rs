//! Users' lasting cgroups on hosts without systemd: `/berth/user-UID` below the init system's own
//! cgroup.
//!
//! `/berth` is root's and hands controllers on. `user-UID` was made by root and delegated: its
//! directory and the files of the delegation set are the user's, its limits stay root's. Nothing
//! here takes a lock, since whoever can open a cgroup's directory can lock it and keep root
//! waiting: each step is one that the kernel does whole, and who finds a cgroup removed under him
//! begins again.

use crate::{CgroupDir, CgroupPath, DelegationSet, Error, Hierarchy, LimitSetting, Result, leaf};
use berth_common::{Gid, Uid, cgroup};
use berth_kernel::fs;
use std::os::fd::AsFd;

/// The controllers that reach users unless told otherwise. `cpuset` is not among them: turned on
/// anywhere, it changes where processes of the whole machine may run.
pub const CONTROLLERS: [&str; 4] = ["cpu", "io", "memory", "pids"];

/// How many users' cgroups one look takes into account.
const MAX_USERS: usize = 4096;

/// On a user's cgroup: it is to stay though nobody is in it.
const KEEP: &str = "trusted.berth.keep";

/// The tree of all users.
#[derive(Debug)]
pub struct OwnTree<'a> {
    hierarchy: &'a Hierarchy,
    root: CgroupPath,
}

/// A user's lasting cgroup as it was made or found.
#[derive(Debug)]
pub struct OwnBase {
    /// Where it is.
    pub path: CgroupPath,
    /// The cgroup.
    pub dir: CgroupDir,
    /// Where its processes sit.
    pub leaf: CgroupDir,
    /// Controllers that do not reach it, and why.
    pub refused: Vec<(String, Error)>,
    /// Limits that are not in force, by their place among those given, and why.
    pub unset: Vec<(usize, Error)>,
}

impl<'a> OwnTree<'a> {
    /// The tree of this hierarchy, whether it is there or not.
    pub fn new(hierarchy: &'a Hierarchy) -> Self {
        let root = hierarchy.init_root();
        Self { hierarchy, root }
    }

    /// Where a user's lasting cgroup is.
    pub fn path_of(&self, uid: Uid) -> CgroupPath {
        let name = name_of(uid);
        // Both are single components.
        [cgroup::OWN_TREE, &name]
            .iter()
            .fold(self.root.clone(), |path, name| {
                path.child(name).unwrap_or(path)
            })
    }

    /// Makes a user's lasting cgroup and its leaf, or finds them, and sets his limits. `go_on` is
    /// asked before each step; a no ends with [`Error::OutOfTime`]. Until the cgroup's directory,
    /// which comes last, is the user's, every program takes it for an undelegated one.
    ///
    /// [`Error::is_not_found`] means that it was removed meanwhile, being empty: begin again.
    pub fn make(
        &self,
        (uid, gid): (Uid, Gid),
        controllers: &[&str],
        limits: &[&LimitSetting],
        mut go_on: impl FnMut() -> bool,
    ) -> Result<OwnBase> {
        let path = self.path_of(uid);
        let mut check = || {
            go_on().then_some(()).ok_or_else(|| Error::OutOfTime {
                path: self.hierarchy.full_path(&path),
            })
        };
        check()?;
        let root = self.hierarchy.open(&self.root)?;
        // What a limit needs reaches the user's cgroup, though not what is below it.
        let mut wanted = controllers.to_vec();
        for controller in limits.iter().filter_map(|limit| limit.controller()) {
            if !wanted.contains(&controller) {
                wanted.push(controller);
            }
        }
        let mut refused = hand_on(&root, &wanted)?;
        check()?;
        let tree = roots(root.make_child(cgroup::OWN_TREE)?, None)?;
        refused.extend(hand_on(&tree, &wanted)?);
        check()?;
        let dir = roots(tree.make_child(name_of(uid))?, Some(uid))?;
        let failed = |(place, limit): (usize, &&LimitSetting)| {
            limit.apply(&dir).err().map(|error| (place, error))
        };
        let unset = limits.iter().enumerate().filter_map(failed).collect();
        check()?;
        let leaf = leaf::make(&dir, || check().is_ok())?;
        check()?;
        let set = DelegationSet::of_kernel()?;
        // What is the user's already is his to arrange.
        if !dir.is_owned_by(uid)? {
            // Before the leaf changes hands, as in a session's scope.
            refused.extend(hand_on(&dir, controllers)?);
            check()?;
            leaf.delegate_files_to(&set, uid, gid)?;
            check()?;
            dir.delegate_files_to(&set, uid, gid)?;
        } else if !leaf.is_owned_by(uid)? {
            leaf.delegate_files_to(&set, uid, gid)?;
        }
        Ok(OwnBase {
            path,
            dir,
            leaf,
            refused,
            unset,
        })
    }

    /// Says whether a user's lasting cgroup is to stay though nobody is in it.
    pub fn keep(&self, base: &OwnBase, keep: bool) -> Result<()> {
        let fd = base.dir.as_fd();
        let error = |error| Error::io("mark the cgroup", base.dir.path(), error);
        let marked = fs::xattr(fd, KEEP).map_err(error)?.as_deref() == Some(b"1");
        if marked == keep {
            return Ok(());
        }
        fs::set_xattr(fd, KEEP, if keep { b"1" } else { b"0" }).map_err(error)
    }

    /// Removes a user's lasting cgroup with the empty ones below it, if nothing lives there.
    /// Returns whether it is gone. `go_on` is asked before each step.
    pub fn prune(&self, uid: Uid, go_on: impl FnMut() -> bool) -> Result<bool> {
        let Some(tree) = self.open()? else {
            return Ok(true);
        };
        let name = name_of(uid);
        match tree.child(&name).and_then(|dir| dir.is_populated()) {
            Ok(false) => {}
            Ok(true) => return Ok(false),
            Err(error) if error.is_not_found() => return Ok(true),
            Err(error) => return Err(error),
        }
        match tree.remove_tree_while(&name, go_on) {
            Ok(_) => Ok(true),
            // Somebody came meanwhile.
            Err(error) if error.errno() == Some(libc::EBUSY) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The users whose lasting cgroup has had nobody in it for at least so many seconds, as far
    /// as the directory's time tells, except those that are to stay.
    pub fn idle(&self, seconds: i64, now: i64) -> Result<Vec<Uid>> {
        let Some(tree) = self.open()? else {
            return Ok(Vec::new());
        };
        let mut idle = Vec::new();
        for name in tree.children_up_to(MAX_USERS)? {
            let uid = name
                .to_str()
                .and_then(|name| name.strip_prefix(cgroup::OWN_TREE_USER_PREFIX))
                .and_then(|uid| uid.parse::<Uid>().ok());
            let (Some(uid), Ok(dir)) = (uid, tree.child(&name)) else {
                continue;
            };
            let old = fs::status(dir.as_fd())
                .is_ok_and(|status| now.saturating_sub(status.modified) >= seconds);
            let kept = fs::xattr(dir.as_fd(), KEEP).ok().flatten();
            let stays = kept.as_deref() == Some(b"1");
            if old && !stays && dir.is_populated().is_ok_and(|populated| !populated) {
                idle.push(uid);
            }
        }
        Ok(idle)
    }

    fn open(&self) -> Result<Option<CgroupDir>> {
        let path = self.root.child(cgroup::OWN_TREE)?;
        match self.hierarchy.open(&path) {
            Ok(tree) => Ok(Some(tree)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn name_of(uid: Uid) -> String {
    format!("{}{uid}", cgroup::OWN_TREE_USER_PREFIX)
}

/// Refuses a cgroup that is neither root's nor `or`'s.
fn roots(dir: CgroupDir, or: Option<Uid>) -> Result<CgroupDir> {
    let uid = dir.owner()?.0;
    if uid == Uid::ROOT.raw() || or.is_some_and(|or| uid == or.raw()) {
        Ok(dir)
    } else {
        Err(Error::Foreign {
            path: dir.path().to_owned(),
            uid,
        })
    }
}

/// Hands these controllers on to a cgroup's children, as far as they reach it. With processes in
/// it the kernel would refuse some and make the cgroup the root of a threaded tree for others,
/// except at the true root; then none is turned on.
fn hand_on(dir: &CgroupDir, wanted: &[&str]) -> Result<Vec<(String, Error)>> {
    let on = dir.enabled_controllers()?;
    let available = dir.controllers()?;
    let missing: Vec<&str> = wanted
        .iter()
        .copied()
        .filter(|name| available.iter().any(|one| one == name) && !on.iter().any(|one| one == name))
        .collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    if !dir.is_true_root()? && !dir.processes()?.is_empty() {
        let refused = missing.into_iter().map(|name| {
            let path = dir.path().to_owned();
            (name.to_owned(), Error::NotDrained { path })
        });
        return Ok(refused.collect());
    }
    Ok(dir.enable_controllers(missing)?.refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Subtree;

    /// Logins and logouts of one user at the same time: each finds what the others are removing.
    #[test]
    fn logins_and_logouts_at_once_do_not_disturb_each_other() {
        const THREADS: usize = 6;
        const ROUNDS: usize = 60;
        const ATTEMPTS: usize = 64;
        let subtree = Subtree::new();
        let daemon = subtree.make("openrc.sshd");
        let alice = (Uid::new(4242).unwrap(), Gid::new(4243).unwrap());
        let tree = OwnTree::new(subtree.hierarchy());
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let sleeper = subtree.sleeper(&daemon);
                    let enter = || {
                        let base = tree.make(alice, &[], &[], || true)?;
                        base.leaf.move_process(sleeper.pid())
                    };
                    for _ in 0..ROUNDS {
                        let entered = (0..ATTEMPTS)
                            .map(|_| enter())
                            .find(|result| !matches!(result, Err(error) if error.is_not_found()));
                        entered.expect("beginning again has an end").unwrap();
                        daemon.move_process(sleeper.pid()).unwrap();
                        tree.prune(alice.0, || true).unwrap();
                    }
                });
            }
        });
        let left = subtree.top().child(cgroup::OWN_TREE).unwrap();
        assert!(
            left.children().unwrap().is_empty(),
            "the last one removed it"
        );
    }
}
