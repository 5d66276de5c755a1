//! `cp`: files into a container and out of it.
//!
//! Two processes at the ends of a pipe: one with the caller's rights on the host, one that is root
//! of the container's ids and resolves every path within the container's root. Neither ever opens
//! what the other named by a path.

mod archive;
mod receive;
mod send;
mod stream;
mod tar;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use berth_common::{ContainerName, Gid, Uid};
use berth_container_config::value::RootSource;
use berth_container_config::{Config, IdMapping};
use berth_kernel::fs::{self as kernel_fs, OpenFlags, Resolve};
use berth_kernel::process;
use nix::sched::CloneFlags;

use crate::commands::{VERB_PATIENCE, load_config};
use crate::copy::overlay_of;
use crate::error::{Error, Result};
use crate::mapped;
use crate::place::Place;
use crate::state::{Runtime, State, VerbLock};

/// One end of a transfer, as it is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// `NAME:/path`
    Inside(ContainerName, PathBuf),
    /// A path on the host.
    Host(PathBuf),
    /// `-`: a tar archive, from standard input or to standard output.
    Archive,
}

impl std::str::FromStr for End {
    type Err = String;

    /// What stands before a colon is a container's name, unless it has a slash.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.split_once(':').filter(|(name, _)| !name.contains('/')) {
            Some((name, path)) => {
                let name = name.parse().map_err(|error: berth_common::NameError| {
                    format!("{error} (./{text} is a file)")
                })?;
                Ok(Self::Inside(name, PathBuf::from(path)))
            }
            None if text.is_empty() => {
                Err("expected NAME:/path, a path or -, found nothing".to_owned())
            }
            None if text == "-" => Ok(Self::Archive),
            None => Ok(Self::Host(PathBuf::from(text))),
        }
    }
}

/// Whose files become that are copied into a container, by its own ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The owner.
    pub uid: Uid,
    /// The group.
    pub gid: Gid,
}

impl std::str::FromStr for Ownership {
    type Err = String;

    /// `UID` or `UID:GID`
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (uid, gid) = text.split_once(':').unwrap_or((text, text));
        let wrong = || format!("expected UID or UID:GID, as in 1000:1000, found “{text}”");
        let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        Ok(Self {
            uid: Uid::new(number(uid)?).ok_or_else(wrong)?,
            gid: Gid::new(number(gid)?).ok_or_else(wrong)?,
        })
    }
}

const NOT_FOR_OUT: &str = "--owner is for files that are copied into a container; others are yours";

/// Copies a file, or a directory with all in it, from one end to the other.
pub fn copy(place: &Place, from: &End, to: &End, ownership: Option<Ownership>) -> Result<()> {
    let root = Ownership {
        uid: Uid::ROOT,
        gid: Gid::ROOT,
    };
    match (from, to) {
        (End::Inside(name, source), End::Host(target)) => {
            if ownership.is_some() {
                return Err(Error::other(NOT_FOR_OUT));
            }
            let container = Container::open(place, name)?;
            let source = absolute(name, source)?;
            let target = target.clone();
            container.transfer(
                Direction::Out,
                |pipe| receive::receive(pipe, &receive::Target::host(&target)?, None),
                |root, pipe| send::send(pipe, &send::Source::inside(root, &source)?),
            )
        }
        (End::Host(source), End::Inside(name, target)) => {
            let container = Container::open(place, name)?;
            let target = absolute(name, target)?;
            let source = send::Source::host(source)?;
            let ownership = ownership.unwrap_or(root);
            container.transfer(
                Direction::In,
                |pipe| send::send(pipe, &source),
                |root, pipe| {
                    let target = receive::Target::inside(root, &target)?;
                    receive::receive(pipe, &target, Some(ownership))
                },
            )
        }
        (End::Inside(name, source), End::Archive) => {
            if ownership.is_some() {
                return Err(Error::other(NOT_FOR_OUT));
            }
            let stdout = std::io::stdout();
            refuse_terminal(stdout.as_fd(), "to standard output")?;
            let container = Container::open(place, name)?;
            let source = absolute(name, source)?;
            container.transfer(
                Direction::Out,
                |pipe| archive::pack(pipe, own_file(stdout.as_fd())?),
                |root, pipe| send::send(pipe, &send::Source::inside(root, &source)?),
            )
        }
        (End::Archive, End::Inside(name, target)) => {
            let stdin = std::io::stdin();
            refuse_terminal(stdin.as_fd(), "on standard input")?;
            let container = Container::open(place, name)?;
            // It has to be a directory.
            let target = absolute(name, target)?.join("");
            let ownership = ownership.unwrap_or(root);
            container.transfer(
                Direction::In,
                |pipe| archive::unpack(own_file(stdin.as_fd())?, pipe),
                |root, pipe| {
                    let target = receive::Target::inside(root, &target)?;
                    receive::receive(pipe, &target, Some(ownership))
                },
            )
        }
        _ => Err(Error::other(
            "expected one of the two in a container, as in: berth cp FILE NAME:/path (between two \
             containers, take the way over the host)",
        )),
    }
}

/// Nobody types a tar archive, or reads one.
fn refuse_terminal(stream: BorrowedFd<'_>, which: &str) -> Result<()> {
    match berth_kernel::tty::is_terminal(stream) {
        true => Err(Error::other(format!(
            "- means a tar archive {which}, which is a terminal; use a pipe or a file, as in: \
             berth cp NAME:/path - | tar -t (a file of that name is ./-)"
        ))),
        false => Ok(()),
    }
}

/// Without the buffer of the standard library's.
fn own_file(stream: BorrowedFd<'_>) -> Result<File> {
    let own = stream.try_clone_to_owned();
    own.map(File::from)
        .map_err(|error| Error::os("use a standard stream", error))
}

fn absolute(name: &ContainerName, path: &Path) -> Result<PathBuf> {
    match path.is_absolute() {
        true => Ok(path.to_owned()),
        false => Err(Error::other(format!(
            "expected an absolute path in the container, as in {name}:/root/{}",
            path.display()
        ))),
    }
}

/// Directory and name of what a path means; none for `/`, `.` and what ends in `..`.
fn split(path: &Path) -> (PathBuf, Option<std::ffi::OsString>) {
    match path.components().next_back() {
        Some(Component::Normal(name)) => {
            let parent = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            (
                parent.unwrap_or(Path::new(".")).to_owned(),
                Some(name.to_owned()),
            )
        }
        _ => (path.to_owned(), None),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// A container whose files can be reached.
struct Container {
    ids: Vec<IdMapping>,
    root: Root,
    /// Nobody starts it while its layers are mounted here.
    _lock: Option<VerbLock>,
}

enum Root {
    Open(OwnedFd),
    Overlay { lower: Vec<PathBuf>, upper: PathBuf },
}

impl Container {
    fn open(place: &Place, name: &ContainerName) -> Result<Self> {
        place.require(name)?;
        let runtime = Runtime::new(place.runtime_dir(name));
        if let (State::Running | State::Frozen, Some(record)) = runtime.state()?
            && let Some(init) = record.init
        {
            let root = root_of(name, init, record.monitor)?;
            let mut ids = record.ids();
            if ids.is_empty() {
                ids = configured_ids(&load_config(place, name)?.0);
            }
            return Ok(Self {
                ids,
                root: Root::Open(root),
                _lock: None,
            });
        }
        let lock = runtime.lock_for_verb(VERB_PATIENCE)?;
        match runtime.state()?.0 {
            State::Stopped | State::Aborted => {}
            other => {
                return Err(Error::other(format!(
                    "container “{name}” is {}; try again when it has started or stopped",
                    other.word()
                )));
            }
        }
        let (config, _) = load_config(place, name)?;
        Ok(Self {
            root: root(name, &config)?,
            ids: configured_ids(&config),
            _lock: Some(lock),
        })
    }

    /// Runs the host's side and the container's side against each other.
    fn transfer(
        self,
        direction: Direction,
        host: impl FnOnce(File) -> Result<()>,
        inside: impl FnOnce(OwnedFd, File) -> Result<()>,
    ) -> Result<()> {
        let failed = |error| Error::os("make a pipe", error);
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        let (reader, writer) = (
            File::from(OwnedFd::from(reader)),
            File::from(OwnedFd::from(writer)),
        );
        let (host_end, inside_end) = match direction {
            Direction::In => (writer, reader),
            Direction::Out => (reader, writer),
        };
        let (mut told, telling) = std::io::pipe().map_err(failed)?;
        // Each process keeps its own end only, so that each hears of the other's death.
        let (mut host_end, mut inside_end) = (Some(host_end), Some(inside_end));
        let mut telling = Some(telling);
        let child = process::fork(|| {
            drop(inside_end.take());
            let _ = process::set_parent_death_signal(nix::libc::SIGKILL);
            let result = host_end.take().map_or(Ok(()), host);
            if let (Err(error), Some(mut telling)) = (&result, telling.take()) {
                let _ = telling.write_all(error.to_string().as_bytes());
            }
            u8::from(result.is_err())
        })
        .map_err(|error| Error::os("start a process", error))?;
        drop((host_end.take(), telling.take()));
        let mut inside_end = inside_end;
        let (ids, root) = (&self.ids, &self.root);
        // Of the pipe's end there are to be no copies but that of the process which uses it.
        let own_end = inside_end.take();
        let theirs = mapped::run(ids, || {
            let root = open_root(ids, root)?;
            match &own_end {
                Some(end) => {
                    let end = end
                        .try_clone()
                        .map_err(|error| Error::os("use a pipe", error))?;
                    inside(root, end)
                }
                None => Ok(()),
            }
        });
        drop(own_end);
        let mut said = String::new();
        let _ = told.read_to_string(&mut said);
        let exit = child
            .pidfd
            .wait()
            .map_err(|error| Error::os("wait for a process", error))?;
        let ours = match exit.success() {
            true => Ok(()),
            false if said.is_empty() => {
                Err(Error::other(format!("the copying process ended ({exit})")))
            }
            false => Err(Error::other(said)),
        };
        // Whoever sends knows why nothing came; whoever receives, why nothing was taken.
        let (sender, receiver) = match direction {
            Direction::In => (ours, theirs),
            Direction::Out => (theirs, ours),
        };
        match (sender, receiver) {
            (Err(sent), Err(received)) => match stream::is_broken_off(&sent) {
                true => Err(received),
                false => Err(sent),
            },
            (sent, received) => sent.and(received),
        }
    }
}

/// The root directory of a container's init. A directory in /proc means one process for ever, and
/// only the living monitor's child is its init: its number alone may mean another one by now.
fn root_of(name: &ContainerName, init: i32, monitor: i32) -> Result<OwnedFd> {
    let ended = || Error::other(format!("container “{name}” has just ended; try again"));
    let process = kernel_fs::open_dir(Path::new(&format!("/proc/{init}"))).map_err(|_| ended())?;
    match process::parent_and_name(init) {
        Ok((parent, _)) if parent == monitor => {}
        _ => return Err(ended()),
    }
    let flags = OpenFlags::O_RDONLY | OpenFlags::O_DIRECTORY;
    kernel_fs::openat2(process.as_fd(), Path::new("root"), flags, 0, Resolve::ANY)
        .map_err(|error| Error::os("open the container's root", error))
}

fn configured_ids(config: &Config) -> Vec<IdMapping> {
    config.idmap.iter().map(|mapping| mapping.value).collect()
}

fn root(name: &ContainerName, config: &Config) -> Result<Root> {
    let image = || {
        Error::other(format!(
            "the root file system of “{name}” is an image; start it first (berth start {name})"
        ))
    };
    match config.rootfs.path.as_ref().map(|path| &path.value) {
        Some(RootSource::Overlay { lower, upper }) => Ok(Root::Overlay {
            lower: lower.clone(),
            upper: upper.clone(),
        }),
        Some(RootSource::Directory(path) | RootSource::Any(path)) if path.is_dir() => {
            let root =
                kernel_fs::open_dir(path).map_err(|error| Error::file("open", path, error))?;
            Ok(Root::Open(root))
        }
        Some(RootSource::Directory(path)) => Err(Error::other(format!(
            "there is no directory {}",
            path.display()
        ))),
        Some(_) => Err(image()),
        None => Err(Error::other(format!(
            "container “{name}” has no root file system"
        ))),
    }
}

/// In the process that is root of the container's ids.
fn open_root(ids: &[IdMapping], root: &Root) -> Result<OwnedFd> {
    let (lower, upper) = match root {
        Root::Open(root) => {
            return root
                .try_clone()
                .map_err(|error| Error::os("use the root", error));
        }
        Root::Overlay { lower, upper } => (lower, upper),
    };
    if ids.is_empty() {
        process::unshare(CloneFlags::CLONE_NEWNS)
            .map_err(|error| Error::os("make a mount namespace", error))?;
    }
    berth_kernel::mount::set_all_propagation(berth_kernel::mount::Propagation::Private)
        .map_err(|error| Error::os("make mounts private", error))?;
    let parent = upper.parent().unwrap_or(Path::new("/"));
    let failed = |error| Error::file("open", parent, error);
    let held = kernel_fs::open_dir(parent).map_err(failed)?;
    for dir in [upper.as_path(), Path::new(crate::start::overlay::WORK)] {
        if let Some(name) = dir.file_name() {
            kernel_fs::make_dir_at(held.as_fd(), name, 0o755).map_err(failed)?;
        }
    }
    let work = parent.join(crate::start::overlay::WORK);
    let mount = overlay_of(!ids.is_empty(), lower, Some((upper, &work)))?;
    let flags = OpenFlags::O_RDONLY | OpenFlags::O_DIRECTORY;
    kernel_fs::openat2(mount.as_fd(), Path::new("."), flags, 0, Resolve::ANY)
        .map_err(|error| Error::os("open the overlay", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        let inside = |name: &str, path: &str| End::Inside(name.parse().unwrap(), path.into());
        for (text, end) in [
            ("web:/etc", inside("web", "/etc")),
            ("web:/a:b", inside("web", "/a:b")),
            ("./web:x", End::Host("./web:x".into())),
            ("/tmp/a:b", End::Host("/tmp/a:b".into())),
            ("file", End::Host("file".into())),
            ("-", End::Archive),
            ("./-", End::Host("./-".into())),
        ] {
            assert_eq!(text.parse(), Ok(end), "{text}");
        }
        for wrong in ["", ":/x", "we b:/x"] {
            assert!(wrong.parse::<End>().is_err(), "{wrong}");
        }
        let owner: Ownership = "33".parse().unwrap();
        assert_eq!((owner.uid.raw(), owner.gid.raw()), (33, 33));
        assert!("a:b".parse::<Ownership>().is_err() && "1:".parse::<Ownership>().is_err());
    }
}
