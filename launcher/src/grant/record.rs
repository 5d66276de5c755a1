//! What was granted, one file a user, so that it can be taken back.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use berth_container_config::IdKind;
use berth_kernel::fs::{self, Durability};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const MAX_RECORD: usize = 1 << 20;

/// A range of subordinate ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The first id.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl Range {
    /// The last id.
    pub fn last(self) -> u32 {
        self.first.saturating_add(self.count.saturating_sub(1))
    }

    /// Whether an id is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.count > 0
            && other.count > 0
            && self.first <= other.last()
            && other.first <= self.last()
    }
}

impl fmt::Display for Range {
    /// As usermod(8) writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last())
    }
}

/// A line in the quota file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaRecord {
    /// What it was set to.
    pub nics: u32,
    /// What it was before the first grant; nothing if there was no line.
    pub before: Option<u32>,
}

/// All that was granted to one user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Record {
    /// Subordinate user ids that were added.
    pub subuids: Option<Range>,
    /// Subordinate group ids that were added.
    pub subgids: Option<Range>,
    /// Quotas by bridge.
    pub quotas: BTreeMap<String, QuotaRecord>,
    /// Whether linger was switched on.
    pub linger: bool,
}

impl Record {
    /// The range of this kind that was added.
    pub fn range(&self, kind: IdKind) -> Option<Range> {
        match kind {
            IdKind::User => self.subuids,
            IdKind::Group => self.subgids,
        }
    }

    /// Notes the range of this kind.
    pub fn set_range(&mut self, kind: IdKind, range: Option<Range>) {
        match kind {
            IdKind::User => self.subuids = range,
            IdKind::Group => self.subgids = range,
        }
    }

    /// Reads a user's record; `None` if there is none.
    pub fn read(dir: &Path, user: &str) -> Result<Option<Self>> {
        let path = dir.join(file_name(user));
        let bytes = match std::fs::File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.and_then(|file| fs::read_bounded(file, MAX_RECORD)),
        };
        let bytes = bytes.map_err(|error| Error::file("read", &path, error))?;
        let record = serde_json::from_slice(&bytes).map_err(|error| {
            Error::other(format!(
                "{} is damaged: {error} (move it away to grant anew)",
                path.display()
            ))
        })?;
        Ok(Some(record))
    }

    /// Writes a user's record, so that it outlasts a power cut.
    pub fn write(&self, dir: &Path, user: &str) -> Result<()> {
        let path = dir.join(file_name(user));
        let write = || -> io::Result<()> {
            let mut text = serde_json::to_vec_pretty(self)?;
            text.push(b'\n');
            let dir = fs::open_dir(dir)?;
            let name = file_name(user);
            fs::write_atomically(
                dir.as_fd(),
                name.as_ref(),
                &text,
                0o644,
                Durability::ContentAndName,
            )
        };
        write().map_err(|error| Error::file("write", &path, error))
    }

    /// Removes a user's record.
    pub fn remove(dir: &Path, user: &str) -> Result<()> {
        let path = dir.join(file_name(user));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file("remove", &path, error))
            }
            _ => Ok(()),
        }
    }
}

fn file_name(user: &str) -> String {
    format!("{user}.json")
}
