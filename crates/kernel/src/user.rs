//! Users and groups by the name service (getpwnam(3) and its kin).

use std::io;
use std::path::PathBuf;

use berth_common::{Gid, Uid};
use nix::unistd;

/// An entry of the user data base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: Uid,
    /// Primary group.
    pub gid: Gid,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell; `/bin/sh` where the entry is empty.
    pub shell: PathBuf,
}

impl User {
    /// The user with this uid; `None` if there is none.
    pub fn by_uid(uid: Uid) -> io::Result<Option<Self>> {
        let found = unistd::User::from_uid(unistd::Uid::from_raw(uid.raw()))?;
        Ok(found.and_then(Self::from_entry))
    }

    /// The user with this name; `None` if there is none.
    pub fn by_name(name: &str) -> io::Result<Option<Self>> {
        Ok(unistd::User::from_name(name)?.and_then(Self::from_entry))
    }

    fn from_entry(entry: unistd::User) -> Option<Self> {
        let shell = if entry.shell.as_os_str().is_empty() {
            "/bin/sh".into()
        } else {
            entry.shell
        };
        Some(Self {
            uid: Uid::new(entry.uid.as_raw())?,
            gid: Gid::new(entry.gid.as_raw())?,
            name: entry.name,
            home: entry.dir,
            shell,
        })
    }
}

/// The group with this name; `None` if there is none.
pub fn group_by_name(name: &str) -> io::Result<Option<Gid>> {
    let found = unistd::Group::from_name(name)?;
    Ok(found.and_then(|group| Gid::new(group.gid.as_raw())))
}

/// The name of a group; `None` if it has none.
pub fn group_name(gid: Gid) -> io::Result<Option<String>> {
    let found = unistd::Group::from_gid(unistd::Gid::from_raw(gid.raw()))?;
    Ok(found.map(|group| group.name))
}

/// The supplementary groups of the calling process.
pub fn own_groups() -> io::Result<Vec<Gid>> {
    let groups = unistd::getgroups()?;
    Ok(groups
        .into_iter()
        .filter_map(|gid| Gid::new(gid.as_raw()))
        .collect())
}
