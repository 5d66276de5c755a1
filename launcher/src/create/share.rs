//! Directories of the host's that a new container shares with its owner.
//!
//! Each is a mount entry. So that his files are his inside as well, his own uid and gid are mapped to
//! themselves, out of the middle of the container's ids, which newuidmap(1) lets everybody do with his
//! own.

use std::path::{Component, Path, PathBuf};

use berth_common::{Gid, Uid};
use berth_container_config::{IdKind, IdMapping};

use crate::error::{Error, Result};

/// `HOSTDIR[:DIR]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// On the host, as it was given.
    pub host: PathBuf,
    /// Inside, absolute; `None`: the same.
    pub inside: Option<PathBuf>,
}

impl std::str::FromStr for Share {
    type Err = String;

    /// DIR begins with a slash; what stands before the last `:/` is the host's.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (host, inside) = match text.rfind(":/") {
            Some(at) => (&text[..at], Some(PathBuf::from(&text[at + 1..]))),
            None => (text, None),
        };
        let climbs = |path: &Path| path.components().any(|part| part == Component::ParentDir);
        if host.is_empty() || inside.as_deref().is_some_and(climbs) {
            return Err(
                "expected HOSTDIR or HOSTDIR:DIR, where DIR is an absolute path without “..”"
                    .to_owned(),
            );
        }
        Ok(Self {
            host: host.into(),
            inside,
        })
    }
}

/// The lines of a configuration that share these directories. `maps` are the container's ids
/// without that; none: it has the host's.
pub fn lines(shares: &[Share], maps: &[IdMapping], owner: (Uid, Gid)) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let with_own = with_own(maps, owner);
    if with_own != maps {
        // What stands above is cleared first.
        lines.push("lxc.idmap =".to_owned());
        lines.extend(
            with_own
                .iter()
                .map(|mapping| format!("lxc.idmap = {mapping}")),
        );
    }
    for share in shares {
        let shown = share.host.display();
        let host = share
            .host
            .canonicalize()
            .map_err(|error| Error::file("share", &share.host, error))?;
        if !host.is_dir() {
            return Err(Error::other(format!(
                "cannot share {shown}: it is no directory"
            )));
        }
        let inside = share.inside.as_deref().unwrap_or(&host);
        let (from, to) = (escaped(&host)?, escaped(inside)?);
        let to = to.trim_start_matches('/');
        if to.trim_end_matches('/').is_empty() {
            return Err(Error::other(format!(
                "cannot share {shown} as the container's own root; say where: --share {shown}:/DIR"
            )));
        }
        lines.push(format!(
            "lxc.mount.entry = {from} {to} none rbind,create=dir 0 0"
        ));
    }
    Ok(lines)
}

/// The maps with the owner's own ids mapped to themselves, if they are not mapped already.
fn with_own(maps: &[IdMapping], owner: (Uid, Gid)) -> Vec<IdMapping> {
    if maps.is_empty() || owner.0.is_root() {
        return maps.to_vec();
    }
    let own = [
        (IdKind::User, owner.0.raw()),
        (IdKind::Group, owner.1.raw()),
    ];
    let mut all = maps.to_vec();
    for (kind, id) in own {
        let of_kind = |mapping: &IdMapping| mapping.kind == kind;
        if all.iter().any(|one| of_kind(one) && one.covers_host(id)) {
            continue;
        }
        let mut cut = Vec::new();
        for mapping in all {
            let end = mapping.inside + mapping.count;
            if !of_kind(&mapping) || !(mapping.inside..end).contains(&id) {
                cut.push(mapping);
                continue;
            }
            let before = id - mapping.inside;
            let after = mapping.count - before - 1;
            let parts = [
                (mapping.inside, mapping.host, before),
                (id, id, 1),
                (
                    id.saturating_add(1),
                    mapping.host.saturating_add(before + 1),
                    after,
                ),
            ];
            let parts = parts.into_iter().filter(|(_, _, count)| *count > 0);
            cut.extend(
                parts.filter_map(|(inside, host, count)| IdMapping::new(kind, inside, host, count)),
            );
        }
        if !cut.iter().any(|one| of_kind(one) && one.covers_host(id)) {
            cut.extend(IdMapping::new(kind, id, id, 1));
        }
        all = cut;
    }
    all
}

/// As fstab(5) has blanks in paths.
fn escaped(path: &Path) -> Result<String> {
    let text = path.to_str().filter(|text| !text.contains(['\n', '\r']));
    let text = text.ok_or_else(|| {
        Error::other(format!(
            "the path {path:?} cannot be written into an LXC configuration"
        ))
    })?;
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\134"),
            ' ' => escaped.push_str("\\040"),
            '\t' => escaped.push_str("\\011"),
            '#' => escaped.push_str("\\043"),
            c => escaped.push(c),
        }
    }
    Ok(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(kind: IdKind, inside: u32, host: u32, count: u32) -> IdMapping {
        IdMapping::new(kind, inside, host, count).unwrap()
    }

    fn own(uid: u32, gid: u32) -> (Uid, Gid) {
        (Uid::new(uid).unwrap(), Gid::new(gid).unwrap())
    }

    #[test]
    fn shares_are_taken_apart() {
        let share = |text: &str| text.parse::<Share>().map(|s| (s.host, s.inside));
        assert_eq!(share("src"), Ok(("src".into(), None)));
        assert_eq!(share("/a:/b"), Ok(("/a".into(), Some("/b".into()))));
        assert_eq!(share("/a:b:/c"), Ok(("/a:b".into(), Some("/c".into()))));
        assert_eq!(share("/a:b"), Ok(("/a:b".into(), None)));
        for wrong in ["", ":/b", "/a:/b/../c"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn own_ids_are_cut_out_of_the_middle_or_added() {
        use IdKind::{Group, User};
        let maps = [map(User, 0, 100_000, 65536), map(Group, 0, 100_000, 65536)];
        assert_eq!(
            with_own(&maps, own(1000, 65535)),
            [
                map(User, 0, 100_000, 1000),
                map(User, 1000, 1000, 1),
                map(User, 1001, 101_001, 64535),
                map(Group, 0, 100_000, 65535),
                map(Group, 65535, 65535, 1),
            ]
        );
        let far = with_own(&maps[..1], own(70_000, 5));
        assert_eq!(far[1], map(User, 70_000, 70_000, 1));
        // Mapped already, wherever; and the host's ids.
        let already = [
            maps[0],
            map(User, 70_000, 1000, 1),
            maps[1],
            map(Group, 70_000, 5, 1),
        ];
        assert_eq!(with_own(&already, own(1000, 5)), already);
        assert_eq!(with_own(&[], own(1000, 5)), []);
    }

    #[test]
    fn blanks_are_escaped() {
        assert_eq!(
            escaped(Path::new("/a b\\c#")).unwrap(),
            "/a\\040b\\134c\\043"
        );
        assert!(escaped(Path::new("/a\nb")).is_err());
    }
}
