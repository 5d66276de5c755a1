//! The root file system that a start is going to give.

use std::ffi::CString;
use std::path::PathBuf;

use berth_kernel::mount::{Attributes, Propagation};

use super::super::image::FileSystem;

/// Where the root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootSource {
    /// A directory.
    Directory(PathBuf),
    /// Directories laid over each other.
    Overlay {
        /// What stays unchanged, the uppermost first.
        lower: Vec<PathBuf>,
        /// What takes the changes.
        upper: PathBuf,
        /// Where the kernel prepares them, beside `upper`.
        work: PathBuf,
    },
    /// A file system in a file or on a device.
    Image(ImagePlan),
}

/// A file or a block device with a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePlan {
    /// Where it is.
    pub path: PathBuf,
    /// Which file system it has.
    pub kind: FileSystem,
    /// Whether nothing is written to it.
    pub read_only: bool,
    /// Whether it is a block device; otherwise a file.
    pub is_device: bool,
    /// The program that serves it; `None`: the kernel mounts it.
    pub fuse: Option<FusePlan>,
}

/// A program that serves a file system in user space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FusePlan {
    /// Its path.
    pub program: PathBuf,
}

/// Whose ids the files of a mount get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdmapFrom {
    /// Those of the container's own user namespace.
    Container,
    /// Those of the user namespace at this path.
    Namespace(PathBuf),
}

/// The root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootPlan {
    /// File and line, for errors.
    pub at: String,
    /// What it is.
    pub source: RootSource,
    /// Read-only, no set-uid and so on.
    pub attributes: Attributes,
    /// What the file system itself is told.
    pub options: Vec<(CString, Option<CString>)>,
    /// How it propagates, and whether all below does.
    pub propagation: Option<(Propagation, bool)>,
    /// Whose ids its files get; only root's containers have one.
    pub idmap: Option<IdmapFrom>,
}

impl RootPlan {
    /// Whether the monitor makes the mount and hands it over.
    pub fn is_made_by_monitor(&self) -> bool {
        self.idmap.is_some() || matches!(self.source, RootSource::Image(_))
    }
}
