//! A tar archive at one end: `berth cp - NAME:/path` and `berth cp NAME:/path -`.
//!
//! Between archive and pipe stands the host's side, with the caller's rights; it opens no file.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::stream::{Head, Item, PIECE, is_name};
use super::tar::{self, Entry, Kind};
use crate::error::{Error, Result};
use crate::state::now;

/// The deepest path.
const DEEPEST: usize = 1024;

/// Writes what comes through the pipe as an archive.
pub fn pack(pipe: File, to: impl Write) -> Result<()> {
    let mut pipe = BufReader::with_capacity(PIECE, pipe);
    let mut to = BufWriter::with_capacity(PIECE, to);
    let mut dirs: Vec<OsString> = Vec::new();
    loop {
        match Item::read(&mut pipe)? {
            Item::Directory(head) => {
                dirs.push(head.name.clone());
                let mut path = joined(&dirs);
                path.push("/");
                tar::write(&mut to, &entry(path, Kind::Directory, &head)).map_err(failed)?;
            }
            Item::File(head) => {
                let path = joined(dirs.iter().chain([&head.name]));
                let size = head.size;
                tar::write(&mut to, &entry(path, Kind::File(size), &head)).map_err(failed)?;
                content(&mut pipe, &mut to, size)?;
                tar::pad(&mut to, size).map_err(failed)?;
            }
            Item::Link(head, target) => {
                let path = joined(dirs.iter().chain([&head.name]));
                tar::write(&mut to, &entry(path, Kind::Link(target), &head)).map_err(failed)?;
            }
            Item::Up => drop(dirs.pop()),
            Item::End => return tar::end(&mut to).map_err(failed),
            Item::Piece(..) | Item::EndOfFile(_) => return Err(Error::other("content of no file")),
        }
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::os("write the tar archive", error)
}

/// The names of a path; the root has none.
fn joined<'n>(names: impl IntoIterator<Item = &'n OsString>) -> OsString {
    let names = names.into_iter().filter(|name| is_name(name));
    let path: Vec<&[u8]> = names.map(|name| name.as_bytes()).collect();
    match path.is_empty() {
        true => ".".into(),
        false => OsString::from_vec(path.join(&b'/')),
    }
}

fn entry(path: OsString, kind: Kind, head: &Head) -> Entry {
    Entry {
        path,
        kind,
        mode: head.mode,
        modified: head.modified,
    }
}

/// As many bytes as were announced, whatever has become of the file since: holes, and what is not
/// there any more, as zeros.
fn content(pipe: &mut impl Read, to: &mut impl Write, size: u64) -> Result<()> {
    let mut written = 0;
    loop {
        match Item::read(pipe)? {
            Item::Piece(at, bytes) => {
                if at < written {
                    return Err(Error::other("pieces of a file that are out of order"));
                }
                zeros(to, at.min(size) - written)?;
                written = at.min(size);
                let room = usize::try_from(size - written).unwrap_or(usize::MAX);
                let piece = &bytes[..bytes.len().min(room)];
                to.write_all(piece).map_err(failed)?;
                written += piece.len() as u64;
            }
            Item::EndOfFile(_) => return zeros(to, size - written),
            _ => return Err(Error::other("a file without an end")),
        }
    }
}

fn zeros(to: &mut impl Write, count: u64) -> Result<()> {
    let copied = std::io::copy(&mut std::io::repeat(0).take(count), to);
    copied.map(drop).map_err(failed)
}

/// Sends an archive's entries into the pipe, each in its directory.
pub fn unpack(from: impl Read, pipe: File) -> Result<()> {
    let mut from = BufReader::with_capacity(PIECE, from);
    let mut unpacking = Unpacking {
        pipe: BufWriter::with_capacity(PIECE, pipe),
        dirs: Vec::new(),
    };
    let mut is_empty = true;
    while let Some(entry) = tar::read(&mut from)? {
        is_empty = false;
        unpacking.entry(&entry, &mut from)?;
    }
    if is_empty {
        return Err(Error::other("no tar archive came, or one without anything"));
    }
    unpacking.go_to(&[])?;
    unpacking.send(&Item::End)?;
    unpacking
        .pipe
        .flush()
        .map_err(|error| Error::os("write to a pipe", error))?;
    // Whoever writes it is not to find nobody at its last blocks.
    std::io::copy(&mut from, &mut std::io::sink())
        .map(drop)
        .map_err(|error| tar::unreadable(&error))
}

struct Unpacking {
    pipe: BufWriter<File>,
    /// The directory in which one is.
    dirs: Vec<OsString>,
}

impl Unpacking {
    fn send(&mut self, item: &Item) -> Result<()> {
        item.write(&mut self.pipe)
    }

    fn entry(&mut self, entry: &Entry, from: &mut impl Read) -> Result<()> {
        let path = names(&entry.path)?;
        let Some((name, parents)) = path.split_last() else {
            // The directory itself stays as it is.
            return match entry.kind {
                Kind::Directory => Ok(()),
                _ => Err(Error::other("the tar archive has an entry without a name")),
            };
        };
        self.go_to(parents)?;
        let head = Head {
            name: name.clone(),
            mode: entry.mode,
            modified: entry.modified,
            size: 0,
        };
        match &entry.kind {
            Kind::Directory => {
                self.send(&Item::Directory(head))?;
                self.dirs.push(name.clone());
                Ok(())
            }
            Kind::Link(target) => self.send(&Item::Link(head, target.clone())),
            Kind::File(size) => {
                self.send(&Item::File(Head {
                    size: *size,
                    ..head
                }))?;
                self.content(*size, from)?;
                tar::skip_padding(from, *size)
            }
        }
    }

    fn content(&mut self, size: u64, from: &mut impl Read) -> Result<()> {
        let mut at = 0;
        while at < size {
            let left = usize::try_from(size - at).unwrap_or(PIECE);
            let mut piece = vec![0; left.min(PIECE)];
            from.read_exact(&mut piece)
                .map_err(|error| tar::unreadable(&error))?;
            let length = piece.len() as u64;
            self.send(&Item::Piece(at, piece))?;
            at += length;
        }
        self.send(&Item::EndOfFile(size))
    }

    /// Up and down to a directory. One that the archive does not name is made if it is missing.
    fn go_to(&mut self, dirs: &[OsString]) -> Result<()> {
        let same = self.dirs.iter().zip(dirs).take_while(|(a, b)| a == b);
        let same = same.count();
        while self.dirs.len() > same {
            self.send(&Item::Up)?;
            self.dirs.pop();
        }
        for name in &dirs[same..] {
            self.send(&Item::Directory(Head {
                name: name.clone(),
                mode: 0o755,
                modified: now() as i64,
                size: 0,
            }))?;
            self.dirs.push(name.clone());
        }
        Ok(())
    }
}

/// The names of an entry's path. One that would lead out of the target is refused.
fn names(path: &OsStr) -> Result<Vec<OsString>> {
    let parts = path.as_bytes().split(|byte| *byte == b'/');
    let parts = parts.filter(|part| !part.is_empty() && *part != b".");
    let names: Vec<OsString> = parts
        .map(|part| OsString::from_vec(part.to_vec()))
        .collect();
    let refused = |why: &str| Error::other(format!("{} in the tar archive {why}", path.display()));
    if names.iter().any(|name| !is_name(name)) {
        return Err(refused("leads out of the directory"));
    }
    match names.len() > DEEPEST {
        true => Err(refused("is too deep")),
        false => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out() {
        let text = |path: &str| -> Option<String> {
            let names = names(OsStr::new(path)).ok()?;
            Some(joined(&names).to_str()?.to_owned())
        };
        assert_eq!(text("./a//b/").as_deref(), Some("a/b"));
        assert_eq!(text("/etc/passwd").as_deref(), Some("etc/passwd"));
        assert_eq!(text("./").as_deref(), Some("."));
        assert_eq!(text("a/../../etc"), None);
        assert_eq!(text(&"a/".repeat(DEEPEST + 1)), None);
    }
}
