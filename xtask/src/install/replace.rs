//! Standing in for another package's program.

use super::manifest::Replace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Puts a link to ours where the other package has its program, and keeps that beside it, named
/// `.distrib`. On a Debian host dpkg is told, so that the other package's upgrades go on beside
/// it. Doing it twice changes nothing. Tells what was done.
pub fn replace(wanted: &Replace, destdir: &Path) -> Result<String> {
    let place = below(destdir, &wanted.path)?;
    let kept = kept_beside(&place);
    if fs::read_link(&place).is_ok_and(|to| to == Path::new(&wanted.with)) {
        return Ok(format!("{} (was ours already)", place.display()));
    }
    let dir = place.parent().context("a file needs a directory")?;
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let running = fs::canonicalize(destdir).is_ok_and(|path| path == Path::new("/"));
    if running && Path::new("/usr/bin/dpkg-divert").exists() {
        divert(&wanted.path)?;
    } else if fs::symlink_metadata(&place).is_ok() {
        if fs::symlink_metadata(&kept).is_ok() {
            bail!(
                "{} and {} are both there: remove the one that is not {}'s own",
                place.display(),
                kept.display(),
                wanted.name
            );
        }
        fs::rename(&place, &kept).with_context(|| format!("cannot move {}", place.display()))?;
    }
    link(&wanted.with, &place)?;
    Ok(format!("{} -> {}", place.display(), wanted.with))
}

fn divert(path: &str) -> Result<()> {
    let status = Command::new("dpkg-divert")
        .args([
            "--local",
            "--rename",
            "--divert",
            &format!("{path}.distrib"),
        ])
        .args(["--add", path])
        .status()
        .context("cannot run dpkg-divert")?;
    if !status.success() {
        bail!("dpkg-divert of {path}: {status}");
    }
    Ok(())
}

/// A link that appears whole or not at all.
fn link(to: &str, place: &Path) -> Result<()> {
    let mut fresh = place.as_os_str().to_owned();
    fresh.push(".berth-new");
    let fresh = PathBuf::from(fresh);
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", fresh.display()));
        }
        _ => {}
    }
    symlink(to, &fresh)
        .and_then(|()| fs::rename(&fresh, place))
        .with_context(|| format!("cannot make the link {}", place.display()))
}

fn below(destdir: &Path, path: &str) -> Result<PathBuf> {
    match path.strip_prefix('/') {
        Some(rest) if !rest.split('/').any(|part| matches!(part, "" | "." | "..")) => {
            Ok(destdir.join(rest))
        }
        _ => bail!("{path}: an absolute path without `..` is needed"),
    }
}

fn kept_beside(place: &Path) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(".distrib");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::manifest::{Manifest, Places};
    use crate::scratch::Scratch;

    fn wanted() -> Replace {
        let manifest = Manifest::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap();
        let places = Places::new("/usr", None).unwrap();
        manifest.replacement("lxc-user-nic", &places).unwrap()
    }

    #[test]
    fn the_original_is_kept_and_twice_is_once() {
        let scratch = Scratch::new("replace");
        let wanted = wanted();
        assert_eq!(wanted.with, berth_common::path::USERNIC);
        let place = scratch.0.join("usr/libexec/lxc/lxc-user-nic");
        let report = replace(&wanted, &scratch.0).unwrap();
        assert!(
            report.ends_with("-> /usr/libexec/berth/berth-usernic"),
            "{report}"
        );
        fs::remove_file(&place).unwrap();
        fs::write(&place, "the original").unwrap();
        replace(&wanted, &scratch.0).unwrap();
        let again = replace(&wanted, &scratch.0).unwrap();
        assert!(again.contains("already"), "{again}");
        assert_eq!(
            fs::read_link(&place).unwrap(),
            Path::new(berth_common::path::USERNIC)
        );
        let kept = scratch.0.join("usr/libexec/lxc/lxc-user-nic.distrib");
        assert_eq!(fs::read_to_string(&kept).unwrap(), "the original");
        // An upgrade that dpkg knew nothing of has put another original there.
        fs::remove_file(&place).unwrap();
        fs::write(&place, "another").unwrap();
        let error = replace(&wanted, &scratch.0).unwrap_err().to_string();
        assert!(error.contains("are both there"), "{error}");
    }

    #[test]
    fn a_place_is_an_absolute_path() {
        for bad in ["usr/x", "/usr/../x", "/", "//x"] {
            let wanted = Replace {
                path: bad.into(),
                ..wanted()
            };
            assert!(
                replace(&wanted, Path::new("/nonexistent")).is_err(),
                "{bad}"
            );
        }
    }
}
