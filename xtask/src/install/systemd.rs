//! Which systemd is in the tree that is installed into, and what it does not bear.

use super::plan::{Item, Kind, Plan};
use anyhow::Result;
use berth_common::unit;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// systemd's version in the tree at `root`; `None` if there is none, or if it cannot be told.
pub fn version_in(root: &Path) -> Option<u32> {
    let is_this_host = fs::canonicalize(root).is_ok_and(|path| path == Path::new("/"));
    if is_this_host {
        let output = Command::new("systemctl").arg("--version").output().ok()?;
        return unit::systemd_version(&String::from_utf8_lossy(&output.stdout));
    }
    version_of_library(root)
}

/// In a tree in which nothing can be run, the name of systemd's shared library tells. Debian has
/// it in a directory of the architecture's since 251, others in systemd's own.
fn version_of_library(root: &Path) -> Option<u32> {
    let mut dirs: Vec<PathBuf> = ["usr/lib", "usr/lib64", "lib"]
        .iter()
        .map(|dir| root.join(dir))
        .collect();
    let of_architectures = names_in(&root.join("usr/lib"));
    dirs.extend(
        of_architectures
            .iter()
            .map(|name| root.join("usr/lib").join(name)),
    );
    dirs.iter()
        .flat_map(|dir| names_in(&dir.join("systemd")))
        .find_map(|name| unit::systemd_version_of_library(&name))
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Why an item must not be installed beside a systemd of this version.
pub fn refusal(item: &Item, present: Option<u32>) -> Option<String> {
    let needed = needed(item)?;
    let present = present.filter(|present| *present < needed)?;
    Some(format!(
        "it needs systemd {needed}, and {present} is here, which would refuse to open a login's \
         session; containers run in their users' lasting cgroups all the same"
    ))
}

/// What was installed although nobody knows which systemd will meet it.
pub fn to_be_looked_at(plan: &Plan, destdir: &Path) -> Result<String> {
    let mut text = String::new();
    for item in &plan.items {
        if let Some(needed) = needed(item) {
            let path = destdir.join(item.to.trim_start_matches('/'));
            writeln!(
                text,
                "\nWhich systemd is there is not known. On a host with one before {needed} nobody \
                 could log in: remove {} there.",
                path.display()
            )?;
        }
    }
    Ok(text)
}

fn needed(item: &Item) -> Option<u32> {
    match &item.kind {
        Kind::File { systemd, .. } => *systemd,
        Kind::Directory => None,
    }
}
