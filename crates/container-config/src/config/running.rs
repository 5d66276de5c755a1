//! How a container is looked after while it runs.

use crate::position::Positioned;
use crate::value::Facility;

/// Settings of the monitor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// `lxc.ephemeral`, false by default: whether the container is destroyed when it has stopped
    pub ephemeral: Option<Positioned<bool>>,
    /// `lxc.monitor.unshare`, false by default: whether the monitor has mounts of its own
    pub monitor_unshare: Option<Positioned<bool>>,
    /// `lxc.log.syslog`: as what the system's log gets what is logged; by default it does not
    pub syslog: Option<Positioned<Facility>>,
    /// `lxc.cgroup.dir`: the names of the cgroups that lead from the owner's to the one that the
    /// container's is made in; by default it is made right there
    pub cgroup_dir: Option<Positioned<Vec<String>>>,
    /// `lxc.cgroup.dir.container`: the names that lead from the owner's cgroup to the container's,
    /// on which its limits are set
    pub cgroup_container: Option<Positioned<Vec<String>>>,
    /// `lxc.cgroup.dir.container.inner`: those that lead on from there to the one that its
    /// processes are in and see as the top
    pub cgroup_inner: Option<Positioned<Vec<String>>>,
    /// `lxc.cgroup.dir.monitor`: those that lead from the owner's cgroup to the monitor's
    pub cgroup_monitor: Option<Positioned<Vec<String>>>,
    /// `lxc.cgroup.dir.monitor.pivot`: those that lead to the one in which the monitor ends
    pub cgroup_pivot: Option<Positioned<Vec<String>>>,
    /// `lxc.cgroup.relative`. Either value is obeyed: no container leaves its owner's cgroup.
    pub cgroup_relative: Option<Positioned<bool>>,
}
