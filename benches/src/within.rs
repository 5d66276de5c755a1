//! The host of a measurement.

use std::path::PathBuf;

use anyhow::{Result, bail};
use berth_test_private_host::{self as host, Host, Setup};

use crate::contender::Build;

/// Measures on a host of its own that has these builds' programs.
pub fn within(
    builds: Vec<(Build, PathBuf)>,
    measure: impl FnOnce(&Host) -> Result<()>,
) -> Result<()> {
    let programs = builds
        .into_iter()
        .map(|(build, dir)| (dir, build.dir().to_owned()));
    let setup = Setup {
        programs: programs.collect(),
        // LXC and crun walk to the root directory as the container's root, so others may enter.
        home_mode: 0o755,
        ..Setup::of_programs("")
    };
    let code = host::within(&setup, |host| match measure(host) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("berth-benches: {error:#}");
            1
        }
    })?;
    match code {
        0 => Ok(()),
        _ => bail!("nothing was measured"),
    }
}
