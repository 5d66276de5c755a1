//! Holds a user's lasting delegated cgroup and launches commands into it.
//!
//! - `check`: whether this user gets one (for `ExecCondition=`).
//! - `hold`: the main program of `berth-user@.service`.
//! - `serve`: answers the user's launch socket (`berth-session-helper@.service`).
//! - `shutdown`: stops the user's containers in order (`ExecStop=` of `berth-user@.service`).
#![forbid(unsafe_code)]

use berth_common::exit;
use berth_kernel::cred;
use berth_session_helper::{hold, serve, shutdown};
use std::process::ExitCode;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .init();
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let result = match arguments.as_slice() {
        [verb] if verb == "check" => {
            let code = if cred::real_uid().is_person() {
                exit::OK
            } else {
                exit::FAILED
            };
            return code.into();
        }
        [verb] if verb == "hold" => hold::run(),
        [verb] if verb == "serve" => serve::run(),
        [verb] if verb == "shutdown" => shutdown::run(),
        _ => {
            eprintln!("usage: berth-session-helper check | hold | serve | shutdown");
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
