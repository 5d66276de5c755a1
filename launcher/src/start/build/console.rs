//! `lxc.console.…`, `lxc.tty.…` and `lxc.pty.max`

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use berth_container_config::value::ConsolePeer;
use berth_container_config::{Config, Position};
use berth_kernel::cred;
use nix::sys::resource::{Resource, getrlimit};

use super::super::plan::{ConsolePlan, LogFilePlan, PeerPlan, RootPlan, RootSource};
use crate::error::{Error, Plain, Result};

const PATH: &str = "lxc.console.path";
const LOG_FILE: &str = "lxc.console.logfile";

pub(super) fn console(config: &Config, root: &RootPlan) -> Result<ConsolePlan> {
    let wanted = &config.console;
    let peer = match wanted.peer.as_ref().map(|peer| (&peer.value, &peer.at)) {
        None | Some((ConsolePeer::None, _)) => None,
        Some((ConsolePeer::Path(path), at)) => Some(PeerPlan {
            at: format!("{at}: {PATH}"),
            path: peer(path, at, root)?,
        }),
    };
    let log_file = match &wanted.log_file {
        None => None,
        Some(file) => Some(LogFilePlan {
            at: format!("{}: {LOG_FILE}", file.at),
            path: own_file(&file.value, &file.at, LOG_FILE, root)?,
            limit: wanted.log_size.as_ref().and_then(|size| size.value),
            rotate: wanted.rotate.as_ref().is_some_and(|rotate| rotate.value),
        }),
    };
    Ok(ConsolePlan {
        exists: !matches!(wanted.peer.as_deref(), Some(ConsolePeer::None)),
        peer,
        log_file,
        buffer: wanted.buffer_size.as_ref().and_then(|size| size.value),
    })
}

fn peer(path: &Path, at: &Position, root: &RootPlan) -> Result<PathBuf> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(Error::other(format!(
            "{at}: {PATH}: expected none, a terminal or a file, found the directory {}",
            path.display()
        ))),
        Ok(found) if !found.is_file() => Ok(path.to_owned()),
        _ => own_file(path, at, PATH, root),
    }
}

/// A file that the monitor may append to, with the owner's rights and at any time: nobody else may
/// be able to lead it elsewhere. The path without links.
fn own_file(path: &Path, at: &Position, key: &str, root: &RootPlan) -> Result<PathBuf> {
    let refused = |why: String| {
        Error::other(format!(
            "{at}: {key}: expected a file of yours, in a directory that exists, found {}: {why}",
            path.display()
        ))
    };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(refused("it is no file".to_owned()));
    };
    let place = parent
        .canonicalize()
        .map_err(|error| refused(format!("{}: {}", parent.display(), Plain(&error))))?;
    if let Some(link) = foreign_link(parent) {
        return Err(refused(format!(
            "{} is somebody else's link",
            link.display()
        )));
    }
    let inside = match &root.source {
        RootSource::Directory(path) => path.canonicalize().ok(),
        RootSource::Image(_) => None,
        RootSource::Overlay { upper, .. } => upper.canonicalize().ok(),
    };
    if inside.is_some_and(|inside| place.starts_with(inside)) {
        return Err(refused(
            "it lies in the container, which could lead it elsewhere".to_owned(),
        ));
    }
    let file = place.join(name);
    match std::fs::symlink_metadata(&file) {
        Ok(found) if found.is_symlink() => Err(refused("it is a link".to_owned())),
        Ok(found) if !found.is_file() => Err(refused("it is no regular file".to_owned())),
        Ok(_) => Ok(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(file),
        Err(error) => Err(refused(Plain(&error).to_string())),
    }
}

/// A link on the way that neither root nor the caller made.
fn foreign_link(path: &Path) -> Option<&Path> {
    let own = cred::effective_uid().raw();
    path.ancestors().find(|part| {
        std::fs::symlink_metadata(part)
            .is_ok_and(|found| found.is_symlink() && found.uid() != 0 && found.uid() != own)
    })
}

/// What the monitor has open beside two descriptors of each terminal, at most.
const OTHER_DESCRIPTORS: u64 = 128;

/// How many `/dev/ttyN` there are, if the container's devpts and the monitor can have so many.
pub(super) fn terminals(config: &Config) -> Result<u32> {
    let Some(most) = &config.tty_max else {
        return Ok(0);
    };
    let console = u32::from(!matches!(
        config.console.peer.as_deref(),
        Some(ConsolePeer::None)
    ));
    let all = most.value.saturating_add(console);
    let ptys = config.pty_max.as_ref().map_or(1024, |most| most.value);
    if most.value > 0 && all > ptys {
        return Err(Error::other(format!(
            "{}: lxc.tty.max: expected at most {}, since lxc.pty.max lets the container have \
             {ptys} terminals, found “{}”",
            most.at,
            ptys.saturating_sub(console),
            most.value
        )));
    }
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    let room = files.saturating_sub(OTHER_DESCRIPTORS) / 2;
    if most.value > 0 && u64::from(all) > room {
        return Err(Error::other(format!(
            "{}: lxc.tty.max: expected at most {room}, since the monitor may have {files} files \
             open (ulimit -n), found “{}”",
            most.at, most.value
        )));
    }
    Ok(most.value)
}
