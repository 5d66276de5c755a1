//! Directories beside the containers in which one is being made or removed.
//!
//! Their names begin with a dot, as no container's does. Whoever works in one holds a lock on it
//! (flock(2), which his child processes share) until he and they are gone; one that nobody holds
//! was left by somebody killed and is removed by the next create or destroy.
//!
//! Nothing else is locked, for others may be able to open the directory of containers, and whoever
//! can open a file can lock it for ever. So a directory that was just made may be taken for a left
//! one before its maker holds it; he notices and makes another.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use berth_common::ContainerName;
use berth_container_config::IdMapping;
use berth_kernel::fs::{self as kernel_fs, EntryKind};
use berth_kernel::user::User;

use super::{Saved, tree};
use crate::error::{Error, Result};
use crate::mapped;

/// What is going on in such a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A container is being made.
    Creating,
    /// One is being removed.
    Destroying,
    /// The state of a snapshot is being made to take a container's place; afterwards it is what
    /// was there before.
    Restoring,
    /// Holds the new name of a container whose other files still name the old one.
    Renaming,
}

/// The file of a directory of the kind [`Kind::Renaming`].
pub const NEW_NAME: &str = "to";

impl Kind {
    const ALL: [Self; 4] = [
        Self::Creating,
        Self::Destroying,
        Self::Restoring,
        Self::Renaming,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Creating => ".creating-",
            Self::Destroying => ".destroying-",
            Self::Restoring => ".restoring-",
            Self::Renaming => ".renaming-",
        }
    }
}

/// Such a directory, held by this process.
#[derive(Debug)]
pub struct Site {
    /// Its name in the directory of containers.
    pub name: OsString,
    /// The directory, locked for as long as this is open.
    pub dir: OwnedFd,
}

/// How often a new directory may be taken for a left one. It takes another create or destroy each
/// time, in the same few microseconds.
const ATTEMPTS: u32 = 64;
/// How long the create of a container that is to be removed may take to end.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most entries of a directory of containers.
const MAX_ENTRIES: usize = 1 << 20;
const SITE_MODE: u32 = 0o700;

/// Makes a directory to build a container in.
pub fn make(
    lxcpath: BorrowedFd<'_>,
    shown: &Path,
    container: &ContainerName,
    kind: Kind,
) -> Result<Site> {
    let failed = |error| Error::file("make a directory in", shown, error);
    for _ in 0..ATTEMPTS {
        let name = site_name(container, kind)?;
        let dir = match kernel_fs::make_dir_at(lxcpath, &name, SITE_MODE) {
            Ok((dir, true)) => dir,
            Ok((_, false)) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        let site = Site { name, dir };
        if site.hold(lxcpath).map_err(failed)? {
            return Ok(site);
        }
    }
    Err(failed(io::Error::from(io::ErrorKind::WouldBlock)))
}

/// Turns a container into a directory that is being removed.
pub fn take(lxcpath: BorrowedFd<'_>, shown: &Path, container: &ContainerName) -> Result<Site> {
    let failed = |error| Error::file("remove", &shown.join(container), error);
    let name = site_name(container, Kind::Destroying)?;
    let dir = kernel_fs::open_dir_beneath(lxcpath, container.as_ref()).map_err(failed)?;
    // Others may be able to open a container's directory, and thus to hold it. They keep nobody
    // from removing it: without the lock the worst is that somebody else helps with that.
    let _ = kernel_fs::flock_exclusive(dir.as_fd(), PATIENCE).map_err(failed)?;
    kernel_fs::rename_new(lxcpath, container.as_str().as_ref(), lxcpath, &name).map_err(failed)?;
    let site = Site { name, dir };
    if site.is_named(lxcpath).map_err(failed)? {
        return Ok(site);
    }
    // Another one of that name came in between.
    let dir = kernel_fs::open_dir_beneath(lxcpath, Path::new(&site.name)).map_err(failed)?;
    Ok(Site { dir, ..site })
}

/// Removes what dead creates and destroys have left. Failures are told as hints: they are no
/// reason to refuse what the caller has come for.
pub fn remove(owner: &User, shown: &Path, lxcpath: BorrowedFd<'_>) -> Vec<String> {
    remove_some(owner, shown, lxcpath, &|_| true)
}

fn remove_some(
    owner: &User,
    shown: &Path,
    lxcpath: BorrowedFd<'_>,
    is_meant: &dyn Fn(Kind) -> bool,
) -> Vec<String> {
    let sites = match dead(lxcpath, shown, is_meant) {
        Ok(sites) => sites,
        Err(error) => return vec![error.to_string()],
    };
    let remove = |site: Site| {
        go_on(&site, owner, shown, lxcpath)?;
        let config = shown.join(&site.name).join("config");
        let idmap = Saved::read(&config).idmap(owner)?;
        site.remove(lxcpath, shown, &idmap)
    };
    sites
        .into_iter()
        .filter_map(|site| remove(site).err())
        .map(|error| error.to_string())
        .collect()
}

/// The directories whose makers are gone, now held by this process.
fn dead(
    lxcpath: BorrowedFd<'_>,
    shown: &Path,
    is_meant: &dyn Fn(Kind) -> bool,
) -> Result<Vec<Site>> {
    let failed = |error| Error::file("list", shown, error);
    let listed = kernel_fs::entries(lxcpath, MAX_ENTRIES).map_err(failed)?;
    let is_site = |(name, kind): &(OsString, EntryKind)| {
        *kind == EntryKind::Dir && parts(name).is_some_and(|(_, kind)| is_meant(kind))
    };
    let open = |(name, _): (OsString, EntryKind)| {
        let dir = kernel_fs::open_dir_beneath(lxcpath, Path::new(&name)).ok()?;
        let site = Site { name, dir };
        let held = site.hold(lxcpath).unwrap_or(false);
        held.then_some(site)
    };
    Ok(listed
        .into_iter()
        .filter(is_site)
        .filter_map(open)
        .collect())
}

impl Site {
    /// Whether it is this process's now; not if another one holds or has removed it.
    fn hold(&self, lxcpath: BorrowedFd<'_>) -> io::Result<bool> {
        let locked = kernel_fs::flock_exclusive(self.dir.as_fd(), Duration::ZERO)?;
        Ok(locked && self.is_named(lxcpath)?)
    }

    /// Whether the name still means this directory.
    fn is_named(&self, lxcpath: BorrowedFd<'_>) -> io::Result<bool> {
        match kernel_fs::status_at(lxcpath, &self.name) {
            Ok(named) => Ok(named.id == kernel_fs::status(self.dir.as_fd())?.id),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the directory with all that is in it, as root of these ids.
    pub fn remove(self, lxcpath: BorrowedFd<'_>, shown: &Path, idmap: &[IdMapping]) -> Result<()> {
        let left = |error: Error| {
            Error::other(format!(
                "files in {} could not be removed: {error}; the next create or destroy tries \
                 again",
                shown.join(&self.name).display()
            ))
        };
        let path = shown.join(&self.name);
        let dir = self.dir.as_fd();
        let mapped = mapped::run(idmap, || tree::empty(dir, &path));
        // Where the namespace itself was what failed, there may be nothing yet of other ids.
        mapped.or_else(|error| tree::empty(dir, &path).map_err(|_| left(error)))?;
        kernel_fs::remove_dir_at(lxcpath, &self.name)
            .map_err(|error| left(Error::file("remove", &shown.join(&self.name), error)))
    }
}

fn site_name(container: &ContainerName, kind: Kind) -> Result<OsString> {
    let random =
        berth_kernel::random::bytes::<8>().map_err(|error| Error::os("get random bytes", error))?;
    let random = random.map(|byte| format!("{byte:02x}")).concat();
    Ok(format!(".{container}{}{random}", kind.word()).into())
}

/// What a name that [`site_name`] makes says: which container, and what is going on.
fn parts(name: &OsStr) -> Option<(ContainerName, Kind)> {
    let rest = name.to_str()?.strip_prefix('.')?;
    Kind::ALL.into_iter().find_map(|kind| {
        let (container, random) = rest.rsplit_once(kind.word())?;
        let is_random = random.len() == 16 && random.bytes().all(|b| b.is_ascii_hexdigit());
        Some((container.parse().ok()?, kind)).filter(|_| is_random)
    })
}

/// The names of containers that are being made in a directory.
pub fn being_made(lxcpath: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(lxcpath).into_iter().flatten().flatten();
    let sites = entries.filter_map(|entry| parts(&entry.file_name()));
    sites
        .filter(|(_, kind)| *kind == Kind::Creating)
        .map(|(name, _)| name.to_string())
        .collect()
}

/// Ends what dead restores and renames have begun, and leaves everything else for [`remove`].
pub fn settle(owner: &User, shown: &Path, lxcpath: BorrowedFd<'_>) -> Vec<String> {
    let is_meant = |kind| matches!(kind, Kind::Restoring | Kind::Renaming);
    remove_some(owner, shown, lxcpath, &is_meant)
}

/// Gives the snapshots of a container's old state to the new one.
pub(crate) fn keep_snapshots(lxcpath: BorrowedFd<'_>, old: &Site) -> io::Result<()> {
    const SNAPSHOTS: &str = crate::copy::relations::SNAPSHOTS;
    let Some((name, _)) = parts(&old.name) else {
        return Ok(());
    };
    let old = old.dir.as_fd();
    if kernel_fs::status_at(old, SNAPSHOTS.as_ref()).is_err() {
        return Ok(());
    }
    let new = match kernel_fs::open_dir_beneath(lxcpath, name.as_ref()) {
        // Somebody has destroyed the container since.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    // One that is in the way is empty.
    let _ = kernel_fs::remove_dir_at(new.as_fd(), SNAPSHOTS.as_ref());
    kernel_fs::rename_new(old, SNAPSHOTS.as_ref(), new.as_fd(), SNAPSHOTS.as_ref())
}

/// Goes on with what a dead command was about.
fn go_on(site: &Site, owner: &User, shown: &Path, lxcpath: BorrowedFd<'_>) -> Result<()> {
    match parts(&site.name) {
        Some((_, Kind::Restoring)) => keep_snapshots(lxcpath, site)
            .map_err(|error| Error::file("keep the snapshots of", &shown.join(&site.name), error)),
        Some((old, Kind::Renaming)) => {
            let noted = kernel_fs::read_at(site.dir.as_fd(), NEW_NAME.as_ref(), 256);
            let noted = noted.ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let Some(new) = noted.and_then(|name| name.parse::<ContainerName>().ok()) else {
                return Ok(());
            };
            let place = crate::place::Place::of(owner.clone(), Some(shown))?;
            match !place.exists(&old) && place.exists(&new) {
                true => crate::copy::rename::finish(&place, &old, &new),
                false => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_told_from_other_names() {
        let name: ContainerName = "web.creating-1".parse().unwrap();
        for kind in Kind::ALL {
            let site = site_name(&name, kind).unwrap();
            assert!(parts(&site) == Some((name.clone(), kind)), "{site:?}");
            assert!(site.to_str().unwrap().parse::<ContainerName>().is_err());
        }
        for other in [
            "web",
            ".web",
            ".web.creating-",
            ".web.creating-0123",
            ".cache",
            "..creating-0123456789abcdef",
            "web.creating-0123456789abcdef",
            ".web.creating-0123456789abcdeg",
        ] {
            assert!(parts(other.as_ref()).is_none(), "{other}");
        }
    }
}
