//! Tables of a TOML file, key by key, with everything that is wrong collected.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use berth_common::position::{line_of, one_line};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration::parse_duration;
use crate::error::{Problem, printable};
use crate::position::{Position, Positioned};
use crate::suggest;
use crate::walk::MAX_TOLD;

/// What is wrong with a file.
pub(super) struct Problems<'t> {
    text: &'t str,
    path: Arc<Path>,
    list: Vec<Problem>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(text: &'t str, path: &Path) -> Self {
        Self {
            text,
            path: path.into(),
            list: Vec::new(),
        }
    }

    /// The line of a byte of the text.
    pub(super) fn at(&self, offset: usize) -> Position {
        Position {
            file: Arc::clone(&self.path),
            line: u32::try_from(line_of(self.text, offset)).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn add(&mut self, offset: usize, key: &str, message: String) {
        if self.list.len() < MAX_TOLD {
            self.list.push(Problem {
                at: self.at(offset),
                key: Some(key.to_owned()).filter(|key| !key.is_empty()),
                message,
            });
        }
    }

    /// What the parser of TOML says.
    pub(super) fn syntax(&mut self, error: &toml::de::Error) {
        let offset = error.span().map_or(0, |span| span.start);
        self.add(offset, "", printable(&one_line(error.message())));
    }

    pub(super) fn expected(&mut self, key: &str, what: &str, found: &Spanned<DeValue<'_>>) {
        let message = format!("expected {what}, found {}", shown(found.get_ref()));
        self.add(found.span().start, key, message);
    }

    pub(super) fn into_list(mut self) -> Vec<Problem> {
        self.list.sort_by_key(|problem| problem.at.line);
        self.list
    }
}

/// A value as a message shows it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("“{}”", printable(text)),
        DeValue::Integer(number) => printable(&number.to_string()),
        DeValue::Float(number) => printable(number.as_str()),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a time".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A table of the file.
pub(super) struct Section<'s, 't> {
    name: &'static str,
    table: &'s DeTable<'t>,
}

impl<'s, 't> Section<'s, 't> {
    /// Takes a table; keys that are none of `known` are problems.
    pub(super) fn new(
        name: &'static str,
        table: &'s DeTable<'t>,
        known: &[&str],
        problems: &mut Problems<'_>,
    ) -> Self {
        for key in table.keys() {
            let word = key.get_ref();
            if known.contains(&&**word) {
                continue;
            }
            let nearest = suggest::nearest_of(word, known.iter().copied());
            let full = join(name, word);
            let message = match (nearest, name.is_empty()) {
                (Some(nearest), _) => format!("there is no such key; did you mean {nearest}?"),
                (None, true) => format!("there is no such section; there are {}", known.join(", ")),
                (None, false) => format!("there is no such key; there are {}", known.join(", ")),
            };
            problems.add(key.span().start, &full, message);
        }
        Self { name, table }
    }

    /// A key with the section's name before it.
    pub(super) fn full(&self, key: &str) -> String {
        join(self.name, key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&'s Spanned<DeValue<'t>>> {
        self.table.get(key)
    }

    /// A table in this one.
    pub(super) fn table(
        &self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Option<(&'s DeTable<'t>, usize)> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some((table, value.span().start)),
            _ => {
                problems.expected(&self.full(key), &format!("a section [{key}]"), value);
                None
            }
        }
    }

    pub(super) fn text(
        &self,
        key: &str,
        what: &str,
        problems: &mut Problems<'_>,
    ) -> Option<&'s str> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => {
                problems.expected(&self.full(key), what, value);
                None
            }
        }
    }

    /// A word that means something.
    pub(super) fn word<T>(
        &self,
        key: &str,
        what: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        problems: &mut Problems<'_>,
    ) -> Option<T> {
        let value = self.get(key)?;
        let text = self.text(key, what, problems)?;
        let parsed = parse(text);
        if parsed.is_none() {
            problems.expected(&self.full(key), what, value);
        }
        parsed
    }

    /// A duration of at least `least`.
    pub(super) fn duration(
        &self,
        key: &str,
        least: Duration,
        problems: &mut Problems<'_>,
    ) -> Option<Duration> {
        let value = self.get(key)?;
        let parsed = match value.get_ref() {
            DeValue::String(text) => parse_duration(text),
            DeValue::Integer(number) => parse_duration(&number.to_string()),
            _ => None,
        };
        let found = parsed.filter(|found| *found >= least);
        if found.is_none() {
            let at_least = match least.is_zero() {
                true => String::new(),
                false => format!(" of at least {} ms", least.as_millis()),
            };
            let what = format!("a duration{at_least} like \"90s\", \"2min\" or \"500ms\"");
            problems.expected(&self.full(key), &what, value);
        }
        found
    }

    /// A whole number in a range.
    pub(super) fn number(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<u32>,
        problems: &mut Problems<'_>,
    ) -> Option<u32> {
        let value = self.get(key)?;
        let parsed = match value.get_ref() {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let found = parsed.filter(|found| range.contains(found));
        if found.is_none() {
            let what = format!("a number from {} to {}", range.start(), range.end());
            problems.expected(&self.full(key), &what, value);
        }
        found
    }

    /// A list of texts, each with its place.
    pub(super) fn texts(
        &self,
        key: &str,
        what: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Vec<Positioned<(&'s str, usize)>>> {
        let value = self.get(key)?;
        let DeValue::Array(list) = value.get_ref() else {
            problems.expected(&self.full(key), what, value);
            return None;
        };
        let mut texts = Vec::new();
        for entry in list.iter() {
            match entry.get_ref() {
                DeValue::String(text) => {
                    let offset = entry.span().start;
                    texts.push(Positioned::new((&**text, offset), problems.at(offset)));
                }
                _ => problems.expected(&self.full(key), what, entry),
            }
        }
        Some(texts)
    }
}

fn join(section: &str, key: &str) -> String {
    let key = printable(key);
    match section.is_empty() {
        true => key,
        false => format!("{section}.{key}"),
    }
}
