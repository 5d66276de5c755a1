//! Programs that contract tests run beside ours, and that must not be installed for that.

use crate::progress::Progress;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::Command;

/// Debian's package of pam_cgfs. Installed, it would become part of this machine's own logins.
const PACKAGE: &str = "libpam-cgfs";

/// Unpacks them below `target/originals`, once.
pub fn unpack(workspace: &Workspace, progress: &Progress) -> Result<()> {
    let originals = workspace.root.join("target/originals");
    let done = originals.join(PACKAGE);
    if done.join("lib").exists() {
        return Ok(());
    }
    let download = originals.join("download");
    let _ = fs::remove_dir_all(&download);
    fs::create_dir_all(&download)
        .with_context(|| format!("cannot make the directory {}", download.display()))?;
    let fetch = || {
        let mut apt = Command::new("apt-get");
        // The user that apt fetches as cannot write here.
        apt.args(["download", "-o", "APT::Sandbox::User=root", PACKAGE]);
        apt.current_dir(&download);
        apt
    };
    // Its lists may be older than the archive.
    if progress.run("apt-get download", &mut fetch()).is_err() {
        progress.run("apt-get update", Command::new("apt-get").arg("update"))?;
        progress.run("apt-get download", &mut fetch())?;
    }
    let package = fs::read_dir(&download)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|end| end == "deb"));
    let Some(package) = package else {
        bail!(
            "apt-get download {PACKAGE} left nothing in {}",
            download.display()
        );
    };
    let half = download.join("content");
    let mut extract = Command::new("dpkg-deb");
    extract.arg("--extract").arg(package).arg(&half);
    progress.run("dpkg-deb --extract", &mut extract)?;
    let _ = fs::remove_dir_all(&done);
    fs::rename(&half, &done).with_context(|| format!("cannot make {}", done.display()))?;
    fs::remove_dir_all(&download).with_context(|| format!("cannot remove {}", download.display()))
}
