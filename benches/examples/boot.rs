//! The boot engine beside lxc-autostart, on a booted host: how long it takes until 20 containers of
//! equal order run, and until all have stopped. As ratios: the host's kernel is slow.
//!
//! Makes no image: `cargo xtask image tools` first. Needs root.
//!
//!     cargo run --release -p berth-benches --example boot -- [ROUNDS]
#![forbid(unsafe_code)]

use anyhow::{Context, Result};
use berth_test_harness::{Host, HostOptions, Image};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(900);
const CONTAINERS: u32 = 20;

const PREPARE: &str = r#"
set -eu
berth create c1 -t busybox >/dev/null
printf 'lxc.net =\nlxc.net.0.type = empty\nlxc.start.auto = 1\n' >>/var/lib/lxc/c1/config
for n in $(seq 2 "$1"); do berth copy c1 "c$n" >/dev/null; done
"#;

/// Runs a command; milliseconds, then how many containers run. The second word is what is expected.
const TIMED: &str = r#"
set -eu
sleep 1
from=$(date +%s%N)
sh -c "$1" >/dev/null 2>&1 || true
to=$(date +%s%N)
running=$(lxc-ls --running -1 | grep -c ^c || true)
berths=$(berth ls --names --running | grep -c ^c || true)
[ "$running" -ge "$berths" ] || running=$berths
[ "$running" = "$2" ] || { echo "$running containers run after $1, not $2" >&2; exit 1; }
echo $(((to - from) / 1000000))
"#;

fn main() -> Result<()> {
    let rounds: usize = match std::env::args().nth(1) {
        Some(text) => text.parse().context("expected a number of rounds")?,
        None => 3,
    };
    let options = HostOptions {
        name: Some("bench".into()),
        ..HostOptions::default()
    };
    let host = Host::boot_with(Image::Tools, options)?;
    host.write("/root/prepare", PREPARE)?;
    host.write("/root/timed", TIMED)?;
    println!("of an empty boot, by systemd-analyze blame:");
    let blame = host
        .root("systemd-analyze blame --no-pager | grep berth; systemd-analyze time | head -n 1")?;
    print!("{}", blame.ok()?);
    host.root_for(&format!("sh /root/prepare {CONTAINERS}"), LIMIT)?
        .ok()?;
    let verbs = [
        ("lxc-autostart", "lxc-autostart", CONTAINERS),
        (
            "lxc-autostart --shutdown",
            "lxc-autostart --shutdown --all --timeout 60",
            0,
        ),
        ("berth autostart", "berth autostart", CONTAINERS),
        (
            "berth autostart --shutdown",
            "berth autostart --shutdown --all --total 60",
            0,
        ),
    ];
    let mut samples: [Vec<f64>; 4] = Default::default();
    for _ in 0..rounds {
        for ((_, command, expected), samples) in verbs.iter().zip(&mut samples) {
            let timed = format!("sh /root/timed '{command}' {expected}");
            let time = host.root_for(&timed, LIMIT)?.ok()?;
            samples.push(time.trim().parse().context("no time")?);
        }
    }
    let mut medians = Vec::new();
    for ((name, ..), samples) in verbs.iter().zip(&mut samples) {
        samples.sort_by(f64::total_cmp);
        let median = samples[samples.len() / 2];
        println!(
            "{name}: {:.1} s, median of {rounds} {samples:?}",
            median / 1000.0
        );
        medians.push(median);
    }
    println!(
        "berth / lxc-autostart: start {:.2}, stop {:.2}",
        medians[2] / medians[0],
        medians[3] / medians[1]
    );
    Ok(())
}
