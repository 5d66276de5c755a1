//! `berth-usernic`: installed setuid root, called by `berth` and by liblxc.
#![forbid(unsafe_code)]

use berth_common::exit;
use berth_usernic::invocation::Misuse;
use berth_usernic::refusal::code;
use berth_usernic::request::{self, Granted, Served};
use berth_usernic::{Refusal, audit, caller, neutral};
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    // The real uid is gone once the process is neutral.
    let caller = caller::uid();
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();

    let outcome = match caller::rights() {
        Err(why) => Err(Refusal::NoRights(why)),
        Ok(rights) => neutral::neutralise(rights).and_then(|()| request::serve(caller, &arguments)),
    };
    match outcome {
        Ok(Served::Granted(granted)) => deliver(caller, granted),
        Ok(Served::Deleted { user, bridge, host }) => {
            audit::record(format_args!(
                "deleted uid={caller} user={user} bridge={bridge} nic={host}"
            ));
            ExitCode::from(exit::OK)
        }
        Err(refusal) => {
            if let Refusal::Misuse(Misuse::Form) = refusal {
                complain(&refusal);
            } else {
                complain(&format_args!("berth-usernic: {refusal}"));
                audit::record(format_args!("refused uid={caller}: {refusal}"));
            }
            ExitCode::from(refusal.exit_code())
        }
    }
}

/// One write and nothing else: liblxc reads once, both streams through one pipe.
fn deliver(caller: berth_common::Uid, granted: Granted) -> ExitCode {
    match io::stdout().write_all(granted.answer.as_bytes()) {
        Ok(()) => {
            audit::record(format_args!(
                "granted uid={caller} user={} bridge={} nic={} inside={}",
                granted.user, granted.link, granted.host, granted.inside
            ));
            granted.note_change();
            ExitCode::from(exit::OK)
        }
        Err(error) => {
            audit::record(format_args!(
                "took back uid={caller} nic={}: the answer was not read: {error}",
                granted.host
            ));
            granted.undo();
            complain(&format_args!(
                "berth-usernic: cannot write the answer: {error}"
            ));
            ExitCode::from(code::FAILED)
        }
    }
}

fn complain(text: &dyn Display) {
    // Nobody is left to tell when stderr is closed.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
