//! Figures of the booted host, as ratios only: its kernel's system calls are slow, and it has one
//! processor.
//!
//! - the session stack of Debian, opened and closed, with the line of `pam_berth` and without;
//! - a command through the launch socket, and one that is moved to the lasting cgroup, beside
//!   `systemd-run --user --scope`.
//!
//! Makes no image: `cargo xtask image tools` first. Needs root.
//!
//!     cargo run --release -p berth-benches --example booted -- [SAMPLES]
#![forbid(unsafe_code)]

use anyhow::{Context, Result, ensure};
use berth_test_harness::{Host, HostOptions, Image};
use std::collections::BTreeMap;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(900);

/// Runs each of `$2…` in turns, `$1` times, after a rest; `name nanoseconds` a line.
const TURNS: &str = r#"#!/bin/bash
samples=$1; shift
for _ in $(seq "$samples"); do
    for command; do
        sleep 0.15
        from=$(date +%s%N)
        sh -c "${command#*=}" >/dev/null 2>&1 </dev/null || echo "failed ${command%%=*}"
        to=$(date +%s%N)
        echo "${command%%=*} $((to - from))"
    done
done
"#;

fn main() -> Result<()> {
    let samples = std::env::args().nth(1).unwrap_or_else(|| "15".into());
    let options = HostOptions {
        name: Some("bench".into()),
        ..HostOptions::default()
    };
    let host = Host::boot_with(Image::Tools, options)?;
    host.write("/usr/local/bin/turns", TURNS)?;
    host.root(
        "chmod 755 /usr/local/bin/turns && cd /etc/pam.d && for name in with without; do
         { echo 'auth required pam_permit.so'; echo 'account required pam_permit.so'
           cat common-session; } >bench-$name; done && sed -i /pam_berth/d bench-without &&
         grep -q pam_berth bench-with && loginctl enable-linger alice",
    )?
    .ok()?;

    // The user's service manager lingers: it is neither waited for nor stopped on the way.
    let session =
        |name: &str| format!("{name}=pamtester bench-{name} alice open_session close_session");
    let turns = format!(
        "systemd-run --wait --pipe --quiet turns {samples} '{}' '{}' nothing=true",
        session("with"),
        session("without")
    );
    let times = read(&host.root_for(&turns, LIMIT)?.ok()?)?;
    let ratio = |a: &str, b: &str| -> Result<f64> {
        let nothing = median(&times, "nothing")?;
        Ok((median(&times, a)? - nothing) / (median(&times, b)? - nothing))
    };
    println!(
        "open and close of a session, with / without pam_berth: {:.2}",
        ratio("with", "without")?
    );

    let alice = host.login("alice")?;
    let turns = format!(
        "turns {samples} 'launch=berth autostart' 'moved=berth cgroup exec -- true' \
         'run=systemd-run --user --scope --quiet true' 'version=berth --version' \
         'theirs=systemd-run --version' nothing=true"
    );
    let times = read(&alice.run_for(&turns, LIMIT)?.ok()?)?;
    let nothing = median(&times, "nothing")?;
    let run = median(&times, "run")? - nothing;
    for (name, words) in [
        (
            "launch",
            "`berth autostart` of nothing, through the launch socket",
        ),
        ("moved", "`berth cgroup exec -- true`"),
        ("version", "`berth --version`, which does nothing"),
        ("theirs", "`systemd-run --version`, which does nothing"),
    ] {
        println!(
            "{words} / `systemd-run --user --scope true`: {:.2}",
            (median(&times, name)? - nothing) / run
        );
    }
    Ok(())
}

/// Nanoseconds by name.
fn read(text: &str) -> Result<BTreeMap<String, Vec<f64>>> {
    let mut times: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for line in text.lines() {
        let (name, time) = line.split_once(' ').context("a line has two words")?;
        ensure!(name != "failed", "the command “{time}” failed");
        times
            .entry(name.to_owned())
            .or_default()
            .push(time.parse()?);
    }
    for times in times.values_mut() {
        times.sort_by(f64::total_cmp);
    }
    Ok(times)
}

fn median(times: &BTreeMap<String, Vec<f64>>, name: &str) -> Result<f64> {
    let times = times
        .get(name)
        .with_context(|| format!("nothing of {name}"))?;
    Ok(times[times.len() / 2])
}
