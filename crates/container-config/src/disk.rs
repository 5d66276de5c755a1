//! Reading configuration files from disk.

use crate::load::{Loader, Source};
use crate::text;
use berth_common::path::{LXC_SNIPPET_DIR, OWN_LXC_SNIPPET_DIR};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The longest file that is read, in bytes. LXC's longest shipped file has 4 KB.
pub const MAX_FILE: u64 = 1 << 20;
/// The most entries of a directory that are looked at.
const MAX_ENTRIES: usize = 4096;

/// Reads regular files of at most [`MAX_FILE`] bytes, and the `*.conf` of directories in the
/// order of their names (LXC says so and takes them as the directory has them). What LXC or its
/// templates would have installed and did not is read from Berth's own files.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskLoader;

impl Loader for DiskLoader {
    fn read(&self, path: &Path) -> io::Result<Source> {
        let kind = fs::metadata(path)?;
        if kind.is_dir() {
            return directory(path);
        }
        // A pipe or a device could block for ever or deliver for ever.
        if !kind.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is no regular file",
            ));
        }
        // With room for the whole file it is read at once.
        let mut bytes = Vec::with_capacity(kind.len().min(MAX_FILE) as usize + 1);
        File::open(path)?
            .take(MAX_FILE + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "it is larger than 1 MiB",
            ));
        }
        Ok(Source::Text(text::decode(&bytes)))
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        let dirs = SnippetDirs {
            lxc: Path::new(LXC_SNIPPET_DIR),
            own: Path::new(OWN_LXC_SNIPPET_DIR),
        };
        dirs.resolve(path)
    }
}

/// Where files are that containers include.
struct SnippetDirs<'a> {
    lxc: &'a Path,
    own: &'a Path,
}

impl SnippetDirs<'_> {
    /// The file to read for one of LXC's: itself; what has come in its place; Berth's.
    fn resolve(&self, path: &Path) -> PathBuf {
        let ours = match path.strip_prefix(self.lxc) {
            Ok(name) if !path.exists() => name,
            _ => return path.to_owned(),
        };
        let Some(name) = ours.to_str() else {
            return path.to_owned();
        };
        let successor = successor(name);
        let candidates = [
            successor.map(|successor| self.lxc.join(successor)),
            Some(self.own.join(name)),
            successor.map(|successor| self.own.join(successor)),
        ];
        let found = candidates.into_iter().flatten().find(|file| file.is_file());
        found.unwrap_or_else(|| path.to_owned())
    }
}

/// What a distribution's file of LXC's templates adds to: `common.conf` for
/// `ubuntu.common.conf`. The files themselves left LXC with version 3.0, and what they said is in
/// the general ones now.
pub fn successor(name: &str) -> Option<&str> {
    let (distribution, general) = name.split_once('.')?;
    let is_one = !distribution.is_empty() && !name.contains('/');
    let known = ["common.conf", "userns.conf", "nesting.conf"];
    (is_one && known.contains(&general)).then_some(general)
}

fn directory(path: &Path) -> io::Result<Source> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)?.take(MAX_ENTRIES) {
        let name = entry?.file_name();
        // `.conf` alone has no name (LXC's rule: at least six characters).
        if name.len() > ".conf".len() && name.as_encoded_bytes().ends_with(b".conf") {
            names.push(name);
        }
    }
    names.sort();
    Ok(Source::Directory(
        names.into_iter().map(|name| path.join(name)).collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_of_lxc_is_read_from_what_came_in_its_place() {
        let dir = std::env::temp_dir().join(format!("berth-snippets-{}", std::process::id()));
        let (lxc, own) = (dir.join("lxc"), dir.join("own"));
        let dirs = SnippetDirs {
            lxc: &lxc,
            own: &own,
        };
        fs::create_dir_all(lxc.join("common.conf.d")).unwrap();
        fs::create_dir_all(&own).unwrap();
        for name in ["common.conf", "userns.conf"] {
            fs::write(own.join(name), "").unwrap();
        }
        let resolved = |name: &str| dirs.resolve(&lxc.join(name));
        assert_eq!(resolved("common.conf"), own.join("common.conf"));
        assert_eq!(resolved("ubuntu.common.conf"), own.join("common.conf"));
        assert_eq!(resolved("common.conf.d/"), lxc.join("common.conf.d/"));
        for name in [
            "nesting.conf",
            "ubuntu.lucid.conf",
            ".common.conf",
            "a/b.common.conf",
        ] {
            assert_eq!(resolved(name), lxc.join(name), "{name}");
        }
        fs::write(lxc.join("common.conf"), "").unwrap();
        assert_eq!(resolved("common.conf"), lxc.join("common.conf"));
        assert_eq!(resolved("debian.common.conf"), lxc.join("common.conf"));
        assert_eq!(resolved("debian.userns.conf"), own.join("userns.conf"));
        fs::write(lxc.join("debian.common.conf"), "").unwrap();
        assert_eq!(
            resolved("debian.common.conf"),
            lxc.join("debian.common.conf")
        );
        let elsewhere = dir.join("ubuntu.common.conf");
        assert_eq!(dirs.resolve(&elsewhere), elsewhere);
        fs::remove_dir_all(dir).unwrap();
    }
}
