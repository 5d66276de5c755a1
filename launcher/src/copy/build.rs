//! Making a copy in a directory of its own, as root of the container's ids.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use berth_common::{ContainerName, Gid, Uid};
use berth_container_config::value::HookKind;
use berth_kernel::file_copy::{self, Attributes};
use berth_kernel::fs::{self as kernel_fs, OpenFlags, Resolve};
use berth_kernel::mount::{DetachedMount, Propagation};
use berth_kernel::process;
use nix::sched::CloneFlags;

use super::config;
use super::layers::overlay_of;
use super::measure::{Measure, Usage};
use super::plan::{CHANGES, OVERLAY, Plan, ROOTFS, Root, WORK};
use super::relations;
use super::tree::{copy_tree, give};
use crate::destroy::leftovers::Site;
use crate::error::{Error, Result};
use crate::hook::{Hooks, Paths, Told};
use crate::mapped;
use crate::progress::Progress;
use crate::time;

const CONFIG_MODE: u32 = 0o640;
const DIR_MODE: u32 = 0o755;
/// Where a distribution keeps the host's name.
const HOST_NAME_FILE: &str = "etc/hostname";
/// So much stays free of a disk at least, in bytes: directories are larger elsewhere.
const SPARE: u64 = 1 << 20;

/// What a copy is to be.
pub struct Build<'a> {
    /// What is copied.
    pub plan: &'a Plan,
    /// The text of the copy's configuration.
    pub text: &'a str,
    /// Where the copy is to stand.
    pub target: &'a Path,
    /// Directory of containers, or of snapshots, that it is made in.
    pub parent: &'a Path,
    /// Files more, beside the configuration: names and contents.
    pub files: &'a [(&'a str, String)],
    /// The host name that is written into the copy's files.
    pub host_name: Option<&'a str>,
    /// Paths in files beside the configuration lead from the first directory into the other.
    pub moved: Option<(&'a Path, &'a Path)>,
    /// Its hooks for copies are told these names: of the source and of the copy.
    pub hooks: Option<(&'a ContainerName, &'a ContainerName)>,
}

/// Makes the copy in `site`.
pub fn build(build: &Build<'_>, site: &Site) -> Result<()> {
    let plan = build.plan;
    let failed = |what| move |error| Error::file(what, build.target, error);
    let source = kernel_fs::open_dir(&plan.source)
        .map_err(|error| Error::file("open", &plan.source, error))?;
    let dir = site.dir.as_fd();
    write_file(dir, "config", build.text, CONFIG_MODE).map_err(failed("write"))?;
    for (name, content) in build.files {
        write_file(dir, name, content, 0o644).map_err(failed("write"))?;
    }
    if !plan.origins.is_empty() {
        let text = relations::origins_text(&plan.origins);
        write_file(dir, relations::ORIGINS_FILE, &text, 0o644).map_err(failed("write"))?;
    }
    // The mapped root has rights over the site only if its group is mapped too.
    kernel_fs::chown(dir, None, Some(berth_kernel::cred::real_gid()))
        .map_err(failed("set the group of"))?;
    mapped::run(&plan.idmap, || fill(build, source.as_fd(), site))?;
    // Else a power cut after the rename could leave a container of empty files.
    kernel_fs::sync_file_system(dir).map_err(failed("write"))
}

fn write_file(dir: BorrowedFd<'_>, name: &str, text: &str, mode: u32) -> io::Result<()> {
    let flags = OpenFlags::O_WRONLY | OpenFlags::O_CREAT | OpenFlags::O_EXCL;
    let file = kernel_fs::openat2(dir, Path::new(name), flags, 0o600, Resolve::BENEATH)?;
    kernel_fs::chmod(file.as_fd(), mode)?;
    std::fs::File::from(file).write_all(&berth_container_config::text::encode(text))
}

/// A tree that is copied, and where to.
struct Part {
    from: OwnedFd,
    shown: PathBuf,
    to: OwnedFd,
}

/// The part that the container's root does.
fn fill(build: &Build<'_>, source: BorrowedFd<'_>, site: &Site) -> Result<()> {
    let plan = build.plan;
    let dir = site.dir.as_fd();
    let failed = |error| Error::file("make", build.target, error);
    // Mounts of layers are looked at from a mount namespace of this process's own; with ids it has
    // one already.
    if plan.idmap.is_empty() {
        process::unshare(CloneFlags::CLONE_NEWNS)
            .map_err(|error| Error::os("make a mount namespace", error))?;
    }
    berth_kernel::mount::set_all_propagation(Propagation::Private)
        .map_err(|error| Error::os("make mounts private", error))?;
    let parts = parts(build, dir)?;
    let skipped = |name: &std::ffi::OsStr| {
        plan.skips(name) || build.files.iter().any(|(file, _)| name == *file)
    };
    let nothing = |_: &std::ffi::OsStr| false;

    let mut usage = Usage::default();
    let mut measured = vec![(
        source,
        plan.source.as_path(),
        &skipped as &dyn Fn(&_) -> bool,
    )];
    for part in &parts {
        measured.push((part.from.as_fd(), &part.shown, &nothing));
    }
    for (from, shown, skipped) in &measured {
        let mut measure = Measure::new(shown, plan.idmap.is_empty());
        measure.take(*from, *skipped)?;
        measure.refuse()?;
        usage = usage.plus(measure.usage());
    }
    require_space(dir, &usage, build.parent)?;

    let mut progress = Progress::new("copying", usage.bytes);
    copy_tree(source, dir, &plan.source, &skipped, false, &mut progress)?;
    for part in &parts {
        copy_tree(
            part.from.as_fd(),
            part.to.as_fd(),
            &part.shown,
            &nothing,
            true,
            &mut progress,
        )?;
    }
    drop(progress);
    move_paths_in_files(build, dir)?;
    change_root(build, site)?;
    let attributes = Attributes::of(source).map_err(failed)?;
    give(source, dir, &attributes).map_err(failed)
}

/// Makes the directories of the copy's root, and opens what is to be copied into them.
fn parts(build: &Build<'_>, dir: BorrowedFd<'_>) -> Result<Vec<Part>> {
    let failed = |error| Error::file("make", &build.target.join(ROOTFS), error);
    let make = |dir: BorrowedFd<'_>, name: &str| {
        let (made, _) = kernel_fs::make_dir_at(dir, name.as_ref(), DIR_MODE)?;
        kernel_fs::chown(made.as_fd(), Some(Uid::ROOT), Some(Gid::ROOT))?;
        Ok(made)
    };
    let open =
        |path: &Path| kernel_fs::open_dir(path).map_err(|error| Error::file("open", path, error));
    let from = |path: &Path, to: OwnedFd| {
        Ok(vec![Part {
            from: open(path)?,
            shown: path.to_owned(),
            to,
        }])
    };
    match &build.plan.root {
        Root::InPlace { .. } => Ok(Vec::new()),
        Root::Directory(path) => from(path, make(dir, ROOTFS).map_err(failed)?),
        Root::Merged(layers) => {
            let merged = overlay_of(!build.plan.idmap.is_empty(), layers, None)?;
            Ok(vec![Part {
                from: opened(&merged)?,
                shown: layers.first().cloned().unwrap_or_default(),
                to: make(dir, ROOTFS).map_err(failed)?,
            }])
        }
        Root::Upon(_) | Root::Changes { .. } => {
            make(dir, ROOTFS).map_err(failed)?;
            let overlay = make(dir, OVERLAY).map_err(failed)?;
            make(overlay.as_fd(), WORK).map_err(failed)?;
            let to = make(overlay.as_fd(), CHANGES).map_err(failed)?;
            match &build.plan.root {
                Root::Changes { changes, .. } => from(changes, to),
                Root::Upon(layers) => {
                    // What an overlay's root is, is what its uppermost layer's is.
                    if let Some(top) = layers.first() {
                        let top = open(top)?;
                        let attributes = Attributes::of(top.as_fd()).map_err(failed)?;
                        give(top.as_fd(), to.as_fd(), &attributes).map_err(failed)?;
                    }
                    Ok(Vec::new())
                }
                _ => Ok(Vec::new()),
            }
        }
    }
}

fn opened(mount: &DetachedMount) -> Result<OwnedFd> {
    let failed = |error| Error::os("open an overlay", error);
    let flags = OpenFlags::O_RDONLY | OpenFlags::O_DIRECTORY;
    kernel_fs::openat2(mount.as_fd(), Path::new("."), flags, 0, Resolve::ANY).map_err(failed)
}

fn require_space(dir: BorrowedFd<'_>, usage: &Usage, shown: &Path) -> Result<()> {
    let free = file_copy::free(dir).map_err(|error| Error::file("look at", shown, error))?;
    if usage.bytes.saturating_add(SPARE) > free.bytes && !can_share(dir) {
        return Err(Error::other(format!(
            "the copy takes {} and {} has {} left; make room first",
            time::bytes(usage.bytes),
            shown.display(),
            time::bytes(free.bytes)
        )));
    }
    match free.files {
        Some(files) if usage.files > files => Err(Error::other(format!(
            "the copy is {} files and the disk of {} can take {files} more; remove some first",
            usage.files,
            shown.display()
        ))),
        _ => Ok(()),
    }
}

/// Whether copies share their content with what they are made from: tried with the configuration.
fn can_share(dir: BorrowedFd<'_>) -> bool {
    let open = |name: &str, flags| {
        kernel_fs::openat2(dir, Path::new(name), flags, 0o600, Resolve::BENEATH)
    };
    let create = OpenFlags::O_RDWR | OpenFlags::O_CREAT | OpenFlags::O_EXCL;
    let name = ".share";
    let (Ok(from), Ok(to)) = (open("config", OpenFlags::O_RDONLY), open(name, create)) else {
        return false;
    };
    let shared = file_copy::share_content(from.as_fd(), to.as_fd()).unwrap_or(false);
    kernel_fs::unlink_at(dir, name.as_ref()).is_ok() && shared
}

/// Tables of mounts and included files that were copied with the container name its old place.
fn move_paths_in_files(build: &Build<'_>, dir: BorrowedFd<'_>) -> Result<()> {
    const MAX_FILE: usize = 1 << 20;
    let Some((from, to)) = build.moved else {
        return Ok(());
    };
    let fstab = build
        .plan
        .config
        .fstab
        .iter()
        .map(|file| file.value.clone());
    let lines = build.plan.text.lines();
    let includes = lines.filter_map(
        |line| match berth_container_config::line::Line::parse(line) {
            berth_container_config::line::Line::Assignment {
                key: "lxc.include",
                value,
            } => Some(PathBuf::from(value)),
            _ => None,
        },
    );
    for path in fstab.chain(includes) {
        let inside = path.strip_prefix(from).ok();
        let Some(name) = inside
            .and_then(|inside| inside.to_str())
            .filter(|name| !name.contains('/'))
        else {
            continue;
        };
        let failed = |error| Error::file("change the copy of", &path, error);
        let bytes = match kernel_fs::read_at(dir, name.as_ref(), MAX_FILE) {
            Ok(bytes) => bytes,
            Err(_) => continue,
        };
        let text = berth_container_config::text::decode(&bytes);
        let moved = config::moved_value(&text, from, to);
        if moved == text {
            continue;
        }
        let was = kernel_fs::status_at(dir, name.as_ref()).map_err(failed)?;
        let none = || Error::other("an id that is none");
        let owner = (
            Uid::new(was.uid).ok_or_else(none)?,
            Gid::new(was.gid).ok_or_else(none)?,
        );
        kernel_fs::write_atomically_for(
            dir,
            name.as_ref(),
            &berth_container_config::text::encode(&moved),
            was.permissions(),
            owner,
            kernel_fs::Durability::Memory,
        )
        .map_err(failed)?;
    }
    Ok(())
}

/// The new host's name, and what the hooks for copies do: in the root as it will be seen.
fn change_root(build: &Build<'_>, site: &Site) -> Result<()> {
    let has_hooks = build.hooks.is_some() && Hooks::any(&build.plan.config, HookKind::Clone);
    if build.host_name.is_none() && !has_hooks {
        return Ok(());
    }
    let path = build.parent.join(&site.name);
    let root = match &build.plan.root {
        Root::InPlace { is_dir: false, .. } if !has_hooks => return Ok(()),
        Root::InPlace { inside, .. } => path.join(inside),
        _ => path.join(ROOTFS),
    };
    if let Root::Upon(lower) | Root::Changes { lower, .. } = &build.plan.root {
        let mount = {
            let own = path.join(OVERLAY);
            let changes = (own.join(CHANGES), own.join(WORK));
            let ids = !build.plan.idmap.is_empty();
            overlay_of(ids, lower, Some((&changes.0, &changes.1)))?
        };
        mount
            .attach_at(&root)
            .map_err(|error| Error::file("mount the overlay on", &root, error))?;
    }
    if let Some(name) = build.host_name {
        write_host_name(&root, name)
            .map_err(|error| Error::file("write", &root.join(HOST_NAME_FILE), error))?;
    }
    if let Some((source, target)) = build.hooks.filter(|_| has_hooks) {
        run_hooks(build, &path, &root, source, target)?;
    }
    if matches!(build.plan.root, Root::Upon(_) | Root::Changes { .. }) {
        berth_kernel::mount::detach(&root).map_err(|error| Error::file("unmount", &root, error))?;
    }
    Ok(())
}

/// Writes the name if the file is there. A link in the container leads nowhere else.
fn write_host_name(root: &Path, name: &str) -> io::Result<()> {
    let root = match kernel_fs::open_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let flags = OpenFlags::O_WRONLY | OpenFlags::O_NONBLOCK | OpenFlags::O_NOCTTY;
    let resolve = Resolve::IN_ROOT | Resolve::NO_MAGICLINKS;
    let path = Path::new(HOST_NAME_FILE);
    let file = match kernel_fs::openat2(root.as_fd(), path, flags, 0, resolve) {
        Ok(file) if kernel_fs::status(file.as_fd())?.is_file() => std::fs::File::from(file),
        _ => return Ok(()),
    };
    // A second name of the same file elsewhere in the container says the same.
    file.set_len(0)?;
    (&file).write_all(format!("{name}\n").as_bytes())
}

fn run_hooks(
    build: &Build<'_>,
    site: &Path,
    root: &Path,
    source: &ContainerName,
    target: &ContainerName,
) -> Result<()> {
    let config = &build.plan.config;
    let file = site.join("config");
    let paths = Paths {
        config: &file,
        rootfs: root.display().to_string(),
        mount_point: root,
    };
    let told = Told {
        variables: vec![("LXC_SRC_NAME".to_owned(), source.to_string())],
        ..Told::default()
    };
    Hooks::of(target, config, &paths)?
        .run(HookKind::Clone, &told, None, |_| {})
        .map_err(Error::other)
}
