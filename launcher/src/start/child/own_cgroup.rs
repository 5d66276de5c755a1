//! Giving the container its own cgroup.

use berth_cgroups::{CgroupDir, DelegationSet};
use berth_common::Gid;

use super::beneath::Failure;

/// The container's own cgroup and the files that make it a delegated one. Its limits are none of
/// those.
pub struct OwnCgroup {
    dir: CgroupDir,
    files: DelegationSet,
}

impl OwnCgroup {
    /// To be made while /sys is the host's.
    pub fn new(dir: CgroupDir) -> Result<Self, Failure> {
        let files = DelegationSet::of_kernel().map_err(|error| error.to_string())?;
        Ok(Self { dir, files })
    }

    /// To be called as the owner, in the container's group 0: nobody else may give the cgroup to
    /// that group, and outside the owner is not in it. He stays the cgroup's owner.
    pub fn share(self) -> Result<(), Failure> {
        self.dir
            .share_with_group(&self.files, Gid::ROOT)
            .map_err(|error| error.to_string())
    }
}
