//! `berth-boot`: who starts containers at boot where systemd does not, and stops them in order.
//!
//! - `run USER`: holds root's containers or a user's, in the foreground, until SIGTERM. For an
//!   init system that supervises.
//! - `start`, `stop`, `status`, without a name for root and all users of the boot: the same in the
//!   background, for one that does not.
//! - `users`: the users of the boot, a line each.
//!
//! Exit codes are those of the Linux Standard Base for init scripts.
#![deny(unsafe_code)]

mod allowed;
mod arguments;
mod child;
mod daemon;
mod holder;
#[allow(unsafe_code)]
mod pam;
mod place;

use arguments::{Arguments, Verb};
use berth_kernel::cred;
use berth_kernel::ready::Readiness;
use berth_kernel::user::User;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// There if systemd runs (sd_booted(3)).
const SYSTEMD_DIR: &str = "/run/systemd/system";

/// What an init script's exit codes mean (Linux Standard Base 5.0, 22.2).
mod code {
    pub const OK: u8 = 0;
    pub const FAILED: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const NOT_ROOT: u8 = 4;
    pub const NOT_CONFIGURED: u8 = 6;
    /// `status`: it was started and is not there.
    pub const STATUS_DEAD: u8 = 1;
    /// `status`: it is not started.
    pub const STATUS_STOPPED: u8 = 3;
}

/// Why something is not done, and the exit code for that.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn failed(text: String) -> Self {
        Self {
            code: code::FAILED,
            text,
        }
    }

    /// `operation` completes "cannot …".
    fn doing(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| {
            Self::failed(format!(
                "cannot {operation}: {}",
                berth_kernel::Plain(&error)
            ))
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A line for whoever reads the log.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "berth-boot: {line}");
}

fn main() -> ExitCode {
    let mut words: Vec<_> = std::env::args_os().skip(1).collect();
    let done = Readiness::take(&mut words)
        .and_then(|ready| Ok((ready, Arguments::parse(&words)?)))
        .map_err(|text| Failure {
            code: code::USAGE,
            text,
        })
        .and_then(|(ready, arguments)| run(&arguments, ready));
    match done {
        Ok(code) => code.into(),
        Err(failure) => {
            say(&failure.to_string());
            failure.code.into()
        }
    }
}

fn run(arguments: &Arguments, ready: Readiness) -> Result<u8, Failure> {
    if matches!(arguments.verb, Verb::Help) {
        let _ = io::stdout().write_all(arguments::USAGE.as_bytes());
        return Ok(code::OK);
    }
    if matches!(arguments.verb, Verb::Users) {
        let (users, problems) = allowed::users();
        for user in users {
            let _ = writeln!(io::stdout(), "{}", user.name);
        }
        problems.iter().for_each(|problem| say(problem));
        return Ok(code::OK);
    }
    if matches!(arguments.verb, Verb::Status) {
        return daemon::status(&arguments.names);
    }
    if !cred::effective_uid().is_root() {
        return Err(Failure {
            code: code::NOT_ROOT,
            text: "only root may do that".to_owned(),
        });
    }
    // There it would take launch sockets away from systemd.
    if Path::new(SYSTEMD_DIR).is_dir() && !matches!(arguments.verb, Verb::Stop) {
        return Err(Failure {
            code: code::NOT_CONFIGURED,
            text: "systemd runs this host and starts containers itself: berth-autostart.service \
                   those of root, linger (loginctl enable-linger) those of users"
                .to_owned(),
        });
    }
    match arguments.verb {
        Verb::Run => {
            let name = arguments.names.first().map_or("", String::as_str);
            let user = whose(name)?;
            place::make_dirs().map_err(Failure::doing("make the directories below /run/berth"))?;
            let lock = place::lock(user.uid).map_err(Failure::doing("lock"))?;
            let _lock = lock.map_err(|pid| {
                let who = pid.map_or(String::new(), |pid| format!(" (process {pid})"));
                Failure::failed(format!("the containers of {name} are held already{who}"))
            })?;
            holder::hold(&user, &arguments.options, ready).map(|()| code::OK)
        }
        Verb::Start => daemon::start(&arguments.names, &arguments.options),
        Verb::Stop => daemon::stop(&arguments.names, &arguments.options),
        Verb::Users | Verb::Status | Verb::Help => Ok(code::OK),
    }
}

/// Root, or a user whom the administrator lists for the boot.
fn whose(name: &str) -> Result<User, Failure> {
    if name == "root" {
        let root = User::by_name(name).map_err(Failure::doing("look root up"))?;
        return root.ok_or_else(|| Failure::failed("there is no user root".to_owned()));
    }
    allowed::user(name).map_err(|text| Failure {
        code: code::NOT_CONFIGURED,
        text,
    })
}
