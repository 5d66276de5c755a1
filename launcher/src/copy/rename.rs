//! `rename`: a container under another name, and everything that named the old one.
//!
//! The directory is renamed at one moment. Before that a note is made beside the containers
//! (`leftovers`), so that the next command goes on with the rest if this one is killed: paths in
//! the configuration, in those of its snapshots and of the overlays upon it, and LXC's notes of who
//! builds upon whom.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use berth_common::ContainerName;
use berth_container_config::{DiskLoader, edit, load_text};
use berth_kernel::fs::{self as kernel_fs, OpenFlags, Resolve};

use super::config::{Text, moved_value};
use super::relations::{self, Member};
use super::{Copied, Source};
use crate::commands::VERB_PATIENCE;
use crate::config_file::ConfigFile;
use crate::create::{exists_already, refuse_existing};
use crate::destroy::leftovers::{self, Kind, NEW_NAME};
use crate::destroy::refuse_mounts;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::state::Runtime;

/// Renames a container that does not run.
pub fn rename(place: &Place, old: &ContainerName, new: &ContainerName) -> Result<Copied> {
    place.require(old)?;
    let (from, to) = (place.container_dir(old), place.container_dir(new));
    refuse_existing(&to, new)?;
    let source = Source::hold(place, old)?;
    let mut hints = source.hints.clone();
    source.stand_still(false, "", &mut hints)?;
    // Nobody starts it under its new name before all of it has that.
    let runtime = Runtime::new(place.runtime_dir(new));
    let lock = runtime.lock_for_verb(VERB_PATIENCE)?;
    let renamed = refuse_mounts(&from)
        .and_then(|()| refuse_running_copies(place, old))
        .and_then(|()| write(place, old, new, &from, &to));
    match renamed {
        Ok(more) => hints.extend(more),
        Err(error) => {
            if !place.exists(new) {
                runtime.remove(lock);
            }
            return Err(error);
        }
    }
    let (runtime, lock) = source.into_lock();
    runtime.remove(lock);
    Ok(Copied { dir: to, hints })
}

fn write(
    place: &Place,
    old: &ContainerName,
    new: &ContainerName,
    from: &Path,
    to: &Path,
) -> Result<Vec<String>> {
    check_names(place, from, to)?;
    let failed = |error| Error::file("rename", from, error);
    let top = kernel_fs::open_dir(&place.lxcpath).map_err(failed)?;
    let top = top.as_fd();
    let site = leftovers::make(top, &place.lxcpath, old, Kind::Renaming)?;
    let renamed = note(site.dir.as_fd(), new).map_err(failed).and_then(|()| {
        match kernel_fs::rename_new(top, old.as_str().as_ref(), top, new.as_str().as_ref()) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(exists_already(to, new))
            }
            other => other.map_err(failed),
        }
    });
    let finished = renamed.and_then(|()| finish(place, old, new));
    let removed = site.remove(top, &place.lxcpath, &[]);
    let _ = kernel_fs::sync_file_system(top);
    finished?;
    Ok(removed
        .err()
        .map(|left| left.to_string())
        .into_iter()
        .collect())
}

fn note(site: std::os::fd::BorrowedFd<'_>, new: &ContainerName) -> std::io::Result<()> {
    let flags = OpenFlags::O_WRONLY | OpenFlags::O_CREAT | OpenFlags::O_EXCL;
    let file = kernel_fs::openat2(site, Path::new(NEW_NAME), flags, 0o600, Resolve::BENEATH)?;
    let mut file = std::fs::File::from(file);
    file.write_all(new.as_str().as_bytes())?;
    file.sync_all()
}

/// The new paths can be written down, and what is written is what is read again.
fn check_names(place: &Place, from: &Path, to: &Path) -> Result<()> {
    let file = ConfigFile::open(&from.join("config"))?;
    let text = changed(file.path(), file.text(), from, to);
    let wanted = format!("lxc.rootfs.path = dir:{}\n", to.join("rootfs").display());
    let read = load_text(Path::new("config"), &wanted, &DiskLoader).ok();
    let path = read.and_then(|loaded| Some(loaded.config.rootfs.path?.value.path().to_owned()));
    if path.as_deref() == Some(&to.join("rootfs")) && place.lxcpath.to_str().is_some() {
        return Ok(());
    }
    Err(Error::other(format!(
        "the path {} cannot be written into an LXC configuration ({} lines); choose another name",
        to.display(),
        text.lines().count()
    )))
}

/// An overlay upon it whose monitor remembers the old path would not come back from a reboot.
fn refuse_running_copies(place: &Place, old: &ContainerName) -> Result<()> {
    let change = relations::change(place, old)?;
    let copies = relations::copies_of(place, old, &change)?;
    for copy in copies.iter().filter(|copy| copy.parent == place.lxcpath) {
        let Ok(name) = copy.name.parse::<ContainerName>() else {
            continue;
        };
        let (state, _) = Runtime::new(place.runtime_dir(&name)).state()?;
        if state.is_active() {
            return Err(Error::other(format!(
                "container “{old}” cannot be renamed: the files of “{name}”, which is {}, are above \
                 its own; stop that first (berth stop {name})",
                state.word()
            )));
        }
    }
    Ok(())
}

/// Everything that named the old directory names the new one. Done twice it does nothing more.
pub fn finish(place: &Place, old: &ContainerName, new: &ContainerName) -> Result<()> {
    let (from, to) = (place.container_dir(old), place.container_dir(new));
    let change = relations::change(place, new)?;
    let own = to.join("config");
    rewrite(&own, |text| {
        let text = changed(&own, text, &from, &to);
        match edit::get(&text, "lxc.uts.name") == Some(old.as_str()) {
            true => edit::set(&text, "lxc.uts.name", new.as_str()),
            false => text,
        }
    })?;
    for file in tables(&own) {
        if file.starts_with(&to) {
            rewrite(&file, |text| moved_value(text, &from, &to))?;
        }
    }
    let snapshots = crate::snapshot::directories(&to);
    for snapshot in &snapshots {
        let file = snapshot.join("config");
        rewrite(&file, |text| changed(&file, text, &from, &to))?;
    }
    let mut named: Vec<PathBuf> = relations::origins(&to)?.iter().map(Member::dir).collect();
    for snapshot in &snapshots {
        named.extend(relations::origins(snapshot)?.iter().map(Member::dir));
    }
    for copy in relations::dependants(place, &[&from, &to])? {
        let file = copy.dir().join("config");
        rewrite(&file, |text| changed(&file, text, &from, &to))?;
        named.push(copy.dir());
    }
    named.push(to.clone());
    for dir in named.iter().filter(|dir| dir.is_dir()) {
        relations::rename_member(&change, dir, &from, &to)?;
    }
    let log = |name: &ContainerName| to.join(format!("{name}.log"));
    // It tells what was, whatever it is called.
    let _ = std::fs::rename(log(old), log(new));
    Ok(())
}

fn changed(file: &Path, text: &str, from: &Path, to: &Path) -> String {
    let mut text = Text::new(file.to_owned(), text);
    text.move_all_paths(from, to);
    text.into_text()
}

fn rewrite(path: &Path, change: impl FnOnce(&str) -> String) -> Result<()> {
    let mut file = match ConfigFile::open(path) {
        Err(Error::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(());
        }
        other => other?,
    };
    let text = change(file.text());
    match text == file.text() {
        true => Ok(()),
        false => file.replace(text),
    }
}

/// Files of a container's own that its configuration reads.
fn tables(config: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(config).unwrap_or_default();
    let keys = ["lxc.mount.fstab", "lxc.include"];
    let values = keys.iter().filter_map(|key| edit::get(&text, key));
    values
        .map(PathBuf::from)
        .filter(|path| path.is_file())
        .collect()
}
