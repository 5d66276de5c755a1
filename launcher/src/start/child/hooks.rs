//! Hooks that run in the container's namespaces: as its root, with all that root may there, until
//! its confinement begins.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use berth_container_config::value::HookKind;
use berth_kernel::mount::{Attributes, DetachedMount};
use berth_session_protocol::Connection;
use nix::fcntl::AT_FDCWD;
use nix::unistd::{AccessFlags, access};

use super::super::plan::{RootSource, StartPlan};
use super::super::sync;
use super::beneath::{Failure, because_of};
use super::confine::filter;
use super::supervise;
use crate::hook::{Confinement, Told};

/// The kinds that see the host's files and the container's.
const BETWEEN: [HookKind; 3] = [HookKind::PreMount, HookKind::Mount, HookKind::Autodev];

/// Runs what is to run before the root file system is mounted. `Some`: what the hooks made of it,
/// mounted at its place.
pub(super) fn pre_mount(plan: &StartPlan) -> Result<Option<DetachedMount>, Failure> {
    if !plan.hooks.has(HookKind::PreMount) {
        return Ok(None);
    }
    run(plan, HookKind::PreMount)?;
    let RootSource::Directory(path) = &plan.root.source else {
        return Ok(None);
    };
    // What the container's root cannot reach the hooks cannot have changed.
    match DetachedMount::bind(AT_FDCWD, path, true) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(because_of("open the root directory", path)(error)),
        Ok(root) => {
            let at = &plan.rootfs;
            root.attach_at(at)
                .map_err(because_of("mount the root directory at", at))?;
            Ok(Some(root))
        }
    }
}

/// Runs what is to run between the mounts and the change of the root directory.
pub(super) fn mounted(plan: &StartPlan, root: &DetachedMount) -> Result<(), Failure> {
    if !BETWEEN.iter().any(|kind| plan.hooks.has(*kind)) {
        return Ok(());
    }
    open_a_way(&plan.rootfs, root)?;
    run(plan, HookKind::Mount)?;
    match plan.autodev {
        true => run(plan, HookKind::Autodev),
        false => Ok(()),
    }
}

fn run(plan: &StartPlan, kind: HookKind) -> Result<(), Failure> {
    let done = plan.hooks.run(kind, &Told::default(), None, |_| {});
    done.map_err(
        |why| match why.contains("cannot execute /") && !plan.idmap.is_empty() {
            true => format!(
                "{why} (it runs as the container's root, who passes no directory that is closed to \
             others)"
            ),
            false => why,
        },
    )
}

/// Hooks find the root file system by its path, and the container's root may not pass a home of
/// mode 0700. It may put a directory of its own in the place of the one that it may not enter.
fn open_a_way(rootfs: &Path, root: &DetachedMount) -> Result<(), Failure> {
    let closed = |dir: &&Path| access(*dir, AccessFlags::X_OK).is_err();
    let mut above: Vec<&Path> = rootfs.ancestors().skip(1).collect();
    above.reverse();
    let Some(closed) = above.into_iter().find(closed) else {
        return Ok(());
    };
    let failed = || because_of("make a way for hooks through", closed);
    let attributes = Attributes::NO_SUID | Attributes::NO_DEV;
    let mode = [(c"mode", Some(c"0755"))];
    DetachedMount::new(c"tmpfs", Some(c"tmpfs"), &mode, attributes)
        .and_then(|cover| cover.attach_at(closed))
        .and_then(|()| std::fs::create_dir_all(rootfs))
        .and_then(|()| root.attach_at(rootfs))
        .map_err(failed())
}

/// Has the monitor run what is to run on the host right before init.
pub(super) fn start_host(plan: &StartPlan, monitor: &Connection) -> Result<(), Failure> {
    if !plan.hooks.has(HookKind::StartHost) {
        return Ok(());
    }
    monitor
        .send(&sync::set_up(), &[])
        .map_err(|error| format!("cannot reach the monitor: {error}"))?;
    sync::wait_for_go(monitor).map(drop)
}

/// Runs the container's own programs right before init, confined as init is.
pub(super) fn start(plan: &StartPlan, monitor: &Connection) -> Result<(), Failure> {
    let told = Told {
        environment: Some(&plan.environment),
        confinement: Some(Confinement {
            apply: &|| filter(plan, |listener| supervise(monitor, listener.as_fd())),
            keep: monitor.as_fd(),
        }),
        ..Told::default()
    };
    plan.hooks.run(HookKind::Start, &told, None, |_| {})
}
