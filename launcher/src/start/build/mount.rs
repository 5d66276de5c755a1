//! `lxc.mount.entry`, `lxc.mount.fstab` and the directory of `shmounts`.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use berth_container_config::value::{
    self, CreateTarget, MountEntry, MountOptions, PropagationKind, SharedMounts,
};
use berth_container_config::{Config, Position, Positioned};
use berth_kernel::mount::{Attributes, Propagation};

use super::super::plan::{Create, MountPlan, MountSource};
use super::{c_string, root};
use crate::error::{Error, Plain, Result};

const ENTRY: &str = "lxc.mount.entry";
const FSTAB: &str = "lxc.mount.fstab";
/// The largest file of mounts that is read, in bytes.
const MAX_FSTAB: usize = 1 << 20;

/// Every mount in its order: the file's, then the entries.
pub(super) fn mounts(config: &Config, dir: &Path) -> Result<Vec<MountPlan>> {
    let tops = config.root_names(dir);
    let mut mounts = Vec::new();
    if let Some(shared) = &config.mount_auto.shared {
        mounts.push(shared_mounts(shared)?);
    }
    if let Some(fstab) = &config.fstab {
        for entry in read_fstab(fstab)? {
            mounts.push(mount(&entry, FSTAB, config, &tops)?);
        }
    }
    for entry in &config.mounts {
        mounts.push(mount(entry, ENTRY, config, &tops)?);
    }
    Ok(mounts)
}

fn read_fstab(fstab: &Positioned<PathBuf>) -> Result<Vec<Positioned<MountEntry>>> {
    let refused = |error: &std::io::Error| {
        Error::other(format!(
            "{}: {FSTAB}: expected a file with a mount on each line, but {} cannot be read: {}",
            fstab.at,
            fstab.display(),
            Plain(error)
        ))
    };
    let bytes = berth_kernel::fs::open_regular(&fstab.value)
        .and_then(|file| berth_kernel::fs::read_bounded(file, MAX_FSTAB))
        .map_err(|error| refused(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Error::other(format!(
            "{}: {FSTAB}: expected UTF-8 text in {}",
            fstab.at,
            fstab.display()
        ))
    })?;
    let place = |line| Position::new(fstab.value.as_path(), line);
    match value::fstab(&text) {
        Ok(entries) => Ok(entries
            .into_iter()
            .map(|(line, entry)| Positioned::new(entry, place(line)))
            .collect()),
        Err((line, refusal, found)) => Err(Error::other(format!(
            "{}: {FSTAB} ({}): {}",
            place(line),
            fstab.at,
            refusal.message(&found)
        ))),
    }
}

fn mount(
    entry: &Positioned<MountEntry>,
    key: &str,
    config: &Config,
    tops: &[PathBuf],
) -> Result<MountPlan> {
    let at = entry.at.to_string();
    let options = &entry.options;
    let plan = MountPlan {
        source: source(entry, key, config)?,
        target: target(entry, key, tops)?,
        attributes: attributes(options),
        propagation: propagation(options),
        idmap: root::idmap(options, config, &entry.at, key)?,
        optional: options.optional,
        create: match options.create {
            None => Create::No,
            Some(CreateTarget::Directory) => Create::Directory,
            Some(CreateTarget::File) => Create::File,
        },
        at,
    };
    if plan.idmap.is_some() && options.relative {
        return Err(Error::other(format!(
            "{}: {key}: expected either relative or idmap=, found both: a mount of the container's \
             own cannot get other ids",
            entry.at
        )));
    }
    Ok(plan)
}

fn source(entry: &Positioned<MountEntry>, key: &str, config: &Config) -> Result<MountSource> {
    let at = entry.at.to_string();
    let options = &entry.options;
    match options.bind {
        Some(recursive) if options.relative => Ok(MountSource::BindWithin {
            path: PathBuf::from(entry.source.trim_start_matches('/')),
            recursive,
        }),
        Some(recursive) => {
            let path = PathBuf::from(&entry.source);
            require_source(&path, &at, key, options.optional)?;
            require_access_times(&path, options, &at, key, config)?;
            Ok(MountSource::Bind { path, recursive })
        }
        None => {
            require_type(&entry.fstype, &at, key, options.optional, config)?;
            Ok(MountSource::New {
                kind: c_string(&entry.fstype, &at)?,
                source: c_string(&entry.source, &at)?,
                options: data(options, &at)?,
            })
        }
    }
}

fn require_source(path: &Path, at: &str, key: &str, optional: bool) -> Result<()> {
    if !path.is_absolute() {
        return Err(Error::other(format!(
            "{at}: {key}: expected an absolute path of the host to bind, or the option relative \
             for one of the container, found “{}”",
            path.display()
        )));
    }
    match std::fs::metadata(path) {
        Err(error) if !optional => Err(Error::other(format!(
            "{at}: {key}: cannot bind {}: {} (the option optional passes over what is missing)",
            path.display(),
            Plain(&error)
        ))),
        _ => Ok(()),
    }
}

/// How access times are written is locked in mounts that a more privileged user namespace made
/// (mount_namespaces(7)).
pub(super) fn require_access_times(
    path: &Path,
    options: &MountOptions,
    at: &str,
    key: &str,
    config: &Config,
) -> Result<()> {
    let wanted = [
        (options.noatime, "noatime"),
        (options.strictatime, "strictatime"),
        (options.nodiratime, "nodiratime"),
    ];
    let wanted = wanted.iter().find(|(set, _)| *set == Some(true));
    match wanted {
        Some((_, name)) if !config.idmap.is_empty() && options.idmap.is_none() => {
            Err(Error::other(format!(
                "{at}: {key}: a container with ids of its own cannot change how access times are \
                 written in what the host has mounted: expected no “{name}” for {}",
                path.display()
            )))
        }
        _ => Ok(()),
    }
}

/// A container with a user namespace mounts what the kernel lets one mount; what lies on a block
/// device is not among that.
fn require_type(kind: &str, at: &str, key: &str, optional: bool, config: &Config) -> Result<()> {
    const COMMON: [&str; 8] = [
        "tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "overlay",
    ];
    if optional || config.idmap.is_empty() || COMMON.contains(&kind) {
        return Ok(());
    }
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let on_device = known.lines().any(|line| {
        line.strip_prefix('\t')
            .is_some_and(|name| name == kind && name != "fuseblk")
    });
    match on_device {
        false => Ok(()),
        true => Err(Error::other(format!(
            "{at}: {key}: the kernel lets no container with ids of its own mount {kind}: mount it \
             on the host and bind it (/path target none bind)"
        ))),
    }
}

fn target(entry: &Positioned<MountEntry>, key: &str, tops: &[PathBuf]) -> Result<PathBuf> {
    if !entry.target.is_absolute() {
        return Ok(entry.target.clone());
    }
    let below = tops
        .iter()
        .find_map(|top| entry.target.strip_prefix(top).ok());
    below.map(Path::to_owned).ok_or_else(|| {
        Error::other(format!(
            "{}: {key}: expected a target relative to the container's root (srv/data), found “{}”",
            entry.at,
            entry.target.display()
        ))
    })
}

/// A directory that receives what is mounted below it on the host.
fn shared_mounts(shared: &SharedMounts) -> Result<MountPlan> {
    let host = &shared.host;
    let why = match std::fs::metadata(host) {
        Err(error) => Some(Plain(&error).to_string()),
        Ok(found) if !found.is_dir() => Some("it is no directory".to_owned()),
        Ok(_) if !is_shared(host) => {
            Some("what is mounted there does not spread (mount --make-shared)".to_owned())
        }
        Ok(_) => None,
    };
    if let Some(why) = why {
        return Err(Error::other(format!(
            "lxc.mount.auto: shmounts: expected a directory of the host in a shared mount, found \
             “{}”: {why}",
            host.display()
        )));
    }
    Ok(MountPlan {
        at: "lxc.mount.auto: shmounts".to_owned(),
        source: MountSource::Bind {
            path: host.clone(),
            recursive: true,
        },
        target: shared.inside.clone(),
        attributes: Attributes::NONE,
        propagation: Some((Propagation::Slave, true)),
        idmap: None,
        optional: false,
        create: Create::Directory,
    })
}

/// Whether the mount that a directory lies in is shared (proc(5), mountinfo).
fn is_shared(dir: &Path) -> bool {
    let Ok(dir) = dir.canonicalize() else {
        return false;
    };
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let point = crate::destroy::unescape(fields.get(4)?);
        let shared = fields[5..]
            .iter()
            .take_while(|field| **field != "-")
            .any(|field| field.starts_with("shared:"));
        dir.starts_with(&point)
            .then_some((point.components().count(), shared))
    });
    // Of those at the same place the last one is on top.
    let mut nearest = (0, false);
    for (depth, shared) in points {
        if depth >= nearest.0 {
            nearest = (depth, shared);
        }
    }
    nearest.1
}

/// Read-only, no set-uid and so on.
pub(super) fn attributes(options: &MountOptions) -> Attributes {
    let flags = [
        (options.read_only, Attributes::READ_ONLY),
        (options.nosuid, Attributes::NO_SUID),
        (options.nodev, Attributes::NO_DEV),
        (options.noexec, Attributes::NO_EXEC),
        (options.nosymfollow, Attributes::NO_SYM_FOLLOW),
        (options.noatime, Attributes::NO_ATIME),
        (options.nodiratime, Attributes::NO_DIR_ATIME),
        (options.strictatime, Attributes::STRICT_ATIME),
    ];
    let mut attributes = Attributes::NONE;
    for (_, attribute) in flags.into_iter().filter(|(set, _)| *set == Some(true)) {
        attributes |= attribute;
    }
    attributes
}

/// How a mount propagates, and whether all below does.
pub(super) fn propagation(options: &MountOptions) -> Option<(Propagation, bool)> {
    options.propagation.map(|spread| {
        let kind = match spread.kind {
            PropagationKind::Private => Propagation::Private,
            PropagationKind::Shared => Propagation::Shared,
            PropagationKind::Slave => Propagation::Slave,
            PropagationKind::Unbindable => Propagation::Unbindable,
        };
        (kind, spread.recursive)
    })
}

/// What the file system itself is told.
pub(super) fn data(options: &MountOptions, at: &str) -> Result<Vec<(CString, Option<CString>)>> {
    options
        .data
        .iter()
        .map(|option| match option.split_once('=') {
            Some((key, value)) => Ok((c_string(key, at)?, Some(c_string(value, at)?))),
            None => Ok((c_string(option, at)?, None)),
        })
        .collect()
}
