//! `berth exec`, `console`

use std::os::unix::ffi::{OsStrExt, OsStringExt};

use berth::cli;
use berth::console;
use berth::error::{Error, Result};
use berth::exec;
use berth::place::Place;
use berth_common::exit;

use super::print::tell;

pub fn exec_verb(place: &Place, options: &cli::Exec) -> Result<u8> {
    if let Some(wrong) = options.env.iter().find(|entry| !entry.contains('=')) {
        return Err(Error::Code {
            code: exit::USAGE,
            text: format!("--env wants NAME=VALUE, not “{wrong}”"),
        });
    }
    let options_inside = exec::Options {
        argv: options
            .command
            .iter()
            .cloned()
            .map(OsStringExt::into_vec)
            .collect(),
        environment: options
            .env
            .iter()
            .map(|entry| entry.clone().into_bytes())
            .collect(),
        cwd: options
            .cwd
            .as_ref()
            .map_or_else(Vec::new, |cwd| cwd.as_os_str().as_bytes().to_vec()),
    };
    exec::run(place, &options.name, options_inside)
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
