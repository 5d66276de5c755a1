//! A configuration of an earlier LXC as today's.
//!
//! [`migrate`] goes through one file, line by line: comments, order and whatever is right already
//! stay as they are. A line that has no meaning any more becomes a comment that says why. What a
//! person has to decide is told and left alone; [`load_text`](crate::load_text) of the result says
//! whether anything is still wrong.
//!
//! The names are those of lxc-update-config and of LXC's own history (1.0, 1.1, 2.0, 2.1, 3.0,
//! 7.0); values of control groups follow the kernel's documentation of both versions.

mod cgroup;
mod diff;
mod facts;
mod include;
mod names;
mod net;
mod rewrite;
mod rootfs;

#[cfg(test)]
mod tests;

use crate::error::Warning;
use crate::line::Line;
use crate::load::Loader;
use crate::position::Position;
use facts::Facts;
use rewrite::{Edit, Rewritten};
use std::path::Path;
use std::sync::Arc;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// A directory.
    Directory,
    /// The root of a btrfs subvolume, of which LXC makes snapshots.
    Subvolume,
    /// A regular file.
    File,
    /// A device or whatever else.
    Other,
}

/// What a migration asks of the host.
pub trait Surroundings: Loader {
    /// What is at a path, links followed; `None` if nothing is.
    fn kind(&self, path: &Path) -> Option<PathKind>;
}

/// What the file itself does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// It is of LXC 1.0 or 1.1, which started the highest `lxc.start.order` first.
    pub descending_order: bool,
}

/// A file's migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    lines: Vec<Rewritten>,
    /// What a person should know or decide.
    pub notes: Vec<Warning>,
}

impl Migration {
    /// The file's new text.
    pub fn text(&self) -> String {
        self.lines.iter().map(Rewritten::after).collect()
    }

    /// Whether the text is another one.
    pub fn changes(&self) -> bool {
        self.lines.iter().any(Rewritten::changes)
    }

    /// What changes, as diff -u shows it; empty if nothing does.
    pub fn diff(&self, path: &Path) -> String {
        diff::unified(path, &self.lines)
    }
}

/// Migrates a file's text. `path` names it in notes.
pub fn migrate(path: &Path, text: &str, host: &dyn Surroundings, origin: Origin) -> Migration {
    let mut worker = Worker {
        facts: Facts::of(path, text, host),
        host,
        origin,
        nets: net::Numbers::default(),
        notes: Vec::new(),
    };
    let file: Arc<Path> = Arc::from(path);
    let mut lines = Vec::new();
    for (number, old) in (1..).zip(text.split_inclusive('\n')) {
        let at = Position {
            file: file.clone(),
            line: number,
        };
        let edit = match Line::parse(old) {
            Line::Assignment { key, value } => worker.line(&at, key, value),
            _ => Edit::Keep,
        };
        lines.push(edit.apply(old));
    }
    worker.notes.extend(worker.facts.notes(&file, origin));
    Migration {
        lines,
        notes: worker.notes,
    }
}

struct Worker<'h> {
    facts: Facts,
    host: &'h dyn Surroundings,
    origin: Origin,
    nets: net::Numbers,
    notes: Vec<Warning>,
}

impl Worker<'_> {
    fn line(&mut self, at: &Position, key: &str, value: &str) -> Edit {
        let outcome = match key {
            "lxc.include" => include::edit(value, self.host),
            "lxc.rootfs" | "lxc.rootfs.path" => {
                rootfs::edit(value, self.facts.backend.as_deref(), self.host)
            }
            "lxc.rootfs.backend" => rootfs::backend(value),
            "lxc.start.order" => self.order(value),
            _ if key == "lxc.network" || key.starts_with("lxc.network.") => {
                self.nets.edit(key, value, &self.facts)
            }
            _ => match key.strip_prefix("lxc.cgroup.") {
                Some(file) if !cgroup::is_todays(file) => cgroup::edit(file, value, &self.facts),
                _ => names::edit(key, value),
            },
        };
        if let Some(message) = outcome.note {
            self.note(at, key, message);
        }
        outcome.edit
    }

    fn order(&mut self, value: &str) -> Outcome {
        // A file without former names has been migrated already.
        if !self.origin.descending_order || !self.facts.is_old {
            return Outcome::of(Edit::Keep);
        }
        match value.parse::<i32>().ok().and_then(i32::checked_neg) {
            Some(0) | None => Outcome::of(Edit::Keep),
            Some(turned) => Outcome::of(Edit::value(turned.to_string())),
        }
    }

    fn note(&mut self, at: &Position, key: &str, message: String) {
        self.notes.push(Warning {
            at: at.clone(),
            key: Some(key.to_owned()),
            message,
        });
    }
}

/// What becomes of a line, and what is to be said of it.
struct Outcome {
    edit: Edit,
    note: Option<String>,
}

impl Outcome {
    fn of(edit: Edit) -> Self {
        Self { edit, note: None }
    }

    fn told(edit: Edit, note: impl Into<String>) -> Self {
        Self {
            edit,
            note: Some(note.into()),
        }
    }
}
