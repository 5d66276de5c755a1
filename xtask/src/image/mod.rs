//! The test host's disk images, in two layers: trees of Debian packages, and disks made from them
//! with or without Berth. Each is cached under a hash of what it is made from.

mod recipe;

use crate::apt;
use crate::hash::Hash;
use crate::install;
use crate::parallel::side_by_side;
use crate::progress::Progress;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use berth_test_harness::Image;
use recipe::Recipe;
use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const DISK_SCRIPT: &str = include_str!("../../image/disk.sh");
/// Debian's kernel for User Mode Linux brings its modules here.
const UML_MODULES: &str = "/usr/lib/uml/modules";
/// How many trees and disks of each name stay, for going back and forth.
const KEEP: usize = 2;
/// Trees and disks that are made at once: half of making one is waiting.
const SIDE_BY_SIDE: usize = 2;

/// What is installed into a disk's tree, besides the Debian packages.
#[derive(Debug)]
pub struct Content {
    /// Changes whenever the installed files do.
    pub hash: String,
    /// A command that installs into the tree given as its last argument.
    pub install: Vec<String>,
}

/// The image of that name, for the command line.
pub fn by_name(name: &str) -> Result<Image> {
    let found = Image::ALL.into_iter().find(|image| image.name() == name);
    found.with_context(|| format!("the images are {}", Image::ALL.map(Image::name).join(", ")))
}

/// Builds Berth if it goes into any of `images`, and makes those.
pub fn build_and_make(workspace: &Workspace, progress: &Progress, images: &[Image]) -> Result<()> {
    let content = match images.iter().any(|image| image.has_berth()) {
        true => Some(install::image_content(workspace, progress)?),
        false => None,
    };
    make(workspace, progress, images, content.as_ref())
}

/// Makes those of `images` that are missing or stale; `berth` is what goes into the ones that
/// have Berth.
pub fn make(
    workspace: &Workspace,
    progress: &Progress,
    images: &[Image],
    berth: Option<&Content>,
) -> Result<()> {
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
    let kernel = uml_version()?;
    let disk_of = |image: Image| Disk::new(workspace, image, &kernel, berth);
    let disks = images
        .iter()
        .map(|image| disk_of(*image))
        .collect::<Result<Vec<_>>>()?;
    let mut recipes = Vec::<&Recipe>::new();
    for disk in &disks {
        if !disk.path.exists() && recipes.iter().all(|known| known.name != disk.recipe.name) {
            recipes.push(disk.recipe);
        }
    }
    side_by_side(SIDE_BY_SIDE, &recipes, |recipe| {
        base(workspace, progress, recipe, &kernel)
    })?;
    side_by_side(SIDE_BY_SIDE, &disks, |disk| disk.make(workspace, progress))?;
    // A test that boots an image which nobody asked for must not get an old one.
    for image in Image::ALL {
        if !images.contains(&image) && (berth.is_some() || !image.has_berth()) {
            disk_of(image)?.unlink_stale(workspace)?;
        }
    }
    prune(workspace)
}

/// Makes a tree of Debian packages, unless it is there.
fn base(workspace: &Workspace, progress: &Progress, recipe: &Recipe, kernel: &str) -> Result<()> {
    let done = workspace.images.join(recipe.dir_name(kernel));
    if done.exists() {
        return touch(&done);
    }
    let dir = fresh(&done)?;
    let tree = dir.join("tree");
    let sources = dir.join("sources.list");
    fs::write(&sources, apt::debian_sources(recipe.suite)?)?;
    keygen(&dir)?;
    let mut mmdebstrap = unshared("mmdebstrap");
    mmdebstrap.args(["--mode=root", "--variant=minbase"]);
    mmdebstrap.arg(format!("--include={}", recipe.packages()));
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
    mmdebstrap.arg(recipe.suite).arg(&tree).arg(&sources);
    let title = |what: &str| format!("{what} of the test host, {}", recipe.name);
    progress.run(&title("Debian packages"), &mut mmdebstrap)?;
    let mut script = unshared("sh");
    script
        .args(["-c", &recipe.script(), "finish.sh"])
        .arg(&tree);
    script.arg(dir.join("key.pub")).arg(UML_MODULES);
    progress.run(&title("users and services"), &mut script)?;
    fs::rename(&dir, &done).with_context(|| format!("cannot rename {}", dir.display()))
}

/// The disk of an image, as it has to be now.
struct Disk<'a> {
    image: Image,
    recipe: &'static Recipe,
    base: PathBuf,
    content: Option<&'a Content>,
    /// Its directory; what is there is up to date.
    path: PathBuf,
    name: String,
}

impl<'a> Disk<'a> {
    fn new(
        workspace: &Workspace,
        image: Image,
        kernel: &str,
        berth: Option<&'a Content>,
    ) -> Result<Self> {
        let recipe = recipe::of(image);
        let base = workspace.images.join(recipe.dir_name(kernel));
        let content = match image.has_berth() {
            true => Some(berth.with_context(|| format!("{}: Berth is not built", image.name()))?),
            false => None,
        };
        let mut hash = Hash::new();
        hash.add(base.as_os_str().as_encoded_bytes())
            .add(DISK_SCRIPT);
        hash.add(content.map_or("", |content| &content.hash));
        let name = format!("{}-{}", image.name(), hash.finish());
        Ok(Self {
            image,
            recipe,
            base,
            content,
            path: workspace.images.join(&name),
            name,
        })
    }

    /// Makes it, unless it is there, and the link by which the harness finds it.
    fn make(&self, workspace: &Workspace, progress: &Progress) -> Result<()> {
        if !self.path.exists() {
            self.write(progress)?;
        }
        let link = workspace.images.join(self.image.name());
        let fresh_link = workspace.images.join(format!(".{}", self.image.name()));
        drop(fs::remove_file(&fresh_link));
        symlink(&self.name, &fresh_link).context("cannot make a link to the image")?;
        fs::rename(&fresh_link, &link).context("cannot place the link to the image")?;
        touch(&self.path)
    }

    fn write(&self, progress: &Progress) -> Result<()> {
        let dir = fresh(&self.path)?;
        fs::create_dir(dir.join("work"))?;
        let mut script = unshared("sh");
        script
            .args(["-c", DISK_SCRIPT, "disk.sh"])
            .arg(self.base.join("tree"));
        script.arg(dir.join("work")).arg(dir.join("disk.img"));
        script.args(self.content.map_or(&[][..], |content| &content.install));
        let title = format!("the test host's disk, {}", self.image.name());
        progress.run(&title, &mut script)?;
        fs::remove_dir(dir.join("work"))?;
        fs::copy(self.base.join("key"), dir.join("key"))?;
        fs::rename(&dir, &self.path).with_context(|| format!("cannot rename {}", dir.display()))
    }

    /// Removes the image's link if it leads to something else than this.
    fn unlink_stale(&self, workspace: &Workspace) -> Result<()> {
        let link = workspace.images.join(self.image.name());
        match fs::read_link(&link) {
            Ok(target) if target != Path::new(&self.name) => {
                fs::remove_file(&link).with_context(|| format!("cannot remove {}", link.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Removes all but the newest trees and disks.
fn prune(workspace: &Workspace) -> Result<()> {
    let recipes = Image::ALL.map(|image| recipe::of(image).name);
    for kind in Image::ALL.map(Image::name).into_iter().chain(recipes) {
        let mut dirs = Vec::new();
        for entry in fs::read_dir(&workspace.images)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name
                .strip_prefix(kind)
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

/// The newest use decides what [`prune`] keeps.
fn touch(dir: &Path) -> Result<()> {
    let now = std::time::SystemTime::now();
    File::open(dir)
        .and_then(|dir| dir.set_modified(now))
        .with_context(|| format!("cannot touch {}", dir.display()))
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
