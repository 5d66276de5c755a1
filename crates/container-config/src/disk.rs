//! Reading configuration files from disk.

use crate::load::{Loader, Source};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The longest file that is read, in bytes. LXC's longest shipped file has 4 KB.
pub const MAX_FILE: u64 = 1 << 20;
/// The most entries of a directory that are looked at.
const MAX_ENTRIES: usize = 4096;

/// Reads regular files of at most [`MAX_FILE`] bytes, and the `*.conf` of directories in the
/// order of their names.
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
        let mut bytes = Vec::new();
        File::open(path)?
            .take(MAX_FILE + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "it is larger than 1 MiB",
            ));
        }
        String::from_utf8(bytes)
            .map(Source::Text)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
    }
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
