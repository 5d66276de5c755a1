//! `berth-net start|stop|status`: the host's bridge for containers.
#![forbid(unsafe_code)]

use berth_common::exit;
use berth_host_network::{
    Config, Done, Error, Lease, Status, Whole, leases, start, status, stop, stop_others,
};
use clap::{Parser, Subcommand};
use serde::Serialize;
use std::io::{self, Write};
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
    match command {
        Command::Start => set_up(),
        Command::Restart => {
            // What is wrong in the configuration is told while the network still stands.
            let (_, wrong) = Config::read_all()?;
            Error::collect(wrong)?;
            tell(&stop()?, Some("nothing was up"));
            set_up()
        }
        // Not the configuration but what was written down says what there is to undo.
        Command::Stop => {
            tell(&stop()?, Some("nothing is up"));
            Ok(exit::OK)
        }
        Command::Leases { json } => {
            let mut all = Vec::new();
            for config in configs()? {
                all.extend(leases(&config)?);
            }
            print(&match json {
                true => as_json(&all)?,
                false => leases_as_text(&all),
            });
            Ok(exit::OK)
        }
        Command::List { json } => {
            let configs = configs()?;
            let bridges = configs.iter().map(Bridge::of);
            let bridges: Vec<Bridge> = bridges.collect::<Result<_, _>>()?;
            print(&match json {
                true => as_json(&bridges)?,
                false => bridges_as_text(&bridges),
            });
            Ok(exit::OK)
        }
        Command::Status { json } => {
            let found = configs()?
                .iter()
                .map(status)
                .collect::<Result<Vec<_>, _>>()?;
            print(&match (json, &found[..]) {
                // As it was when there was one bridge only.
                (true, [one]) => as_json(one)?,
                (true, all) => as_json(&all)?,
                (false, all) => all.iter().map(as_text).collect(),
            });
            let is_up = |status: &Status| status.state == Whole::Up;
            Ok(match found.iter().all(is_up) {
                true => exit::OK,
                false => NOT_UP,
            })
        }
    }
}

/// Sets all networks up; goes on past one that cannot be.
fn set_up() -> Result<u8, Error> {
    let (configs, mut errors) = Config::read_all()?;
    // One whose file is wrong stays as it is.
    if errors.is_empty() {
        tell(&stop_others(&configs)?, None);
    }
    for config in &configs {
        match start(config) {
            Ok(done) => tell(&done, Some(&format!("{} is up already", config.bridge))),
            Err(error) => errors.push(error),
        }
    }
    Error::collect(errors).map(|()| exit::OK)
}

/// What is configured, as far as that can be understood; what is wrong is told.
fn configs() -> Result<Vec<Config>, Error> {
    let (configs, errors) = Config::read_all()?;
    for error in errors {
        complain(&format!("berth-net: {error}"));
    }
    Ok(configs)
}

fn tell(done: &Done, nothing: Option<&str>) {
    for line in &done.changes {
        print(&format!("{line}\n"));
    }
    if let (Some(nothing), true, true) =
        (nothing, done.changes.is_empty(), done.warnings.is_empty())
    {
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
