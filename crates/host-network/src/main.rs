//! `berth-net start|stop|status`: the host's bridge for containers.
#![forbid(unsafe_code)]

use berth_common::{exit, path};
use berth_host_network::{Config, Done, Error, Lease, Status, Whole, leases, start, status, stop};
use clap::{Parser, Subcommand};
use serde::Serialize;
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
    /// List the addresses that containers have been given
    Leases {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// List bridges
    #[command(visible_alias = "ls")]
    List {
        /// For programs
        #[arg(long)]
        json: bool,
    },
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
        Command::Leases { json } => {
            let leases = leases(&config()?)?;
            print(&match json {
                true => as_json(&leases)?,
                false => leases_as_text(&leases),
            });
            Ok(exit::OK)
        }
        Command::List { json } => {
            let bridges = [Bridge::of(&config()?)?];
            print(&match json {
                true => as_json(&bridges)?,
                false => bridges_as_text(&bridges),
            });
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

fn as_json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value)
        .map(|text| text + "\n")
        .map_err(|error| Error::Refused(format!("cannot write JSON: {error}")))
}

/// A bridge in a line.
#[derive(Serialize)]
struct Bridge {
    bridge: String,
    state: Whole,
    address: String,
    ipv6: Option<String>,
    ports: usize,
    nat: bool,
    isolate_users: bool,
}

impl Bridge {
    fn of(config: &Config) -> Result<Self, Error> {
        let status = status(config)?;
        Ok(Self {
            bridge: status.bridge,
            state: status.state,
            address: config.address.to_string(),
            ipv6: config.ipv6.map(|six| six.to_string()),
            ports: status.ports.len(),
            nat: config.nat,
            isolate_users: config.isolate_users,
        })
    }
}

fn bridges_as_text(bridges: &[Bridge]) -> String {
    let head = ["BRIDGE", "STATE", "ADDRESS", "IPV6", "PORTS"].map(str::to_owned);
    let rows = bridges.iter().map(|one| {
        [
            one.bridge.clone(),
            word(one.state).to_owned(),
            one.address.clone(),
            one.ipv6.clone().unwrap_or_else(|| "-".to_owned()),
            one.ports.to_string(),
        ]
    });
    table(&[head].into_iter().chain(rows).collect::<Vec<_>>())
}

fn leases_as_text(leases: &[Lease]) -> String {
    let head = ["NAME", "ADDRESS", "MAC", "LEFT", "BRIDGE"].map(str::to_owned);
    let rows = leases.iter().map(|one| {
        let left = match one.left() {
            Some(left) => format!("{} min", left.as_secs().div_ceil(60)),
            None => "-".to_owned(),
        };
        let name = match one.name.as_str() {
            "" => "-",
            name => name,
        };
        [
            name.to_owned(),
            one.address.to_string(),
            one.mac.clone(),
            left,
            one.bridge.clone(),
        ]
    });
    table(&[head].into_iter().chain(rows).collect::<Vec<_>>())
}

/// Each column as wide as its widest cell.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max();
    let line = |row: &[String; N]| {
        let cells = row.iter().enumerate();
        let line: String = cells
            .map(|(column, cell)| format!("{cell:<0$}  ", width(column).unwrap_or_default()))
            .collect();
        line.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn word(state: Whole) -> &'static str {
    match state {
        Whole::Up => "up",
        Whole::Partial => "partly up",
        Whole::Down => "down",
    }
}

fn as_text(status: &Status) -> String {
    let word = word(status.state);
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
