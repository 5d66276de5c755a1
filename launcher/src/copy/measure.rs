//! What a tree takes on the disk, and what of it cannot be copied: asked before anything is made.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use berth_kernel::file_copy::{Attributes, FileKind};
use serde::{Deserialize, Serialize};

use super::walk::{Entry, Visitor, walk};
use crate::error::{Error, Result};

/// What a tree takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes on the disk; a file of several names counts once.
    pub bytes: u64,
    /// Files, directories and everything else that has an inode.
    pub files: u64,
}

impl Usage {
    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            files: self.files.saturating_add(other.files),
        }
    }
}

/// So many files that cannot be copied are named.
const NAMED: usize = 5;

/// Looks at a tree.
pub struct Measure {
    shown: PathBuf,
    usage: Usage,
    seen: HashSet<(u64, u64)>,
    /// Whether device files can be made: by nobody in a user namespace.
    can_make_devices: bool,
    refused: Vec<PathBuf>,
    refused_count: usize,
}

impl Measure {
    /// For a tree that `shown` names in messages.
    pub fn new(shown: &Path, can_make_devices: bool) -> Self {
        Self {
            shown: shown.to_owned(),
            usage: Usage::default(),
            seen: HashSet::new(),
            can_make_devices,
            refused: Vec::new(),
            refused_count: 0,
        }
    }

    /// Takes all below `top` in, but for entries of `top` itself that `skipped` names.
    pub fn take(&mut self, top: BorrowedFd<'_>, skipped: &dyn Fn(&OsStr) -> bool) -> Result<()> {
        let shown = self.shown.clone();
        walk(top, &shown, skipped, self)
    }

    /// What it all takes.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// An error that names the files of which there can be no copy.
    pub fn refuse(&self) -> Result<()> {
        if self.refused_count == 0 {
            return Ok(());
        }
        let named = self.refused.iter().map(|path| path.display().to_string());
        let mut named: Vec<String> = named.collect();
        if self.refused_count > named.len() {
            named.push(format!("and {} more", self.refused_count - named.len()));
        }
        Err(Error::other(format!(
            "device files cannot be made by ordinary users, so these cannot be copied: {} (remove \
             them, or have root copy the container)",
            named.join(", ")
        )))
    }

    fn add(&mut self, attributes: &Attributes) {
        let several = attributes.links > 1 && attributes.kind() != FileKind::Directory;
        if several && !self.seen.insert(attributes.id) {
            return;
        }
        self.usage.bytes = self.usage.bytes.saturating_add(attributes.allocated);
        self.usage.files += 1;
    }
}

impl Visitor for Measure {
    fn file(&mut self, entry: &Entry<'_>) -> Result<()> {
        let is_device = match entry.attributes.kind() {
            FileKind::CharacterDevice => entry.attributes.device != (0, 0),
            FileKind::BlockDevice => true,
            _ => false,
        };
        if is_device && !self.can_make_devices {
            self.refused_count += 1;
            if self.refused.len() < NAMED {
                self.refused.push(self.shown.join(entry.path));
            }
        }
        self.add(&entry.attributes);
        Ok(())
    }

    fn enter(&mut self, entry: &Entry<'_>, _: BorrowedFd<'_>) -> Result<()> {
        self.add(&entry.attributes);
        Ok(())
    }

    fn leave(&mut self, _: &Path, _: BorrowedFd<'_>) -> Result<()> {
        Ok(())
    }
}
