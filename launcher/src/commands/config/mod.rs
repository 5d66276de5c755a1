//! `berth config`: reading, changing, judging and migrating configuration files.

mod change;
mod get;
pub mod lint;
mod migrate;

pub use change::change;
pub use get::{Value, get};
pub use migrate::{Proposal, propose};

use std::path::{Path, PathBuf};

use berth_common::ContainerName;
use berth_container_config::LoadError;

use crate::config_file::ConfigFile;
use crate::error::{Error, Result};
use crate::place::Place;

/// The file that an argument means: a path if it has a slash, else a container's configuration,
/// else a file of that name in the working directory.
pub fn file_of(place: &Place, target: &str) -> Result<PathBuf> {
    let file = Path::new(target);
    if target.contains('/') {
        return Ok(file.to_owned());
    }
    let name = match target.parse::<ContainerName>() {
        Ok(name) => name,
        Err(_) if file.is_file() => return Ok(file.to_owned()),
        Err(error) => return Err(Error::other(error.to_string())),
    };
    match place.require(&name) {
        Ok(()) => Ok(place.config_file(&name)),
        Err(_) if file.is_file() => Ok(file.to_owned()),
        Err(error) => Err(error),
    }
}

/// A file that is only read: a link is followed.
fn readable(file: &Path) -> Result<ConfigFile> {
    match file.is_symlink() {
        false => ConfigFile::open(file),
        true => {
            let target = std::fs::canonicalize(file);
            ConfigFile::open(&target.map_err(|error| Error::file("read", file, error))?)
        }
    }
}

fn invalid(error: &LoadError) -> Error {
    Error::other(error.to_string())
}
