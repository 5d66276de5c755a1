//! `berth copy`, `snapshot`, `rename`, `cp`, `ls --disk`

use berth::cli::{self, Cli};
use berth::copy::{self, Changes, CopyOptions, How, rename};
use berth::error::{Error, Result};
use berth::place::Place;
use berth::snapshot;
use berth::{disk, time, transfer};
use berth_common::{ContainerName, exit};

use super::lives;
use super::print::{dash, json, out, print_table, tell};

pub fn copy_verb(cli: &Cli, place: &Place, options: &cli::Copy) -> Result<u8> {
    let target = match &options.name {
        Some(name) => name.clone(),
        None => ephemeral_name(place, &options.source)?,
    };
    let copied = copy::copy(
        place,
        &CopyOptions {
            source: options.source.clone(),
            target: target.clone(),
            how: match options.snapshot || options.ephemeral {
                true => How::Overlay,
                false => How::Whole,
            },
            changes: Changes {
                ephemeral: options.ephemeral,
                keep_mac: options.keep_mac,
                keep_name: options.keep_name,
            },
            running: options.running,
        },
    )?;
    hints(&copied.hints);
    if !options.ephemeral {
        out(&format!("{target} made in {}", copied.dir.display()))?;
        return Ok(exit::OK);
    }
    out(target.as_str())?;
    let started = lives::start_plainly(cli, place, &target, options.here);
    if !matches!(started, Ok(exit::OK)) {
        // Nobody has a use for what is there for one run only. Why there was none is what counts.
        let _ = berth::commands::destroy::destroy(place, &target, true);
    }
    started
}

/// `SOURCE_XXXXXX`, as LXC names them.
fn ephemeral_name(place: &Place, source: &ContainerName) -> Result<ContainerName> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const ATTEMPTS: usize = 64;
    for _ in 0..ATTEMPTS {
        let random = berth_kernel::random::bytes::<6>()
            .map_err(|error| Error::os("get random bytes", error))?;
        let letter = |byte: u8| char::from(LETTERS[usize::from(byte) % LETTERS.len()]);
        let random: String = random.into_iter().map(letter).collect();
        let room = ContainerName::MAX - random.len() - 1;
        let begin: String = source.as_str().chars().take(room).collect();
        let name: ContainerName = format!("{begin}_{random}")
            .parse()
            .map_err(|error: berth_common::NameError| Error::other(error.to_string()))?;
        if std::fs::symlink_metadata(place.container_dir(&name)).is_err() {
            return Ok(name);
        }
    }
    Err(Error::other("found no free name for the copy; give one"))
}

fn hints(hints: &[String]) {
    for hint in hints {
        tell(&format!("berth: {hint}"));
    }
}

pub fn rename_verb(place: &Place, options: &cli::Rename) -> Result<u8> {
    hints(&rename::rename(place, &options.old, &options.new)?.hints);
    Ok(exit::OK)
}

pub fn snapshot_verb(place: &Place, verb: &cli::Snapshot) -> Result<u8> {
    match verb {
        cli::Snapshot::Create(options) => {
            let done = snapshot::create(place, &options.name, options.comment.as_deref())?;
            hints(&done.hints);
            for name in &done.names {
                out(name)?;
            }
        }
        cli::Snapshot::List(options) => return list(place, options),
        cli::Snapshot::Restore(options) => {
            let to = options.to.as_ref();
            hints(&snapshot::restore(place, &options.name, &options.snapshot, to)?.hints);
        }
        cli::Snapshot::Delete(options) => {
            let snapshot = options.snapshot.as_deref();
            hints(&snapshot::delete(place, &options.name, snapshot)?.hints);
        }
    }
    Ok(exit::OK)
}

fn list(place: &Place, options: &cli::SnapshotList) -> Result<u8> {
    let snapshots = snapshot::list(place, &options.name)?;
    if options.json {
        json(&snapshots)?;
        return Ok(exit::OK);
    }
    if snapshots.is_empty() {
        tell(&format!(
            "no snapshots of “{}” yet; make one with: berth snapshot create {}",
            options.name, options.name
        ));
        return Ok(exit::OK);
    }
    let mut table = vec![["NAME", "CREATED", "COMMENT"].map(str::to_owned)];
    for snapshot in snapshots {
        table.push([
            snapshot.name,
            snapshot.created.unwrap_or_else(dash),
            snapshot.comment.unwrap_or_else(dash),
        ]);
    }
    print_table(&table)?;
    Ok(exit::OK)
}

pub fn cp_verb(place: &Place, options: &cli::Cp) -> Result<u8> {
    transfer::copy(place, &options.from, &options.to, options.owner)?;
    Ok(exit::OK)
}

pub fn disk_verb(place: &Place, as_json: bool) -> Result<u8> {
    let figures = disk::figures(place)?;
    if as_json {
        json(&figures)?;
        return Ok(exit::OK);
    }
    let row = |name: &str, usage: &berth::copy::measure::Usage| {
        [
            name.to_owned(),
            time::bytes(usage.bytes),
            usage.files.to_string(),
        ]
    };
    let mut table = vec![["NAME", "DISK", "FILES"].map(str::to_owned)];
    table.extend(
        figures
            .containers
            .iter()
            .map(|figure| row(&figure.name, &figure.usage)),
    );
    table.push(row("all together", &figures.total));
    print_table(&table)?;
    for figure in &figures.containers {
        if let Some(problem) = &figure.problem {
            tell(&format!("berth: {}: {problem}", figure.name));
        }
    }
    Ok(exit::OK)
}
