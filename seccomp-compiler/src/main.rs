//! `berth-seccomp`: reads a policy of system calls in LXC's grammar from its standard input and
//! writes a program for the kernel's filter.
//!
//! A program of its own, so that what starts containers need not link libseccomp. It runs with the
//! rights of the container's owner, when a policy is used for the first time; `berth` keeps what
//! it wrote. The answer is described in [`answer`].
#![forbid(unsafe_code)]

mod answer;
mod compile;

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// The longest policy that is read, in bytes.
const LONGEST: u64 = 1 << 20;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(io::stderr(), "{why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    if std::env::args_os().len() > 1 {
        return Err("berth-seccomp takes no arguments; `berth start` runs it".to_owned());
    }
    let mut bytes = Vec::new();
    let read = io::stdin().take(LONGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot read the policy: {error}"))?;
    if bytes.len() as u64 > LONGEST {
        return Err("the policy is larger than 1 MiB".to_owned());
    }
    let text = berth_container_config::text::decode(&bytes);
    let policy =
        berth_container_config::seccomp::parse(Path::new("policy"), &text).map_err(|problems| {
            problems
                .iter()
                .map(|p| format!("{p}\n"))
                .collect::<String>()
        })?;
    let compiled = compile::compile(&policy, std::env::consts::ARCH)?;
    answer::write(&compiled)
}
