//! The lines of a configuration with all its includes, as they stand.

use crate::error::{Problem, Warning};
use crate::key::{clears, takes_several};
use crate::load::Loader;
use crate::position::Position;
use crate::walk::Walk;
use std::path::{Path, PathBuf};

/// A `key = value` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The key.
    pub key: String,
    /// The value, trimmed and unquoted; empty if the line clears.
    pub value: String,
    /// The line.
    pub at: Position,
}

/// All lines, in the order in which they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Every line that assigns, includes among them.
    pub assignments: Vec<Assignment>,
    /// Each include that was followed, with the file or directory that was read.
    pub includes: Vec<(Position, PathBuf)>,
    /// What is wrong about lines and includes; keys and values are not looked at.
    pub problems: Vec<Problem>,
    /// Lines that count for nothing.
    pub warnings: Vec<Warning>,
}

/// Reads a configuration's lines without judging keys and values.
pub fn survey(path: &Path, text: &str, loader: &dyn Loader) -> Survey {
    let mut assignments = Vec::new();
    let mut sink = |at: &Position, key: &str, value: &str| {
        assignments.push(Assignment {
            key: key.to_owned(),
            value: value.to_owned(),
            at: at.clone(),
        });
        Ok(())
    };
    let mut walk = Walk::new(loader, &mut sink);
    walk.file(path, text);
    let (includes, problems, warnings) = (walk.includes, walk.problems, walk.warnings);
    Survey {
        assignments,
        includes,
        problems,
        warnings,
    }
}

impl Survey {
    /// The lines that count: not cleared by a later one, nor replaced where a key has one value.
    pub fn effective(&self) -> Vec<&Assignment> {
        let mut counting: Vec<&Assignment> = Vec::new();
        for line in &self.assignments {
            if line.value.is_empty() {
                counting.retain(|earlier| !clears(&line.key, &earlier.key));
                continue;
            }
            if !takes_several(&line.key) {
                counting.retain(|earlier| earlier.key != line.key);
            }
            counting.push(line);
        }
        counting
    }

    /// The lines that count of one key, or of all keys that it would clear.
    pub fn of_key(&self, key: &str) -> Vec<&Assignment> {
        let mut lines = self.effective();
        lines.retain(|line| clears(key, &line.key));
        lines
    }
}
