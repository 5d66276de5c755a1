//! Cgroups of a container that are each where its configuration says
//! (`lxc.cgroup.dir.container`, `lxc.cgroup.dir.monitor`), and where a monitor ends.

use std::os::fd::AsFd;

use berth_cgroups::{CgroupDir, DelegatedBase};
use berth_kernel::fs;

use super::parent::Parent;
use super::place::{CgroupPlace, OneCgroup};
use super::{bound, fail, hand_on, kill};
use crate::error::{Error, Result};
use crate::start::plan::{ApartPlan, CgroupLimit, CgroupWay, StartPlan};
use crate::start::remains::{self, Root};

/// Marks a cgroup as a container's where its place does not; the value is the container. Whoever
/// is root in the container can change it: it keeps configurations apart, not processes.
const MARK: &str = "user.berth.container";

/// The cgroups, empty.
pub(super) struct Made {
    pub(super) monitor: CgroupDir,
    pub(super) payload: CgroupDir,
    pub(super) place: CgroupPlace,
}

/// Makes them, after what an aborted start left there; `limit` limits the container's. After an
/// error nothing is left but what leads there.
pub(super) fn make(
    base: &DelegatedBase,
    plan: &StartPlan,
    apart: &ApartPlan,
    limit: impl FnOnce(&CgroupDir) -> Result<()>,
) -> Result<Made> {
    let container = Slot::open(base, &apart.container, &plan.limits)?;
    let monitor = Slot::open(base, &apart.monitor, &plan.limits)?;
    let mark = mark(plan)?;
    let limited = container.make(&mark, plan)?;
    let made = monitor.make(&mark, plan).and_then(|monitor_dir| {
        let made = payload(&limited, apart.inner.as_ref(), &plan.limits).and_then(|payload| {
            limit(&limited)?;
            let path = container.path()?;
            let inner = apart.inner.iter().flat_map(|way| &way.names);
            let payload_path = inner.fold(path.as_path().to_owned(), |path, name| path.join(name));
            let place = CgroupPlace::Apart {
                container: OneCgroup::of(&limited, &path)?,
                payload: payload_path.display().to_string(),
                monitor: OneCgroup::of(&monitor_dir, &monitor.path()?)?,
            };
            Ok((payload, place))
        });
        match made {
            Ok((payload, place)) => Ok(Made {
                monitor: monitor_dir,
                payload,
                place,
            }),
            Err(error) => {
                monitor.unmake();
                Err(error)
            }
        }
    });
    if made.is_err() {
        container.unmake();
    }
    made
}

/// The cgroup in which a monitor ends. It may be that of many, and stays.
pub(super) fn pivot(
    base: &DelegatedBase,
    way: &CgroupWay,
    limits: &[CgroupLimit],
) -> Result<CgroupDir> {
    let slot = Slot::open(base, way, limits)?;
    let (dir, made) = slot
        .parent
        .dir
        .make_child_or_open(slot.name)
        .map_err(fail)?;
    if made {
        return Ok(dir);
    }
    if is_containers(&dir)? {
        return slot.refuse("is the cgroup of a container, and goes with that");
    }
    match dir.enabled_controllers().map_err(fail)?.is_empty() {
        true => Ok(dir),
        false => slot.refuse("is for cgroups below it, so no process can be in it"),
    }
}

/// Whether a cgroup is a container's: marked, or one that holds a container's own.
pub(super) fn is_containers(dir: &CgroupDir) -> Result<bool> {
    let children = dir.children().map_err(fail)?;
    let holds = |child: &std::ffi::OsString| child == berth_common::cgroup::PAYLOAD;
    Ok(children.iter().any(holds) || marked(dir)?.is_some())
}

/// Which container a cgroup was marked as.
pub(super) fn marked(dir: &CgroupDir) -> Result<Option<Vec<u8>>> {
    fs::xattr(dir.as_fd(), MARK).map_err(|error| Error::file("look at", dir.path(), error))
}

/// No two containers of an owner have the same.
pub(super) fn mark(plan: &StartPlan) -> Result<String> {
    let lxcpath = nix::sys::stat::stat(&plan.lxcpath)
        .map_err(|errno| Error::file("look at", &plan.lxcpath, errno.into()))?;
    Ok(format!(
        "{} {}:{}",
        plan.name, lxcpath.st_dev, lxcpath.st_ino
    ))
}

/// The container's own cgroup, below the one with the limits, which it cannot see.
fn payload(
    limited: &CgroupDir,
    inner: Option<&CgroupWay>,
    limits: &[CgroupLimit],
) -> Result<CgroupDir> {
    let mut dir = limited.try_clone().map_err(fail)?;
    for name in inner.iter().flat_map(|way| &way.names) {
        hand_on(&dir, limits)?;
        dir = dir.make_child(name).map_err(fail)?;
    }
    bound(&dir)?;
    Ok(dir)
}

/// A place for one cgroup.
struct Slot<'w> {
    parent: Parent,
    name: &'w str,
    at: &'w str,
}

impl<'w> Slot<'w> {
    /// Opens what leads there.
    fn open(base: &DelegatedBase, way: &'w CgroupWay, limits: &[CgroupLimit]) -> Result<Self> {
        let Some((name, above)) = way.names.split_last() else {
            return Err(Error::other(format!("{}: expected a path", way.at)));
        };
        Ok(Self {
            parent: Parent::open(base, &way.at, above, limits)?,
            name,
            at: &way.at,
        })
    }

    fn path(&self) -> Result<berth_cgroups::CgroupPath> {
        self.parent.path.child(self.name).map_err(fail)
    }

    fn refuse<T>(&self, why: &str) -> Result<T> {
        Err(Error::other(format!(
            "{}: {} {why}; choose another name",
            self.at,
            self.path()?
        )))
    }

    fn make(&self, mark: &str, plan: &StartPlan) -> Result<CgroupDir> {
        match self.parent.dir.child(self.name) {
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(fail(error)),
            Ok(there) => self.clear(there, mark, plan)?,
        }
        let (dir, made) = self
            .parent
            .dir
            .make_child_or_open(self.name)
            .map_err(fail)?;
        if !made {
            return self.refuse("is being made for another container");
        }
        match fs::set_xattr(dir.as_fd(), MARK, mark.as_bytes()) {
            Ok(()) => Ok(dir),
            Err(error) => {
                self.unmake();
                Err(Error::other(format!(
                    "{}: a cgroup cannot be marked as the container's ({error}); expected Linux 5.7 \
                     or later",
                    self.at
                )))
            }
        }
    }

    /// Removes what a start of the same container left that was killed, or an empty one that led
    /// to others.
    fn clear(&self, there: CgroupDir, mark: &str, plan: &StartPlan) -> Result<()> {
        match marked(&there)? {
            Some(found) if found == mark.as_bytes() => {
                kill(&there)?;
                remains::empty(&there, Root::Ids(&plan.idmap))?;
            }
            Some(_) => return self.refuse("is the cgroup of another container"),
            None if there.is_populated().map_err(fail)?
                || !there.children().map_err(fail)?.is_empty() =>
            {
                return self.refuse("is there already, and in use");
            }
            None => {}
        }
        drop(there);
        self.parent.dir.remove_tree(self.name).map_err(fail)?;
        Ok(())
    }

    /// Nobody was in it yet. The first error is the one to tell.
    fn unmake(&self) {
        let _ = self.parent.dir.remove_tree(self.name);
    }
}
