//! Which namespaces are the container's own, the host's, or those of others.

use std::path::PathBuf;

use berth_kernel::ns::Kind;
use nix::sched::CloneFlags;

use crate::state::Runtime;

/// Whose the namespaces are that may be others'; the mount namespace never is.
#[derive(Clone, Debug)]
pub struct NamespacesPlan {
    /// Those that stay what they are where the container is started.
    pub of_host: CloneFlags,
    /// Those that exist already.
    pub shared: Vec<SharedPlan>,
}

/// A namespace that exists already.
#[derive(Clone, Debug)]
pub struct SharedPlan {
    /// File, line and key, for errors.
    pub at: String,
    /// Its kind.
    pub kind: Kind,
    /// Where it is found.
    pub source: Source,
}

/// Where a namespace is found.
#[derive(Clone, Debug)]
pub enum Source {
    /// With this process.
    Process(i32),
    /// With the init of a running container of the same owner.
    Container(String, Runtime),
    /// At this path.
    File(PathBuf),
}

impl NamespacesPlan {
    /// Those of others.
    pub fn of_others(&self) -> CloneFlags {
        let kinds = self.shared.iter().map(|shared| shared.kind.clone_flag());
        kinds.fold(CloneFlags::empty(), CloneFlags::union)
    }

    /// All that are not the container's own.
    pub fn not_own(&self) -> CloneFlags {
        self.of_host | self.of_others()
    }
}
