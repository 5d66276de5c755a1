//! Directories beside the containers in which one is being made or removed.
//!
//! Their names begin with a dot, as no container's does. Whoever works in one holds a lock on it
//! (flock(2), which his child processes share) until he and they are gone; one that nobody holds
//! was left by somebody killed and is removed by the next create or destroy.

use std::ffi::{OsStr, OsString};
use std::fs::File;
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

/// How long others may hold the directory of containers: they do so for a few system calls only,
/// but a stopped process may do it for ever.
const PATIENCE: Duration = Duration::from_secs(10);
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
    let _lock = Lock::take(lxcpath, shown)?;
    let name = site_name(container, kind)?;
    let (dir, new) = kernel_fs::make_dir_at(lxcpath, &name, SITE_MODE).map_err(failed)?;
    if !new {
        return Err(failed(io::Error::from(io::ErrorKind::AlreadyExists)));
    }
    hold(dir.as_fd()).map_err(failed)?;
    Ok(Site { name, dir })
}

/// Turns a container into a directory that is being removed.
pub fn take(lxcpath: BorrowedFd<'_>, shown: &Path, container: &ContainerName) -> Result<Site> {
    let failed = |error| Error::file("remove", &shown.join(container), error);
    let _lock = Lock::take(lxcpath, shown)?;
    let name = site_name(container, Kind::Destroying)?;
    let dir = kernel_fs::open_dir_beneath(lxcpath, container.as_ref()).map_err(failed)?;
    hold(dir.as_fd()).map_err(failed)?;
    kernel_fs::rename_new(lxcpath, container.as_str().as_ref(), lxcpath, &name).map_err(failed)?;
    Ok(Site { name, dir })
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
    let listed = || kernel_fs::entries(lxcpath, MAX_ENTRIES).map_err(failed);
    // Mostly there are none, and nobody need be kept waiting.
    let is_site = |(name, kind): &(OsString, EntryKind)| *kind == EntryKind::Dir && is_site(name);
    if !listed()?.iter().any(is_site) {
        return Ok(Vec::new());
    }
    let _lock = Lock::take(lxcpath, shown)?;
    let mut found = Vec::new();
    for (name, _) in listed()?.into_iter().filter(is_site) {
        let Ok(dir) = kernel_fs::open_dir_beneath(lxcpath, Path::new(&name)) else {
            continue;
        };
        if kernel_fs::flock_exclusive(dir.as_fd(), Duration::ZERO).is_ok_and(|free| free) {
            found.push(Site { name, dir });
        }
    }
    Ok(found)
}

impl Site {
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

fn hold(dir: BorrowedFd<'_>) -> io::Result<()> {
    match kernel_fs::flock_exclusive(dir, PATIENCE)? {
        true => Ok(()),
        false => Err(io::Error::from(io::ErrorKind::WouldBlock)),
    }
}

/// Keeps others from looking for dead makers while one is being born: between a directory and
/// its lock there is a moment.
struct Lock(#[allow(dead_code, reason = "held, not read")] File);

impl Lock {
    fn take(lxcpath: BorrowedFd<'_>, shown: &Path) -> Result<Self> {
        // An open file description of its own: closing it lets the lock go.
        let own = kernel_fs::open_dir_beneath(lxcpath, Path::new("."))
            .map_err(|error| Error::file("open", shown, error))?;
        match kernel_fs::flock_exclusive(own.as_fd(), PATIENCE) {
            Ok(true) => Ok(Self(File::from(own))),
            Ok(false) => Err(Error::other(format!(
                "another create or destroy in {} has been holding its lock for {} s; try again",
                shown.display(),
                PATIENCE.as_secs()
            ))),
            Err(error) => Err(Error::file("lock", shown, error)),
        }
    }
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
