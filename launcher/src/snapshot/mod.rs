//! Snapshots: copies of a container that lie in its own directory, as LXC has them.
//!
//! `NAME/snaps/snapN` is a container's directory by itself, with the time in `ts` and what was said
//! of it in `comment`. One of a directory has all its files; one of an overlay has a copy of the
//! changes and the same layers below.

mod restore;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use berth_common::ContainerName;
use berth_kernel::file_copy::Attributes;
use berth_kernel::fs as kernel_fs;
use serde::Serialize;

use crate::copy::relations::{self, Member, SNAPSHOTS};
use crate::copy::{Build, How, Plan, Source, forget, make};
use crate::destroy::{Saved, leftovers, refuse_mounts};
use crate::error::{Error, Result};
use crate::place::Place;
use crate::time;

pub use restore::{Restored, restore};

const TIME_FILE: &str = "ts";
const COMMENT_FILE: &str = "comment";
const PREFIX: &str = "snap";
const DIR_MODE: u32 = 0o755;
/// The longest comment that is shown, in bytes.
const MAX_COMMENT: usize = 1 << 16;

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// When it was made, in UTC.
    pub created: Option<String>,
    /// What was said of it.
    pub comment: Option<String>,
}

/// The directories of a container's snapshots, whatever is in them.
pub fn directories(container: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(container.join(SNAPSHOTS));
    let found = entries.into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = found
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .map(|entry| entry.path())
        .filter(|path| path.join("config").is_file())
        .collect();
    found.sort_by_key(|path| number(path).unwrap_or(u64::MAX));
    found
}

fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// A container's snapshots, in the order of their numbers.
pub fn list(place: &Place, name: &ContainerName) -> Result<Vec<Snapshot>> {
    place.require(name)?;
    let dirs = directories(&place.container_dir(name));
    Ok(dirs.iter().map(|dir| snapshot(dir)).collect())
}

fn snapshot(dir: &Path) -> Snapshot {
    let opened = kernel_fs::open_dir(dir).ok();
    let created = opened.as_ref().and_then(|dir| {
        let found = Attributes::at(dir.as_fd(), TIME_FILE.as_ref()).ok()?;
        u64::try_from(found.modified_seconds()).ok().map(time::utc)
    });
    let comment = opened.and_then(|dir| {
        let bytes = kernel_fs::read_at(dir.as_fd(), COMMENT_FILE.as_ref(), MAX_COMMENT).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    });
    let name = dir.file_name().unwrap_or_default();
    Snapshot {
        name: name.to_string_lossy().into_owned(),
        created,
        comment,
    }
}

/// What was made or removed.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Names of snapshots.
    pub names: Vec<String>,
    /// Sentences for the user.
    pub hints: Vec<String>,
}

/// Makes a snapshot of a container that does not run.
pub fn create(place: &Place, name: &ContainerName, comment: Option<&str>) -> Result<Done> {
    place.require(name)?;
    let source = Source::hold(place, name)?;
    let mut hints = source.hints.clone();
    source.stand_still(false, "", &mut hints)?;
    let dir = place.container_dir(name);
    refuse_mounts(&dir)?;
    let plan = Plan::new(place, &dir, How::Same)?;
    let (snapshots, top) = open(&dir, true)?;
    hints.extend(leftovers::remove(&place.owner, &snapshots, top.as_fd()));
    let snapshot = free_name(&snapshots)?;
    let target = snapshots.join(&snapshot);
    let text = plan.config_at(&target)?.into_text();
    let mut files = vec![(TIME_FILE, stamp()?)];
    files.extend(comment.map(|comment| (COMMENT_FILE, format!("{comment}\n"))));
    let wanted = Build {
        plan: &plan,
        text: &text,
        target: &target,
        parent: &snapshots,
        files: &files,
        host_name: None,
        moved: None,
        hooks: None,
    };
    make(place, name, &snapshot, &wanted)?;
    Ok(Done {
        names: vec![snapshot.to_string()],
        hints,
    })
}

/// The time as LXC writes it: by the host's clock, without a line end.
fn stamp() -> Result<String> {
    let now = i64::try_from(crate::state::now()).unwrap_or(0);
    let now = berth_kernel::clock::local_time(now)
        .map_err(|error| Error::os("tell the time of day", error))?;
    Ok(format!(
        "{:04}:{:02}:{:02} {:02}:{:02}:{:02}",
        now.year, now.month, now.day, now.hour, now.minute, now.second
    ))
}

/// The directory of a container's snapshots, made if there is none and one is wanted.
fn open(container: &Path, make: bool) -> Result<(PathBuf, OwnedFd)> {
    let path = container.join(SNAPSHOTS);
    let failed = |error| Error::file("open", &path, error);
    if !make {
        let fd = kernel_fs::open_dir(&path).map_err(failed)?;
        return Ok((path, fd));
    }
    let dir = kernel_fs::open_dir(container).map_err(failed)?;
    let (fd, _) =
        kernel_fs::make_dir_at(dir.as_fd(), SNAPSHOTS.as_ref(), DIR_MODE).map_err(failed)?;
    Ok((path, fd))
}

/// The first number that is free, as LXC takes it.
fn free_name(snapshots: &Path) -> Result<ContainerName> {
    (0..u32::MAX)
        .map(|number| format!("{PREFIX}{number}"))
        .find(|name| std::fs::symlink_metadata(snapshots.join(name)).is_err())
        .and_then(|name| name.parse().ok())
        .ok_or_else(|| Error::other("there are too many snapshots"))
}

/// A snapshot's directory; an error that names those there are if there is no such one.
pub(crate) fn require(place: &Place, name: &ContainerName, snapshot: &str) -> Result<PathBuf> {
    let all = directories(&place.container_dir(name));
    let named = |dir: &&PathBuf| dir.file_name().is_some_and(|name| name == snapshot);
    if let Some(dir) = all.iter().find(named) {
        return Ok(dir.clone());
    }
    let names: Vec<String> = all.iter().map(|dir| self::snapshot(dir).name).collect();
    Err(Error::other(match names.is_empty() {
        true => format!("container “{name}” has no snapshots"),
        false => format!(
            "container “{name}” has no snapshot “{snapshot}”; it has {}",
            names.join(", ")
        ),
    }))
}

/// Removes one snapshot, or all.
pub fn delete(place: &Place, name: &ContainerName, snapshot: Option<&str>) -> Result<Done> {
    place.require(name)?;
    let source = Source::hold(place, name)?;
    let mut done = Done {
        hints: source.hints.clone(),
        ..Done::default()
    };
    let container = place.container_dir(name);
    let dirs = match snapshot {
        Some(snapshot) => vec![require(place, name, snapshot)?],
        None => directories(&container),
    };
    let is_left = std::fs::symlink_metadata(container.join(SNAPSHOTS)).is_ok();
    if !is_left {
        return Ok(done);
    }
    refuse_mounts(&container.join(SNAPSHOTS))?;
    let (snapshots, top) = open(&container, false)?;
    for dir in &dirs {
        let copies = relations::copies_upon(place, dir)?;
        let snapshot = self::snapshot(dir).name;
        let shown: ContainerName = snapshot
            .parse()
            .map_err(|error: berth_common::NameError| Error::other(error.to_string()))?;
        relations::refuse_copies(&shown, "removed", &copies)?;
        let origins = relations::origins(dir)?;
        let idmap = Saved::read(&dir.join("config")).idmap(&place.owner)?;
        let site = leftovers::take(top.as_fd(), &snapshots, &shown)?;
        if let Some(member) = Member::of_dir(dir) {
            forget(place, name, &origins, &member)?;
        }
        site.remove(top.as_fd(), &snapshots, &idmap)
            .map_err(|left| Error::other(format!("snapshot {snapshot} is gone, but {left}")))?;
        done.names.push(snapshot);
    }
    done.hints
        .extend(leftovers::remove(&place.owner, &snapshots, top.as_fd()));
    // Not while others are in it.
    let _ = std::fs::remove_dir(&snapshots);
    Ok(done)
}
