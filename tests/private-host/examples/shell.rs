//! A shell, or a command, of the user's on a private host, to try things by hand. Needs root.
//!
//!     cargo build && cargo run -p berth-test-private-host --example shell [-- --root] [COMMAND…]
#![forbid(unsafe_code)]

use anyhow::{Context, Result};
use berth_test_private_host::{Setup, within};

fn main() -> Result<()> {
    let own = std::env::current_exe()?;
    let built = own
        .ancestors()
        .nth(2)
        .context("the example lies in cargo's build directory")?;
    let mut words: Vec<_> = std::env::args_os().skip(1).collect();
    let as_root = words.first().is_some_and(|word| word == "--root");
    words.drain(..usize::from(as_root));
    let code = within(&Setup::of_programs(built), |host| {
        let shell = || vec!["/bin/sh".into()];
        let mut words = if words.is_empty() { shell() } else { words }.into_iter();
        let program = words.next().unwrap_or_default();
        let mut command = match as_root {
            true => host.as_root(program),
            false => host.as_user(program),
        };
        let status = command.args(words).status();
        let code = status.ok().and_then(|status| status.code());
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(125)
    })?;
    std::process::exit(code.into())
}
