//! The test host's disk images, in two layers: a tree of Debian packages, and disks made from it
//! with or without Berth. Each is cached under a hash of what it is made from.

use crate::apt;
use crate::hash::Hash;
use crate::progress::Progress;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use berth_test_harness::Image;
use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: &str = include_str!("../image/packages");
const BASE_SCRIPT: &str = include_str!("../image/base.sh");
const DISK_SCRIPT: &str = include_str!("../image/disk.sh");
/// Debian's kernel for User Mode Linux brings its modules here.
const UML_MODULES: &str = "/usr/lib/uml/modules";
/// How many disks of earlier contents stay for going back and forth.
const KEEP: usize = 4;

/// What is installed into a disk's tree, besides the Debian packages.
#[derive(Debug)]
pub struct Content {
    /// Changes whenever the installed files do.
    pub hash: String,
    /// A command that installs into the tree given as its last argument.
    pub install: Vec<String>,
}

/// Makes the images that are missing or stale; `berth` is what goes into [`Image::Berth`].
pub fn make(workspace: &Workspace, progress: &Progress, berth: Option<&Content>) -> Result<()> {
    if !apt::is_root()? {
        bail!("making a test image needs root, for the owners of its files");
    }
    apt::install(progress, apt::IMAGE_PACKAGES)?;
    make_dir(&workspace.images)?;
    let lock = File::create(workspace.images.join(".lock"))?;
    if lock.try_lock().is_err() {
        progress.say("waiting for another xtask that makes images");
        lock.lock().context("cannot lock the directory of images")?;
    }
    let base = base(workspace, progress)?;
    disk(workspace, progress, &base, Image::Stock, None)?;
    if let Some(content) = berth {
        disk(workspace, progress, &base, Image::Berth, Some(content))?;
    }
    prune(workspace)
}

/// The tree of Debian packages.
fn base(workspace: &Workspace, progress: &Progress) -> Result<PathBuf> {
    let packages: Vec<_> = PACKAGES
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .collect();
    let mut hash = Hash::new();
    hash.add(packages.join(","))
        .add(BASE_SCRIPT)
        .add(apt::SUITE)
        .add(uml_version()?);
    let done = workspace.images.join(format!("base-{}", hash.finish()));
    if done.exists() {
        return Ok(done);
    }
    let dir = fresh(&done)?;
    let tree = dir.join("tree");
    let sources = dir.join("sources.list");
    fs::write(&sources, apt::debian_sources()?)?;
    keygen(&dir)?;
    let mut mmdebstrap = unshared("mmdebstrap");
    mmdebstrap.args(["--mode=root", "--variant=minbase"]);
    mmdebstrap.arg(format!("--include={}", packages.join(",")));
    for option in apt::fetch_options()? {
        mmdebstrap.arg(format!("--aptopt={option}"));
    }
    for path in [
        "/usr/share/doc/*",
        "/usr/share/locale/*",
        "/usr/share/man/*",
    ] {
        mmdebstrap.arg(format!("--dpkgopt=path-exclude={path}"));
    }
    mmdebstrap.arg(apt::SUITE).arg(&tree).arg(&sources);
    progress.run("the test host's Debian packages", &mut mmdebstrap)?;
    let mut script = unshared("sh");
    script.args(["-c", BASE_SCRIPT, "base.sh"]).arg(&tree);
    script.arg(dir.join("key.pub")).arg(UML_MODULES);
    progress.run("the test host's users and services", &mut script)?;
    fs::rename(&dir, &done).with_context(|| format!("cannot rename {}", dir.display()))?;
    Ok(done)
}

/// A disk with `content` on top of the base, and the link by which the harness finds it.
fn disk(
    workspace: &Workspace,
    progress: &Progress,
    base: &Path,
    image: Image,
    content: Option<&Content>,
) -> Result<()> {
    let mut hash = Hash::new();
    hash.add(base.as_os_str().as_encoded_bytes())
        .add(DISK_SCRIPT);
    hash.add(content.map_or("", |content| &content.hash));
    let name = format!("{}-{}", image.name(), hash.finish());
    let done = workspace.images.join(&name);
    if !done.exists() {
        let dir = fresh(&done)?;
        fs::create_dir(dir.join("work"))?;
        let mut script = unshared("sh");
        script
            .args(["-c", DISK_SCRIPT, "disk.sh"])
            .arg(base.join("tree"));
        script.arg(dir.join("work")).arg(dir.join("disk.img"));
        script.args(content.map_or(&[][..], |content| &content.install));
        progress.run(
            &format!("the test host's disk, {}", image.name()),
            &mut script,
        )?;
        fs::remove_dir(dir.join("work"))?;
        fs::copy(base.join("key"), dir.join("key"))?;
        fs::rename(&dir, &done).with_context(|| format!("cannot rename {}", dir.display()))?;
    }
    let link = workspace.images.join(image.name());
    let fresh_link = workspace.images.join(format!(".{}", image.name()));
    drop(fs::remove_file(&fresh_link));
    symlink(&name, &fresh_link).context("cannot make a link to the image")?;
    fs::rename(&fresh_link, &link).context("cannot place the link to the image")?;
    // The newest use decides what prune keeps.
    File::open(&done)?.set_modified(std::time::SystemTime::now())?;
    Ok(())
}

/// Removes all but the newest disks and what an interrupted run left.
fn prune(workspace: &Workspace) -> Result<()> {
    for image in Image::ALL {
        let mut dirs = Vec::new();
        for entry in fs::read_dir(&workspace.images)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name
                .strip_prefix(image.name())
                .is_some_and(|rest| rest.starts_with('-'))
            {
                dirs.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        dirs.sort();
        dirs.reverse();
        for (_, path) in dirs.iter().skip(KEEP) {
            fs::remove_dir_all(path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// A mount namespace of its own: whatever the program mounts is gone with it.
fn unshared(program: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation=private", "--", program]);
    command
}

fn make_dir(path: &Path) -> Result<()> {
    // Not for others: there are setuid programs in it that nobody should find.
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make {}", path.display()))
}

/// An empty directory beside `done`, to be renamed to it.
fn fresh(done: &Path) -> Result<PathBuf> {
    let dir = done.with_extension("new");
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    make_dir(&dir)?;
    Ok(dir)
}

fn keygen(dir: &Path) -> Result<()> {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test host", "-f"])
        .arg(dir.join("key"))
        .status()
        .context("cannot run ssh-keygen")?;
    if !status.success() {
        bail!("ssh-keygen: {status}");
    }
    Ok(())
}

fn uml_version() -> Result<String> {
    let mut names = Vec::new();
    let entries = fs::read_dir(UML_MODULES).with_context(|| {
        format!("no {UML_MODULES}: it comes with the Debian package user-mode-linux")
    })?;
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names.join(" "))
}
