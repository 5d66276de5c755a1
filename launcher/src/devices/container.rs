//! A container that runs, and the way into it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use berth_common::ContainerName;
use berth_container_config::IdMapping;
use berth_kernel::fs as kernel_fs;
use berth_kernel::ns::{Kind, Namespace};
use berth_kernel::process::{self, PidFd};

use crate::error::{Error, Result};
use crate::place::Place;
use crate::start::cgroup::CgroupPlace;
use crate::state::{Runtime, State};

pub struct Running {
    pub name: ContainerName,
    pub runtime: Runtime,
    /// Its ids; none: the host's.
    pub ids: Vec<IdMapping>,
    pub cgroup: Option<CgroupPlace>,
    pub init: PidFd,
    /// The init's directory in procfs, which means that one process for ever.
    pub proc: OwnedFd,
    /// Its user namespace, unless that is ours.
    pub users: Option<Namespace>,
}

impl Running {
    pub fn open(place: &Place, name: &ContainerName) -> Result<Self> {
        place.require(name)?;
        let runtime = Runtime::new(place.runtime_dir(name));
        let (state, record) = runtime.state()?;
        let (State::Running | State::Frozen, Some(record)) = (state, record) else {
            return Err(Error::not_running(name, state));
        };
        let ended = || Error::other(format!("container “{name}” has just ended; try again"));
        let pid = record.init.ok_or_else(ended)?;
        let init = PidFd::open(pid).map_err(|_| ended())?;
        let proc = kernel_fs::open_dir(Path::new(&format!("/proc/{pid}"))).map_err(|_| ended())?;
        // Only the living monitor's child is its init: its number alone may mean another one by now.
        match process::parent_and_name(pid) {
            Ok((parent, _)) if parent == record.monitor => {}
            _ => return Err(ended()),
        }
        if init.has_ended().unwrap_or(true) {
            return Err(ended());
        }
        let failed = |error| Error::os("look at the container's user namespace", error);
        let users = Namespace::of_process(proc.as_fd(), Kind::User).map_err(failed)?;
        let own = Namespace::own(Kind::User).map_err(failed)?;
        let is_ours = users.is(&own).map_err(failed)?;
        Ok(Self {
            name: name.clone(),
            ids: record.ids(),
            cgroup: record.cgroup,
            runtime,
            init,
            proc,
            users: (!is_ours).then_some(users),
        })
    }
}
