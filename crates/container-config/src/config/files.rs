//! The root file system's and the mounts' settings.

use crate::position::Positioned;
use crate::value::{MountOptions, RootSource};
use std::path::PathBuf;

/// The root file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rootfs {
    /// `lxc.rootfs.path`
    pub path: Option<Positioned<RootSource>>,
    /// `lxc.rootfs.mount`: where it is attached until it becomes the root
    pub mount: Option<Positioned<PathBuf>>,
    /// `lxc.rootfs.options`
    pub options: Option<Positioned<MountOptions>>,
    /// `lxc.rootfs.managed`, true by default: whether it goes with the container
    pub managed: Option<Positioned<bool>>,
}
