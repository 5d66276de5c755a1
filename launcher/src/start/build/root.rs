//! `lxc.rootfs.…`

use std::path::{Path, PathBuf};

use berth_container_config::value::{MountIdmap, MountOptions, RootSource as Wanted};
use berth_container_config::{Config, Position};
use berth_kernel::cred;

use super::super::host_mounts::open_user_namespace;
use super::super::plan::{IdmapFrom, RootPlan, RootSource};
use super::mount::{attributes, data, propagation, require_access_times};
use crate::error::{Error, Plain, Result};

/// The directory beside an overlay's upper one in which the kernel prepares changes (LXC's name).
const WORK: &str = "olwork";

/// The root file system, and where it is mounted until it becomes the root.
pub(super) fn root(config: &Config, dir: &Path) -> Result<(RootPlan, PathBuf)> {
    let Some(wanted) = &config.rootfs.path else {
        return Err(Error::other(format!(
            "{}: lxc.rootfs.path is missing: it names the container's root directory, as in \
             lxc.rootfs.path = dir:{}",
            dir.join("config").display(),
            dir.join("rootfs").display()
        )));
    };
    let source = source(&wanted.value, &wanted.at)?;
    let mount_point = match (&config.rootfs.mount, &source) {
        (Some(mount), _) => {
            require_directory(&mount.value, &mount.at, "lxc.rootfs.mount", "mount point")?;
            mount.value.clone()
        }
        (None, RootSource::Directory(path)) => path.clone(),
        (None, RootSource::Overlay { .. }) => dir.to_owned(),
    };
    let none = MountOptions::default();
    let (options, at) = match &config.rootfs.options {
        Some(given) => (&given.value, &given.at),
        None => (&none, &wanted.at),
    };
    if let (RootSource::Directory(_), Some(option)) = (&source, options.data.first()) {
        return Err(Error::other(format!(
            "{at}: lxc.rootfs.options: expected options that a directory can have (ro, nosuid, \
             nodev, noexec, noatime, idmap=container), found “{option}”, which is for a file \
             system"
        )));
    }
    if let RootSource::Directory(path) = &source {
        require_access_times(path, options, &at.to_string(), "lxc.rootfs.options", config)?;
    }
    let plan = RootPlan {
        at: wanted.at.to_string(),
        attributes: attributes(options),
        options: data(options, &at.to_string())?,
        propagation: propagation(options),
        idmap: idmap(options, config, at, "lxc.rootfs.options")?,
        source,
    };
    if plan.idmap.is_some() && matches!(plan.source, RootSource::Overlay { .. }) {
        return Err(Error::other(format!(
            "{at}: lxc.rootfs.options: an overlay cannot have idmap=; its files belong to the \
             container's ids when it is mounted without"
        )));
    }
    Ok((plan, mount_point))
}

fn source(wanted: &Wanted, at: &Position) -> Result<RootSource> {
    const KEY: &str = "lxc.rootfs.path";
    match wanted {
        Wanted::Overlay { lower, upper } => {
            for path in lower {
                require_directory(path, at, KEY, "lower directory")?;
            }
            let parent = upper.parent().unwrap_or(Path::new("/"));
            match std::fs::symlink_metadata(upper) {
                Ok(_) => require_directory(upper, at, KEY, "upper directory")?,
                Err(_) => require_directory(
                    parent,
                    at,
                    KEY,
                    "directory that is to hold the upper directory,",
                )?,
            }
            Ok(RootSource::Overlay {
                lower: lower.clone(),
                upper: upper.clone(),
                work: parent.join(WORK),
            })
        }
        other => {
            require_directory(other.path(), at, KEY, "root directory")?;
            Ok(RootSource::Directory(other.path().to_owned()))
        }
    }
}

fn require_directory(path: &Path, at: &Position, key: &str, what: &str) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Error::other(format!(
            "{at}: {key}: the {what} {} is not a directory",
            path.display()
        ))),
        Err(error) => Err(Error::other(format!(
            "{at}: {key}: the {what} {} cannot be used: {}",
            path.display(),
            Plain(&error)
        ))),
    }
}

/// Whose ids the files of a mount get, if that can be had.
pub(super) fn idmap(
    options: &MountOptions,
    config: &Config,
    at: &Position,
    key: &str,
) -> Result<Option<IdmapFrom>> {
    let Some(wanted) = &options.idmap else {
        return Ok(None);
    };
    if !cred::effective_uid().is_root() {
        return Err(Error::other(format!(
            "{at}: {key}: only root may use idmap= (the kernel wants rights over the whole file \
             system); an ordinary user's files already belong to the container's ids, or are \
             given to them with: berth exec NAME -- chown"
        )));
    }
    match wanted {
        MountIdmap::Container if config.idmap.is_empty() => Err(Error::other(format!(
            "{at}: {key}: idmap=container needs a container with ids of its own: expected lines \
             lxc.idmap = u 0 … and lxc.idmap = g 0 …"
        ))),
        MountIdmap::Container => Ok(Some(IdmapFrom::Container)),
        MountIdmap::Namespace(path) => match open_user_namespace(path) {
            Ok(_) => Ok(Some(IdmapFrom::Namespace(path.clone()))),
            Err(error) => Err(Error::other(format!(
                "{at}: {key}: expected idmap=container or the path of a user namespace, found \
                     “{}”: {}",
                path.display(),
                Plain(&error)
            ))),
        },
    }
}
