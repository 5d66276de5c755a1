//! What the depth of a cgroup costs the processes in it: `cgroup-depth ROUNDS [DIRECTORY…]`, as root,
//! on the test host or on any machine with cgroup v2, or with cpu, memory and pids in hierarchies of
//! version 1, or in the hierarchies whose directories are named.
//!
//! It makes a chain of ten cgroups with a leaf in each, and does the same things in leaf after leaf,
//! once a round; the depths of a round take turns. Depth 4 is there twice: what its two columns differ
//! by is what all other differences have to be measured with. Prints the table of
//! logind-patches/README.md: medians, the quartiles at depth 4, and those of what one level more costs, by
//! the line that fits a round best.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::hint::black_box;
use std::io::{Read, Write, pipe};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

/// A session's leaf is the fourth below the root, and a column beside it shows the noise.
const DEPTHS: [usize; 11] = [1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10];
const DEEPEST: usize = 10;
/// The column of a session's leaf.
const SESSION: usize = 3;
const CONTROLLERS: &str = "+cpu +memory +pids";
const ROOT: &str = "/sys/fs/cgroup";
/// What tells the program that it is to measure in the leaves given.
const INSIDE: &str = "--inside";
/// More than glibc ever takes from its heap: each time it is mapped afresh.
const PAGES: usize = (48 << 20) / PAGE;
const PAGE: usize = 4096;

/// The cgroups of one depth, one a hierarchy.
type Leaves = [PathBuf];
/// What happens in them, that many times.
type Action = fn(&Leaves, usize) -> Result<()>;

/// A name, how often it happens in one call, and what happens.
const ACTIONS: [(&str, usize, Action); 7] = [
    ("fork, exec, exit and wait", 40, start_programs),
    ("a thread, begun and ended", 100, start_threads),
    ("a fresh page of memory", PAGES, touch_pages),
    ("two context switches", 200, switch),
    ("reading /proc/self/cgroup", 200, read_place),
    ("a move to a sibling and back", 10, move_away),
    ("mkdir and rmdir of a cgroup", 10, make_cgroups),
];

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(inside) if inside == INSIDE => {
            measure(&arguments.map(PathBuf::from).collect::<Vec<_>>())
        }
        Some(rounds) => {
            let rounds = rounds.to_str().and_then(|rounds| rounds.parse().ok());
            let rounds = rounds.filter(|rounds| *rounds > 0);
            let rounds = rounds.context("the number of rounds is a number from 1 on")?;
            let named: Vec<_> = arguments.map(PathBuf::from).collect();
            match named.is_empty() {
                true => table(rounds, hierarchies()?),
                false => table(rounds, named),
            }
        }
        None => bail!("usage: cgroup-depth ROUNDS [DIRECTORY…]"),
    }
}

/// All rounds; takes the cgroups away again whatever happens.
fn table(rounds: usize, hierarchies: Vec<PathBuf>) -> Result<()> {
    let chains = hierarchies
        .into_iter()
        .map(Chain::make)
        .collect::<Result<Vec<_>>>()?;
    let mut taken = vec![vec![Vec::with_capacity(rounds); DEPTHS.len()]; ACTIONS.len()];
    for round in 0..rounds {
        for turn in 0..DEPTHS.len() {
            let column = (turn + round) % DEPTHS.len();
            let leaves = chains.iter().map(|chain| chain.leaf(DEPTHS[column]));
            let times = one_turn(&leaves.collect::<Vec<_>>())?;
            for (row, time) in times.into_iter().enumerate() {
                taken[row][column].push(time);
            }
        }
    }
    let names = DEPTHS.map(|depth| depth.to_string()).join(" | ");
    println!("| µs at depth | {names} | half of all at 4 | a level more |");
    println!("|{}", "---|".repeat(DEPTHS.len() + 3));
    for ((name, ..), columns) in ACTIONS.iter().zip(&taken) {
        let medians: Vec<_> = columns
            .iter()
            .map(|times| short(quantile(times, 0.5)))
            .collect();
        let slopes: Vec<_> = (0..rounds).map(|round| slope(columns, round)).collect();
        let [low, middle, high] = [0.25, 0.5, 0.75].map(|part| percent(quantile(&slopes, part)));
        let half = [0.25, 0.75].map(|part| short(quantile(&columns[SESSION], part)));
        println!(
            "| {name} | {} | {} | {middle} ({low} to {high}) |",
            medians.join(" | "),
            half.join(" to ")
        );
    }
    Ok(())
}

/// A process of its own for each turn, since what it has been charged stays where it was charged.
fn one_turn(leaves: &Leaves) -> Result<Vec<f64>> {
    let program = std::env::current_exe().context("this program has no path")?;
    let output = Command::new(program)
        .arg(INSIDE)
        .args(leaves)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start this program again")?;
    ensure!(output.status.success(), "measuring: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let times = text.lines().map(|line| Ok(line.parse()?));
    let times = times.collect::<Result<Vec<_>>>()?;
    ensure!(times.len() == ACTIONS.len(), "measuring said {text:?}");
    Ok(times)
}

/// Where the controllers are: in the one hierarchy, or in several.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let root = PathBuf::from(ROOT);
    if root.join("cgroup.controllers").exists() {
        fs::write(root.join("cgroup.subtree_control"), CONTROLLERS)
            .context("cannot turn controllers on at the root")?;
        return Ok(vec![root]);
    }
    let separate = ["cpu", "memory", "pids"].map(|name| root.join(name));
    let usable = |dir: &PathBuf| dir.join("cgroup.procs").exists();
    ensure!(
        separate.iter().all(usable),
        "{ROOT} has neither version 2 nor cpu, memory and pids of version 1"
    );
    Ok(separate.into())
}

/// Ten cgroups, one in the other, each with two leaves that no other cgroup is in.
struct Chain {
    /// What holds a level, from the root on.
    parents: Vec<PathBuf>,
    leaf_name: String,
    /// In the order in which they were made.
    made: Vec<PathBuf>,
}

impl Chain {
    fn make(root: PathBuf) -> Result<Self> {
        let name = format!("berth-depth-{}", std::process::id());
        let mut chain = Self {
            parents: vec![root],
            leaf_name: format!("{name}.leaf"),
            made: Vec::new(),
        };
        for depth in 1..=DEEPEST {
            let parent = chain.parents[depth - 1].clone();
            let leaf = chain.leaf(depth);
            chain.mkdir(sibling(&leaf))?;
            chain.mkdir(leaf)?;
            if depth == DEEPEST {
                break;
            }
            let next = parent.join(&name);
            chain.mkdir(next.clone())?;
            // Version 2 alone, and only what is there: other hierarchies may have the controllers.
            if let Ok(there) = fs::read_to_string(next.join("cgroup.controllers")) {
                let wanted = |name: &&str| ["cpu", "memory", "pids"].contains(name);
                let wanted = there.split_whitespace().filter(wanted);
                let on: String = wanted.map(|name| format!("+{name} ")).collect();
                let control = next.join("cgroup.subtree_control");
                fs::write(&control, on)
                    .with_context(|| format!("cannot write {}", control.display()))?;
            }
            chain.parents.push(next);
        }
        Ok(chain)
    }

    fn mkdir(&mut self, dir: PathBuf) -> Result<()> {
        fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        self.made.push(dir);
        Ok(())
    }

    fn leaf(&self, depth: usize) -> PathBuf {
        self.parents[depth - 1].join(&self.leaf_name)
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        for dir in self.made.iter().rev() {
            if let Err(error) = fs::remove_dir(dir) {
                eprintln!("cannot remove {}: {error}", dir.display());
            }
        }
    }
}

fn sibling(leaf: &Path) -> PathBuf {
    leaf.with_extension("other")
}

/// In the leaves: microseconds for each action, a line each.
fn measure(leaves: &Leaves) -> Result<()> {
    enter(leaves)?;
    for (name, count, act) in ACTIONS {
        let begin = Instant::now();
        act(leaves, count).context(name)?;
        println!("{}", begin.elapsed().as_secs_f64() * 1e6 / count as f64);
    }
    Ok(())
}

fn enter(leaves: &Leaves) -> Result<()> {
    for leaf in leaves {
        // 0 is whoever writes.
        fs::write(leaf.join("cgroup.procs"), "0")
            .with_context(|| format!("cannot enter {}", leaf.display()))?;
    }
    Ok(())
}

fn start_programs(_: &Leaves, count: usize) -> Result<()> {
    for _ in 0..count {
        ensure!(Command::new("/bin/true").status()?.success(), "/bin/true");
    }
    Ok(())
}

fn start_threads(_: &Leaves, count: usize) -> Result<()> {
    for _ in 0..count {
        let ended = thread::Builder::new().spawn(|| {})?.join();
        ensure!(ended.is_ok(), "a thread that does nothing failed");
    }
    Ok(())
}

fn touch_pages(_: &Leaves, count: usize) -> Result<()> {
    let mut buffer = vec![0_u8; count * PAGE];
    for page in buffer.chunks_mut(PAGE) {
        page[0] = 1;
    }
    black_box(&buffer);
    Ok(())
}

/// A byte there and back between two threads.
fn switch(_: &Leaves, count: usize) -> Result<()> {
    let (mut here, mut there) = (pipe()?, pipe()?);
    let answering = thread::spawn(move || -> std::io::Result<()> {
        let mut byte = [0];
        for _ in 0..count {
            here.0.read_exact(&mut byte)?;
            there.1.write_all(&byte)?;
        }
        Ok(())
    });
    let mut byte = [0];
    for _ in 0..count {
        here.1.write_all(&byte)?;
        there.0.read_exact(&mut byte)?;
    }
    let answered = answering.join().ok().context("the other thread failed")?;
    Ok(answered?)
}

fn read_place(_: &Leaves, count: usize) -> Result<()> {
    for _ in 0..count {
        black_box(fs::read("/proc/self/cgroup")?);
    }
    Ok(())
}

fn move_away(leaves: &Leaves, count: usize) -> Result<()> {
    let others: Vec<_> = leaves.iter().map(|leaf| sibling(leaf)).collect();
    for _ in 0..count {
        enter(&others)?;
        enter(leaves)?;
    }
    Ok(())
}

fn make_cgroups(leaves: &Leaves, count: usize) -> Result<()> {
    for _ in 0..count {
        for leaf in leaves {
            fs::create_dir(leaf.join("child"))?;
            fs::remove_dir(leaf.join("child"))?;
        }
    }
    Ok(())
}

fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

/// What a level more costs in that round, as a part of what depth 1 costs: least squares.
fn slope(columns: &[Vec<f64>], round: usize) -> f64 {
    let points = DEPTHS.map(|depth| depth as f64);
    let count = points.len() as f64;
    let middle = points.iter().sum::<f64>() / count;
    let spread: f64 = points.iter().map(|depth| (depth - middle).powi(2)).sum();
    let rise: f64 = points
        .iter()
        .zip(columns)
        .map(|(depth, times)| (depth - middle) * times[round])
        .sum();
    rise / spread / quantile(&columns[0], 0.5)
}

fn short(time: f64) -> String {
    match time {
        t if t < 10.0 => format!("{t:.2}"),
        t if t < 100.0 => format!("{t:.1}"),
        t => format!("{t:.0}"),
    }
}

fn percent(part: f64) -> String {
    format!("{:+.1} %", part * 100.0)
}
