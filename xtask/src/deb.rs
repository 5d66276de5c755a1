//! `cargo xtask deb`: Debian packages of what `packaging/manifest.toml` lists.

use crate::install;
use crate::progress::Progress;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the packages are, below cargo's build directory.
pub const DIR: &str = "deb";

/// What to build.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Debian's part of the version, behind Berth's own
    #[arg(long, default_value = "1", value_parser = revision)]
    pub revision: String,
    /// Compress little, in a tenth of the time
    #[arg(long)]
    pub fast: bool,
}

fn revision(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+.~".contains(&b);
    if text.is_empty() || !text.bytes().all(plain) {
        return Err("letters, digits and + . ~ only (deb-version(7))".into());
    }
    Ok(text.to_owned())
}

/// Builds Berth and both packages; returns their paths.
pub fn deb(workspace: &Workspace, progress: &Progress, options: &Options) -> Result<Vec<PathBuf>> {
    let content = install::PackageContent::build(workspace, progress)?;
    pack(workspace, progress, &content, options)
}

fn pack(
    workspace: &Workspace,
    progress: &Progress,
    content: &install::PackageContent,
    options: &Options,
) -> Result<Vec<PathBuf>> {
    let version = format!("{}-{}", env!("CARGO_PKG_VERSION"), options.revision);
    let dir = workspace.target.join(DIR);
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let arch = architecture()?;
    let mut made = Vec::new();
    for (package, arch) in [("berth", arch.as_str()), ("berth-lxc-user-nic", "all")] {
        let staging = Staging::new(dir.join(format!(".{package}")))?;
        match package {
            "berth" => content.write(&staging.0)?,
            _ => {
                let (place, with) = content.lxc_user_nic();
                let place = staging.0.join(place.trim_start_matches('/'));
                fs::create_dir_all(place.parent().context("a place has a directory")?)?;
                symlink(with, &place)?;
            }
        }
        let texts = Texts {
            source: workspace.root.join("packaging/debian"),
            package,
            words: vec![
                ("@VERSION@", version.clone()),
                ("@ARCH@", arch.to_owned()),
                ("@SIZE@", installed_kib(&staging.0)?.to_string()),
                ("@PLACE@", content.lxc_user_nic().0.to_owned()),
                ("@ALWAYS@", content.commands(false, "")),
                ("@FIRST@", content.commands(true, "    ")),
            ],
        };
        texts.write(&staging.0, &workspace.root, &content.configurations())?;
        let file = dir.join(format!("{package}_{version}_{arch}.deb"));
        let mut dpkg = Command::new("dpkg-deb");
        if options.fast {
            dpkg.args(["-Zgzip", "-z1"]);
        }
        dpkg.args(["--root-owner-group", "--build"])
            .arg(&staging.0)
            .arg(&file);
        progress.run(&format!("the package {package} {version}"), &mut dpkg)?;
        made.push(file);
    }
    Ok(made)
}

/// Two versions, for tests of upgrades.
pub fn for_tests(workspace: &Workspace, progress: &Progress) -> Result<()> {
    let content = install::PackageContent::build(workspace, progress)?;
    for revision in ["1", "2"] {
        let revision = revision.to_owned();
        let fast = true;
        pack(workspace, progress, &content, &Options { revision, fast })?;
    }
    Ok(())
}

/// A tree that is gone afterwards.
struct Staging(PathBuf);

impl Staging {
    fn new(path: PathBuf) -> Result<Self> {
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(Self(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Control files and maintainer scripts.
struct Texts<'a> {
    source: PathBuf,
    package: &'a str,
    words: Vec<(&'static str, String)>,
}

impl Texts<'_> {
    fn write(&self, tree: &Path, root: &Path, configurations: &[String]) -> Result<()> {
        let control = tree.join("DEBIAN");
        fs::create_dir(&control)?;
        for entry in fs::read_dir(self.source.join(self.package))? {
            let entry = entry?;
            let mut text = fs::read_to_string(entry.path())?;
            for (word, meaning) in &self.words {
                text = text.replace(word, meaning);
            }
            let is_script = text.starts_with("#!");
            let mode = if is_script { 0o755 } else { 0o644 };
            put(&control.join(entry.file_name()), text.as_bytes(), mode)?;
        }
        if self.package == "berth" {
            put(
                &control.join("conffiles"),
                configurations.concat().as_bytes(),
                0o644,
            )?;
        }
        let doc = tree.join("usr/share/doc").join(self.package);
        fs::create_dir_all(&doc)?;
        for (name, from) in [
            ("copyright", self.source.join("copyright")),
            ("LICENSE-MIT", root.join("LICENSE-MIT")),
        ] {
            put(&doc.join(name), &fs::read(from)?, 0o644)?;
        }
        Ok(())
    }
}

fn put(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

fn architecture() -> Result<String> {
    let output = Command::new("dpkg")
        .arg("--print-architecture")
        .output()
        .context("cannot run dpkg: packages are built on Debian")?;
    if !output.status.success() {
        bail!("dpkg --print-architecture: {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `Installed-Size` (deb-control(5)): in KiB, rounded up file by file.
fn installed_kib(tree: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(tree)? {
        let entry = entry?;
        let status = entry.path().symlink_metadata()?;
        sum += match status.is_dir() {
            true => 1 + installed_kib(&entry.path())?,
            false => status.len().div_ceil(1024),
        };
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_debians() {
        for good in ["1", "1~test2", "0.1+b1"] {
            assert_eq!(revision(good).as_deref(), Ok(good));
        }
        for bad in ["", "1-1", "a b", "1\n", "é"] {
            assert!(revision(bad).is_err(), "{bad:?}");
        }
    }
}
