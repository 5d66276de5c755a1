//! Measurements of Berth beside its peers, in a host of their own: see docs/performance.md.
#![forbid(unsafe_code)]

mod binaries;
mod contender;
mod idle;
mod life;
mod many;
mod oci;
mod plot;
mod ports;
mod report;
mod sample;
mod start;
mod statistics;
mod within;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Measures Berth beside its peers.
///
/// Everything happens in namespaces and in a cgroup of the measurement's own, which are gone
/// afterwards; nothing is installed. Needs root.
#[derive(Parser)]
#[command(name = "berth-benches")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// How long a container takes from the command to its first program.
    Start(Options),
    /// What the last of many running containers takes, and how much memory their monitors have.
    Many(Many),
    /// Snapshots, ephemeral copies, stops and lists, beside LXC's.
    Life(Life),
    /// What goes through a published port, beside the container's own address.
    Ports(Ports),
}

/// What to do all day.
#[derive(clap::Args, Clone, Debug)]
struct Life {
    /// Samples of each.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(3..=1000))]
    samples: u32,
    /// How large the root file system is, in megabytes.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    megabytes: u32,
    /// How many containers the list has.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    containers: u32,
    /// How long the machine rests before each sample, in milliseconds.
    #[arg(long, default_value_t = 150)]
    idle_ms: u64,
    /// The directory of the programs `berth` and `berth-usernic`.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
}

/// How much to send.
#[derive(clap::Args, Clone, Debug)]
struct Ports {
    /// Samples of each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    samples: u32,
    /// How much a sample of bytes sends, in MiB.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    mib: u32,
    /// How many connections a sample of those makes.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// The directory of the programs `berth` and `berth-usernic`.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
}

/// How many to measure.
#[derive(clap::Args, Clone, Debug)]
struct Many {
    /// How many containers run at last.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    containers: u32,
    /// Samples of the first and of the last.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(3..=1000))]
    samples: u32,
    /// How long the machine rests before each sample, in milliseconds.
    #[arg(long, default_value_t = 150)]
    idle_ms: u64,
    /// The directory of the programs `berth` and `berth-usernic`.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
}

/// How to measure.
#[derive(clap::Args, Clone, Debug)]
struct Options {
    /// Samples of each measurement.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(3..=10_000))]
    samples: u32,
    /// How long the machine rests before each sample, in milliseconds. Below 100 what the kernel
    /// only does after a pause stays hidden.
    #[arg(long, default_value_t = 150)]
    idle_ms: u64,
    /// How often a rest is repeated while other work keeps the machine busy, before the sample is
    /// taken nevertheless and counted as one of a busy machine.
    #[arg(long, default_value_t = 20)]
    patience: u32,
    /// Also writes everything measured to this file, times in milliseconds.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Also draws the times until the payload runs into this file, as SVG.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// The directory of the programs `berth` and `berth-usernic`; without it those next to this
    /// program, built before if Cargo runs it.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// A second directory of the same programs, measured beside the first: what a change does.
    #[arg(long)]
    against: Option<PathBuf>,
    /// Measures only what has this in its name, as the table shows it; may be given again.
    #[arg(long)]
    only: Vec<String>,
}

impl Options {
    fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }
}

fn main() -> ExitCode {
    let measured = match Cli::parse().what {
        What::Start(options) => start::run(&options),
        What::Life(options) => life::run(&options),
        What::Many(options) => many::run(&options),
        What::Ports(options) => ports::run(&options),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("berth-benches: {error:#}");
            ExitCode::FAILURE
        }
    }
}
