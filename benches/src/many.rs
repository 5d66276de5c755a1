//! The measurement of many: the first container and the last of several hundred, and the private
//! memory of each one's monitor.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use berth_test_private_host::{Host, ID};

use crate::contender::{Build, CONTAINERS};
use crate::report::machine;
use crate::sample::{self, Mark};
use crate::statistics::{Samples, Summary};
use crate::within::within;
use crate::{Many, binaries, idle, start};

/// A monitor's name (`comm`).
const MONITOR: &str = "berth-monitor";
/// How often a rest is repeated on a busy machine.
const PATIENCE: u32 = 5;

/// Measures and prints.
pub fn run(options: &Many) -> Result<()> {
    let programs = binaries::find(options.bin_dir.as_deref())?;
    within(vec![(Build::Measured, programs)], |host| {
        measure(host, options)
    })
}

fn measure(host: &Host, options: &Many) -> Result<()> {
    let rootfs = start::furnish(host)?;
    let names: Vec<String> = (1..=options.containers).map(|n| format!("c{n}")).collect();
    for name in &names {
        copy(host, name)?;
    }
    let place = Stage {
        host,
        mark: Mark::open(&rootfs.join("mark"))?,
        options,
    };
    let (last, others) = names.split_last().context("no containers")?;
    let first_times = place.samples(last)?;
    for (count, name) in others.iter().enumerate() {
        eprint!("\r{} of {} run", count + 1, names.len());
        place.start(name)?;
    }
    eprintln!();
    let last_times = place.samples(last)?;
    place.start(last)?;
    let memory = private_memory()?;
    for name in &names {
        place.stop(name)?;
    }
    tell(options, &first_times, &last_times, &memory)
}

/// A container like the plain one, with the same root directory.
fn copy(host: &Host, name: &str) -> Result<()> {
    let dir = host.lxcpath().join(name);
    let from = host.lxcpath().join(CONTAINERS[0]).join("config");
    fs::create_dir(&dir)?;
    fs::copy(from, dir.join("config"))?;
    chown(&dir, Some(ID), Some(ID))?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

struct Stage<'a> {
    host: &'a Host,
    mark: Mark,
    options: &'a Many,
}

impl Stage<'_> {
    fn command(&self, words: &[&str]) -> std::process::Command {
        let mut command = self.host.as_user(Build::Measured.dir().join("berth"));
        command.args(words);
        command
    }

    fn start(&self, name: &str) -> Result<Duration> {
        let said = self.host.home().join("said");
        let mut command = self.command(&["start", name]);
        let times = sample::time(&mut command, Some(&self.mark), &said)
            .with_context(|| format!("cannot start {name}"))?;
        times.payload.context("no payload ran")
    }

    fn stop(&self, name: &str) -> Result<()> {
        let said = self.host.home().join("said");
        sample::run(&mut self.command(&["stop", "-k", name]), &said)
    }

    /// Starts and stops again and again.
    fn samples(&self, name: &str) -> Result<Samples> {
        let mut samples = Samples::default();
        for _ in 0..self.options.samples {
            idle::rest(Duration::from_millis(self.options.idle_ms), PATIENCE)?;
            samples.push(self.start(name)?);
            self.stop(name)?;
        }
        Ok(samples)
    }
}

/// Memory that each monitor has for itself, in KiB: what would be free if it ended.
fn private_memory() -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let dir = entry?.path();
        let comm = fs::read_to_string(dir.join("comm")).unwrap_or_default();
        if comm.trim() == MONITOR {
            found.push(private_of(&dir)?);
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn private_of(dir: &Path) -> Result<u64> {
    let text = fs::read_to_string(dir.join("smaps_rollup"))?;
    let sum = text
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum();
    Ok(sum)
}

fn tell(options: &Many, first: &Samples, last: &Samples, memory: &[u64]) -> Result<()> {
    let of = |samples: &Samples| samples.summary().context("no samples");
    let (one, all) = (of(first)?, of(last)?);
    println!(
        "{}\n{} samples each, after {} ms of rest. Milliseconds until the payload runs.\n",
        machine(),
        options.samples,
        options.idle_ms
    );
    println!("| container             | median |    p95 |    min |");
    println!("|-----------------------|-------:|-------:|-------:|");
    for (name, Summary { min, median, p95 }) in [
        ("the 1st".to_owned(), one),
        (format!("the {}th", options.containers), all),
    ] {
        println!("| {name:<21} | {median:>6.2} | {p95:>6.2} | {min:>6.2} |");
    }
    println!(
        "\nThe last takes {:.2} of the first.",
        all.median / one.median
    );
    let middle = memory
        .get(memory.len() / 2)
        .context("no monitor was found")?;
    println!(
        "{} monitors have {middle} KiB of private memory each (median; at most {} KiB).",
        memory.len(),
        memory.last().unwrap_or(middle)
    );
    Ok(())
}
