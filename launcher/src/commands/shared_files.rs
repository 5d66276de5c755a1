//! Configurations of many containers, which include the same files.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use berth_container_config::{Config, DiskLoader, LoadError, Loader, Source, load_text};

/// Files that were read for one container and are there for the next one: a listing shows what
/// they said at one moment. What failed is tried again.
#[derive(Debug, Default)]
pub struct SharedFiles {
    sources: RefCell<HashMap<PathBuf, Source>>,
    paths: RefCell<HashMap<PathBuf, PathBuf>>,
}

impl SharedFiles {
    /// The configuration at a path. It is read from the disk, what it includes perhaps not.
    pub fn load(&self, path: &Path) -> Result<Config, LoadError> {
        let failed = |error| LoadError::Read {
            path: path.to_owned(),
            error,
        };
        match DiskLoader.read(path).map_err(failed)? {
            Source::Text(text) => Ok(load_text(path, &text, self)?.config),
            Source::Directory(_) => Err(failed(io::ErrorKind::IsADirectory.into())),
        }
    }
}

impl Loader for SharedFiles {
    fn read(&self, path: &Path) -> io::Result<Source> {
        if let Some(known) = self.sources.borrow().get(path) {
            return Ok(known.clone());
        }
        let source = DiskLoader.read(path)?;
        let mut sources = self.sources.borrow_mut();
        sources.insert(path.to_owned(), source.clone());
        Ok(source)
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        if let Some(known) = self.paths.borrow().get(path) {
            return known.clone();
        }
        let resolved = DiskLoader.resolve(path);
        let mut paths = self.paths.borrow_mut();
        paths.insert(path.to_owned(), resolved.clone());
        resolved
    }
}
