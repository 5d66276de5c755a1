//! `lxc.namespace.share.KIND`: namespaces that exist already.

use std::path::Path;

use berth_common::ContainerName;
use berth_container_config::value::{HookKind, ShareWith};
use berth_container_config::{Config, NamespaceKind, Positioned, Share};
use berth_kernel::cred;
use berth_kernel::ns::Kind;
use nix::sched::CloneFlags;

use crate::error::{Error, Result};
use crate::place::Place;
use crate::start::plan::{NamespacesPlan, SharedPlan, Source};
use crate::state::Runtime;

/// One line.
pub(super) fn shared(share: &Positioned<Share>, place: &Place) -> Result<SharedPlan> {
    let of = share.kind;
    let at = format!("{}: lxc.namespace.share.{of}", share.at);
    let kind = match of {
        NamespaceKind::User => Kind::User,
        NamespaceKind::Pid => Kind::Pid,
        NamespaceKind::Mount => {
            return Err(Error::other(format!(
                "{at}: the container's root file system becomes the root of its mount namespace \
                 (pivot_root(2)), so every process of the other would be in it; mount what both \
                 are to have in each (lxc.mount.entry)"
            )));
        }
        NamespaceKind::Uts => Kind::Uts,
        NamespaceKind::Ipc => Kind::Ipc,
        NamespaceKind::Net => Kind::Net,
        NamespaceKind::Cgroup => Kind::Cgroup,
        NamespaceKind::Time => Kind::Time,
    };
    let source = match &share.with {
        ShareWith::Process(pid) => Source::Process(i32::try_from(*pid).map_err(|_| {
            Error::other(format!(
                "{at}: expected the number of a process, found {pid}"
            ))
        })?),
        ShareWith::File(path) => match container_at(path, place)? {
            Some((place, name)) => container(&place, &name)?,
            None => Source::File(path.clone()),
        },
        ShareWith::Container(name) => container(place, name)?,
    };
    Ok(SharedPlan { at, kind, source })
}

fn container(place: &Place, name: &ContainerName) -> Result<Source> {
    place.require(name)?;
    let runtime = Runtime::new(place.runtime_dir(name));
    Ok(Source::Container(name.to_string(), runtime))
}

/// The container that has this directory, in whatever lxcpath of the owner's.
fn container_at(path: &Path, place: &Place) -> Result<Option<(Place, ContainerName)>> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str()?.parse().ok());
    match (path.parent(), name) {
        (Some(lxcpath), Some(name)) if path.join("config").is_file() => {
            Ok(Some((Place::of(place.owner.clone(), Some(lxcpath))?, name)))
        }
        _ => Ok(None),
    }
}

/// What the kernel lets nobody do, or only root.
pub(super) fn refuse_what_does_not_go_together(
    config: &Config,
    plan: &NamespacesPlan,
) -> Result<()> {
    let find = |kind: Kind| plan.shared.iter().find(|shared| shared.kind == kind);
    let refuse = |at: &str, why: &str| Err(Error::other(format!("{at}: {why}")));
    let user = find(Kind::User);
    let is_root = cred::effective_uid().is_root();
    if let (Some(user), true) = (user, config.idmap.is_empty()) {
        return refuse(
            &user.at,
            "its ids are those of the other container; expected the same lines of lxc.idmap here",
        );
    }
    if let (Some(shared), None, false) = (plan.shared.first(), user, is_root) {
        let with = match &shared.source {
            Source::Container(name, _) => name.clone(),
            Source::Process(pid) => pid.to_string(),
            Source::File(_) => "…".to_owned(),
        };
        return refuse(
            &shared.at,
            &format!(
                "a namespace belongs to a user namespace, and only who has rights in that may \
                 enter it (setns(2)); share it too: lxc.namespace.share.user = {with}"
            ),
        );
    }
    let Some(pid) = find(Kind::Pid) else {
        return Ok(());
    };
    if user.is_none() && !config.idmap.is_empty() && config.mount_auto.proc.is_some() {
        return refuse(
            &pid.at,
            "with ids of its own the container cannot mount the /proc of another's processes; \
             leave proc out of lxc.mount.auto, or share user, too",
        );
    }
    // Its first process is hidden from the other's root, and by that from its owner.
    let hidden = user.is_some() && !is_root;
    let has_stop_hook = config
        .hooks
        .commands
        .iter()
        .any(|(kind, _)| *kind == HookKind::Stop);
    let has_clock = config.process.time_boot.is_some() || config.process.time_monotonic.is_some();
    let has_nics = !config.nets.is_empty()
        && plan.of_others() & CloneFlags::CLONE_NEWNET == CloneFlags::empty();
    for (there, key) in [
        (has_stop_hook, "lxc.hook.stop"),
        (has_clock, "lxc.time.offset"),
        (!config.process.proc_files.is_empty(), "lxc.proc"),
        (has_nics, "lxc.net (share net, too)"),
    ] {
        if hidden && there {
            return refuse(
                &pid.at,
                &format!(
                    "until init is executed the kernel hides the container's processes from their \
                     owner, lest the other's root looks into them, so there can be no {key}"
                ),
            );
        }
    }
    Ok(())
}
