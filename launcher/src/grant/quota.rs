//! Edits of the quota file: one user's lines for one bridge, every other byte stays.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use berth_kernel::fs::{self, Durability};
use berth_usernic::usernet::{self, Who};

use crate::error::{Error, Result};

const MAX_FILE: usize = 16 << 20;

/// The file's text; empty if there is no file. Bytes that are no UTF-8 are refused, since they
/// could not be written back.
pub fn read(path: &Path) -> Result<String> {
    let bytes = match std::fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        opened => opened.and_then(|file| fs::read_bounded(file, MAX_FILE)),
    };
    let bytes = bytes.map_err(|error| Error::file("read", path, error))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count()
            + 1;
        Error::other(format!("{}, line {line}: not UTF-8 text", path.display()))
    })
}

/// Puts the text in the file's place, keeping a link to it and its mode.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let write = || -> io::Result<()> {
        // A link, as configuration management makes them, stays.
        let path = match std::fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            other => other?,
        };
        let mode = match std::fs::metadata(&path) {
            Ok(status) => std::os::unix::fs::MetadataExt::mode(&status) & 0o777,
            Err(_) => 0o644,
        };
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        let dir = fs::open_dir(dir)?;
        let name: &OsStr = name;
        fs::write_atomically(
            dir.as_fd(),
            name,
            text.as_bytes(),
            mode,
            Durability::ContentAndName,
        )
    };
    if let Some(parent) = path.parent() {
        super::make_dirs(parent)?;
    }
    write().map_err(|error| Error::file("write", path, error))
}

fn is_own(line: &str, user: &str, bridge: &str) -> Option<u32> {
    let entry = usernet::entry(1, line)?;
    let own = entry.who == Who::User(user) && entry.kind == "veth" && entry.bridge == bridge;
    own.then(|| u32::try_from(entry.count.max(0)).unwrap_or(u32::MAX))
}

/// What the user's own lines for the bridge add up to; `None` if there is none.
pub fn count(text: &str, user: &str, bridge: &str) -> Option<u32> {
    text.split('\n')
        .filter_map(|line| is_own(line, user, bridge))
        .reduce(u32::saturating_add)
}

/// The text in which the user's own lines for the bridge add up to this number, or in which
/// there is none. `None` if that is so already.
pub fn set(text: &str, user: &str, bridge: &str, nics: Option<u32>) -> Option<String> {
    if count(text, user, bridge) == nics {
        return None;
    }
    let mut wanted = nics;
    let mut changed = String::with_capacity(text.len() + 64);
    for line in text.split_inclusive('\n') {
        if is_own(line.trim_end_matches('\n'), user, bridge).is_none() {
            changed.push_str(line);
        } else if let Some(nics) = wanted.take() {
            changed.push_str(&with_count(line, nics));
        }
    }
    if let Some(nics) = wanted {
        if !changed.is_empty() && !changed.ends_with('\n') {
            changed.push('\n');
        }
        changed.push_str(&format!("{user} veth {bridge} {nics}\n"));
    }
    Some(changed)
}

/// The line with another number; its blanks and what follows the number stay.
fn with_count(line: &str, nics: u32) -> String {
    let mut rest = line;
    for _ in 0..3 {
        rest = rest.trim_start_matches(|c: char| !c.is_ascii_whitespace());
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
    }
    let head = &line[..line.len() - rest.len()];
    let tail = rest
        .trim_start_matches(['+', '-'])
        .trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{head}{nics}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_lines_and_comments_stay() {
        let text = "# who\n\nalice\tveth  br0 2 # her servers\nbob veth br0 3\n alice veth br0 9\n\
                    alice veth br0 1\n@staff veth br0 4";
        let changed = set(text, "alice", "br0", Some(7)).unwrap();
        assert_eq!(
            changed,
            "# who\n\nalice\tveth  br0 7 # her servers\nbob veth br0 3\n alice veth br0 9\n\
             @staff veth br0 4"
        );
        assert_eq!(set(&changed, "alice", "br0", Some(7)), None);
        assert_eq!(
            set(&changed, "alice", "br1", Some(1)).unwrap(),
            format!("{changed}\nalice veth br1 1\n")
        );
        let without = set(&changed, "alice", "br0", None).unwrap();
        assert_eq!(
            without,
            "# who\n\nbob veth br0 3\n alice veth br0 9\n@staff veth br0 4"
        );
        assert_eq!(set("", "alice", "br0", None), None);
    }

    #[test]
    fn a_line_of_zero_is_a_line() {
        assert_eq!(count("alice veth br0 -4\n", "alice", "br0"), Some(0));
        assert_eq!(set("alice veth br0 0\n", "alice", "br0", Some(0)), None);
        assert_eq!(
            set("", "alice", "br0", Some(0)).unwrap(),
            "alice veth br0 0\n"
        );
    }

    proptest! {
        #[test]
        fn what_is_set_is_counted_and_taken_back(
            text in "([a-z@# ]{0,8} ?(veth)? (br0)? ?-?[0-9]{0,3}[ a-z#]{0,4}\n){0,6}", nics in 0u32..2000,
        ) {
            let own_before = count(&text, "alice", "br0");
            let changed = set(&text, "alice", "br0", Some(nics));
            let changed = changed.unwrap_or_else(|| text.clone());
            prop_assert_eq!(count(&changed, "alice", "br0"), Some(nics));
            if own_before.is_none() {
                let back = set(&changed, "alice", "br0", None).unwrap();
                prop_assert_eq!(back, text);
            }
        }
    }
}
