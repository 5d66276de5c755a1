//! `berth config …`

use std::io::{IsTerminal, Write};

use berth::cli;
use berth::commands::config::lint::{Finding, Severity};
use berth::commands::config::{change, file_of, get, lint, propose};
use berth::error::{Error, Result};
use berth::place::Place;
use berth::printable::cell;
use berth_common::exit;
use berth_container_config::change::Change;
use berth_container_config::migrate::Origin;

use super::print::{json, out, out_raw, tell};

pub fn run(place: &Place, verb: &cli::Config) -> Result<u8> {
    match verb {
        cli::Config::Get(options) => print(place, options),
        cli::Config::Set(options) => set(place, options),
        cli::Config::Lint(options) => judge(place, options),
        cli::Config::Migrate(options) => migrate(place, options),
    }
}

fn print(place: &Place, options: &cli::ConfigGet) -> Result<u8> {
    place.require(&options.name)?;
    let values = get(&place.config_file(&options.name), options.key.as_deref())?;
    if options.json {
        json(&values)?;
    } else {
        for value in &values {
            let origin = match options.origin {
                true => format!("{}:{}: ", value.file, value.line),
                false => String::new(),
            };
            // One key's values are for programs, several keys' lines for people.
            let is_one = options.key.as_ref() == Some(&value.key);
            let key = match is_one {
                true => String::new(),
                false => format!("{} = ", value.key),
            };
            out_raw(&cell(&format!("{origin}{key}{}", value.value)))?;
        }
    }
    match (&options.key, values.is_empty()) {
        (Some(key), true) => {
            tell(&format!("berth: {} does not set {key}", options.name));
            Ok(exit::FAILED)
        }
        _ => Ok(exit::OK),
    }
}

fn set(place: &Place, options: &cli::ConfigSet) -> Result<u8> {
    place.require(&options.name)?;
    let what = match (options.value.as_str(), options.append) {
        ("", true) => {
            return Err(Error::other(
                "an empty value clears a key; --append would add one",
            ));
        }
        ("", false) => Change::Clear,
        (value, true) => Change::Append(value),
        (value, false) => Change::Set(value),
    };
    change(&place.config_file(&options.name), &options.key, what)?;
    Ok(exit::OK)
}

fn judge(place: &Place, options: &cli::ConfigLint) -> Result<u8> {
    let mut findings = Vec::new();
    for target in &options.targets {
        findings.extend(lint::lint(&file_of(place, target)?, &place.owner)?);
    }
    if options.json {
        json(&findings)?;
    } else {
        for finding in &findings {
            out_raw(&cell(&finding.text()))?;
        }
    }
    let is_error = |finding: &Finding| finding.severity == Severity::Error;
    Ok(match findings.iter().any(is_error) {
        true => exit::FAILED,
        false => exit::OK,
    })
}

fn migrate(place: &Place, options: &cli::ConfigMigrate) -> Result<u8> {
    let file = file_of(place, &options.target)?;
    let origin = Origin {
        descending_order: options.from.is_some_and(|v| v.starts_highest_first()),
    };
    let proposal = propose(&file, origin)?;
    if proposal.changes() {
        out(proposal.diff().trim_end())?;
    }
    for note in proposal.notes() {
        tell(&format!("berth: {note}"));
    }
    let left_over = proposal.left_over();
    for problem in &left_over {
        tell(&format!("berth: still wrong: {problem}"));
    }
    let code = match left_over.is_empty() {
        true => exit::OK,
        false => exit::FAILED,
    };
    if !proposal.changes() {
        tell(&format!("berth: {} is of today", file.display()));
        return Ok(code);
    }
    if options.dry_run {
        return Ok(code);
    }
    if !options.yes && !confirmed()? {
        return Ok(exit::FAILED);
    }
    let backup = proposal.accept()?;
    out(&format!(
        "{} is migrated; the former file is {}",
        file.display(),
        backup.display()
    ))?;
    Ok(code)
}

fn confirmed() -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::other(
            "nothing is changed; without a terminal to ask, that needs --yes",
        ));
    }
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "Write these changes? [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Error::os("read the answer", error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
