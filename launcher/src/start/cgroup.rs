//! A container's cgroup: below its owner's delegated one, with a place for the monitor and one
//! for the container itself.

mod apart;
mod parent;
mod place;
mod roots;

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use berth_cgroups::{CgroupDir, DelegatedBase, Hierarchy};
use berth_common::{ContainerName, cgroup};
use berth_container_config::IdMapping;
use berth_kernel::cred;

use super::plan::{CgroupLimit, CgroupPlaces, CgroupWay, StartPlan};
use super::remains::{self, Root};
use crate::error::{Error, Result};
use crate::systemd::has_systemd;
use parent::Parent;
pub use place::CgroupPlace;

/// How long processes get to vanish after they were killed.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Where containers that are started now have their cgroups.
#[derive(Debug)]
pub struct Base {
    base: DelegatedBase,
}

/// A container's cgroup.
#[derive(Debug)]
pub struct ContainerCgroup {
    place: CgroupPlace,
    /// The monitor's.
    pub monitor: CgroupDir,
    /// The container's own.
    pub payload: CgroupDir,
    /// Where processes of the owner sit that belong to no container.
    pub leaf: Option<CgroupDir>,
    /// Where the monitor ends, if that is said.
    pivot: Option<CgroupDir>,
}

impl Base {
    /// The delegated cgroup that the caller sits in; root's own one where nobody but he arranges
    /// cgroups. `None` where there is neither, or where the host has no cgroup v2.
    pub fn of_caller() -> Result<Option<Self>> {
        let Ok(hierarchy) = Hierarchy::detect() else {
            return Ok(None);
        };
        let mut base = DelegatedBase::of_caller(&hierarchy).map_err(fail)?;
        if base.is_none() && cred::effective_uid().is_root() && !has_systemd() {
            // One that cannot be had (read-only, in a container) is missed by who asks for limits.
            base = roots::own(&hierarchy).unwrap_or_default();
        }
        Ok(base.map(|base| Self { base }))
    }

    /// Moves processes that sit in the delegated cgroup itself to its leaf, as [`Base::make`] does
    /// for one container.
    pub fn prepare(&self) -> Result<()> {
        match self.base.dir().processes().map_err(fail)?.is_empty() {
            true => Ok(()),
            false => self.base.drain_into_leaf().map(drop).map_err(fail),
        }
    }

    /// Makes a container's cgroups and sets its limits.
    ///
    /// The caller must not have processes in the delegated cgroup itself; if it has (a session
    /// without our PAM module), they are moved to the leaf, as the kernel wants it.
    /// What a container of that name and with the same ids left is removed first. After an error
    /// nothing is left.
    pub fn make(&self, plan: &StartPlan) -> Result<ContainerCgroup> {
        let dir = self.base.dir();
        let leaf = if dir.processes().map_err(fail)?.is_empty() {
            match dir.child(cgroup::LEAF) {
                Err(error) if error.is_not_found() => None,
                // Without it nobody could remove the container's cgroup after its end.
                other => Some(other.map_err(fail)?),
            }
        } else {
            Some(self.base.drain_into_leaf().map_err(fail)?)
        };
        hand_on(dir, &plan.limits)?;
        let pivot = match &plan.cgroup.pivot {
            Some(way) => Some(apart::pivot(&self.base, way, &plan.limits)?),
            None => None,
        };
        let limit = |limited: &CgroupDir| {
            for limit in &plan.limits {
                let set = limit.setting.apply(limited);
                set.map_err(|error| Error::other(format!("{}: {error}", limit.at)))?;
            }
            plan.devices.as_ref().map_or(Ok(()), |devices| {
                limited.filter_devices(devices).map_err(fail)
            })
        };
        let made = match &plan.cgroup.places {
            CgroupPlaces::Together(below) => self.together(plan, below.as_ref(), limit)?,
            CgroupPlaces::Apart(apart) => apart::make(&self.base, plan, apart, limit)?,
        };
        Ok(ContainerCgroup {
            place: made.place,
            monitor: made.monitor,
            payload: made.payload,
            leaf,
            pivot,
        })
    }

    /// Both in one.
    fn together(
        &self,
        plan: &StartPlan,
        below: Option<&CgroupWay>,
        limit: impl FnOnce(&CgroupDir) -> Result<()>,
    ) -> Result<apart::Made> {
        let name = &plan.name;
        let (at, names) = below.map_or(("", &[][..]), |way| (&way.at, &way.names));
        let parent = Parent::open(&self.base, at, names, &plan.limits)?;
        parent.refuse_others_below(plan)?;
        let (dir, path) = (&parent.dir, parent.path.child(name.as_str()).map_err(fail)?);
        // Never one that was there before: where `cgroup.kill` was written to a cgroup, some
        // kernels (seen on 6.18) kill at once what clone3 puts into it from elsewhere.
        // It may hold what is the container's ids', and a monitor whose starter was killed.
        let place = CgroupPlace::Together(path.as_path().display().to_string());
        if dir.remove_tree(name.as_str()).is_err() {
            place.remove(&plan.idmap)?;
        }
        match make_below(dir, name, &plan.limits, limit) {
            Ok((monitor, payload)) => Ok(apart::Made {
                monitor,
                payload,
                place,
            }),
            Err(error) => {
                // Nobody was in it yet. The first error is the one to tell.
                let _ = dir.remove_tree(name.as_str());
                Err(error)
            }
        }
    }
}

/// Makes the cgroups of the monitor and of the payload, which `limit` limits.
fn make_below(
    dir: &CgroupDir,
    name: &ContainerName,
    limits: &[CgroupLimit],
    limit: impl FnOnce(&CgroupDir) -> Result<()>,
) -> Result<(CgroupDir, CgroupDir)> {
    let container = dir.make_child(name.as_str()).map_err(fail)?;
    hand_on(&container, limits)?;
    let monitor = container.make_child(cgroup::MONITOR).map_err(fail)?;
    let payload = container.make_child(cgroup::PAYLOAD).map_err(fail)?;
    bound(&payload)?;
    limit(&payload)?;
    Ok((monitor, payload))
}

/// Whoever is root inside may make cgroups; not more, and not deeper, than can be removed. A
/// limit of the container's own configuration comes after this.
fn bound(payload: &CgroupDir) -> Result<()> {
    for (file, most) in [
        ("cgroup.max.depth", cgroup::MAX_DEPTH),
        ("cgroup.max.descendants", cgroup::MAX_DESCENDANTS),
    ] {
        payload.write(file, &most.to_string()).map_err(fail)?;
    }
    Ok(())
}

/// Enables what reaches a cgroup for its children; what is missing and `limits` need is refused where
/// the limit is set, with the reason.
fn hand_on(dir: &CgroupDir, limits: &[CgroupLimit]) -> Result<()> {
    let available = dir.controllers().map_err(fail)?;
    let enabled = dir.enabled_controllers().map_err(fail)?;
    let missing: Vec<&str> = available
        .iter()
        .map(String::as_str)
        .filter(|controller| !enabled.iter().any(|on| on == controller))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let done = dir
        .enable_controllers(missing.iter().copied())
        .map_err(fail)?;
    for (controller, why) in &done.refused {
        let needs = |limit: &&CgroupLimit| limit.setting.controller() == Some(controller.as_str());
        if let Some(limit) = limits.iter().find(needs) {
            return Err(Error::other(format!(
                "{}: cannot enable the {controller} controller in {}: {why}",
                limit.at,
                dir.path().display()
            )));
        }
    }
    Ok(())
}

impl ContainerCgroup {
    /// All its descriptors.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let always = [&self.monitor, &self.payload].into_iter();
        always.chain(&self.leaf).chain(&self.pivot).map(AsFd::as_fd)
    }

    /// Its place in the hierarchy.
    pub fn place(&self) -> &CgroupPlace {
        &self.place
    }

    /// Moves the calling monitor to where it is said to end, and removes all that is the
    /// container's. `false`: nothing is said, or that cgroup is gone.
    pub fn leave(&self, ids: &[IdMapping]) -> Result<bool> {
        match &self.pivot {
            Some(pivot) if pivot.move_self().is_ok() => self.place.remove(ids).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Ends every process of the container and waits until they are gone. Not by `cgroup.kill`:
    /// the cgroup may be used again (see [`Base::make`]).
    pub fn kill_payload(&self) -> Result<()> {
        if !self.payload.is_populated().map_err(fail)? {
            return Ok(());
        }
        match self.payload.kill_one_by_one() {
            // Whose directories cannot be looked into.
            Err(error) if error.is_permission_denied() => self.payload.kill().map_err(fail)?,
            other => other.map_err(fail)?,
        }
        wait_for_the_end(&self.payload)
    }

    /// Removes what the container left in its own cgroup, not the cgroup itself.
    pub fn clear_payload(&self, root: Root<'_>) -> Result<()> {
        remains::empty(&self.payload, root)
    }
}

/// Why the caller can have no cgroup for a container, and what would be right.
pub fn why_none() -> &'static str {
    if Hierarchy::detect().is_err() {
        return "this host has no cgroup v2 hierarchy (an administrator makes one with: mount -t \
                cgroup2 cgroup2 /sys/fs/cgroup)";
    }
    match cred::effective_uid().is_root() {
        true => {
            "the control group that this runs in is not root's to arrange (with systemd, start it \
             without --here, or in a unit with Delegate=yes)"
        }
        false => {
            "no control group of yours reaches here (log in again, or ask an administrator for \
             Berth's PAM module)"
        }
    }
}

fn kill(dir: &CgroupDir) -> Result<()> {
    if !dir.is_populated().map_err(fail)? {
        return Ok(());
    }
    dir.kill().map_err(fail)?;
    wait_for_the_end(dir)
}

fn wait_for_the_end(dir: &CgroupDir) -> Result<()> {
    if dir.wait_unpopulated(KILL_PATIENCE).map_err(fail)? {
        return Ok(());
    }
    Err(Error::other(format!(
        "processes in {} do not end although they were killed (they wait for a device or a \
         network file system)",
        dir.path().display()
    )))
}

fn fail(error: berth_cgroups::Error) -> Error {
    Error::other(error.to_string())
}
