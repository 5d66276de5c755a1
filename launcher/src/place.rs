//! Whose containers, where they are, and where their runtime files are.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use berth_common::hash::fnv1a;
use berth_common::{ContainerName, Uid, path};
use berth_container_config::{berth_toml, distance};
use berth_kernel::user::User;

use crate::error::{Error, Result};
use crate::systemd::has_systemd;

/// One owner's containers.
#[derive(Clone, Debug)]
pub struct Place {
    /// The owner.
    pub owner: User,
    /// The directory that holds a directory per container.
    pub lxcpath: PathBuf,
    /// Whether [`Place::lxcpath`] is the owner's default.
    default_lxcpath: bool,
}

impl Place {
    /// The caller's own containers, in `lxcpath` or where LXC has them by default.
    pub fn own(lxcpath: Option<&Path>) -> Result<Self> {
        let uid = berth_kernel::cred::effective_uid();
        let owner = User::by_uid(uid)
            .map_err(|error| Error::os(format!("look up user {uid}"), error))?
            .ok_or_else(|| Error::other(format!("uid {uid} has no entry in the user data base")))?;
        Self::of(owner, lxcpath)
    }

    /// `owner`'s containers.
    pub fn of(owner: User, lxcpath: Option<&Path>) -> Result<Self> {
        let default = default_lxcpath(&owner);
        let lxcpath = match lxcpath {
            None => default.clone(),
            Some(given) => {
                std::path::absolute(given).map_err(|error| Error::file("resolve", given, error))?
            }
        };
        Ok(Self {
            default_lxcpath: lxcpath == default,
            owner,
            lxcpath,
        })
    }

    /// A container's directory.
    pub fn container_dir(&self, name: &ContainerName) -> PathBuf {
        self.lxcpath.join(name)
    }

    /// A container's configuration file.
    pub fn config_file(&self, name: &ContainerName) -> PathBuf {
        self.container_dir(name).join("config")
    }

    /// Where what stands beside a container's configuration is ([`berth_toml`]).
    pub fn settings_file(&self, name: &ContainerName) -> PathBuf {
        self.container_dir(name).join(berth_toml::FILE)
    }

    /// Whether the container exists: as for LXC, a directory with a `config`.
    pub fn exists(&self, name: &ContainerName) -> bool {
        self.config_file(name).is_file()
    }

    /// An error with the nearest name unless the container exists. What cannot be looked at is
    /// not said to be missing.
    pub fn require(&self, name: &ContainerName) -> Result<()> {
        let config = self.config_file(name);
        match std::fs::metadata(&config) {
            Ok(found) if found.is_file() => return Ok(()),
            Ok(_) => {}
            Err(error) if is_absence(&error) => {}
            Err(error) => return Err(Error::file("look at", &config, error)),
        }
        let nearest = self
            .names()
            .ok()
            .and_then(|names| nearest(name.as_str(), &names));
        Err(Error::NoSuchContainer {
            name: name.clone(),
            lxcpath: self.lxcpath.clone(),
            nearest,
        })
    }

    /// The names of all containers, sorted. An lxcpath that does not exist holds none.
    pub fn names(&self) -> Result<Vec<ContainerName>> {
        let entries = match std::fs::read_dir(&self.lxcpath) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|error| Error::file("list", &self.lxcpath, error))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| Error::file("list", &self.lxcpath, error))?;
            let parsed = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            names.extend(parsed.filter(|name| self.exists(name)));
        }
        names.sort();
        Ok(names)
    }

    /// The directory of a container's runtime files, whether or not it exists.
    ///
    /// It is below `/run/berth/user/UID` where `berth-boot` made that for the owner, whose
    /// containers outlive his sessions; below `/run/user/UID` where that is the owner's (so it ends
    /// with his last session unless he lingers, as his containers do under systemd), below `/run/berth`
    /// for root, and below `~/.cache` otherwise, also where a login manager without systemd would
    /// remove `/run/user/UID` and let the containers go on. `XDG_RUNTIME_DIR` is not asked: su, sudo and cron carry a wrong one
    /// or none, and all of them must find the same container.
    pub fn runtime_dir(&self, name: &ContainerName) -> PathBuf {
        let candidates = self.runtime_roots();
        let place = |root: &PathBuf| root.join(self.runtime_key()).join(name);
        candidates
            .iter()
            .map(place)
            .find(|dir| dir.join(crate::state::STATE_FILE).exists())
            .or_else(|| candidates.first().map(place))
            .unwrap_or_else(|| self.container_dir(name).join(".berth"))
    }

    /// The directories in which those of all containers are; the first is where new ones are made.
    pub fn runtime_parents(&self) -> Vec<PathBuf> {
        let roots = self.runtime_roots();
        roots
            .iter()
            .map(|root| root.join(self.runtime_key()))
            .collect()
    }

    fn runtime_roots(&self) -> Vec<PathBuf> {
        if self.owner.uid.is_root() {
            return vec![Path::new(path::RUN_DIR).join("root")];
        }
        let mut roots = Vec::new();
        let of_boot = Path::new(path::USER_RUN_DIR).join(self.owner.uid.to_string());
        if is_owned_dir(&of_boot, self.owner.uid) {
            roots.push(of_boot.join("berth"));
        }
        let at_home = self.owner.home.join(".cache/berth/run");
        let session = PathBuf::from(format!("/run/user/{}", self.owner.uid));
        let of_session = is_owned_dir(&session, self.owner.uid).then(|| session.join("berth"));
        match sessions_end_alone() {
            true => roots.extend([at_home].into_iter().chain(of_session)),
            false => roots.extend(of_session.into_iter().chain([at_home])),
        }
        roots
    }

    /// Containers of different lxcpaths may have one name; the default one has a plain key.
    fn runtime_key(&self) -> String {
        if self.default_lxcpath {
            "containers".to_owned()
        } else {
            format!(
                "containers-{:016x}",
                fnv1a(self.lxcpath.as_os_str().as_bytes().iter().copied())
            )
        }
    }
}

/// Whether the last logout of a user takes `/run/user/UID` away and none of his processes: elogind,
/// and logind before systemd, without a service manager that would end them.
fn sessions_end_alone() -> bool {
    Path::new("/run/systemd/users").is_dir() && !has_systemd()
}

/// Where LXC has `owner`'s containers unless told otherwise.
pub fn default_lxcpath(owner: &User) -> PathBuf {
    if owner.uid.is_root() {
        PathBuf::from(path::ROOT_LXCPATH)
    } else {
        owner.home.join(path::USER_LXCPATH)
    }
}

/// One that cannot be looked at counts: elsewhere no other command would look for a container
/// that runs.
fn is_owned_dir(path: &Path, uid: Uid) -> bool {
    match std::fs::symlink_metadata(path) {
        Ok(found) => found.is_dir() && found.uid() == uid.raw(),
        Err(error) => !is_absence(&error),
    }
}

fn is_absence(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// The most similar of `names`, if it is similar enough to be what was meant.
fn nearest(wanted: &str, names: &[ContainerName]) -> Option<String> {
    let limit = (wanted.len() / 3).max(1);
    names
        .iter()
        .map(|name| (distance(wanted, name.as_str()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_only_when_near() {
        let names: Vec<ContainerName> = ["web", "database", "mail"]
            .iter()
            .map(|name| name.parse().unwrap())
            .collect();
        assert_eq!(nearest("wbe2", &names), None);
        assert_eq!(nearest("wbe", &names).as_deref(), Some("web"));
        assert_eq!(nearest("wep", &names).as_deref(), Some("web"));
        assert_eq!(nearest("databse", &names).as_deref(), Some("database"));
    }
}
