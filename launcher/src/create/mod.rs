//! `create`: a new container, whole or not at all.
//!
//! Everything is made in a directory beside the place where the container is to stand, under a
//! name that no container can have, and renamed at the end. What is killed in between leaves
//! such a directory behind; the next create or destroy removes it.

pub mod config;
pub mod share;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use berth_common::{ContainerName, Gid};
use berth_container_config::{IdMapping, berth_toml};
use berth_kernel::fs::{self as kernel_fs, OpenFlags, Resolve};
use berth_kernel::user::User;

use crate::destroy::leftovers::{self, Kind};
use crate::error::{Error, Result};
use crate::mapped;
use crate::template::{Template, Tree};

/// Mode of a container's directory: its owner's, and passable for the container's root, whose
/// group it has (LXC's starts go through it by path).
const CONTAINER_MODE: u32 = 0o710;
/// Mode of a directory of containers: passable, so that LXC's starts work as well; nobody else
/// can list it.
const LXCPATH_MODE: u32 = 0o711;
const CONFIG_MODE: u32 = 0o640;
/// Mode of a `berth.toml`.
pub const SETTINGS_MODE: u32 = 0o640;
const ROOTFS_MODE: u32 = 0o755;

/// What is to be created.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// Whose it is: the caller.
    pub owner: User,
    /// Where his containers are; absolute.
    pub lxcpath: PathBuf,
    /// Its name.
    pub name: ContainerName,
    /// The template's name.
    pub template: String,
    /// A busybox to use instead of the host's.
    pub busybox: Option<PathBuf>,
    /// Directories of the host's that it shares.
    pub shares: Vec<share::Share>,
    /// The text of its `berth.toml`; empty: it has none.
    pub settings: String,
}

/// What was created.
#[derive(Clone, Debug)]
pub struct Created {
    /// The container's directory.
    pub dir: PathBuf,
    /// Sentences for the user: what it lacks, and what to do about that.
    pub hints: Vec<String>,
}

/// Creates a container. All that can be refused is refused before anything is made; after an
/// error there is no trace of it.
pub fn create(options: &CreateOptions) -> Result<Created> {
    let dir = options.lxcpath.join(&options.name);
    refuse_existing(&dir, &options.name)?;
    let template = Template::find(&options.template, options.busybox.as_deref())?;
    let mut composed = config::compose(options, &template)?;

    let lxcpath = open_lxcpath(&options.lxcpath)?;
    composed.hints.extend(leftovers::remove(
        &options.owner,
        &options.lxcpath,
        lxcpath.as_fd(),
    ));
    let site = leftovers::make(
        lxcpath.as_fd(),
        &options.lxcpath,
        &options.name,
        Kind::Creating,
    )?;
    let built = build(options, &template, &composed, site.dir.as_fd())
        .and_then(|()| publish(options, lxcpath.as_fd(), &site));
    match built {
        Ok(()) => Ok(Created {
            dir,
            hints: composed.hints,
        }),
        Err(error) => {
            let left = site.remove(lxcpath.as_fd(), &options.lxcpath, &composed.idmap);
            Err(failure(&options.name, &error, left))
        }
    }
}

pub(crate) fn refuse_existing(dir: &Path, name: &ContainerName) -> Result<()> {
    match std::fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(Error::file("use", dir.parent().unwrap_or(dir), error))
        }
        Err(error) => Err(Error::file("look at", dir, error)),
        Ok(_) => Err(exists_already(dir, name)),
    }
}

pub(crate) fn exists_already(dir: &Path, name: &ContainerName) -> Error {
    Error::other(match dir.join("config").exists() {
        true => format!(
            "container “{name}” exists already (remove it with `berth destroy {name}`, or choose \
             another name)"
        ),
        false => format!(
            "{} is in the way and is no container (it has no config); remove it, or choose \
             another name",
            dir.display()
        ),
    })
}

/// Opens the directory of containers; makes it, and those above it, if it is missing.
fn open_lxcpath(lxcpath: &Path) -> Result<OwnedFd> {
    let make = |error| Error::file("make directory", lxcpath, error);
    if let (false, Some(parent), Some(name)) =
        (lxcpath.is_dir(), lxcpath.parent(), lxcpath.file_name())
    {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent);
        let parent = made
            .and_then(|()| kernel_fs::open_dir(parent))
            .map_err(make)?;
        kernel_fs::make_dir_at(parent.as_fd(), name, LXCPATH_MODE).map_err(make)?;
    }
    kernel_fs::open_dir(lxcpath).map_err(|error| Error::file("open", lxcpath, error))
}

fn build(
    options: &CreateOptions,
    template: &Template,
    composed: &config::Composed,
    site: BorrowedFd<'_>,
) -> Result<()> {
    // The final paths are shown: those of the building site mean nothing to anybody.
    let dir = options.lxcpath.join(&options.name);
    let mut files = vec![("config", CONFIG_MODE, composed.text.as_str())];
    if !options.settings.is_empty() {
        files.push((berth_toml::FILE, SETTINGS_MODE, &options.settings));
    }
    for (name, mode, text) in files {
        write_text(site, name, mode, text)
            .map_err(|error| Error::file("write", &dir.join(name), error))?;
    }
    hand_to_group(site).map_err(|error| Error::file("set the group of", &dir, error))?;
    mapped::run(&composed.idmap, || fill(options, template, &dir, site))?;
    // Else a power cut after the rename could leave a container of empty files.
    kernel_fs::sync_file_system(site).map_err(|error| Error::file("write", &dir, error))
}

fn write_text(site: BorrowedFd<'_>, name: &str, mode: u32, text: &str) -> io::Result<()> {
    use std::io::Write;
    let flags = OpenFlags::O_WRONLY | OpenFlags::O_CREAT | OpenFlags::O_EXCL;
    let file = kernel_fs::openat2(site, Path::new(name), flags, 0o600, Resolve::BENEATH)?;
    kernel_fs::chmod(file.as_fd(), mode)?;
    std::fs::File::from(file).write_all(&berth_container_config::text::encode(text))
}

/// Gives the site the caller's own group, whatever a set-gid bit above says: the mapped root has
/// rights over it only if its group is mapped too.
fn hand_to_group(site: BorrowedFd<'_>) -> io::Result<()> {
    kernel_fs::chown(site, None, Some(berth_kernel::cred::real_gid()))
}

/// The part that the container's root does.
fn fill(
    options: &CreateOptions,
    template: &Template,
    dir: &Path,
    site: BorrowedFd<'_>,
) -> Result<()> {
    kernel_fs::chown(site, None, Some(Gid::ROOT))
        .and_then(|()| kernel_fs::chmod(site, CONTAINER_MODE))
        .map_err(|error| Error::file("set the owner of", dir, error))?;
    if !template.has_files() {
        return Ok(());
    }
    let shown = dir.join("rootfs");
    let (rootfs, _) = kernel_fs::make_dir_at(site, "rootfs".as_ref(), ROOTFS_MODE)
        .map_err(|error| Error::file("make directory", &shown, error))?;
    // The group would be another one where a set-gid bit was inherited.
    kernel_fs::chown(rootfs.as_fd(), None, Some(Gid::ROOT))
        .and_then(|()| kernel_fs::chmod(rootfs.as_fd(), ROOTFS_MODE))
        .map_err(|error| Error::file("set the owner of", &shown, error))?;
    let tree = Tree::enter(rootfs.as_fd(), &shown)?;
    template.build(&tree, &options.name)
}

/// From here on it counts as a container.
fn publish(options: &CreateOptions, lxcpath: BorrowedFd<'_>, site: &leftovers::Site) -> Result<()> {
    let dir = options.lxcpath.join(&options.name);
    let name = options.name.as_str().as_ref();
    match kernel_fs::rename_new(lxcpath, &site.name, lxcpath, name) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(exists_already(&dir, &options.name));
        }
        Err(error) => return Err(Error::file("make", &dir, error)),
    }
    // The container stands; a disk that cannot be told to hurry does not undo that.
    let _ = kernel_fs::sync_file_system(lxcpath);
    Ok(())
}

fn failure(name: &ContainerName, error: &Error, left: Result<()>) -> Error {
    Error::other(match left {
        Ok(()) => format!("{error}; container “{name}” was not created, nothing is left of it"),
        Err(left) => format!("{error}; container “{name}” was not created, and {left}"),
    })
}

/// The mappings under which a container's files are made and removed.
pub(crate) type Maps = Vec<IdMapping>;
