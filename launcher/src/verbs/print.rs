//! What is said to a person and what is printed for him or a program.

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

pub fn print_table<const N: usize>(rows: &[[String; N]]) -> Result<()> {
    table(rows).iter().try_for_each(|line| out(line))
}

/// The lines of a table, each column as wide as its widest cell.
pub fn table<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|text| cell(text).into_owned()))
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
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
