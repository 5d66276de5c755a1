//! `lxc.console.logfile`: what the console printed, in a file of the owner's.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use berth_kernel::fs::{self as kernel_fs, Resolve};
use nix::fcntl::OFlag;

/// Opens a file to append to, made with mode 0600 if it is missing, and nothing else that may
/// stand there: a link or a pipe in its place leads nowhere. No component of `path` may be a link.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_NONBLOCK;
    let file = kernel_fs::openat2(
        nix::fcntl::AT_FDCWD,
        path,
        flags | OFlag::O_NOCTTY,
        0o600,
        Resolve::NO_SYMLINKS,
    )?;
    match kernel_fs::status(file.as_fd())?.is_file() {
        true => Ok(file.into()),
        false => Err(io::Error::other("it is no regular file")),
    }
}

/// A log with its limit.
pub struct LogFile {
    path: PathBuf,
    /// The most that the file takes, in bytes.
    limit: Option<u64>,
    /// Whether a full file is kept beside the new one.
    rotate: bool,
    file: File,
    size: u64,
}

impl LogFile {
    /// Opens it behind what is there already.
    pub fn open(path: &Path, limit: Option<u64>, rotate: bool) -> io::Result<Self> {
        let file = open_to_append(path)?;
        Ok(Self {
            path: path.to_owned(),
            limit,
            rotate,
            size: file.metadata()?.size(),
            file,
        })
    }

    /// Appends output, as far as it can be: a full disk costs the log, not the container.
    pub fn push(&mut self, mut output: &[u8]) {
        while !output.is_empty() {
            let space = self.limit.map(|limit| limit.saturating_sub(self.size));
            let piece = match space {
                Some(0) => {
                    if self.begin_anew().is_err() {
                        return;
                    }
                    continue;
                }
                Some(space) => output
                    .len()
                    .min(usize::try_from(space).unwrap_or(usize::MAX)),
                None => output.len(),
            };
            match self.file.write(&output[..piece]) {
                Ok(written) if written > 0 => {
                    self.size += written as u64;
                    output = &output[written..];
                }
                _ => return,
            }
        }
    }

    /// Empties the file; what was there is kept as `FILE.1` if it is to be.
    pub fn begin_anew(&mut self) -> io::Result<()> {
        if self.rotate && self.size > 0 {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            std::fs::rename(&self.path, old)?;
            self.file = open_to_append(&self.path)?;
        } else {
            self.file.set_len(0)?;
        }
        self.size = self.file.metadata()?.size();
        match self.limit {
            // Somebody else's content, put there at this moment.
            Some(limit) if self.size >= limit => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let name = format!("berth-log-{name}-{}", std::process::id());
            let dir = std::env::temp_dir().canonicalize().unwrap().join(name);
            std::fs::create_dir(&dir).unwrap();
            Self(dir)
        }

        fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.0.join(name)).unwrap_or_default()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_log_begins_anew_at_its_limit() {
        let dir = Dir::new("limit");
        let path = dir.0.join("log");
        let mut log = LogFile::open(&path, Some(8), false).unwrap();
        log.push(b"abcdef");
        log.push(b"ghijk");
        assert_eq!(dir.read("log"), "ijk");
        drop(log);
        let mut log = LogFile::open(&path, Some(8), true).unwrap();
        log.push(b"0123456789");
        assert_eq!(
            (dir.read("log.1"), dir.read("log")),
            ("ijk01234".into(), "56789".into())
        );
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_log_without_a_limit_grows() {
        let dir = Dir::new("grows");
        let path = dir.0.join("log");
        for text in ["one ", "two"] {
            LogFile::open(&path, None, false)
                .unwrap()
                .push(text.as_bytes());
        }
        assert_eq!(dir.read("log"), "one two");
    }

    #[test]
    fn links_and_other_things_in_its_place_are_not_written_to() {
        let dir = Dir::new("links");
        let victim = dir.0.join("victim");
        std::fs::write(&victim, "").unwrap();
        std::os::unix::fs::symlink(&victim, dir.0.join("link")).unwrap();
        std::os::unix::fs::symlink(&dir.0, dir.0.join("dir")).unwrap();
        nix::unistd::mkfifo(&dir.0.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in ["link", "dir/victim", "pipe"] {
            assert!(
                LogFile::open(&dir.0.join(name), None, false).is_err(),
                "{name}"
            );
        }
        assert!(LogFile::open(Path::new("/dev/null"), None, false).is_err());
    }
}
