//! `destroy`: a container is gone at once, its files soon after.

pub mod leftovers;
mod tree;

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use berth_common::ContainerName;
use berth_container_config::line::Line;
use berth_container_config::value::{HookKind, id_mapping};
use berth_container_config::{Config, DiskLoader, IdMapping, Loader, Source, load_text};
use berth_kernel::fs as kernel_fs;
use berth_kernel::user::User;

use crate::copy::relations::{self, Member};
use crate::default_config;
use crate::error::{Error, Result};
use crate::hook::{Hooks, Paths, Told};
use crate::place::Place;

/// What was destroyed.
#[derive(Clone, Debug, Default)]
pub struct Destroyed {
    /// Sentences for the user: what was left alone, and why.
    pub hints: Vec<String>,
}

/// Destroys a container. `check` is asked last before it happens, and refuses while the
/// container runs.
///
/// First the container is renamed to a name that no container can have, so that it is gone or
/// there, never half of it; then its files are removed. If that is interrupted, the next create
/// or destroy goes on.
pub fn destroy(
    owner: &User,
    lxcpath: &Path,
    name: &ContainerName,
    check: impl FnOnce() -> Result<()>,
) -> Result<Destroyed> {
    destroy_with(owner, lxcpath, name, false, check)
}

/// The same, and its snapshots go along if `snapshots`; otherwise it is refused while it has some.
pub fn destroy_with(
    owner: &User,
    lxcpath: &Path,
    name: &ContainerName,
    snapshots: bool,
    check: impl FnOnce() -> Result<()>,
) -> Result<Destroyed> {
    let shown = lxcpath.join(name);
    let missing = || Error::NoSuchContainer {
        name: name.clone(),
        lxcpath: lxcpath.into(),
        nearest: None,
    };
    let top = match kernel_fs::open_dir(lxcpath) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
        other => other.map_err(|error| Error::file("open", lxcpath, error))?,
    };
    let is_link = std::fs::symlink_metadata(&shown).is_ok_and(|found| found.is_symlink());
    if is_link {
        return Err(Error::other(format!(
            "{} is a symbolic link; destroy the container where it points to",
            shown.display()
        )));
    }
    let settled = leftovers::settle(owner, lxcpath, top.as_fd());
    if !shown.join("config").exists() {
        return Err(missing());
    }
    let config = Saved::read(&shown.join("config"));
    let place = Place::of(owner.clone(), Some(lxcpath))?;
    refuse_dependants(&place, name, snapshots)?;
    refuse_mounts(&shown)?;
    config.refuse_unmanaged(&shown)?;
    check()?;

    config.run_hooks(name, &shown.join("config"))?;
    let mut done = Destroyed { hints: settled };
    let idmap = config.idmap(owner)?;
    let built_upon = built_upon(&shown)?;
    let site = leftovers::take(top.as_fd(), lxcpath, name)?;
    for (member, origins) in built_upon {
        let forgotten = crate::copy::forget(&place, name, &origins, &member);
        done.hints
            .extend(forgotten.err().map(|error| error.to_string()));
    }
    done.hints.extend(config.foreign_rootfs(&shown));
    site.remove(top.as_fd(), lxcpath, &idmap)
        .map_err(|left| Error::other(format!("container “{name}” is gone, but {left}")))?;
    done.hints
        .extend(leftovers::remove(owner, lxcpath, top.as_fd()));
    Ok(done)
}

/// What a container's configuration says that matters for its removal, as far as it can be read:
/// a container with a broken configuration can be destroyed too.
pub(crate) struct Saved {
    config: Option<Config>,
    text: String,
}

impl Saved {
    pub(crate) fn read(path: &Path) -> Self {
        let text = match DiskLoader.read(path) {
            Ok(Source::Text(text)) => text,
            _ => String::new(),
        };
        let config = load_text(path, &text, &DiskLoader)
            .ok()
            .map(|loaded| loaded.config);
        Self { config, text }
    }

    /// The ids of the container's files: by its configuration, else by the owner's rights.
    pub(crate) fn idmap(&self, owner: &User) -> Result<Vec<IdMapping>> {
        let whole = self.config.iter().flat_map(|config| config.idmap.iter());
        let mut idmap: Vec<IdMapping> = whole.map(|mapping| mapping.value).collect();
        if idmap.is_empty() {
            idmap.extend(
                self.text
                    .lines()
                    .filter_map(|line| match Line::parse(line) {
                        Line::Assignment {
                            key: "lxc.idmap",
                            value,
                        } => id_mapping(value).ok(),
                        _ => None,
                    }),
            );
        }
        if idmap.is_empty() && !owner.uid.is_root() {
            return default_config::id_mappings(owner);
        }
        Ok(idmap)
    }

    /// `lxc.rootfs.managed = 0`: the root file system is somebody else's, so it cannot go with the
    /// container's directory.
    fn refuse_unmanaged(&self, dir: &Path) -> Result<()> {
        let Some(rootfs) = self.config.as_ref().map(|config| &config.rootfs) else {
            return Ok(());
        };
        match (&rootfs.managed, &rootfs.path) {
            (Some(managed), Some(path)) if !managed.value && path.path().starts_with(dir) => {
                Err(Error::other(format!(
                    "{}: lxc.rootfs.managed = 0 keeps the root file system {} from being removed, \
                     and it lies in the container's directory; move it elsewhere first, or remove \
                     that line",
                    managed.at,
                    path.path().display()
                )))
            }
            _ => Ok(()),
        }
    }

    /// Runs the hooks before the destruction; one that fails keeps the container.
    fn run_hooks(&self, name: &ContainerName, file: &Path) -> Result<()> {
        let Some(config) = &self.config else {
            return Ok(());
        };
        let rootfs = config.rootfs.path.as_ref();
        let rootfs = rootfs.map_or(Path::new(""), |path| path.path());
        let paths = Paths {
            config: file,
            rootfs: rootfs.display().to_string(),
            mount_point: rootfs,
        };
        if !Hooks::any(config, HookKind::Destroy) {
            return Ok(());
        }
        Hooks::of(name, config, &paths)?
            .run(HookKind::Destroy, &Told::default(), None, |_| {})
            .map_err(Error::other)
    }

    /// A hint if the root file system lies outside of the container's directory: that one is not
    /// Berth's to remove.
    fn foreign_rootfs(&self, dir: &Path) -> Option<String> {
        let rootfs = self.config.as_ref()?.rootfs.path.as_ref()?.path();
        (!rootfs.starts_with(dir)).then(|| {
            format!(
                "the container's root file system {} lies elsewhere and was left as it is",
                rootfs.display()
            )
        })
    }
}

/// As lxc-destroy: not while copies build upon it, nor with snapshots unless they are to go along.
fn refuse_dependants(place: &Place, name: &ContainerName, with_snapshots: bool) -> Result<()> {
    let dir = place.container_dir(name);
    let change = relations::change(place, name)?;
    let copies = relations::copies_of(place, name, &change)?;
    relations::refuse_copies(name, "destroyed", &copies)?;
    let counted = relations::counted(&dir);
    if counted > 0 {
        return Err(Error::other(format!(
            "{counted} copies of container “{name}” build upon its files, by what LXC wrote in {}; \
             destroy them first",
            dir.join(relations::COPIES_FILE).display()
        )));
    }
    let snapshots = crate::snapshot::directories(&dir);
    if snapshots.is_empty() || with_snapshots {
        return Ok(());
    }
    let names = snapshots.iter().filter_map(|dir| dir.file_name());
    let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
    Err(Error::other(format!(
        "container “{name}” has snapshots: {} (destroy them along with --snapshots)",
        names.join(", ")
    )))
}

/// What the container and its snapshots build upon.
fn built_upon(dir: &Path) -> Result<Vec<(Member, Vec<Member>)>> {
    let mut found = Vec::new();
    for dir in std::iter::once(dir.to_owned()).chain(crate::snapshot::directories(dir)) {
        let origins = relations::origins(&dir)?;
        if let (Some(member), false) = (Member::of_dir(&dir), origins.is_empty()) {
            found.push((member, origins));
        }
    }
    Ok(found)
}

/// Refuses while something is mounted below the container's directory: its files would not be
/// the container's.
pub(crate) fn refuse_mounts(dir: &Path) -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(unescape);
    match points.into_iter().find(|point| point.starts_with(dir)) {
        None => Ok(()),
        Some(point) => Err(Error::other(format!(
            "something is mounted on {}; unmount it first",
            point.display()
        ))),
    }
}

/// Undoes the octal escapes of mountinfo (proc(5)).
pub(crate) fn unescape(field: &str) -> PathBuf {
    let known = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    PathBuf::from(
        known
            .iter()
            .fold(field.to_owned(), |text, (from, to)| text.replace(from, to)),
    )
}
