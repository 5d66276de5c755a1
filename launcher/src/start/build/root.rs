//! `lxc.rootfs.…`

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use berth_container_config::value::{MountIdmap, MountOptions, RootSource as Wanted};
use berth_container_config::{Config, Position};
use berth_kernel::cred;

use super::super::host_mounts::open_user_namespace;
use super::super::image::{self, FileSystem};
use super::super::overlay::WORK;
use super::super::plan::{FusePlan, IdmapFrom, ImagePlan, RootPlan, RootSource};
use super::mount::{attributes, data, propagation, require_access_times};
use crate::error::{Error, Plain, Result};

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
    let none = MountOptions::default();
    let (options, at) = match &config.rootfs.options {
        Some(given) => (&given.value, &given.at),
        None => (&none, &wanted.at),
    };
    let read_only = options.read_only == Some(true);
    let source = source(&wanted.value, &wanted.at, read_only)?;
    let mount_point = match (&config.rootfs.mount, &source) {
        (Some(mount), _) => {
            require_directory(&mount.value, &mount.at, "lxc.rootfs.mount", "mount point")?;
            mount.value.clone()
        }
        (None, RootSource::Directory(path)) => path.clone(),
        (None, RootSource::Overlay { .. } | RootSource::Image(_)) => dir.to_owned(),
    };
    let mount_point = match &source {
        RootSource::Image(_) => mount_point.canonicalize().unwrap_or(mount_point),
        _ => mount_point,
    };
    if let (RootSource::Image(image), Some(option)) = (&source, options.data.first())
        && image.fuse.is_some()
    {
        return Err(Error::other(format!(
            "{at}: lxc.rootfs.options: expected ro, nosuid, nodev, noexec or noatime, since a \
             program serves the image and not the kernel, found “{option}”"
        )));
    }
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

fn source(wanted: &Wanted, at: &Position, read_only: bool) -> Result<RootSource> {
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
        Wanted::Image(path) => image(path, at, read_only, false).map(RootSource::Image),
        Wanted::Device(path) => image(path, at, read_only, true).map(RootSource::Image),
        Wanted::Any(path) if kind_of(path).is_some_and(|kind| kind.is_file()) => {
            image(path, at, read_only, false).map(RootSource::Image)
        }
        Wanted::Any(path) if kind_of(path).is_some_and(|kind| kind.is_block_device()) => {
            image(path, at, read_only, true).map(RootSource::Image)
        }
        other => {
            require_directory(other.path(), at, KEY, "root directory")?;
            Ok(RootSource::Directory(other.path().to_owned()))
        }
    }
}

fn kind_of(path: &Path) -> Option<std::fs::FileType> {
    std::fs::metadata(path).ok().map(|found| found.file_type())
}

fn image(path: &Path, at: &Position, read_only: bool, is_device: bool) -> Result<ImagePlan> {
    let refused = |why: String| {
        Error::other(format!(
            "{at}: lxc.rootfs.path: {} cannot be the root file system: {why}",
            path.display()
        ))
    };
    let opened = match is_device {
        false => image::open(path, true),
        true if !kind_of(path).is_some_and(|kind| kind.is_block_device()) => {
            Err(std::io::Error::other("it is no block device"))
        }
        true => std::fs::File::open(path),
    };
    let file = opened.map_err(|error| refused(Plain(&error).to_string()))?;
    let kind = FileSystem::of(&file).ok_or_else(|| {
        refused(
            "expected an ext4, xfs, btrfs, squashfs or erofs file system at its beginning".into(),
        )
    })?;
    let read_only = read_only || kind.is_read_only();
    if !read_only && !is_device {
        image::open(path, false).map_err(|error| refused(Plain(&error).to_string()))?;
    }
    let fuse = match cred::effective_uid().is_root() {
        true => None,
        false if is_device => {
            return Err(refused(
                "only root's containers can be on a block device".to_owned(),
            ));
        }
        false => Some(fuse(kind).map_err(refused)?),
    };
    Ok(ImagePlan {
        path: path.to_owned(),
        kind,
        read_only,
        is_device,
        fuse,
    })
}

/// The program that serves images of this kind, if it can.
fn fuse(kind: FileSystem) -> std::result::Result<FusePlan, String> {
    let name = kind.name().to_string_lossy();
    let Some((programs, package)) = kind.servers() else {
        return Err(format!(
            "the kernel lets only root mount {name}, and no program serves it; expected ext4, \
             squashfs or erofs"
        ));
    };
    let path = std::env::var_os("PATH").unwrap_or_else(|| crate::exec::DEFAULT_PATH.into());
    let places: Vec<PathBuf> = std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .collect();
    let found = programs.iter().find_map(|program| {
        let mut files = places.iter().map(|dir| dir.join(program));
        files.find(|file| file.is_file())
    });
    let program = found.ok_or_else(|| {
        format!(
            "the kernel lets only root mount {name}, and {} is missing, which serves it to others \
             (an administrator installs it with: apt install {package})",
            programs[0]
        )
    })?;
    let device = Path::new("/dev/fuse");
    let opened = std::fs::File::options().read(true).write(true).open(device);
    match opened {
        Ok(_) => Ok(FusePlan { program }),
        Err(error) => Err(format!(
            "{} needs {}, which cannot be opened: {} (an administrator makes it usable with: \
             modprobe fuse && chmod 666 /dev/fuse)",
            program.display(),
            device.display(),
            Plain(&error)
        )),
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
