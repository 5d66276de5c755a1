//! Where the measured programs are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use berth_test_private_host::PROGRAMS;

/// The directory with the programs. Under `cargo run` they are built first, so that old ones are
/// never measured by mistake.
pub fn find(given: Option<&Path>) -> Result<PathBuf> {
    let dir = match given {
        Some(dir) => std::path::absolute(dir)?,
        None => {
            let own = std::env::current_exe().context("cannot tell where this program is")?;
            let dir = own.parent().context("this program has no directory")?;
            if let Some(cargo) = std::env::var_os("CARGO") {
                build(&cargo, dir)?;
            }
            dir.to_owned()
        }
    };
    for name in PROGRAMS {
        ensure!(
            dir.join(name).is_file(),
            "{} is missing: build it with `cargo build --release -p berth -p berth-usernic`, or \
             name another directory with --bin-dir",
            dir.join(name).display()
        );
    }
    Ok(dir)
}

fn build(cargo: &std::ffi::OsStr, dir: &Path) -> Result<()> {
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "berth", "-p", "berth-usernic"]);
    // Cargo names the directory of its profile after it, save for `dev`.
    match dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {
            eprintln!("berth-benches: this is a debug build; use `cargo run --release`");
        }
        Some(profile) => drop(command.args(["--profile", profile])),
    }
    if let Some(target) = dir.parent() {
        command.arg("--target-dir").arg(target);
    }
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("building berth failed");
    }
    Ok(())
}
