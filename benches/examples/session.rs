//! How long the hand-over of a session's scope to its user takes, beside the one write to
//! `cgroup.procs` that it mostly consists of: after rests and right after another migration, in
//! turns, in a cgroup subtree of its own on this machine's kernel. Needs root.
//!
//!     cargo run --release -p berth-benches --example session -- [SAMPLES]
#![forbid(unsafe_code)]

#[path = "../src/idle.rs"]
mod idle;
#[path = "../src/statistics.rs"]
mod statistics;

use anyhow::{Context, Result};
use berth_cgroups::testing::Subtree;
use berth_cgroups::{CgroupDir, Hierarchy};
use berth_common::{Gid, Uid, cgroup};
use statistics::Samples;
use std::time::{Duration, Instant};

/// The kernel waits for a grace period when it moves a process after a pause of this length.
const REST: Duration = Duration::from_millis(150);
const PATIENCE: u32 = 20;

fn main() -> Result<()> {
    let samples = std::env::args()
        .nth(1)
        .map_or(Ok(40), |text| text.parse())?;
    let machine = Hierarchy::detect()?;
    let home = machine.open(&machine.path_of_self()?)?;
    let tree = Subtree::new();
    let result = measure(&tree, samples);
    // The subtree kills what is in it.
    home.move_self()?;
    result
}

fn measure(tree: &Subtree, samples: u32) -> Result<()> {
    let away = tree.make("away");
    println!("| before a sample | hand-over median (p95) | bare write median (p95) | ratio |");
    println!("|---|---|---|---|");
    for rest in [true, false] {
        let mut times = [Samples::default(), Samples::default()];
        let mut busy = 0;
        for number in 0..samples {
            for (kind, times) in times.iter_mut().enumerate() {
                let scope = tree.make(&format!("scope-{number}-{kind}-{rest}"));
                let leaf = (kind == 1)
                    .then(|| scope.make_child(cgroup::LEAF))
                    .transpose()?;
                scope.move_self()?;
                if rest {
                    busy += u32::from(!idle::rest(REST, PATIENCE)?);
                }
                times.push(sample(&scope, leaf.as_ref())?);
                away.move_self()?;
                scope.remove_child(cgroup::LEAF)?;
            }
        }
        let [ours, bare] = times;
        let (ours, bare) = (ours.summary(), bare.summary());
        let (ours, bare) = ours.zip(bare).context("no samples")?;
        println!(
            "| {} | {:.2} ({:.2}) | {:.2} ({:.2}) | {:.2} |",
            if rest {
                "150 ms rest"
            } else {
                "another migration"
            },
            ours.median,
            ours.p95,
            bare.median,
            bare.p95,
            ours.median / bare.median
        );
        if busy > 0 {
            println!("({busy} of these rests were disturbed)");
        }
    }
    Ok(())
}

/// The whole hand-over, or only moving this process into a leaf that is there.
fn sample(scope: &CgroupDir, leaf: Option<&CgroupDir>) -> Result<Duration> {
    let user = Uid::new(4242).zip(Gid::new(4242)).context("no such ids")?;
    let begin = Instant::now();
    match leaf {
        Some(leaf) => leaf.move_self()?,
        None => drop(berth_cgroups::session::hand_over(
            scope,
            user.0,
            user.1,
            || true,
        )?),
    }
    Ok(begin.elapsed())
}
