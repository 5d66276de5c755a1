//! A configuration file that is changed: read once, replaced whole.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use berth_common::{Gid, Uid};
use berth_container_config::disk::MAX_FILE;
use berth_container_config::text;
use berth_kernel::fs::{self, OpenFlags, Resolve, Status};

use crate::error::{Error, Result};

/// A file, held by its directory so that it is the same one when it is written.
///
/// A link is refused: replaced by a file it would cut the container off from what the link is
/// there for, and what it points at may be the configuration of other containers, too.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    dir: OwnedFd,
    name: OsString,
    status: Status,
    text: String,
}

impl ConfigFile {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::file("read", path, error);
        let name = path
            .file_name()
            .ok_or_else(|| Error::other(format!("{} is no file's path", path.display())))?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let dir = fs::open_dir(parent).map_err(failed)?;
        if fs::status_at(dir.as_fd(), name)
            .map_err(failed)?
            .is_symlink()
        {
            return Err(Error::other(format!(
                "{} is a symbolic link; change the file that it points at, or put a file in its \
                 place",
                path.display()
            )));
        }
        let (text, status) = read(&dir, name).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            name: name.to_owned(),
            dir,
            status,
            text,
        })
    }

    /// Its path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says; [`text::decode`]d.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Puts this text in its place: readers see the old file or the new one, which has the same
    /// owner, group and mode. Refused if somebody changed it meanwhile.
    pub fn replace(&mut self, text: String) -> Result<()> {
        let (now, status) =
            read(&self.dir, &self.name).map_err(|error| Error::file("read", &self.path, error))?;
        if now != self.text {
            return Err(Error::other(format!(
                "{} was changed by somebody else meanwhile and is left as it is; try again",
                self.path.display()
            )));
        }
        self.write(&self.name, &text)
            .map_err(|error| Error::file("write", &self.path, error))?;
        (self.text, self.status) = (text, status);
        Ok(())
    }

    /// Keeps the file as it is now under another name beside it, and tells which: the first of
    /// `NAME.orig`, `NAME.orig.2`, … that is free, or that holds just this.
    pub fn back_up(&self) -> Result<PathBuf> {
        const MOST: u32 = 100;
        let name = |number: u32| {
            let mut name = self.name.clone();
            name.push(".orig");
            if number > 1 {
                name.push(format!(".{number}"));
            }
            name
        };
        for name in (1..MOST).map(name) {
            let path = self.path.with_file_name(&name);
            match read(&self.dir, &name) {
                Ok((text, _)) if text == self.text => return Ok(path),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    self.write(&name, &self.text)
                        .map_err(|error| Error::file("write", &path, error))?;
                    return Ok(path);
                }
                _ => {}
            }
        }
        Err(Error::other(format!(
            "there are {MOST} former versions of {} already; remove some",
            self.path.display()
        )))
    }

    fn write(&self, name: &OsStr, text: &str) -> std::io::Result<()> {
        let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidData);
        let owner = (
            Uid::new(self.status.uid).ok_or_else(invalid)?,
            Gid::new(self.status.gid).ok_or_else(invalid)?,
        );
        fs::write_atomically_for(
            self.dir.as_fd(),
            name,
            &text::encode(text),
            self.status.permissions() & 0o777,
            owner,
            fs::Durability::ContentAndName,
        )
    }
}

/// A regular file's text, and whose it is. A link is not followed, a pipe not waited for.
fn read(dir: &OwnedFd, name: &OsStr) -> std::io::Result<(String, Status)> {
    let flags = OpenFlags::O_RDONLY | OpenFlags::O_NONBLOCK;
    let how = Resolve::BENEATH | Resolve::NO_SYMLINKS;
    let file = fs::openat2(dir.as_fd(), Path::new(name), flags, 0, how)?;
    let status = fs::status(file.as_fd())?;
    if !status.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let most = usize::try_from(MAX_FILE).unwrap_or(usize::MAX);
    let bytes = fs::read_bounded(std::fs::File::from(file), most)?;
    Ok((text::decode(&bytes), status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    /// A directory of the test's own, removed at its end.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("berth-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn owner_mode_and_other_bytes_are_kept() {
        let dir = Dir::new("config-file");
        let path = dir.0.join("config");
        std::fs::write(&path, b"# f\xfcr\nlxc.tty.max = 1\n").unwrap();
        chown(&path, Some(4711), Some(4712)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let mut file = ConfigFile::open(&path).unwrap();
        let backup = file.back_up().unwrap();
        let text = file.text().replace("= 1", "= 2");
        file.replace(text).unwrap();
        assert_eq!(
            std::fs::read(&path).unwrap(),
            b"# f\xfcr\nlxc.tty.max = 2\n"
        );
        for path in [&path, &backup] {
            let found = std::fs::metadata(path).unwrap();
            let whose = (found.uid(), found.gid(), found.mode() & 0o7777);
            assert_eq!(whose, (4711, 4712, 0o640), "{}", path.display());
        }
        assert_eq!(
            std::fs::read(&backup).unwrap(),
            b"# f\xfcr\nlxc.tty.max = 1\n"
        );
        let names = [file.back_up().unwrap(), file.back_up().unwrap()];
        assert_eq!(
            names,
            [dir.0.join("config.orig.2"), dir.0.join("config.orig.2")]
        );
        assert_eq!(std::fs::read_dir(&dir.0).unwrap().count(), 3);
    }

    #[test]
    fn what_is_no_file_or_another_one_meanwhile_is_left_alone() {
        let dir = Dir::new("config-file-odd");
        let path = dir.0.join("config");
        std::fs::write(&path, "a\n").unwrap();
        let mut file = ConfigFile::open(&path).unwrap();
        std::fs::write(&path, "b\n").unwrap();
        let error = file.replace("c\n".into()).unwrap_err().to_string();
        assert!(error.contains("changed by somebody else"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "b\n");
        let link = dir.0.join("link");
        symlink(&path, &link).unwrap();
        let error = ConfigFile::open(&link).unwrap_err().to_string();
        assert!(error.contains("symbolic link"), "{error}");
        assert!(ConfigFile::open(&dir.0).is_err());
        assert!(ConfigFile::open(&dir.0.join("gone")).is_err());
        assert!(ConfigFile::open(Path::new("/")).is_err());
    }
}
