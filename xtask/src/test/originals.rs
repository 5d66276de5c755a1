//! Programs that contract tests run beside ours, and that must not be installed for that.

use crate::progress::Progress;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::Command;

/// Debian's packages of them.
const PACKAGES: [&str; 5] = [
    // Installed, it would become part of this machine's own logins.
    "libpam-cgfs",
    // Installed, it would start a switch on this machine.
    "openvswitch-switch",
    // Installed, it would take this machine's network; and what it needs beside what is installed.
    "network-manager",
    "libndp0",
    "libnm0",
];

/// Unpacks them below `target/originals`, once.
pub fn unpack(workspace: &Workspace, progress: &Progress) -> Result<()> {
    PACKAGES
        .iter()
        .try_for_each(|package| unpack_one(workspace, progress, package))
}

fn unpack_one(workspace: &Workspace, progress: &Progress, package: &str) -> Result<()> {
    let originals = workspace.root.join("target/originals");
    let done = originals.join(package);
    if done.exists() {
        return Ok(());
    }
    let download = originals.join("download");
    let _ = fs::remove_dir_all(&download);
    fs::create_dir_all(&download)
        .with_context(|| format!("cannot make the directory {}", download.display()))?;
    let fetch = || {
        let mut apt = Command::new("apt-get");
        // The user that apt fetches as cannot write here.
        apt.args(["download", "-o", "APT::Sandbox::User=root", package]);
        apt.current_dir(&download);
        apt
    };
    // Its lists may be older than the archive.
    if progress.run("apt-get download", &mut fetch()).is_err() {
        progress.run("apt-get update", Command::new("apt-get").arg("update"))?;
        progress.run("apt-get download", &mut fetch())?;
    }
    let archive = fs::read_dir(&download)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|end| end == "deb"));
    let Some(archive) = archive else {
        bail!(
            "apt-get download {package} left nothing in {}",
            download.display()
        );
    };
    let half = download.join("content");
    let mut extract = Command::new("dpkg-deb");
    extract.arg("--extract").arg(archive).arg(&half);
    progress.run("dpkg-deb --extract", &mut extract)?;
    let _ = fs::remove_dir_all(&done);
    fs::rename(&half, &done).with_context(|| format!("cannot make {}", done.display()))?;
    fs::remove_dir_all(&download).with_context(|| format!("cannot remove {}", download.display()))
}
