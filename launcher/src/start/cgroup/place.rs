//! Where a container's cgroups are, as its state file has it, and how they are removed.

use std::os::fd::AsFd;

use berth_cgroups::{CgroupDir, CgroupPath, Hierarchy};
use berth_common::cgroup;
use berth_container_config::IdMapping;
use serde::{Deserialize, Serialize};

use super::{fail, kill};
use crate::error::{Error, Result};
use crate::start::remains::{self, Root};

/// Where a container's cgroups are: absolute in the cgroup v2 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CgroupPlace {
    /// One cgroup that is wholly the container's, with its monitor's and its own in it.
    Together(String),
    /// Each in its own.
    Apart {
        /// The one with the limits.
        container: OneCgroup,
        /// The one with the processes, or the same.
        payload: String,
        /// The monitor's.
        monitor: OneCgroup,
    },
}

/// A cgroup that is no other one, though its path may be another's by now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneCgroup {
    path: String,
    /// Its number, which the kernel gives to no other one until it boots again.
    id: u64,
}

impl CgroupPlace {
    /// The path to tell people: of all that is the container's, or of what has its limits.
    pub fn path(&self) -> &str {
        match self {
            Self::Together(path) => path,
            Self::Apart { container, .. } => &container.path,
        }
    }

    /// Opens the one that its processes are in.
    pub fn payload(&self) -> Result<CgroupDir> {
        let path = match self {
            Self::Together(path) => CgroupPath::new(path)
                .and_then(|path| path.child(cgroup::PAYLOAD))
                .map_err(fail)?,
            Self::Apart { payload, .. } => CgroupPath::new(payload).map_err(fail)?,
        };
        let hierarchy = Hierarchy::detect().map_err(fail)?;
        hierarchy.open(&path).map_err(fail)
    }

    /// Opens the one that limits and filters are set at.
    pub fn limited(&self) -> Result<CgroupDir> {
        match self {
            Self::Together(_) => self.payload(),
            Self::Apart { container, .. } => {
                let path = CgroupPath::new(&container.path).map_err(fail)?;
                Hierarchy::detect()
                    .and_then(|hierarchy| hierarchy.open(&path))
                    .map_err(fail)
            }
        }
    }

    /// Ends whatever is left there and removes it; `ids` are the container's.
    pub fn remove(&self, ids: &[IdMapping]) -> Result<()> {
        let Ok(hierarchy) = Hierarchy::detect() else {
            return Ok(());
        };
        match self.end(&hierarchy, ids) {
            // The scope that root's containers are in goes with its last process: systemd removes it,
            // and all that is in it, while this does so.
            Err(_) if self.is_gone(&hierarchy) => Ok(()),
            done => done,
        }
    }

    fn is_gone(&self, hierarchy: &Hierarchy) -> bool {
        let is_gone = |path: &str| {
            let path = CgroupPath::new(path).map_err(fail);
            matches!(path.and_then(|path| open(hierarchy, &path)), Ok(None))
        };
        match self {
            Self::Together(path) => is_gone(path),
            Self::Apart {
                container, monitor, ..
            } => is_gone(&container.path) && is_gone(&monitor.path),
        }
    }

    fn end(&self, hierarchy: &Hierarchy, ids: &[IdMapping]) -> Result<()> {
        match self {
            Self::Together(path) => {
                let path = CgroupPath::new(path).map_err(fail)?;
                let Some(dir) = open(hierarchy, &path)? else {
                    return Ok(());
                };
                kill(&dir)?;
                match dir.child(cgroup::PAYLOAD) {
                    Ok(payload) => remains::empty(&payload, Root::Ids(ids))?,
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(fail(error)),
                }
                drop(dir);
                remove(hierarchy, &path)
            }
            Self::Apart {
                container,
                payload,
                monitor,
            } => {
                let monitor_dir = monitor.open(hierarchy)?;
                // Who might still act goes first.
                monitor_dir.as_ref().map_or(Ok(()), kill)?;
                if let Some(dir) = container.open(hierarchy)? {
                    kill(&dir)?;
                    let payload = CgroupPath::new(payload).map_err(fail)?;
                    let payload = open(hierarchy, &payload)?;
                    payload.map_or(Ok(()), |payload| remains::empty(&payload, Root::Ids(ids)))?;
                    remove(hierarchy, &CgroupPath::new(&container.path).map_err(fail)?)?;
                }
                match monitor_dir {
                    Some(_) => remove(hierarchy, &CgroupPath::new(&monitor.path).map_err(fail)?),
                    None => Ok(()),
                }
            }
        }
    }
}

impl OneCgroup {
    pub(super) fn of(dir: &CgroupDir, path: &CgroupPath) -> Result<Self> {
        Ok(Self {
            path: path.as_path().display().to_string(),
            id: id(dir)?,
        })
    }

    /// `None`: it is gone.
    fn open(&self, hierarchy: &Hierarchy) -> Result<Option<CgroupDir>> {
        let there = open(hierarchy, &CgroupPath::new(&self.path).map_err(fail)?)?;
        match there {
            Some(dir) if id(&dir)? == self.id => Ok(Some(dir)),
            _ => Ok(None),
        }
    }
}

fn id(dir: &CgroupDir) -> Result<u64> {
    let found = nix::sys::stat::fstat(dir.as_fd());
    found
        .map(|found| found.st_ino)
        .map_err(|errno| Error::os("look at a cgroup", errno))
}

fn open(hierarchy: &Hierarchy, path: &CgroupPath) -> Result<Option<CgroupDir>> {
    match hierarchy.open(path) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(fail(error)),
    }
}

fn remove(hierarchy: &Hierarchy, path: &CgroupPath) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
        return Ok(());
    };
    hierarchy
        .open(&parent)
        .and_then(|parent| parent.remove_tree(name))
        .map_err(fail)?;
    Ok(())
}
