//! Debian's source package of systemd: fetched by an apt with directories of its own, unpacked, and
//! patched in a copy.

use super::series::Series;
use crate::apt;
use crate::progress::Progress;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the patched copy is patched with.
const STAMP: &str = ".patched-with";
/// The files of the copy that patches have changed or are about to.
const TOUCHED: &str = ".patched-files";

/// A source package in a directory of its own.
#[derive(Debug)]
pub struct Tree {
    dir: PathBuf,
}

impl Tree {
    /// Fetches and unpacks `version`, unless that is done.
    pub fn unpack(progress: &Progress, suite: &str, version: &str, dir: &Path) -> Result<Self> {
        let tree = Self {
            dir: dir.to_owned(),
        };
        let pristine = tree.pristine();
        if pristine.exists() {
            return Ok(tree);
        }
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let package = fetch(progress, suite, version, dir)?;
        let half = dir.join("pristine.new");
        let _ = fs::remove_dir_all(&half);
        let mut unpack = Command::new("dpkg-source");
        // What came by apt has been checked against the archive's signature.
        unpack.args(["--no-check", "--extract"]);
        unpack.arg(package).arg(&half);
        progress.run("unpacking systemd's source", &mut unpack)?;
        fs::rename(&half, &pristine)
            .with_context(|| format!("cannot make {}", pristine.display()))?;
        Ok(tree)
    }

    /// The source as Debian has it, its own patches applied.
    fn pristine(&self) -> PathBuf {
        self.dir.join("pristine")
    }

    /// The copy that is patched and built.
    pub fn patched(&self) -> PathBuf {
        self.dir.join("tree")
    }

    /// Where it is built.
    pub fn build(&self) -> PathBuf {
        self.dir.join("build")
    }

    /// Makes the copy what the series makes of the source. What does not change keeps its time, and
    /// so need not be built again. `exact`: not even a line may have moved.
    pub fn apply(&self, series: &Series, exact: bool) -> Result<()> {
        let patched = self.patched();
        if !patched.exists() {
            let half = self.dir.join("tree.new");
            let _ = fs::remove_dir_all(&half);
            copy(&["-a"], &self.pristine(), &half)?;
            fs::rename(&half, &patched)
                .with_context(|| format!("cannot make {}", patched.display()))?;
        }
        let stamp = patched.join(STAMP);
        let hash = series.hash();
        if fs::read_to_string(&stamp).is_ok_and(|text| text == hash) {
            return Ok(());
        }
        let _ = fs::remove_file(&stamp);
        self.restore()?;
        let touched: Vec<_> = series
            .patches
            .iter()
            .flat_map(|patch| &patch.files)
            .collect();
        let list: String = touched.iter().map(|file| format!("{file}\n")).collect();
        fs::write(patched.join(TOUCHED), list)?;
        for patch in &series.patches {
            let output = Command::new("patch")
                .args(["--strip=1", "--fuzz=0", "--batch", "--forward"])
                .arg("--input")
                .arg(&patch.path)
                .current_dir(&patched)
                .output()
                .context("cannot run patch")?;
            let said = String::from_utf8_lossy(&output.stdout);
            if !output.status.success() || (exact && said.contains("offset")) {
                bail!(
                    "{} does not apply as it stands to {}:\n{said}",
                    patch.path.display(),
                    self.pristine().display()
                );
            }
        }
        fs::write(stamp, hash).context("cannot note which patches are applied")
    }

    /// Takes back what another series, or another state of this one, has changed.
    fn restore(&self) -> Result<()> {
        let patched = self.patched();
        let touched = fs::read_to_string(patched.join(TOUCHED)).unwrap_or_default();
        for file in touched.lines() {
            let (from, to) = (self.pristine().join(file), patched.join(file));
            if from.exists() {
                copy(&["--preserve=mode"], &from, &to)?;
            } else {
                let _ = fs::remove_file(&to);
            }
        }
        Ok(())
    }
}

fn copy(options: &[&str], from: &Path, to: &Path) -> Result<()> {
    let mut cp = Command::new("cp");
    let status = cp.args(options).arg("--").arg(from).arg(to).status();
    if !status.context("cannot run cp")?.success() {
        bail!("cannot copy {} to {}", from.display(), to.display());
    }
    Ok(())
}

/// The `.dsc` of that version. The machine's own apt need not know of source packages.
fn fetch(progress: &Progress, suite: &str, version: &str, dir: &Path) -> Result<PathBuf> {
    let apt_dir = dir.join("apt");
    for part in ["lists/partial", "cache/archives/partial", "no-parts"] {
        fs::create_dir_all(apt_dir.join(part))
            .with_context(|| format!("cannot make {}", apt_dir.display()))?;
    }
    let sources = apt_dir.join("sources.list");
    let lines = apt::debian_sources(suite)?;
    let lines: String = lines
        .lines()
        .filter_map(|line| Some(format!("deb-src {}\n", line.strip_prefix("deb ")?)))
        .collect();
    fs::write(&sources, lines).with_context(|| format!("cannot write {}", sources.display()))?;
    let own = |command: &str| {
        let mut apt = Command::new(command);
        for (key, part) in [
            ("Dir::Etc::sourcelist", "sources.list"),
            ("Dir::Etc::sourceparts", "no-parts"),
            ("Dir::State::lists", "lists"),
            ("Dir::Cache", "cache"),
        ] {
            apt.arg("-o")
                .arg(format!("{key}={}", apt_dir.join(part).display()));
        }
        // The user that apt fetches as cannot write here.
        apt.args(["-o", "APT::Sandbox::User=root"]);
        apt.current_dir(dir);
        apt
    };
    progress.run("apt-get update for sources", own("apt-get").arg("update"))?;
    let package = format!("systemd={version}");
    let mut source = own("apt-get");
    source.args(["--only-source", "--download-only", "source", &package]);
    progress
        .run("apt-get source systemd", &mut source)
        .with_context(|| {
            let shown = own("apt-cache").args(["showsrc", "systemd"]).output();
            let shown = shown.map(|output| output.stdout).unwrap_or_default();
            let shown = String::from_utf8_lossy(&shown);
            let versions = shown.lines().filter_map(|l| l.strip_prefix("Version: "));
            let versions = versions.collect::<Vec<_>>().join(", ");
            format!(
                "Debian {suite} has the source of systemd {versions}; another one than {version} \
                 is taken with --source VERSION"
            )
        })?;
    // Debian leaves the epoch out of file names; systemd has none.
    let description = dir.join(format!("systemd_{version}.dsc"));
    if !description.exists() {
        bail!("apt-get source left no {}", description.display());
    }
    Ok(description)
}
