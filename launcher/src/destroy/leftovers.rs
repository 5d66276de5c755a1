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
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Creating => ".creating-",
            Self::Destroying => ".destroying-",
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
    let sites = match dead(lxcpath, shown) {
        Ok(sites) => sites,
        Err(error) => return vec![error.to_string()],
    };
    let remove = |site: Site| {
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
fn dead(lxcpath: BorrowedFd<'_>, shown: &Path) -> Result<Vec<Site>> {
    let failed = |error| Error::file("list", shown, error);
    let listed = kernel_fs::entries(lxcpath, MAX_ENTRIES).map_err(failed)?;
    let is_site = |(name, kind): &(OsString, EntryKind)| *kind == EntryKind::Dir && is_site(name);
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

/// Whether a name is one that [`site_name`] makes.
fn is_site(name: &OsStr) -> bool {
    let Some(rest) = name.to_str().and_then(|name| name.strip_prefix('.')) else {
        return false;
    };
    [Kind::Creating, Kind::Destroying].into_iter().any(|kind| {
        rest.rsplit_once(kind.word())
            .is_some_and(|(container, random)| {
                container.parse::<ContainerName>().is_ok()
                    && random.len() == 16
                    && random.bytes().all(|b| b.is_ascii_hexdigit())
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_told_from_other_names() {
        let name: ContainerName = "web.creating-1".parse().unwrap();
        for kind in [Kind::Creating, Kind::Destroying] {
            let site = site_name(&name, kind).unwrap();
            assert!(is_site(&site), "{site:?}");
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
            assert!(!is_site(other.as_ref()), "{other}");
        }
    }
}
