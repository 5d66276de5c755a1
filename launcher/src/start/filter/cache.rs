//! Programs that were compiled before, a file each.
//!
//! A file holds everything its program depends on, and is believed only if that is what is asked
//! for now, byte for byte; its name merely leads to it. What is damaged, not the owner's, or
//! writable by others is compiled again.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use berth_common::Uid;
use berth_common::hash::fnv1a;
use berth_kernel::fs::{self, Durability};
use berth_kernel::seccomp::Program;
use berth_kernel::user::User;

use super::identity;

/// Begins every file, with the number of its layout.
const MAGIC: &[u8] = b"berth seccomp 1\n";
/// The largest file: a policy of 1 MiB and a program of 32 KiB, in bytes.
const LARGEST: usize = (1 << 20) + (64 << 10);
/// So many files at most; a cache that is full is emptied.
const MAX_FILES: usize = 128;

/// A directory of one owner's.
pub struct Cache {
    path: PathBuf,
    owner: Uid,
}

impl Cache {
    /// That of the calling owner: `/var/cache/berth/seccomp` for root, below his home for others.
    pub fn of(owner: &User) -> Option<Self> {
        let base = match owner.uid.is_root() {
            true => PathBuf::from(berth_common::path::ROOT_CACHE_DIR),
            false => owner.home.join(berth_common::path::USER_CACHE_DIR),
        };
        base.is_absolute().then(|| Self {
            path: base.join("seccomp"),
            owner: owner.uid,
        })
    }

    /// The program for this key, if a whole file has it.
    pub fn get(&self, key: &[u8]) -> Option<Program> {
        let dir = fs::open_dir(&self.path).ok()?;
        let name = name(key);
        let found = fs::status_at(dir.as_fd(), &name).ok()?;
        let own = |uid: u32, mode: u32| uid == self.owner.raw() && mode & 0o022 == 0;
        let around = fs::status(dir.as_fd()).ok()?;
        if !found.is_file()
            || !own(found.uid, found.permissions())
            || !own(around.uid, around.permissions())
        {
            return None;
        }
        decode(&fs::read_at(dir.as_fd(), &name, LARGEST).ok()?, key)
    }

    /// Keeps a program and the library whose tables it is from.
    pub fn put(&self, key: &[u8], library: &str, program: &Program) -> io::Result<()> {
        let library = identity(Path::new(library)).ok_or(io::ErrorKind::NotFound)?;
        let mut directories = std::fs::DirBuilder::new();
        directories.recursive(true).mode(0o700).create(&self.path)?;
        let dir = fs::open_dir(&self.path)?;
        empty_if_full(&dir)?;
        let content = encode(key, &library, program);
        // What is not whole after a power cut is compiled again.
        let memory = Durability::Memory;
        fs::write_atomically(dir.as_fd(), &name(key), &content, 0o600, memory)
    }
}

fn empty_if_full(dir: &OwnedFd) -> io::Result<()> {
    let names = fs::first_names(dir.as_fd(), MAX_FILES)?;
    if names.len() >= MAX_FILES {
        for name in names {
            // Others may be at it.
            let _ = fs::unlink_at(dir.as_fd(), &name);
        }
    }
    Ok(())
}

/// For names and against damage; who attacks writes no file here.
fn fingerprint(parts: &[&[u8]]) -> u64 {
    fnv1a(parts.iter().copied().flatten().copied())
}

fn name(key: &[u8]) -> OsString {
    format!("{:016x}", fingerprint(&[key])).into()
}

fn encode(key: &[u8], library: &str, program: &Program) -> Vec<u8> {
    let mut body = Vec::new();
    for part in [key, library.as_bytes(), program.as_bytes()] {
        body.extend((part.len() as u64).to_le_bytes());
        body.extend(part);
    }
    let sum = fingerprint(&[&body]).to_le_bytes();
    [MAGIC, &sum, &body].concat()
}

fn decode(file: &[u8], key: &[u8]) -> Option<Program> {
    let (sum, body) = file.strip_prefix(MAGIC)?.split_first_chunk::<8>()?;
    if u64::from_le_bytes(*sum) != fingerprint(&[body]) {
        return None;
    }
    let (found, rest) = part(body)?;
    let (library, rest) = part(rest)?;
    let (program, rest) = part(rest)?;
    let library = std::str::from_utf8(library).ok()?;
    let path = library.rsplitn(5, ' ').nth(4)?;
    let same = found == key && identity(Path::new(path)).as_deref() == Some(library);
    match same && rest.is_empty() {
        true => Program::from_bytes(program),
        false => None,
    }
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests;
