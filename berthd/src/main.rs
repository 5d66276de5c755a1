//! `berthd`: what needs root on a user's behalf, over the system bus.
#![forbid(unsafe_code)]

use berth_common::exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .init();
    if std::env::args_os().len() > 1 {
        eprintln!("usage: berthd (started by the system bus, see berthd(8))");
        return exit::USAGE.into();
    }
    match berthd::serve::run(berthd::serve::IDLE) {
        Ok(()) => exit::OK.into(),
        Err(error) => {
            tracing::error!("{error}");
            exit::FAILED.into()
        }
    }
}
