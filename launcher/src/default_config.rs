//! What `create` writes for somebody without a default.conf: his subordinate ids, and a NIC on
//! the first bridge that his usernet lines grant.

use std::io;
use std::path::Path;
use std::process::Command;

use berth_common::{InterfaceName, Uid, path};
use berth_container_config::{IdKind, IdMapping};
use berth_kernel::user::{self, User};
use berth_usernic::usernet::{self, Who};

use crate::error::{Error, Result};

/// A range of ids on the host that somebody may map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubRange {
    /// The first id.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// What a container's map needs to have every id of login.defs(5), `nobody` among them.
pub const WHOLE: u32 = 65_536;
const GETSUBIDS: &str = "/usr/bin/getsubids";
/// The longest table that is read, in bytes.
const MAX_TABLE: usize = 1 << 22;

/// The id map for a user's new container: ids from 0 on his first range that has 65536 ids, or
/// on his largest.
pub fn id_mappings(user: &User) -> Result<Vec<IdMapping>> {
    let users = own_range(user, IdKind::User)?;
    let groups = own_range(user, IdKind::Group)?;
    let map = |kind, range: SubRange| {
        IdMapping::new(kind, 0, range.first, range.count.min(WHOLE)).ok_or_else(|| {
            Error::other(format!(
                "the subordinate ids of {} ({} from {} on) are no ids",
                user.name, range.count, range.first
            ))
        })
    };
    Ok(vec![map(IdKind::User, users)?, map(IdKind::Group, groups)?])
}

/// All of a user's subordinate ids: the first of each range, and how many it has.
pub fn own_ranges(user: &User, kind: IdKind) -> Result<Vec<(u32, u32)>> {
    let ranges = ranges(user, kind)?;
    Ok(ranges
        .iter()
        .map(|range| (range.first, range.count))
        .collect())
}

fn ranges(user: &User, kind: IdKind) -> Result<Vec<SubRange>> {
    let table = match kind {
        IdKind::User => "/etc/subuid",
        IdKind::Group => "/etc/subgid",
    };
    match from_name_service(user, kind) {
        ranges if !ranges.is_empty() => Ok(ranges),
        _ => from_table(user, Path::new(table)),
    }
}

fn own_range(user: &User, kind: IdKind) -> Result<SubRange> {
    let (ids, table) = match kind {
        IdKind::User => ("user ids", "/etc/subuid"),
        IdKind::Group => ("group ids", "/etc/subgid"),
    };
    let ranges = ranges(user, kind)?;
    best(&ranges).ok_or_else(|| {
        Error::other(format!(
            "{name} has no subordinate {ids} in {table}, and an ordinary user's container needs \
             some (an administrator gives them with: sudo berth grant {name})",
            name = user.name
        ))
    })
}

/// The first range that is large enough, else the first of the largest.
fn best(ranges: &[SubRange]) -> Option<SubRange> {
    let whole = ranges.iter().find(|range| range.count >= WHOLE);
    whole
        .or_else(|| ranges.iter().rev().max_by_key(|range| range.count))
        .copied()
}

/// Asks getsubids(1), which knows of directories (the `subid` line of nsswitch.conf). Nothing
/// where it does not exist or knows nothing.
fn from_name_service(user: &User, kind: IdKind) -> Vec<SubRange> {
    let mut command = Command::new(GETSUBIDS);
    if kind == IdKind::Group {
        command.arg("-g");
    }
    // getsubids takes no `--`, and a name that begins with a dash would be an option.
    if user.name.starts_with('-') {
        return Vec::new();
    }
    command.arg(&user.name).env_clear();
    match crate::output::run(&mut command) {
        Ok(output) if output.status.success() => {
            parse_getsubids(&String::from_utf8_lossy(&output.stdout), &user.name)
        }
        _ => Vec::new(),
    }
}

/// Lines `INDEX: OWNER FIRST COUNT`.
fn parse_getsubids(text: &str, name: &str) -> Vec<SubRange> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            [_, owner, first, count] if owner == name => range(first, count),
            _ => None,
        }
    };
    text.lines().filter_map(line).collect()
}

fn from_table(user: &User, table: &Path) -> Result<Vec<SubRange>> {
    match std::fs::File::open(table) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        opened => {
            let read = opened.and_then(|file| berth_kernel::fs::read_bounded(file, MAX_TABLE));
            let bytes = read.map_err(|error| Error::file("read", table, error))?;
            Ok(parse_table(
                &String::from_utf8_lossy(&bytes),
                &user.name,
                user.uid,
            ))
        }
    }
}

/// Lines `OWNER:FIRST:COUNT` (subuid(5)); the owner by name or by number. Other lines count for
/// nothing, as for newuidmap.
fn parse_table(text: &str, name: &str, uid: Uid) -> Vec<SubRange> {
    let number = uid.to_string();
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields[..] {
            [owner, first, count] if owner == name || owner == number => {
                range(first, count.trim_end())
            }
            _ => None,
        }
    };
    text.lines().filter_map(line).collect()
}

fn range(first: &str, count: &str) -> Option<SubRange> {
    let range = SubRange {
        first: first.parse().ok()?,
        count: count.parse().ok()?,
    };
    (range.count > 0 && range.first.checked_add(range.count).is_some()).then_some(range)
}

/// The network of a new container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// A NIC on this bridge.
    Bridge(InterfaceName),
    /// None, and what to do about it.
    None {
        /// A sentence for the user.
        hint: String,
    },
}

/// The first bridge on which a user may have a NIC by `/etc/lxc/lxc-usernet`, one that exists
/// before one that does not. Root may use any; he gets the default bridge if it exists.
pub fn network(user: &User) -> Result<Network> {
    if user.uid.is_root() {
        return Ok(match path::DEFAULT_BRIDGE.parse::<InterfaceName>() {
            Ok(bridge) if bridge_exists(&bridge) => Network::Bridge(bridge),
            _ => Network::None {
                hint: format!(
                    "the container gets no network: there is no bridge {} (start it with: \
                     systemctl start {})",
                    path::DEFAULT_BRIDGE,
                    berth_common::unit::NET
                ),
            },
        });
    }
    let granted = granted_bridges(user)?;
    let best = granted
        .iter()
        .find(|bridge| bridge_exists(bridge))
        .or(granted.first());
    Ok(match best {
        Some(bridge) => Network::Bridge(bridge.clone()),
        None => Network::None {
            hint: format!(
                "the container gets no network: no line for {name} in {} (an administrator \
                 adds one with: sudo berth grant {name})",
                path::USERNET,
                name = user.name
            ),
        },
    })
}

fn bridge_exists(bridge: &InterfaceName) -> bool {
    Path::new("/sys/class/net")
        .join(bridge)
        .join("bridge")
        .is_dir()
}

fn granted_bridges(user: &User) -> Result<Vec<InterfaceName>> {
    let table = Path::new(path::USERNET);
    let text = match std::fs::File::open(table) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => {
            let read = opened.and_then(|file| berth_kernel::fs::read_bounded(file, MAX_TABLE));
            let bytes = read.map_err(|error| Error::file("read", table, error))?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
    };
    let groups: Vec<String> = user::own_groups()
        .map_err(|error| Error::os("read the caller's groups", error))?
        .into_iter()
        .filter_map(|gid| user::group_name(gid).ok().flatten())
        .collect();
    Ok(parse_usernet(&text, &user.name, &groups))
}

/// Bridges of lines `WHO TYPE BRIDGE COUNT` that name the user or one of his groups, with a
/// count above zero (lxc-usernet(5)).
fn parse_usernet(text: &str, name: &str, groups: &[String]) -> Vec<InterfaceName> {
    let granted = usernet::entries(text).filter(|entry| {
        let is_his = match entry.who {
            Who::User(user) => user == name,
            Who::Group(group) => groups.iter().any(|own| own == group),
        };
        // `none` stands for a NIC without a bridge.
        is_his && entry.kind == "veth" && entry.count > 0 && entry.bridge != "none"
    });
    granted
        .filter_map(|entry| entry.bridge.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(raw: u32) -> Uid {
        Uid::new(raw).unwrap()
    }

    #[test]
    fn subordinate_ids_by_name_and_by_number() {
        let text = "bob:100000:65536\nalice:165536:1000\n1000:300000:70000\nalice:x:1\n\
                    alice:4294967295:2\nalice:5\n:1:1\nalice:9:0\n";
        let ranges = parse_table(text, "alice", uid(1000));
        assert_eq!(
            ranges,
            [
                SubRange {
                    first: 165_536,
                    count: 1000
                },
                SubRange {
                    first: 300_000,
                    count: 70_000
                }
            ]
        );
        assert_eq!(best(&ranges), Some(ranges[1]));
        assert_eq!(best(&ranges[..1]), Some(ranges[0]));
        assert_eq!(best(&[]), None);
        assert!(parse_table(text, "carol", uid(1003)).is_empty());
    }

    #[test]
    fn the_first_of_equal_ranges() {
        let range = |first, count| SubRange { first, count };
        assert_eq!(
            best(&[range(1, 70_000), range(2, 80_000)]),
            Some(range(1, 70_000))
        );
        assert_eq!(
            best(&[range(1, 7), range(2, 8), range(3, 8)]),
            Some(range(2, 8))
        );
    }

    #[test]
    fn getsubids_answers() {
        let text = "0: alice 100000 65536\n1: alice 300000 10\n2: bob 5 5\nError fetching\n";
        let ranges = parse_getsubids(text, "alice");
        assert_eq!(ranges.len(), 2);
        assert_eq!(
            ranges[0],
            SubRange {
                first: 100_000,
                count: 65_536
            }
        );
    }

    #[test]
    fn bridges_of_usernet() {
        let text = "# alice veth br9 1\nbob veth br8 1\n alice veth br7 1\nalice veth br6 0\n\
                    alice veth none 5\nalice veth br1\nalice veth br5 -1\nalice macvlan br4 1\n\
                    @staff\tveth br3 2x\nalice  veth br2 10 # ten\nalice veth a/b 1\n";
        let names = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|g| (*g).to_owned()).collect();
            let bridges = parse_usernet(text, "alice", &groups);
            bridges
                .iter()
                .map(|b| b.as_str().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&["staff"]), ["br3", "br2"]);
        assert_eq!(names(&[]), ["br2"]);
    }
}
