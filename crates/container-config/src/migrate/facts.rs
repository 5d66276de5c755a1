//! What a migration has to know of the whole file before it looks at a line.

use super::Origin;
use crate::error::Warning;
use crate::line::Line;
use crate::load::Loader;
use crate::position::Position;
use crate::walk::Walk;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// The whole file, and what it includes.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// `lxc.rootfs.backend`
    pub backend: Option<String>,
    /// The last value of each `lxc.cgroup.FILE`.
    pub cgroup: BTreeMap<String, String>,
    /// The files of `lxc.cgroup2.FILE` lines.
    pub cgroup2: BTreeSet<String>,
    /// The number for the first interface that has none.
    pub first_free_net: u32,
    /// Whether the container has ids of its own.
    pub has_idmap: bool,
    has_autodev: bool,
    order: Option<u32>,
    /// Whether it has names of before 2.1.
    pub is_old: bool,
}

impl Facts {
    pub(super) fn of(path: &Path, text: &str, loader: &dyn Loader) -> Self {
        let mut facts = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            if let Line::Assignment { key, value } = Line::parse(line) {
                facts.own_line(number, key, value);
            }
        }
        facts.has_idmap = has_idmap(path, text, loader);
        facts
    }

    fn own_line(&mut self, number: u32, key: &str, value: &str) {
        match key {
            "lxc.rootfs.backend" => self.backend = Some(value.to_owned()),
            "lxc.autodev" => self.has_autodev = true,
            "lxc.start.order" if !matches!(value, "" | "0") => {
                self.order = Some(number);
            }
            "lxc.utsname" | "lxc.rootfs" | "lxc.network" => self.is_old = true,
            _ => {}
        }
        if let Some(file) = key.strip_prefix("lxc.cgroup.") {
            self.cgroup.insert(file.to_owned(), value.to_owned());
        }
        if let Some(file) = key.strip_prefix("lxc.cgroup2.") {
            self.cgroup2.insert(file.to_owned());
        }
        let number = key.strip_prefix("lxc.net.").and_then(|rest| {
            let (number, _) = rest.split_once('.')?;
            number.parse::<u32>().ok()
        });
        if let Some(number) = number {
            self.first_free_net = self.first_free_net.max(number.saturating_add(1));
        }
        self.is_old |= key.starts_with("lxc.network.");
    }

    /// What changed its meaning without changing its name.
    pub(super) fn notes(&self, file: &Arc<Path>, origin: Origin) -> Vec<Warning> {
        let note = |line, key: &str, message: &str| Warning {
            at: Position {
                file: file.clone(),
                line,
            },
            key: Some(key.to_owned()),
            message: message.to_owned(),
        };
        let mut notes = Vec::new();
        let is_open = self.is_old && !origin.descending_order;
        if let (true, Some(line)) = (is_open, &self.order) {
            notes.push(note(
                *line,
                "lxc.start.order",
                "LXC 1.0 and 1.1 started the highest order first, since 2.0 the lowest is first; \
                 if the file is of 1.0 or 1.1, --from 1.0 turns it round",
            ));
        }
        if self.is_old && !self.has_autodev {
            notes.push(note(
                0,
                "lxc.autodev",
                "since LXC 1.1 the container gets a fresh /dev unless lxc.autodev = 0; add that \
                 line if it needs device files of its own",
            ));
        }
        notes
    }
}

/// Under its former name too, wherever it stands.
fn has_idmap(path: &Path, text: &str, loader: &dyn Loader) -> bool {
    let mut has = false;
    let mut sink = |_: &Position, key: &str, value: &str| {
        if matches!(key, "lxc.idmap" | "lxc.id_map") {
            has = !value.is_empty();
        }
        Ok(())
    };
    Walk::new(loader, &mut sink).file(path, text);
    has
}
