//! What was measured, as a table and as JSON.

use std::fmt::Write;
use std::fs::File;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use crate::Options;
use crate::contender::{By, Contender};
use crate::statistics::{Samples, Summary};

/// All samples of one contender.
pub struct Entry {
    pub contender: Contender,
    pub by: By,
    /// Until the payload ran.
    pub payload: Samples,
    /// Until the command ended.
    pub command: Samples,
    /// A command in the container, there and back.
    pub exec: Samples,
    /// The end of a killed container.
    pub stop: Samples,
    /// The end of one whose init ends when it is asked.
    pub ordered: Samples,
    /// Until the payload ran, without a rest before.
    pub hot: Samples,
    /// Samples for which the machine did not come to rest.
    pub busy: u32,
}

impl Entry {
    pub fn new(contender: Contender, by: By) -> Self {
        Self {
            contender,
            by,
            payload: Samples::default(),
            command: Samples::default(),
            exec: Samples::default(),
            stop: Samples::default(),
            ordered: Samples::default(),
            hot: Samples::default(),
            busy: 0,
        }
    }
}

/// A peer that could not be measured.
#[derive(Serialize)]
pub struct Absent {
    pub name: String,
    pub why: String,
}

/// One run.
pub struct Report {
    samples: u32,
    idle_ms: u64,
    pub entries: Vec<Entry>,
    pub absent: Vec<Absent>,
}

/// To what the others are compared: the least that a program can do for a sandbox.
const REFERENCE: Contender = Contender::Bwrap;

impl Report {
    pub fn new(options: &Options) -> Self {
        Self {
            samples: options.samples,
            idle_ms: options.idle_ms,
            entries: Vec::new(),
            absent: Vec::new(),
        }
    }

    /// Prints the table; writes the samples into `json`.
    pub fn tell(&self, json: Option<&File>) -> Result<()> {
        print!("{}", self.table());
        match json {
            None => Ok(()),
            Some(file) => {
                serde_json::to_writer_pretty(file, &self.json()).context("cannot write the JSON")
            }
        }
    }

    fn table(&self) -> String {
        let mut text = format!(
            "{}\n{} samples each, in turn, after {} ms of rest. Milliseconds.\n\n",
            machine(),
            self.samples,
            self.idle_ms
        );
        let reference = self.median_of_reference(|entry| &entry.payload);
        text.push_str(&head("until the payload runs", "× bwrap"));
        for entry in &self.entries {
            text.push_str(&row(
                &entry.contender.name(),
                entry,
                &entry.payload,
                reference,
            ));
        }
        let reference = self.median_of_reference(|entry| &entry.hot);
        text.push_str(&head("\nuntil the payload runs, hot", "× bwrap"));
        for entry in &self.entries {
            let name = entry.contender.name();
            text.push_str(&row(&name, entry, &entry.hot, reference));
        }
        let reference = self.median_of_reference(|entry| &entry.command);
        text.push_str(&head("\nuntil the command returns", "× bwrap"));
        for entry in &self.entries {
            text.push_str(&row(
                &entry.contender.name(),
                entry,
                &entry.command,
                reference,
            ));
        }
        text.push_str(&head("\nin a running container", ""));
        for entry in &self.entries {
            let Some(verbs) = entry.contender.verbs() else {
                continue;
            };
            let of = entry.contender.name();
            for (verb, samples) in verbs.iter().zip([&entry.exec, &entry.ordered, &entry.stop]) {
                text.push_str(&row(&format!("{verb} ({of})"), entry, samples, None));
            }
        }
        for absent in &self.absent {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\nNot measured: {}: {}", absent.name, absent.why);
        }
        let busy: u32 = self.entries.iter().map(|entry| entry.busy).sum();
        if busy > 0 {
            let _ = writeln!(
                text,
                "\n{busy} samples were taken while other work kept the machine busy: compare \
                 ratios and minima, not medians."
            );
        }
        text
    }

    fn median_of_reference(&self, of: impl Fn(&Entry) -> &Samples) -> Option<f64> {
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.contender == REFERENCE)?;
        Some(of(entry).summary()?.median)
    }

    fn json(&self) -> serde_json::Value {
        let entries: Vec<_> = self
            .entries
            .iter()
            .map(|entry| {
                json!({
                    "name": entry.contender.name(),
                    "by": entry.by.word(),
                    "busy": entry.busy,
                    "payload": series(&entry.payload),
                    "command": series(&entry.command),
                    "exec": series(&entry.exec),
                    "stop": series(&entry.stop),
                    "ordered": series(&entry.ordered),
                    "hot": series(&entry.hot),
                })
            })
            .collect();
        json!({
            "machine": machine(),
            "versions": versions(),
            "samples": self.samples,
            "idle_ms": self.idle_ms,
            "entries": entries,
            "absent": self.absent,
        })
    }
}

fn series(samples: &Samples) -> serde_json::Value {
    json!({ "summary": samples.summary(), "samples": samples })
}

fn head(title: &str, ratio: &str) -> String {
    let (break_, title) = match title.strip_prefix('\n') {
        Some(title) => ("\n", title),
        None => ("", title),
    };
    format!(
        "{break_}| {title:<44} | by   | median |    p95 |    min | {ratio:>7} |\n\
         |{}|------|-------:|-------:|-------:|--------:|\n",
        "-".repeat(46)
    )
}

fn row(name: &str, entry: &Entry, samples: &Samples, reference: Option<f64>) -> String {
    let Some(Summary { min, median, p95 }) = samples.summary() else {
        return String::new();
    };
    let ratio = reference.map_or_else(String::new, |reference| {
        format!("{:.2}", median / reference)
    });
    format!(
        "| {name:<44} | {:<4} | {median:>6.2} | {p95:>6.2} | {min:>6.2} | {ratio:>7} |\n",
        entry.by.word()
    )
}

pub fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "Linux {}, {processors} processors, load average {}",
        kernel.trim(),
        load.split_whitespace().next().unwrap_or("unknown")
    )
}

fn versions() -> Vec<String> {
    ["bwrap", "crun", "lxc-start", "systemd-nspawn"]
        .iter()
        .filter_map(|program| {
            let output = Command::new(program).arg("--version").output().ok()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Some(format!("{program}: {}", text.lines().next()?))
        })
        .collect()
}
