//! What init is given and what it runs in, beyond its command.

use crate::position::Positioned;
use crate::value::{
    EnvironmentEntry, Namespaces, ProcFile, ResourceLimit, Share, Sysctl, TimeOffset,
};

/// Settings of init and of the namespaces that it runs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// `lxc.init.uid`, 0 by default
    pub uid: Option<Positioned<u32>>,
    /// `lxc.init.gid`, 0 by default
    pub gid: Option<Positioned<u32>>,
    /// `lxc.init.groups`, none by default
    pub groups: Option<Positioned<Vec<u32>>>,
    /// `lxc.execute.cmd`: what lxc-execute(1) runs; `berth start` runs init
    pub execute_cmd: Option<Positioned<Vec<String>>>,
    /// `lxc.environment.runtime`: init's and not the hooks'
    pub environment_runtime: Vec<Positioned<EnvironmentEntry>>,
    /// `lxc.environment.hooks`: the hooks' and not init's
    pub environment_hooks: Vec<Positioned<EnvironmentEntry>>,
    /// `lxc.prlimit.…`, one for each resource
    pub limits: Vec<Positioned<ResourceLimit>>,
    /// `lxc.proc.…`, one for each file
    pub proc_files: Vec<Positioned<ProcFile>>,
    /// `lxc.sysctl.…`, in the order in which they are to be written
    pub sysctls: Vec<Positioned<Sysctl>>,
    /// `lxc.sched.core`, false by default
    pub core_scheduling: Option<Positioned<bool>>,
    /// `lxc.namespace.clone`. Never together with `namespaces_kept`.
    pub namespaces_new: Option<Positioned<Namespaces>>,
    /// `lxc.namespace.keep`
    pub namespaces_kept: Option<Positioned<Namespaces>>,
    /// `lxc.namespace.share.…`, one for each kind
    pub namespaces_shared: Vec<Positioned<Share>>,
    /// `lxc.time.offset.boot`
    pub time_boot: Option<Positioned<TimeOffset>>,
    /// `lxc.time.offset.monotonic`
    pub time_monotonic: Option<Positioned<TimeOffset>>,
}
