//! Changes to the published ports; comments and everything else in the file stay as they are.

use std::fmt;
use std::path::Path;

use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, value};

use super::parse;
use super::publish::Publish;
use crate::error::Problem;
use crate::position::Positioned;

/// Why a change was refused.
#[derive(Debug)]
pub enum EditError {
    /// The file is wrong as it is, or would be.
    Invalid(Vec<Problem>),
    /// It is there already.
    Published,
    /// A port of the host is taken by this one.
    Taken(Publish),
    /// There is no such one.
    NotPublished,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(problems) => {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::Published => f.write_str("it is published already"),
            Self::Taken(other) => {
                write!(f, "that port of the host is published as {other} already")
            }
            Self::NotPublished => f.write_str("no such port is published"),
        }
    }
}

impl std::error::Error for EditError {}

/// The file's text with one more `[[publish]]`.
pub fn publish(text: &str, path: &Path, new: &Publish) -> Result<String, EditError> {
    let list = parse(text, path).map_err(EditError::Invalid)?.publish;
    if list.iter().any(|one| one.value == *new) {
        return Err(EditError::Published);
    }
    if let Some(other) = list.iter().find(|one| one.collides(new)) {
        return Err(EditError::Taken(other.value));
    }
    let mut document = document(text, path)?;
    match &mut document["publish"] {
        Item::ArrayOfTables(tables) => tables.push(table(new)),
        // publish = [{ … }]
        Item::Value(list) if list.is_array() => {
            if let Some(list) = list.as_array_mut() {
                let one: InlineTable = table(new).into_inline_table();
                list.push(one);
            }
        }
        none => {
            let mut tables = ArrayOfTables::new();
            let mut first = table(new);
            if !text.trim().is_empty() {
                first.decor_mut().set_prefix("\n");
            }
            tables.push(first);
            *none = Item::ArrayOfTables(tables);
        }
    }
    let changed = document.to_string();
    // The bound on ports, for one, is the parser's.
    parse(&changed, path).map_err(EditError::Invalid)?;
    Ok(changed)
}

/// The file's text without the `[[publish]]` sections that `is_meant` picks, and those.
pub fn unpublish(
    text: &str,
    path: &Path,
    is_meant: impl Fn(&Publish) -> bool,
) -> Result<(String, Vec<Publish>), EditError> {
    let list = parse(text, path).map_err(EditError::Invalid)?.publish;
    let gone: Vec<usize> = list
        .iter()
        .enumerate()
        .filter(|(_, one)| is_meant(&one.value))
        .map(|(index, _)| index)
        .collect();
    if gone.is_empty() {
        return Err(EditError::NotPublished);
    }
    let mut document = document(text, path)?;
    match &mut document["publish"] {
        Item::ArrayOfTables(tables) => {
            for index in gone.iter().rev() {
                tables.remove(*index);
            }
        }
        other => {
            if let Some(list) = other.as_array_mut() {
                for index in gone.iter().rev() {
                    list.remove(*index);
                }
            }
        }
    }
    let is_empty = match &document["publish"] {
        Item::ArrayOfTables(tables) => tables.is_empty(),
        other => other.as_array().is_some_and(|list| list.is_empty()),
    };
    if is_empty {
        document.remove("publish");
    }
    let removed = gone.iter().filter_map(|index| list.get(*index));
    let removed = removed.map(|one: &Positioned<Publish>| one.value).collect();
    Ok((document.to_string(), removed))
}

fn document(text: &str, path: &Path) -> Result<DocumentMut, EditError> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        EditError::Invalid(vec![Problem {
            at: super::whole(path),
            key: None,
            message: berth_common::position::one_line(error.message()),
        }])
    })
}

fn table(publish: &Publish) -> Table {
    let mut table = Table::new();
    let plain = publish.address.is_none() && publish.host.count() == 1;
    table["host"] = match plain {
        true => value(i64::from(publish.host.first())),
        false => value(publish.host_side()),
    };
    table["container"] = match publish.container.count() {
        1 => value(i64::from(publish.container.first())),
        _ => value(publish.container.to_string()),
    };
    if publish.protocol != super::Protocol::Tcp {
        table["protocol"] = value(publish.protocol.word());
    }
    table
}
