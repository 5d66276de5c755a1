//! Holds a user's lasting delegated cgroup and launches commands into it.
//!
//! - `check`: whether this user gets one (for `ExecCondition=`).
//! - `hold`: the main program of `berth-user@.service`.
//! - `serve`: answers the user's launch socket (`berth-session-helper@.service`).
//! - `ask start`, `ask repair`, `ask release`: asks `berthd` for the calling user.
//! - `shutdown`: stops the user's containers in order (`ExecStop=` of `berth-user@.service`).
#![forbid(unsafe_code)]

use berth_common::exit;
use berth_kernel::cred;
use berth_kernel::ready::Readiness;
use berth_session_helper::{ask, hold, serve, shutdown};
use berth_systemd_bus::Wish;
use std::ffi::OsStr;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .init();
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let ready = match Readiness::take(&mut arguments) {
        Ok(ready) => ready,
        Err(why) => {
            eprintln!("berth-session-helper: {why}");
            return exit::USAGE.into();
        }
    };
    let result = match arguments.as_slice() {
        [verb] if verb == "check" => {
            let code = if cred::real_uid().is_person() {
                exit::OK
            } else {
                exit::FAILED
            };
            return code.into();
        }
        [verb] if verb == "hold" => hold::run(ready),
        [verb] if verb == "serve" => serve::run(ready),
        [verb] if verb == "shutdown" => shutdown::run(),
        [verb, word] if verb == "ask" && wish(word).is_some() => {
            return wish(word).map_or(exit::USAGE, say).into();
        }
        _ => {
            eprintln!(
                "usage: berth-session-helper check | hold | serve | shutdown | ask \
                 start|repair|release\n\
                 hold and serve: --ready-fd N, --ready-stop tell an init system that knows no \
                 sd_notify"
            );
            return exit::USAGE.into();
        }
    };
    match result {
        Ok(()) => exit::OK.into(),
        Err(error) => {
            tracing::error!("{error}");
            exit::FAILED.into()
        }
    }
}

fn wish(word: &OsStr) -> Option<Wish> {
    let mut words = ask::WORDS.iter();
    words
        .find(|(known, _)| word == *known)
        .map(|(_, wish)| *wish)
}

/// Asks `berthd` and prints what it says.
fn say(wish: Wish) -> u8 {
    match ask::ask(wish) {
        Ok(line) => {
            let _ = writeln!(std::io::stdout(), "{line}");
            exit::OK
        }
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "{why}");
            exit::FAILED
        }
    }
}
