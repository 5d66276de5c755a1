//! The cgroup that a container's is made in: the delegated one, or one below it
//! (`lxc.cgroup.dir`).

use berth_cgroups::{CgroupDir, CgroupPath, DelegatedBase};
use berth_common::cgroup;

use super::apart::{is_containers, mark, marked};
use super::{fail, hand_on};
use crate::error::{Error, Result};
use crate::start::plan::{CgroupLimit, StartPlan};

/// An open cgroup in which containers' are made.
pub(super) struct Parent {
    pub(super) dir: CgroupDir,
    pub(super) path: CgroupPath,
}

impl Parent {
    /// Opens it. What is missing on the way is made and stays, as for LXC: who sets limits there
    /// finds them again. After an error nothing is left of it.
    pub(super) fn open(
        base: &DelegatedBase,
        at: &str,
        names: &[String],
        limits: &[CgroupLimit],
    ) -> Result<Self> {
        let mut parent = Self {
            dir: base.dir().try_clone().map_err(fail)?,
            path: base.path().clone(),
        };
        let mut first_made = None;
        for name in names {
            match parent.step(name, at, limits) {
                Ok((next, made)) => {
                    let above = std::mem::replace(&mut parent, next);
                    if made && first_made.is_none() {
                        first_made = Some((above, name));
                    }
                }
                Err(error) => {
                    // Nobody is in it yet. The first error is the one to tell.
                    drop(first_made.map(|(above, name)| above.dir.remove_tree(name)));
                    return Err(error);
                }
            }
        }
        Ok(parent)
    }

    fn step(&self, name: &str, at: &str, limits: &[CgroupLimit]) -> Result<(Self, bool)> {
        let (dir, made) = self.dir.make_child_or_open(name).map_err(fail)?;
        let next = Self {
            dir,
            path: self.path.child(name).map_err(fail)?,
        };
        let refuse = |why: &str| {
            Err(Error::other(format!(
                "{at}: {} {why}; choose another name",
                next.path
            )))
        };
        if !made && is_containers(&next.dir)? {
            return refuse("is the cgroup of a container, and goes with that");
        }
        match hand_on(&next.dir, limits) {
            Ok(()) => Ok((next, made)),
            Err(error) => {
                if made {
                    let _ = self.dir.remove_child(name);
                }
                Err(error)
            }
        }
    }

    /// A container's cgroup is removed with all that is in it: that must be the container's.
    pub(super) fn refuse_others_below(&self, plan: &StartPlan) -> Result<()> {
        let there = match self.dir.child(plan.name.as_str()) {
            Ok(there) => there,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(fail(error)),
        };
        let ours =
            |child: &std::ffi::OsString| child == cgroup::MONITOR || child == cgroup::PAYLOAD;
        let is_others = match marked(&there)? {
            Some(found) => found != mark(plan)?.as_bytes(),
            None => false,
        };
        let children = there.children().map_err(fail)?;
        // A container's processes are in those two.
        let is_others = is_others || children.is_empty() && there.is_populated().map_err(fail)?;
        match !is_others && children.iter().all(ours) {
            true => Ok(()),
            false => Err(Error::other(format!(
                "the cgroup {} holds others than this container's (is it named in another one's \
                 lxc.cgroup.dir?)",
                there.path().display()
            ))),
        }
    }
}
