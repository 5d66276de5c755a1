//! What is said to a person and what is printed for him or a program.

use std::borrow::Cow;
use std::io::Write;

use berth::error::{Error, Result};
use berth::printable::{cell, printable};
use berth_common::exit;

/// Prints a line for a person; data go through [`out`].
pub fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable(line));
}

/// Prints data as text.
pub fn out(line: &str) -> Result<()> {
    out_raw(&printable(line))
}

/// Prints data as they are. A reader that has gone (`| head`) is no error.
pub fn out_raw(line: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Error::os("write to standard output", error)),
        Ok(()) => Ok(()),
    }
}

pub fn json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::other(format!("cannot write JSON: {error}")))?;
    out_raw(&text)
}

/// A value on one line.
pub fn json_line(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string(value)
        .map_err(|error| Error::other(format!("cannot write JSON: {error}")))?;
    out_raw(&text)
}

pub fn dash() -> String {
    "-".to_owned()
}

pub fn print_table(rows: &[impl AsRef<[String]>]) -> Result<()> {
    match rows {
        [] => Ok(()),
        rows => out(&table(rows).join("\n")),
    }
}

/// The lines of a table, each column as wide as its widest cell.
pub fn table(rows: &[impl AsRef<[String]>]) -> Vec<String> {
    let rows: Vec<Vec<Cow<str>>> = rows
        .iter()
        .map(|row| row.as_ref().iter().map(|text| cell(text)).collect())
        .collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &Vec<Cow<str>>| {
        let cells = row.iter().zip(&widths);
        let line: String = cells
            .map(|(cell, width)| format!("{cell:<width$}  "))
            .collect();
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

pub fn report(lines: &[String]) -> Result<u8> {
    for line in lines {
        out(line)?;
    }
    Ok(exit::OK)
}
