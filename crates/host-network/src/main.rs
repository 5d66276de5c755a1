//! `berth-net start|stop|status`: the host's bridge for containers.
#![forbid(unsafe_code)]

use berth_common::{exit, path};
use berth_host_network::{Config, Done, Error, Status, Whole, start, status, stop};
use clap::{Parser, Subcommand};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// `status`: not up, as the Linux Standard Base's init scripts say it.
const NOT_UP: u8 = 3;

/// Sets up the bridge that containers are attached to, with addresses, names and a way out, as
/// /etc/berth/net.toml says.
#[derive(Parser)]
#[command(name = "berth-net", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Set everything up, or mend what is missing
    Start,
    /// Undo what start did; a bridge with containers on it stays
    Stop,
    /// Undo what start did and set everything up anew; containers stay connected
    Restart,
    /// Tell what is there; exit status 0: all of it, 3: not all of it
    Status {
        /// For programs
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            for line in error.to_string().lines() {
                complain(&format!("berth-net: {line}"));
            }
            ExitCode::from(exit::FAILED)
        }
    }
}

fn run(command: &Command) -> Result<u8, Error> {
    let config = || Config::read(Path::new(path::NET_CONF));
    match command {
        Command::Start => {
            let config = config()?;
            tell(
                &start(&config)?,
                &format!("{} is up already", config.bridge),
            );
            Ok(exit::OK)
        }
        Command::Restart => {
            // What is wrong in the configuration is told while the network still stands.
            let config = config()?;
            let stopped = stop()?;
            tell(&stopped, "nothing was up");
            tell(&start(&config)?, "");
            Ok(exit::OK)
        }
        // Not the configuration but what was written down says what there is to undo.
        Command::Stop => {
            tell(&stop()?, "nothing is up");
            Ok(exit::OK)
        }
        Command::Status { json } => {
            let status = status(&config()?)?;
            print(&if *json {
                as_json(&status)?
            } else {
                as_text(&status)
            });
            Ok(if status.state == Whole::Up {
                exit::OK
            } else {
                NOT_UP
            })
        }
    }
}

fn tell(done: &Done, nothing: &str) {
    for line in &done.changes {
        print(&format!("{line}\n"));
    }
    if done.changes.is_empty() && done.warnings.is_empty() {
        print(&format!("{nothing}\n"));
    }
    for line in &done.warnings {
        complain(&format!("berth-net: {line}"));
    }
}

fn as_json(status: &Status) -> Result<String, Error> {
    serde_json::to_string(status)
        .map(|text| text + "\n")
        .map_err(|error| Error::Refused(format!("cannot write JSON: {error}")))
}

fn as_text(status: &Status) -> String {
    let word = match status.state {
        Whole::Up => "up",
        Whole::Partial => "partly up",
        Whole::Down => "down",
    };
    let mut text = format!("{}: {word}\n", status.bridge);
    for piece in &status.pieces {
        let present = match piece.present {
            Some(true) => "present",
            Some(false) => "missing",
            None => "unknown",
        };
        let line = format!("  {:<11} {present:<8} {}", piece.name, piece.detail);
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Whoever closed the pipe does not want to know.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
