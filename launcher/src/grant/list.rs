//! `berth grants`: who may have how many NICs, and what belongs to it.

use berth_common::{InterfaceName, Uid};
use berth_container_config::IdKind;
use berth_kernel::user::User;
use berth_usernic::{ports, usernet};
use serde::Serialize;

use super::record::Range;
use super::{Host, Paths, quota};
use crate::error::Result;

/// A line of `berth grants`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The user, or `@group` for each member of a group.
    pub user: String,
    /// The bridge, or `none`.
    pub bridge: String,
    /// How many NICs he may have there by lines of his own.
    pub nics: u64,
    /// How many he has; `None` where there is no such user or bridge, and for groups.
    pub used: Option<u64>,
    /// His subordinate user ids.
    pub subuids: Vec<Range>,
    /// His subordinate group ids.
    pub subgids: Vec<Range>,
    /// Whether his containers may start at boot.
    pub linger: bool,
}

/// Lists within these paths, in the order of the quota file.
pub fn list(
    paths: &Paths,
    host: &dyn Host,
    look_up: impl Fn(&str) -> Result<Option<User>>,
) -> Result<Vec<Row>> {
    let text = quota::read(&paths.usernet())?;
    let mut rows: Vec<Row> = Vec::new();
    for entry in usernet::entries(&text).filter(|entry| entry.kind == "veth") {
        let (label, user) = match entry.who {
            usernet::Who::User(name) => (name.to_owned(), look_up(name)?),
            usernet::Who::Group(name) => (format!("@{name}"), None),
        };
        let nics = u64::try_from(entry.count).unwrap_or(0);
        let same = |row: &&mut Row| row.user == label && row.bridge == entry.bridge;
        if let Some(row) = rows.iter_mut().find(same) {
            row.nics = row.nics.saturating_add(nics);
            continue;
        }
        let ranges = |kind| {
            user.as_ref()
                .map_or(Ok(Vec::new()), |user| host.ranges(user, kind))
        };
        rows.push(Row {
            nics,
            used: user.as_ref().and_then(|user| used(entry.bridge, user.uid)),
            subuids: ranges(IdKind::User)?,
            subgids: ranges(IdKind::Group)?,
            linger: user.as_ref().is_some_and(|user| {
                paths.linger(&user.name).exists() || paths.boot(&user.name).exists()
            }),
            bridge: entry.bridge.to_owned(),
            user: label,
        });
    }
    Ok(rows)
}

fn used(bridge: &str, uid: Uid) -> Option<u64> {
    let bridge: InterfaceName = bridge.parse().ok()?;
    ports::of_user(&bridge, uid)
        .ok()
        .map(|nics| nics.len() as u64)
}

/// The rows as a table for people, with its head and a newline after each line.
pub fn table(rows: &[Row]) -> String {
    let ranges = |ranges: &[Range]| match ranges {
        [] => "-".to_owned(),
        ranges => ranges
            .iter()
            .map(Range::to_string)
            .collect::<Vec<_>>()
            .join(","),
    };
    let head = [
        "USER", "BRIDGE", "NICS", "USED", "SUBUIDS", "SUBGIDS", "LINGER",
    ]
    .map(Into::into);
    let mut lines: Vec<[String; 7]> = vec![head];
    lines.extend(rows.iter().map(|row| {
        [
            row.user.clone(),
            row.bridge.clone(),
            row.nics.to_string(),
            row.used
                .map_or_else(|| "-".to_owned(), |used| used.to_string()),
            ranges(&row.subuids),
            ranges(&row.subgids),
            if row.linger { "yes" } else { "no" }.to_owned(),
        ]
    }));
    let widths: [usize; 7] = std::array::from_fn(|column| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    });
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
