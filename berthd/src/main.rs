//! `berthd`: what needs root on a user's behalf, over the system bus.
#![forbid(unsafe_code)]

use berth_common::exit;
use berth_kernel::ready::Readiness;
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
            eprintln!("berthd: {why}");
            return exit::USAGE.into();
        }
    };
    let idle = match arguments.as_slice() {
        [] => Some(berthd::serve::IDLE),
        [word] if word == "--stay" => None,
        _ => {
            eprintln!(
                "usage: berthd [--stay] [--ready-fd N | --ready-stop] (see berthd(8); by itself \
                 the system bus starts it)"
            );
            return exit::USAGE.into();
        }
    };
    match berthd::serve::run(idle, ready) {
        Ok(()) => exit::OK.into(),
        Err(error) => {
            tracing::error!("{error}");
            exit::FAILED.into()
        }
    }
}
