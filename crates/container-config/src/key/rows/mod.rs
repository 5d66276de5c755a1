//! The rows: every key of LXC, from lxc.container.conf(5) of LXC 7.0, and the names before 2.1.

use super::{Action, Entry, Key, Refusal, Setter};
use crate::config::{Config, Net};
use crate::value;

const fn obeyed(pattern: &'static str, summary: &'static str, set: Setter, clear: Setter) -> Key {
    Key {
        pattern,
        summary,
        action: Action::Obeyed { set, clear },
        shown_by: "",
    }
}

const fn renamed(pattern: &'static str, new: &'static str) -> Key {
    Key {
        pattern,
        summary: "a name of LXC before 2.1",
        action: Action::Renamed(new),
        shown_by: "keys::legacy::former_names_are_refused_with_their_successors",
    }
}

const fn gone(pattern: &'static str, why: &'static str) -> Key {
    Key {
        pattern,
        summary: "a key of LXC before 2.1",
        action: Action::Gone(why),
        shown_by: "keys::legacy::former_names_are_refused_with_their_successors",
    }
}

/// A row whose field holds one value.
macro_rules! scalar {
    ($pattern:literal, $summary:literal, $($field:ident).+, $parse:expr) => {
        obeyed(
            $pattern,
            $summary,
            |config, entry| {
                config.$($field).+ = Some(entry.place($parse(entry.value)?));
                Ok(())
            },
            |config, _| {
                config.$($field).+ = None;
                Ok(())
            },
        )
    };
}

/// A row whose field holds a list, to which each line adds one or several values.
macro_rules! list {
    ($pattern:literal, $summary:literal, $($field:ident).+, one $parse:expr) => {
        obeyed(
            $pattern,
            $summary,
            |config, entry| {
                config.$($field).+.push(entry.place($parse(entry.value)?));
                Ok(())
            },
            |config, _| {
                config.$($field).+.clear();
                Ok(())
            },
        )
    };
    ($pattern:literal, $summary:literal, $($field:ident).+, many $parse:expr) => {
        obeyed(
            $pattern,
            $summary,
            |config, entry| {
                config.$($field).+.extend($parse(entry.value)?.into_iter().map(|v| entry.place(v)));
                Ok(())
            },
            |config, _| {
                config.$($field).+.clear();
                Ok(())
            },
        )
    };
}

/// A row of one interface.
macro_rules! net_scalar {
    ($pattern:literal, $summary:literal, $($field:ident).+, $parse:expr) => {
        obeyed(
            $pattern,
            $summary,
            |config, entry| {
                let value = entry.place($parse(entry.value)?);
                net(config, entry).$($field).+ = Some(value);
                Ok(())
            },
            |config, entry| {
                net(config, entry).$($field).+ = None;
                Ok(())
            },
        )
    };
}

macro_rules! net_list {
    ($pattern:literal, $summary:literal, $($field:ident).+, $parse:expr) => {
        obeyed(
            $pattern,
            $summary,
            |config, entry| {
                let value = entry.place($parse(entry.value)?);
                net(config, entry).$($field).+.push(value);
                Ok(())
            },
            |config, entry| {
                net(config, entry).$($field).+.clear();
                Ok(())
            },
        )
    };
}

fn net<'c>(config: &'c mut Config, entry: &Entry<'_>) -> &'c mut Net {
    config.nets.entry(entry.index.unwrap_or(0)).or_default()
}

/// For keys whose only meaning is to be empty.
fn only_empty(_: &mut Config, _: &Entry<'_>) -> Result<(), Refusal> {
    Err(Refusal::Expected(
        "nothing: an empty value clears what earlier lines said".into(),
    ))
}

mod cgroup;
mod files;
mod hooks;
mod legacy;
mod net;
mod process;
mod running;
mod security;
mod terminals;

impl Key {
    /// Names the test that shows what the key does: `file::test` or `crate::module::test`, as in
    /// `tests/PROMISES.md`.
    const fn shown_by(mut self, test: &'static str) -> Self {
        self.shown_by = test;
        self
    }
}

static INCLUDE: &[Key] = &[Key {
    pattern: "lxc.include",
    summary: "other files to read here",
    action: Action::Include,
    shown_by: "keys::include::files_and_directories_are_read_where_they_are_named",
}];

static SECTIONS: &[&[Key]] = &[
    INCLUDE,
    process::ROWS,
    running::ROWS,
    files::ROWS,
    terminals::ROWS,
    net::ROWS,
    cgroup::ROWS,
    security::ROWS,
    hooks::ROWS,
    legacy::ROWS,
];

/// Every key.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().copied().flatten()
}

const _: () = assert!(
    all_are_shown(),
    "each key names the test that shows its effect in a container, or its refusal"
);

const fn all_are_shown() -> bool {
    let mut section = 0;
    while section < SECTIONS.len() {
        let rows = SECTIONS[section];
        let mut row = 0;
        while row < rows.len() {
            if rows[row].shown_by.is_empty() {
                return false;
            }
            row += 1;
        }
        section += 1;
    }
    true
}
