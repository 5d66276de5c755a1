//! Who builds upon whose files: LXC's two files beside a container's configuration.
//!
//! `lxc_snapshots` names the copies whose overlays have this container's root file system below
//! them, `lxc_rdepends` the containers that a copy builds upon; a directory of containers and a
//! name, a line each. Snapshots are named by `…/NAME/snaps` and `snapN`. LXC removes no container
//! whose `lxc_snapshots` has anything in it.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_common::ContainerName;
use berth_container_config::value::RootSource;
use berth_container_config::{DiskLoader, Loader, Source, load_text};
use berth_kernel::fs::{self as kernel_fs, Durability};

use crate::destroy::leftovers;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::state::{Runtime, VerbLock};

const COPIES: &str = "lxc_snapshots";
const ORIGINS: &str = "lxc_rdepends";
const MODE: u32 = 0o644;
/// The most that is read of one of the files, in bytes.
const MAX_FILE: usize = 1 << 20;
/// How long another command may change them.
const PATIENCE: Duration = Duration::from_secs(30);
/// Below a container's directory: its snapshots.
pub const SNAPSHOTS: &str = "snaps";

/// A container, or a snapshot of one, by where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The directory of containers, or of a container's snapshots.
    pub parent: PathBuf,
    /// The name in it.
    pub name: String,
}

impl Member {
    /// What is in this directory.
    pub fn of_dir(dir: &Path) -> Option<Self> {
        Some(Self {
            parent: dir.parent()?.to_owned(),
            name: dir.file_name()?.to_str()?.to_owned(),
        })
    }

    /// Its directory.
    pub fn dir(&self) -> PathBuf {
        self.parent.join(&self.name)
    }
}

impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let holder = self.parent.file_name().filter(|name| *name == SNAPSHOTS);
        match holder.and_then(|_| self.parent.parent()?.file_name()?.to_str()) {
            Some(container) => write!(f, "{container}’s snapshot {}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Held while these files are changed. No other lock is waited for meanwhile.
pub struct Change(#[allow(dead_code, reason = "held, not read")] VerbLock);

/// Waits until no other command changes who builds upon whom at this place.
pub fn change(place: &Place, of: &ContainerName) -> Result<Change> {
    // No container's name begins with a dot.
    let dir = place.runtime_dir(of).with_file_name(".relations");
    Runtime::new(dir).lock_for_verb(PATIENCE).map(Change)
}

/// Writes down that `copy` builds upon the container in `origin`.
pub fn add_copy(_: &Change, origin: &Path, copy: &Member) -> Result<()> {
    let mut members = read(&origin.join(COPIES))?;
    if !members.contains(copy) {
        members.push(copy.clone());
        write(origin, COPIES, &members)?;
    }
    Ok(())
}

/// Writes down that `copy` does not build upon the container in `origin` any more.
pub fn remove_copy(_: &Change, origin: &Path, copy: &Member) -> Result<()> {
    let mut members = read(&origin.join(COPIES))?;
    let before = members.len();
    members.retain(|member| member != copy);
    if members.len() == before {
        return Ok(());
    }
    write(origin, COPIES, &members)
}

/// Puts another name in the place of one, where it is there.
pub fn rename_member(_: &Change, dir: &Path, from: &Path, to: &Path) -> Result<()> {
    for file in [COPIES, ORIGINS] {
        let members = read(&dir.join(file))?;
        let renamed: Vec<Member> = members
            .iter()
            .map(|member| moved(member, from, to))
            .collect();
        if renamed != members {
            write(dir, file, &renamed)?;
        }
    }
    Ok(())
}

fn moved(member: &Member, from: &Path, to: &Path) -> Member {
    let dir = member.dir();
    let inside = dir.strip_prefix(from).ok();
    let renamed = inside.map(|rest| match rest.as_os_str().is_empty() {
        true => to.to_owned(),
        false => to.join(rest),
    });
    renamed
        .and_then(|dir| Member::of_dir(&dir))
        .unwrap_or_else(|| member.clone())
}

/// Text of the file that tells what a copy builds upon.
pub fn origins_text(origins: &[Member]) -> String {
    let lines = origins.iter().map(|member| {
        let parent = member.parent.display();
        format!("{parent}\n{}\n", member.name)
    });
    lines.collect()
}

/// The name of the file with the copies.
pub const COPIES_FILE: &str = COPIES;
/// The name of the file with what a copy builds upon.
pub const ORIGINS_FILE: &str = ORIGINS;

/// What a copy in `dir` says that it builds upon.
pub fn origins(dir: &Path) -> Result<Vec<Member>> {
    read(&dir.join(ORIGINS))
}

/// The containers of a place whose files are below an overlay's changes.
pub fn owners_of(place: &Place, layers: &[PathBuf]) -> Vec<Member> {
    let mut owners: Vec<Member> = Vec::new();
    for layer in layers {
        let Ok(inside) = layer.strip_prefix(&place.lxcpath) else {
            continue;
        };
        let first = inside.components().next();
        let owner = first.and_then(|name| {
            let name = name.as_os_str().to_str()?.parse::<ContainerName>().ok()?;
            Member::of_dir(&place.container_dir(&name))
        });
        owners.extend(owner.filter(|owner| !owners.contains(owner)));
    }
    owners
}

/// What builds upon a container's files, by name: what its file says and still is so, and
/// everything at the same place whose configuration says so. What the file says in vain (of a copy
/// that was never finished, or that somebody removed by hand) is taken out of it.
pub fn copies_of(place: &Place, name: &ContainerName, change: &Change) -> Result<Vec<Member>> {
    let dir = place.container_dir(name);
    let listed = read(&dir.join(COPIES))?;
    let being_made = leftovers::being_made(&place.lxcpath);
    let mut copies = Vec::new();
    for member in listed {
        let is_own = member.dir().starts_with(&dir);
        if is_own || builds_upon(&member.dir(), &dir) {
            copies.extend((!is_own).then_some(member));
        } else if member.parent == place.lxcpath && being_made.contains(&member.name) {
            copies.push(member);
        } else {
            remove_copy(change, &dir, &member)?;
        }
    }
    copies.extend(copies_upon(place, &dir)?);
    copies.sort();
    copies.dedup();
    Ok(copies)
}

/// Everything at a place whose configuration says that it builds upon files in a directory.
pub fn copies_upon(place: &Place, dir: &Path) -> Result<Vec<Member>> {
    let mut copies = Vec::new();
    for name in place.names()? {
        let container = place.container_dir(&name);
        let snapshots = crate::snapshot::directories(&container);
        for dependant in std::iter::once(container).chain(snapshots) {
            if !dependant.starts_with(dir) && builds_upon(&dependant, dir) {
                copies.extend(Member::of_dir(&dependant));
            }
        }
    }
    Ok(copies)
}

/// Everything that builds upon one of these directories, by what is written down there and by
/// configurations.
pub fn dependants(place: &Place, dirs: &[&Path]) -> Result<Vec<Member>> {
    let mut all = Vec::new();
    for dir in dirs {
        all.extend(read(&dir.join(COPIES))?);
        all.extend(copies_upon(place, dir)?);
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// How many copies LXC only counts: those of storage that keeps them itself, and those of LXC 1.
pub fn counted(dir: &Path) -> u32 {
    let text = std::fs::read_to_string(dir.join(COPIES)).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// An error that names what builds upon a container's files.
pub fn refuse_copies(name: &ContainerName, what: &str, copies: &[Member]) -> Result<()> {
    if copies.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = copies.iter().map(ToString::to_string).collect();
    Err(Error::other(format!(
        "container “{name}” cannot be {what}: its files are below those of {}; destroy that first",
        named.join(", ")
    )))
}

/// Whether what is in one directory has an overlay above files in another.
fn builds_upon(dir: &Path, origin: &Path) -> bool {
    let file = dir.join("config");
    let Ok(Source::Text(text)) = DiskLoader.read(&file) else {
        return false;
    };
    layers(&file, &text)
        .iter()
        .any(|layer| layer.starts_with(origin))
}

/// What is below the changes of an overlay, by its configuration; nothing for other roots.
pub fn layers(file: &Path, text: &str) -> Vec<PathBuf> {
    // A line of the file's own tells it, whatever else is wrong there; it may be asked of a thousand
    // containers.
    let root = match berth_container_config::edit::get(text, "lxc.rootfs.path") {
        Some(value) => berth_container_config::value::rootfs(value).ok(),
        None => load_text(file, text, &DiskLoader)
            .ok()
            .and_then(|loaded| Some(loaded.config.rootfs.path?.value)),
    };
    match root {
        Some(RootSource::Overlay { lower, .. }) => lower,
        _ => Vec::new(),
    }
}

fn read(path: &Path) -> Result<Vec<Member>> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Vec::new());
    };
    let read =
        kernel_fs::open_dir(dir).and_then(|dir| kernel_fs::read_at(dir.as_fd(), name, MAX_FILE));
    let bytes = match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| Error::file("read", path, error))?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines
        .chunks_exact(2)
        .map(|pair| Member {
            parent: PathBuf::from(pair[0]),
            name: pair[1].to_owned(),
        })
        .collect())
}

/// An empty file is removed, as LXC does.
fn write(dir: &Path, file: &str, members: &[Member]) -> Result<()> {
    let path = dir.join(file);
    let failed = |error| Error::file("write", &path, error);
    let open = kernel_fs::open_dir(dir).map_err(failed)?;
    if members.is_empty() {
        return match kernel_fs::unlink_at(open.as_fd(), file.as_ref()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        };
    }
    kernel_fs::write_atomically(
        open.as_fd(),
        file.as_ref(),
        origins_text(members).as_bytes(),
        MODE,
        Durability::ContentAndName,
    )
    .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(parent: &str, name: &str) -> Member {
        Member {
            parent: parent.into(),
            name: name.into(),
        }
    }

    #[test]
    fn members_move_with_what_they_are_in() {
        let (from, to) = (Path::new("/l/web"), Path::new("/l/www"));
        assert_eq!(moved(&member("/l", "web"), from, to), member("/l", "www"));
        let snapshot = member("/l/web/snaps", "snap0");
        assert_eq!(moved(&snapshot, from, to), member("/l/www/snaps", "snap0"));
        let other = member("/l", "web2");
        assert_eq!(moved(&other, from, to), other);
        assert_eq!(snapshot.to_string(), "web’s snapshot snap0");
    }

    #[test]
    fn an_overlays_layers_are_found_in_a_broken_configuration_too() {
        let text = "lxc.rootfs.path = overlay:/a:/b:/c\n";
        let layers = |text: &str| layers(Path::new("/nowhere/config"), text);
        assert_eq!(layers(text), [Path::new("/a"), Path::new("/b")]);
        let broken = format!("{text}lxc.nonsense = 1\n");
        assert_eq!(layers(&broken), [Path::new("/a"), Path::new("/b")]);
        assert!(layers("lxc.rootfs.path = dir:/a\n").is_empty());
    }
}
