//! What init and every command in the container run with.

use std::path::PathBuf;

use berth_common::{Gid, Uid};
use berth_kernel::rlimit::Limited;

/// A limit on a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitPlan {
    /// File, line and key, for errors.
    pub at: String,
    /// The resource.
    pub resource: Limited,
    /// What counts.
    pub soft: u64,
    /// Up to where it may be lifted.
    pub hard: u64,
}

/// A value to be written to a file below `/proc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingPlan {
    /// File, line and key, for errors.
    pub at: String,
    /// Where: below `/proc/sys`, or below init's directory.
    pub path: PathBuf,
    /// What.
    pub value: String,
}

/// What init and every command in the container run with.
#[derive(Clone, Debug)]
pub struct InitPlan {
    /// Whose they are, inside.
    pub uid: Uid,
    /// Their group.
    pub gid: Gid,
    /// Their supplementary groups.
    pub groups: Vec<Gid>,
    /// Limits on resources.
    pub limits: Vec<LimitPlan>,
    /// Files in init's directory in `/proc`.
    pub proc_files: Vec<SettingPlan>,
    /// Kernel parameters of its namespaces.
    pub sysctls: Vec<SettingPlan>,
    /// Whether only they run on a core at the same time.
    pub core_scheduling: bool,
    /// What is written to `/proc/PID/timens_offsets` (time_namespaces(7)); `None`: the clocks are
    /// the host's.
    pub clock_offsets: Option<String>,
}
