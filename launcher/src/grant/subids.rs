//! Subordinate ids in `/etc/subuid` and `/etc/subgid` (subuid(5)): what is taken, what is free.

use std::io;
use std::path::Path;

use berth_container_config::IdKind;
use berth_kernel::fs;
use berth_kernel::user::User;

use super::record::Range;
use super::{KINDS, Paths};
use crate::error::{Error, Result};

/// Ids that a container's map needs: 0 to 65535, `nobody` among them.
pub const WHOLE: u32 = crate::default_config::WHOLE;
const MAX_TABLE: usize = 4 << 20;

/// Reads a table; empty if there is none.
fn read(path: &Path) -> Result<String> {
    let bytes = match std::fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        opened => opened.and_then(|file| fs::read_bounded(file, MAX_TABLE)),
    };
    let bytes = bytes.map_err(|error| Error::file("read", path, error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Owner and range of a line `OWNER:FIRST:COUNT`; other lines mean nothing.
fn entry(line: &str) -> Option<(&str, Range)> {
    let mut fields = line.trim_end().split(':');
    let (owner, first, count) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    let range = Range {
        first: first.parse().ok()?,
        count: count.parse().ok()?,
    };
    (range.count > 0).then_some((owner, range))
}

fn is_owner(owner: &str, user: &User) -> bool {
    owner == user.name || owner.parse() == Ok(user.uid.raw())
}

/// The user's ranges in the file.
pub fn in_file(paths: &Paths, kind: IdKind, user: &User) -> Result<Vec<Range>> {
    let text = read(&paths.subids(kind))?;
    let own = text
        .lines()
        .filter_map(entry)
        .filter(|(owner, _)| is_owner(owner, user));
    Ok(own.map(|(_, range)| range).collect())
}

/// Whether the file gives the user exactly this range.
pub fn is_in_file(paths: &Paths, kind: IdKind, user: &User, range: Range) -> Result<bool> {
    Ok(in_file(paths, kind, user)?.contains(&range))
}

/// Where new ranges lie (login.defs(5): `SUB_UID_MIN` and its kin; the defaults are shadow's).
struct Bounds {
    first: u32,
    last: u32,
}

impl Bounds {
    fn read(paths: &Paths, kind: IdKind) -> Result<Self> {
        let text = read(&paths.etc.join("login.defs"))?;
        let (min, max) = match kind {
            IdKind::User => ("SUB_UID_MIN", "SUB_UID_MAX"),
            IdKind::Group => ("SUB_GID_MIN", "SUB_GID_MAX"),
        };
        Ok(Self {
            first: defined(&text, min).unwrap_or(100_000),
            last: defined(&text, max).unwrap_or(600_100_000),
        })
    }
}

fn defined(text: &str, key: &str) -> Option<u32> {
    let value = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some(key)).then(|| words.next()?.parse().ok())?
    };
    text.lines().filter_map(value).next_back()
}

/// A range of [`WHOLE`] ids that nobody has, neither in the file of this kind nor in the other
/// one, and in which no account lies: `wished` if that one is free, else the lowest.
pub fn free_range(paths: &Paths, kind: IdKind, wished: Option<Range>) -> Result<Range> {
    let bounds = Bounds::read(paths, kind)?;
    let table = |kind| read(&paths.subids(kind));
    let own_table = taken_in(&table(kind)?);
    if let Some(wished) = wished.map(|range| Range {
        first: range.first,
        count: WHOLE,
    }) && !own_table.iter().any(|taken| taken.overlaps(wished))
    {
        return Ok(wished);
    }
    let mut taken = accounts(paths)?;
    for kind in KINDS {
        taken.extend(taken_in(&table(kind)?));
    }
    lowest_free(&bounds, taken).ok_or_else(|| {
        Error::other(format!(
            "there are no {WHOLE} free ids from {} to {} (login.defs) for {}",
            bounds.first,
            bounds.last,
            paths.subids(kind).display()
        ))
    })
}

fn taken_in(table: &str) -> Vec<Range> {
    table
        .lines()
        .filter_map(entry)
        .map(|(_, range)| range)
        .collect()
}

/// Ids of local users and groups, which directories hand out far above 100000 as well.
fn accounts(paths: &Paths) -> Result<Vec<Range>> {
    let mut taken = Vec::new();
    for file in ["passwd", "group"] {
        let text = read(&paths.etc.join(file))?;
        let ids = text
            .lines()
            .filter_map(|line| line.split(':').nth(2)?.parse().ok());
        taken.extend(ids.map(|first| Range { first, count: 1 }));
    }
    Ok(taken)
}

fn lowest_free(bounds: &Bounds, mut taken: Vec<Range>) -> Option<Range> {
    taken.sort_by_key(|range| range.first);
    let mut candidate = Range {
        first: bounds.first,
        count: WHOLE,
    };
    for range in taken {
        if range.overlaps(candidate) {
            candidate.first = range.last().checked_add(1)?;
        }
    }
    let last = candidate.first.checked_add(WHOLE - 1)?;
    (last <= bounds.last).then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gaps_are_used() {
        let bounds = Bounds {
            first: 100_000,
            last: 600_100_000,
        };
        let range = |first, count| Range { first, count };
        let free = |taken: &[Range]| lowest_free(&bounds, taken.to_vec()).map(|r| r.first);
        assert_eq!(free(&[]), Some(100_000));
        assert_eq!(free(&[range(100_000, 65_536)]), Some(165_536));
        assert_eq!(
            free(&[range(231_072, 65_536), range(100_000, 65_536)]),
            Some(165_536)
        );
        assert_eq!(free(&[range(165_535, 1)]), Some(165_536));
        assert_eq!(free(&[range(165_536, 1)]), Some(100_000));
        assert_eq!(free(&[range(0, u32::MAX)]), None);
        let narrow = Bounds {
            first: 100_000,
            last: 165_534,
        };
        assert!(lowest_free(&narrow, Vec::new()).is_none());
    }

    #[test]
    fn only_whole_lines_count() {
        assert_eq!(
            entry("alice:1:2").map(|(owner, range)| (owner, range.first)),
            Some(("alice", 1))
        );
        for bad in [
            "",
            "#alice:1:2:3",
            "alice:1",
            "alice:x:2",
            "alice:1:0",
            "alice:1:-2",
        ] {
            assert!(entry(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_free_overlaps_nothing(
            taken in proptest::collection::vec((0u32..2_000_000, 1u32..200_000), 0..30),
        ) {
            let taken: Vec<Range> =
                taken.into_iter().map(|(first, count)| Range { first, count }).collect();
            let bounds = Bounds { first: 100_000, last: 600_100_000 };
            let free = lowest_free(&bounds, taken.clone()).unwrap();
            prop_assert!(free.first >= bounds.first && free.count == WHOLE);
            prop_assert!(!taken.iter().any(|range| range.overlaps(free)));
        }
    }
}
