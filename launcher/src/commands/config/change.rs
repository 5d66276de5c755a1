//! `berth config set`

use std::path::Path;

use berth_container_config::change::{self, Change};
use berth_container_config::{DiskLoader, LoadError, Problem, key, load_text};

use super::invalid;
use crate::config_file::ConfigFile;
use crate::error::{Error, Result};

/// Changes a key in a file. Refused, with the file as it was, if the file would have a problem
/// that it does not have already: what was wrong before may be mended key by key.
pub fn change(file: &Path, key: &str, what: Change<'_>) -> Result<()> {
    if let Err(why) = key::find(key)
        && !(what == Change::Clear && is_family(key))
    {
        return Err(Error::other(format!("{key}: {why}")));
    }
    if let (Change::Append(_), false) = (what, key::takes_several(key)) {
        return Err(Error::other(format!(
            "{key} has one value; set it without --append"
        )));
    }
    let mut config = ConfigFile::open(file)?;
    let before = config.text().to_owned();
    let Some(after) = change::change(file, &before, key, what, &DiskLoader) else {
        return Err(Error::other(format!(
            "{key}: the value must be one line without control characters"
        )));
    };
    let known = problems(file, &before);
    let new: Vec<Problem> = problems(file, &after)
        .into_iter()
        .filter(|problem| !known.iter().any(|known| is_same(known, problem)))
        .collect();
    if !new.is_empty() {
        return Err(invalid(&LoadError::Invalid(new)));
    }
    match after == before {
        true => Ok(()),
        false => config.replace(after),
    }
}

fn is_family(key: &str) -> bool {
    key::keys().any(|other| key::clears(key, &other.pattern.replace(".N.", ".0.")))
}

fn problems(file: &Path, text: &str) -> Vec<Problem> {
    match load_text(file, text, &DiskLoader) {
        Err(LoadError::Invalid(problems)) => problems,
        _ => Vec::new(),
    }
}

/// Lines may have moved.
fn is_same(a: &Problem, b: &Problem) -> bool {
    a.key == b.key && a.message == b.message && a.at.file == b.at.file
}
