//! `berth config get`

use std::path::Path;

use berth_container_config::{LoadError, key, survey};
use serde::Serialize;

use super::{invalid, readable};
use crate::error::{Error, Result};

/// A line that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Value {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// The file that it stands in.
    pub file: String,
    /// Its number there, from 1.
    pub line: u32,
}

/// The lines that count of a key, or of all keys, with everything that is included.
pub fn get(file: &Path, wanted: Option<&str>) -> Result<Vec<Value>> {
    let config = readable(file)?;
    let survey = survey(file, config.text(), &berth_container_config::DiskLoader);
    if !survey.problems.is_empty() {
        return Err(invalid(&LoadError::Invalid(survey.problems)));
    }
    let lines = match wanted {
        None => survey.effective(),
        Some(key) => survey.of_key(key),
    };
    if let (true, Some(key)) = (lines.is_empty(), wanted)
        && let Err(why) = key::find(key)
    {
        return Err(Error::other(format!("{key}: {why}")));
    }
    let value = |line: &berth_container_config::Assignment| Value {
        key: line.key.clone(),
        value: line.value.clone(),
        file: line.at.file.display().to_string(),
        line: line.at.line,
    };
    Ok(lines.into_iter().map(value).collect())
}
