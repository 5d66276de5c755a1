//! `berth attach`, `exec`, `console`

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use berth::cli;
use berth::console;
use berth::error::{Error, Result};
use berth::exec;
use berth::monitor::protocol::Spared;
use berth::place::Place;
use berth_common::{ContainerName, exit};

use super::print::tell;

pub fn attach_verb(place: &Place, options: &cli::Attach) -> Result<u8> {
    run(place, &options.name, &options.manner, &options.command)
}

pub fn exec_verb(place: &Place, options: &cli::Exec) -> Result<u8> {
    run(place, &options.name, &options.manner, &options.command)
}

fn run(
    place: &Place,
    name: &ContainerName,
    manner: &cli::Manner,
    command: &[OsString],
) -> Result<u8> {
    let options = exec::Options {
        argv: command.iter().cloned().map(OsStringExt::into_vec).collect(),
        environment: variables(&manner.env)?,
        kept: exec::Kept {
            all: manner.keep_env,
            names: manner.keep_var.clone(),
        },
        cwd: manner
            .cwd
            .as_ref()
            .map_or_else(Vec::new, |cwd| cwd.as_os_str().as_bytes().to_vec()),
        user: user(manner)?,
        spared: Spared {
            cgroup: manner.elevated.contains(&cli::Part::Cgroup),
            capabilities: manner.elevated.contains(&cli::Part::Capabilities),
            profiles: manner.elevated.contains(&cli::Part::Profiles),
        },
        escape: manner.escape,
        terminal: match (manner.terminal, manner.no_terminal) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        },
    };
    exec::run(place, name, options)
}

fn variables(given: &[String]) -> Result<Vec<Vec<u8>>> {
    let names_one = |entry: &&String| matches!(entry.find('='), Some(1..));
    match given.iter().find(|entry| !names_one(entry)) {
        Some(wrong) => Err(usage(format!("--env wants NAME=VALUE, not “{wrong}”"))),
        None => Ok(given
            .iter()
            .map(|entry| entry.clone().into_bytes())
            .collect()),
    }
}

/// `USER[:GROUP]` of both options.
fn user(manner: &cli::Manner) -> Result<Vec<u8>> {
    let user = match &manner.user {
        Some(user) if user.is_empty() => {
            return Err(usage(
                "--user wants USER, UID or either with :GROUP".to_owned(),
            ));
        }
        other => other.as_deref(),
    };
    let Some(group) = &manner.group else {
        return Ok(user.unwrap_or_default().into());
    };
    match user {
        _ if group.is_empty() => Err(usage("--group wants a group’s name or gid".to_owned())),
        Some(user) if user.contains(':') => Err(usage(format!(
            "--user {user} names a group already; --group {group} names another"
        ))),
        other => Ok(format!("{}:{group}", other.unwrap_or("0")).into_bytes()),
    }
}

fn usage(text: String) -> Error {
    Error::Code {
        code: exit::USAGE,
        text,
    }
}

pub fn console_verb(place: &Place, options: &cli::Console) -> Result<u8> {
    if options.show_log {
        console::show_log(place, &options.name)?;
    }
    if options.clear_log {
        console::clear_log(place, &options.name)?;
    }
    if options.show_log || options.clear_log {
        return Ok(exit::OK);
    }
    let told = |where_and_how: &str| tell(&format!("berth: {where_and_how}"));
    console::attach(place, &options.name, options.tty, options.escape, told)
}
