//! `copy`: a container from another one, whole or not at all.
//!
//! As in a create, everything is made in a directory beside the containers under a name that none
//! can have, and renamed at the end.

mod build;
pub mod config;
mod freeze;
mod layers;
pub mod measure;
pub mod plan;
pub mod relations;
pub mod rename;
mod tree;
pub mod walk;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use berth_common::ContainerName;
use berth_container_config::berth_toml::{self, Publish};
use berth_kernel::fs as kernel_fs;

use crate::commands::{VERB_PATIENCE, recover, stop};
use crate::create::{exists_already, refuse_existing};
use crate::destroy::leftovers::{self, Kind, Site};
use crate::destroy::refuse_mounts;
use crate::error::{Error, Result};
use crate::lxc;
use crate::place::Place;
use crate::state::{Runtime, State, VerbLock};

pub use build::{Build, build};
pub use freeze::Frozen;
pub use layers::overlay_of;
pub use plan::{How, Plan};
use relations::Member;

/// What is to be copied, and how.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    /// The container that is copied.
    pub source: ContainerName,
    /// The name of the copy.
    pub target: ContainerName,
    /// Whether all files are copied, or only changes are kept.
    pub how: How,
    /// In which its configuration is not the source's.
    pub changes: Changes,
    /// Whether the source may run.
    pub running: bool,
}

/// What a container's configuration says otherwise in a copy of another name, beside its paths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes {
    /// Whether the copy is destroyed when it stops.
    pub ephemeral: bool,
    /// Whether hardware addresses stay.
    pub keep_mac: bool,
    /// Whether the host's name stays.
    pub keep_name: bool,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Copied {
    /// Its directory.
    pub dir: PathBuf,
    /// Sentences for the user.
    pub hints: Vec<String>,
}

/// Copies a container. All that can be refused is refused before anything is made; after an error
/// there is no trace of it.
pub fn copy(place: &Place, options: &CopyOptions) -> Result<Copied> {
    let (name, target) = (&options.source, place.container_dir(&options.target));
    place.require(name)?;
    let source = Source::hold(place, name)?;
    refuse_existing(&target, &options.target)?;
    let mut hints = source.hints.clone();
    let frozen = source.stand_still(
        options.running,
        "copy it as it is now with --running",
        &mut hints,
    )?;
    let dir = place.container_dir(name);
    refuse_mounts(&dir)?;
    let plan = Plan::new(place, &dir, options.how)?;
    if source.is_active() && !plan.origins.is_empty() && options.how == How::Overlay {
        hints.push(format!(
            "“{name}” runs, and what it changes in its files may be seen in “{}” or not; stop it \
             before the copy is used",
            options.target
        ));
    }
    let more = make_named(place, name, &options.target, &plan, options.changes)?;
    hints.extend(more);
    drop(frozen);
    Ok(Copied { dir: target, hints })
}

/// Makes a container of another name from a plan of `source`, or of a snapshot of it: it says its
/// own name where that one's stood, its paths lead into itself, and it publishes no port: one of the
/// host's leads to one container. Sentences for the user.
pub fn make_named(
    place: &Place,
    source: &ContainerName,
    target: &ContainerName,
    plan: &Plan,
    changes: Changes,
) -> Result<Vec<String>> {
    let (from, to) = (place.container_dir(source), place.container_dir(target));
    let mut text = plan.config_at(&to)?;
    if !changes.keep_name {
        text.set_host_name(target.as_str())?;
    }
    if !changes.keep_mac {
        text.change_addresses()?;
    }
    if changes.ephemeral {
        text.set_ephemeral()?;
    }
    text.move_paths(&from, &to);
    let text = text.into_text();
    let without_ports = without_ports(&plan.source);
    let files: Vec<(&str, String)> = without_ports
        .iter()
        .map(|(text, _)| (berth_toml::FILE, text.clone()))
        .collect();
    let wanted = Build {
        plan,
        text: &text,
        target: &to,
        parent: &place.lxcpath,
        files: &files,
        host_name: (!changes.keep_name).then(|| target.as_str()),
        moved: Some((&from, &to)),
        hooks: Some((source, target)),
    };
    make(place, source, target, &wanted)?;
    let hint = |(_, ports): (String, Vec<Publish>)| {
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        format!(
            "“{target}” publishes none of the ports that lead to “{source}” ({}): each of the host's \
             leads to one container (berth publish {target} gives it others)",
            ports.join(", ")
        )
    };
    Ok(without_ports.into_iter().map(hint).collect())
}

/// What the `berth.toml` in a directory says but for its ports, and these; `None` if it has none, or
/// cannot be understood: then it is copied as it is.
fn without_ports(dir: &Path) -> Option<(String, Vec<Publish>)> {
    let path = dir.join(berth_toml::FILE);
    let text = berth_toml::read_text(&path).ok()??;
    berth_toml::unpublish(&text, &path, |_| true).ok()
}

/// Makes a container from a plan, and lets it stand.
pub fn make(
    place: &Place,
    source: &ContainerName,
    target: &ContainerName,
    wanted: &Build<'_>,
) -> Result<()> {
    let top = kernel_fs::open_dir(wanted.parent)
        .map_err(|error| Error::file("open", wanted.parent, error))?;
    let site = leftovers::make(top.as_fd(), wanted.parent, target, Kind::Creating)?;
    let member = Member::of_dir(wanted.target)
        .ok_or_else(|| Error::other("the copy's path is not UTF-8"))?;
    let made = register(place, source, wanted.plan, &member)
        .and_then(|()| build(wanted, &site))
        .and_then(|()| publish(wanted.target, target, top.as_fd(), &site));
    let Err(error) = made else {
        // The container stands; a disk that cannot be told to hurry does not undo that.
        let _ = kernel_fs::sync_file_system(top.as_fd());
        return Ok(());
    };
    let left = site.remove(top.as_fd(), wanted.parent, &wanted.plan.idmap);
    let forgotten = forget(place, source, &wanted.plan.origins, &member);
    Err(Error::other(match left.and(forgotten) {
        Ok(()) => format!("{error}; nothing was copied"),
        Err(left) => format!("{error}; nothing was copied, and {left}"),
    }))
}

/// Before the copy stands, so that its origins are never without it.
pub(crate) fn register(
    place: &Place,
    source: &ContainerName,
    plan: &Plan,
    member: &Member,
) -> Result<()> {
    if plan.origins.is_empty() {
        return Ok(());
    }
    let change = relations::change(place, source)?;
    for origin in &plan.origins {
        relations::add_copy(&change, &origin.dir(), member)?;
    }
    Ok(())
}

/// What something that is gone built upon does not know it any more.
pub fn forget(
    place: &Place,
    name: &ContainerName,
    origins: &[Member],
    member: &Member,
) -> Result<()> {
    if origins.is_empty() {
        return Ok(());
    }
    let change = relations::change(place, name)?;
    for origin in origins {
        match relations::remove_copy(&change, &origin.dir(), member) {
            // It is gone as well.
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

fn publish(dir: &Path, name: &ContainerName, top: BorrowedFd<'_>, site: &Site) -> Result<()> {
    match kernel_fs::rename_new(top, &site.name, top, name.as_str().as_ref()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(exists_already(dir, name))
        }
        Err(error) => Err(Error::file("make", dir, error)),
    }
}

/// A container that no other command changes meanwhile.
pub struct Source {
    /// Sentences for the user: what was left by others and could not be removed.
    pub hints: Vec<String>,
    place: Place,
    name: ContainerName,
    runtime: Runtime,
    state: State,
    record: Option<crate::state::Record>,
    lock: VerbLock,
}

impl Source {
    /// Waits for the container, and removes what dead commands have left.
    pub fn hold(place: &Place, name: &ContainerName) -> Result<Self> {
        let runtime = Runtime::new(place.runtime_dir(name));
        let lock = runtime.lock_for_verb(VERB_PATIENCE)?;
        let top = kernel_fs::open_dir(&place.lxcpath)
            .map_err(|error| Error::file("open", &place.lxcpath, error))?;
        let hints = leftovers::remove(&place.owner, &place.lxcpath, top.as_fd());
        // It may have been destroyed while this command waited for its turn.
        if let Err(gone) = place.require(name) {
            if matches!(gone, Error::NoSuchContainer { .. }) {
                runtime.remove(lock);
            }
            return Err(gone);
        }
        let (state, record) = runtime.state()?;
        Ok(Self {
            hints,
            place: place.clone(),
            name: name.clone(),
            runtime,
            state,
            record,
            lock,
        })
    }

    /// Whether processes of the container may exist.
    pub fn is_active(&self) -> bool {
        self.state.is_active()
    }

    /// Nothing of the container runs from here on: an error if it does and may not, what keeps it
    /// frozen if it may. `otherwise` says what else can be done.
    pub fn stand_still(
        &self,
        may_run: bool,
        otherwise: &str,
        hints: &mut Vec<String>,
    ) -> Result<Option<Frozen>> {
        if self.state == State::Stopped {
            // LXC's monitor would not have it stand still.
            lxc::refuse_running(&self.place, &self.name)?;
        }
        match (self.state, &self.record) {
            (State::Stopped, _) => stop::wait_for_monitor(&self.runtime).map(|()| None),
            (State::Aborted, Some(record)) => {
                recover::recover(&self.runtime, record, &self.lock).map(|()| None)
            }
            (State::Frozen, _) if may_run => Ok(None),
            (State::Running, Some(record)) if may_run => {
                let frozen = freeze::freeze(record)?;
                if frozen.is_none() && record.cgroup.is_none() {
                    hints.push(format!(
                        "“{}” has no cgroup of its own and went on while its files were copied",
                        self.name
                    ));
                }
                Ok(frozen)
            }
            (state, _) => Err(Error::other(format!(
                "container “{}” is {}: stop it first (berth stop {}){}{otherwise}",
                self.name,
                state.word(),
                self.name,
                if otherwise.is_empty() { "" } else { ", or " },
            ))),
        }
    }

    /// The lock, once nothing else is to be done with the container.
    pub fn into_lock(self) -> (Runtime, VerbLock) {
        (self.runtime, self.lock)
    }
}
