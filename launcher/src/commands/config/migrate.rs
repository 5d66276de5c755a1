//! `berth config migrate`

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use berth_container_config::migrate::{self, Migration, Origin, PathKind, Surroundings};
use berth_container_config::{DiskLoader, LoadError, Loader, Problem, Source, Warning, load_text};

use crate::config_file::ConfigFile;
use crate::error::Result;

/// A migration that is not written yet.
#[derive(Debug)]
pub struct Proposal {
    file: ConfigFile,
    migration: Migration,
}

/// Reads a file and works out what it would be today.
pub fn propose(file: &Path, origin: Origin) -> Result<Proposal> {
    let file = ConfigFile::open(file)?;
    let migration = migrate::migrate(file.path(), file.text(), &ThisHost, origin);
    Ok(Proposal { file, migration })
}

impl Proposal {
    /// Whether there is anything to do.
    pub fn changes(&self) -> bool {
        self.migration.changes()
    }

    /// What would change, as diff -u shows it.
    pub fn diff(&self) -> String {
        self.migration.diff(self.file.path())
    }

    /// What a person should know or decide.
    pub fn notes(&self) -> &[Warning] {
        &self.migration.notes
    }

    /// What would still be wrong, in the file and in what it includes.
    pub fn left_over(&self) -> Vec<Problem> {
        match load_text(self.file.path(), &self.migration.text(), &DiskLoader) {
            Err(LoadError::Invalid(problems)) => problems,
            _ => Vec::new(),
        }
    }

    /// Keeps the file under another name, which is handed back, and writes the new one.
    pub fn accept(mut self) -> Result<PathBuf> {
        let backup = self.file.back_up()?;
        self.file.replace(self.migration.text())?;
        Ok(backup)
    }
}

struct ThisHost;

/// The root directory of every btrfs subvolume (btrfs-subvolume(8)).
const SUBVOLUME_INODE: u64 = 256;

impl Loader for ThisHost {
    fn read(&self, path: &Path) -> io::Result<Source> {
        DiskLoader.read(path)
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        DiskLoader.resolve(path)
    }
}

impl Surroundings for ThisHost {
    fn kind(&self, path: &Path) -> Option<PathKind> {
        let found = std::fs::metadata(path).ok()?;
        Some(if found.is_dir() {
            match found.ino() {
                SUBVOLUME_INODE => PathKind::Subvolume,
                _ => PathKind::Directory,
            }
        } else if found.is_file() {
            PathKind::File
        } else {
            PathKind::Other
        })
    }
}
