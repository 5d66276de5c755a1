//! `lxc.mount.entry`.

use std::path::{Path, PathBuf};

use berth_container_config::Positioned;
use berth_container_config::value::{CreateTarget, MountEntry, PropagationKind};
use berth_kernel::mount::{Attributes, Propagation};

use super::super::plan::{Create, MountPlan, MountSource};
use super::c_string;
use crate::error::Result;

pub(super) fn mount(entry: &Positioned<MountEntry>, rootfs: &Path) -> Result<MountPlan> {
    let at = entry.at.to_string();
    let options = &entry.options;
    let source = match options.bind {
        Some(recursive) if options.relative => MountSource::BindWithin {
            path: PathBuf::from(entry.source.trim_start_matches('/')),
            recursive,
        },
        Some(recursive) => MountSource::Bind {
            path: PathBuf::from(&entry.source),
            recursive,
        },
        None => MountSource::New {
            kind: c_string(&entry.fstype, &at)?,
            source: c_string(&entry.source, &at)?,
            options: options
                .data
                .iter()
                .map(|option| match option.split_once('=') {
                    Some((key, value)) => Ok((c_string(key, &at)?, Some(c_string(value, &at)?))),
                    None => Ok((c_string(option, &at)?, None)),
                })
                .collect::<Result<_>>()?,
        },
    };
    let mut attributes = Attributes::NONE;
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
    for (_, attribute) in flags.into_iter().filter(|(set, _)| *set == Some(true)) {
        attributes |= attribute;
    }
    let target = match entry.target.strip_prefix(rootfs) {
        Ok(below) => below.to_owned(),
        Err(_) => entry.target.clone(),
    };
    Ok(MountPlan {
        at,
        source,
        target,
        attributes,
        propagation: options.propagation.map(|spread| {
            let kind = match spread.kind {
                PropagationKind::Private => Propagation::Private,
                PropagationKind::Shared => Propagation::Shared,
                PropagationKind::Slave => Propagation::Slave,
                PropagationKind::Unbindable => Propagation::Unbindable,
            };
            (kind, spread.recursive)
        }),
        optional: options.optional,
        create: match options.create {
            None => Create::No,
            Some(CreateTarget::Directory) => Create::Directory,
            Some(CreateTarget::File) => Create::File,
        },
    })
}
