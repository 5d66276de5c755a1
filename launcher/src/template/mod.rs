//! What a new container's root file system is made of.

mod busybox;
mod tree;

use std::path::Path;

use berth_common::ContainerName;

use crate::error::{Error, Result};

pub use busybox::Busybox;
pub use tree::Tree;

/// Names of the templates, for messages.
pub const NAMES: &str = "busybox (a small system from the host's busybox), none (no files, only \
                         a configuration)";

/// A template with all that it takes from the host found and checked.
#[derive(Debug)]
pub enum Template {
    /// A configuration alone; somebody else brings the root file system.
    None,
    /// A system of one static program.
    Busybox(Busybox),
}

impl Template {
    /// The template of this name. `busybox` is the program to use instead of the host's.
    pub fn find(name: &str, busybox: Option<&Path>) -> Result<Self> {
        match name {
            "none" => Ok(Self::None),
            "busybox" => Busybox::find(busybox).map(Self::Busybox),
            _ => Err(Error::other(format!(
                "there is no template “{name}”; there are: {NAMES}"
            ))),
        }
    }

    /// Lines of the container's configuration that this template needs.
    pub fn config_lines(&self) -> &'static str {
        match self {
            Self::None => "",
            Self::Busybox(_) => busybox::CONFIG,
        }
    }

    /// Whether there is a root file system to fill.
    pub fn has_files(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Fills an empty root file system for a container of this name.
    pub fn build(&self, tree: &Tree, name: &ContainerName) -> Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Busybox(busybox) => busybox.build(tree, name),
        }
    }
}
