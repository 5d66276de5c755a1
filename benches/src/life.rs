//! The measurement of what a person does with containers all day, each beside LXC's command for it,
//! in turn: snapshot and ephemeral copy of a root file system of some size, the stop of a busybox
//! container, and the list of a thousand.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use berth_test_private_host::{Host, ID, SUBID};

use crate::contender::{Build, By};
use crate::report::machine;
use crate::statistics::{Samples, Summary};
use crate::within::within;
use crate::{Life, binaries, idle, sample};

const NAME: &str = "web";
const COPY: &str = "copy";
/// How often a rest is repeated on a busy machine.
const PATIENCE: u32 = 5;
/// What a file of the large root file system has, in KiB.
const PIECE: u32 = 100;
/// An init that has just begun does not hear yet that it is to stop.
const SETTLED: Duration = Duration::from_millis(500);

/// One thing that both do.
struct Task {
    what: &'static str,
    /// Before each sample, not timed.
    before: fn(&Stage<'_>, Of) -> Vec<Command>,
    timed: fn(&Stage<'_>, Of) -> Command,
    /// After it, not timed.
    after: fn(&Stage<'_>, Of) -> Vec<Command>,
}

/// Whose command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Berth,
    Lxc(By),
}

const TASKS: [Task; 4] = [
    Task {
        what: "snapshot",
        before: |_, _| Vec::new(),
        timed: |stage, of| match of {
            Of::Berth => stage.berth(&["snapshot", "create", NAME]),
            Of::Lxc(by) => stage.lxc(by, "lxc-snapshot", &["-n", NAME]),
        },
        after: |stage, of| {
            vec![match of {
                Of::Berth => stage.berth(&["snapshot", "delete", NAME, "--all"]),
                Of::Lxc(by) => stage.lxc(by, "lxc-snapshot", &["-n", NAME, "-d", "snap0"]),
            }]
        },
    },
    Task {
        what: "ephemeral copy, until it runs",
        before: |_, _| Vec::new(),
        timed: |stage, of| match of {
            Of::Berth => stage.berth(&["copy", "--ephemeral", NAME, COPY]),
            Of::Lxc(by) => stage.lxc(by, "lxc-copy", &["-e", "-n", NAME, "-N", COPY]),
        },
        after: |stage, of| {
            vec![match of {
                Of::Berth => stage.berth(&["stop", "-k", COPY]),
                Of::Lxc(by) => stage.lxc(by, "lxc-stop", &["-k", "-n", COPY]),
            }]
        },
    },
    Task {
        what: "stop of busybox",
        before: |stage, of| {
            vec![match of {
                Of::Berth => stage.berth(&["start", NAME]),
                Of::Lxc(by) => stage.lxc(by, "lxc-start", &["-n", NAME]),
            }]
        },
        timed: |stage, of| match of {
            Of::Berth => stage.berth(&["stop", NAME]),
            Of::Lxc(by) => stage.lxc(by, "lxc-stop", &["-n", NAME]),
        },
        after: |_, _| Vec::new(),
    },
    Task {
        what: "list of many",
        before: |_, _| Vec::new(),
        timed: |stage, of| match of {
            Of::Berth => stage.berth_at(&stage.many, &["ls"]),
            Of::Lxc(by) => stage.lxc_at(&stage.many, by, "lxc-ls", &["-f"]),
        },
        after: |_, _| Vec::new(),
    },
];

/// Measures and prints.
pub fn run(options: &Life) -> Result<()> {
    let programs = binaries::find(options.bin_dir.as_deref())?;
    within(vec![(Build::Measured, programs)], |host| {
        measure(host, options)
    })
}

fn measure(host: &Host, options: &Life) -> Result<()> {
    let stage = Stage {
        host,
        options,
        many: host.home().join("many"),
        said: host.home().join("said"),
    };
    stage.furnish()?;
    println!(
        "{}\n{} samples each, in turn, after {} ms of rest; {} MB of root file system, {} \
         containers in the list. Milliseconds.\n",
        machine(),
        options.samples,
        options.idle_ms,
        options.megabytes,
        options.containers
    );
    println!(
        "| {:<30} | by   | median |    p95 |    min | × LXC |\n|{}|------|-------:|-------:|-------:|------:|",
        "",
        "-".repeat(32)
    );
    for task in &TASKS {
        let lxc = [By::User, By::Root]
            .into_iter()
            .map(Of::Lxc)
            .map(|of| (of, stage.once(task, of)));
        let (mut found, mut whys) = (None, Vec::new());
        for (of, tried) in lxc {
            match tried {
                Ok(_) => {
                    found = Some(of);
                    break;
                }
                Err(why) => whys.push(format!("{why:#}")),
            }
        }
        let mut ours = Samples::default();
        let mut theirs = Samples::default();
        for _ in 0..options.samples {
            ours.push(stage.once(task, Of::Berth)?);
            if let Some(of) = found {
                theirs.push(stage.once(task, of)?);
            }
        }
        let median = theirs.summary().map(|summary| summary.median);
        row(task.what, "berth", By::User, &ours, median);
        match found {
            Some(Of::Lxc(by)) => row(task.what, "LXC", by, &theirs, median),
            _ => println!("not measured: {} of LXC: {}", task.what, whys.join("; ")),
        }
    }
    Ok(())
}

fn row(what: &str, whose: &str, by: By, samples: &Samples, reference: Option<f64>) {
    let Some(Summary { min, median, p95 }) = samples.summary() else {
        return;
    };
    let ratio = reference.map_or_else(String::new, |other| format!("{:.2}", median / other));
    let name = format!("{what}, {whose}");
    println!(
        "| {name:<30} | {:<4} | {median:>6.1} | {p95:>6.1} | {min:>6.1} | {ratio:>5} |",
        by.word()
    );
}

struct Stage<'a> {
    host: &'a Host,
    options: &'a Life,
    many: PathBuf,
    said: PathBuf,
}

impl Stage<'_> {
    fn berth_at(&self, lxcpath: &Path, words: &[&str]) -> Command {
        let mut command = self.host.as_user(Build::Measured.dir().join("berth"));
        command.arg("-P").arg(lxcpath).args(words);
        command
    }

    fn berth(&self, words: &[&str]) -> Command {
        self.berth_at(&self.host.lxcpath(), words)
    }

    fn lxc_at(&self, lxcpath: &Path, by: By, program: &str, words: &[&str]) -> Command {
        let mut command = match by {
            By::User => self.host.as_user(program),
            By::Root => self.host.as_root(program),
        };
        command.arg("-P").arg(lxcpath).args(words);
        command
    }

    fn lxc(&self, by: By, program: &str, words: &[&str]) -> Command {
        self.lxc_at(&self.host.lxcpath(), by, program, words)
    }

    /// One sample.
    fn once(&self, task: &Task, of: Of) -> Result<Duration> {
        let run = |mut command: Command| sample::run(&mut command, &self.said);
        let before = (task.before)(self, of);
        let starts = !before.is_empty();
        before.into_iter().try_for_each(run)?;
        if starts {
            std::thread::sleep(SETTLED);
        }
        idle::rest(Duration::from_millis(self.options.idle_ms), PATIENCE)?;
        let timed = sample::time(&mut (task.timed)(self, of), None, &self.said)
            .with_context(|| task.what.to_owned());
        // Whatever it left is removed also where it failed.
        let cleared = (task.after)(self, of).into_iter().try_for_each(run);
        let times = timed?;
        cleared?;
        Ok(times.command)
    }

    /// A container with a large root file system, and many with none.
    fn furnish(&self) -> Result<()> {
        sample::run(
            &mut self.berth(&["create", NAME, "-t", "busybox"]),
            &self.said,
        )?;
        let dir = self.host.lxcpath().join(NAME);
        let text: String = fs::read_to_string(dir.join("config"))?
            .lines()
            .filter(|line| !line.starts_with("lxc.net."))
            .map(|line| format!("{line}\n"))
            .collect();
        let text = text + "lxc.net.0.type = empty\nlxc.apparmor.profile = unconfined\n";
        fs::write(dir.join("config"), &text)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
        let data = dir.join("rootfs/data");
        fs::create_dir(&data)?;
        chown(&data, Some(SUBID), Some(SUBID))?;
        let files = (self.options.megabytes * 1000).div_ceil(PIECE);
        for number in 0..files {
            let file = data.join(format!("file{number}"));
            // No two alike, and nothing that a file system could leave out.
            let content: Vec<u8> = (0..PIECE * 1000)
                .map(|at| (at.wrapping_mul(31) ^ number) as u8 | 1)
                .collect();
            fs::write(&file, content)?;
            chown(&file, Some(SUBID), Some(SUBID))?;
        }
        fs::create_dir(&self.many)?;
        chown(&self.many, Some(ID), Some(ID))?;
        for number in 0..self.options.containers {
            let dir = self.many.join(format!("c{number:04}"));
            fs::create_dir(&dir)?;
            fs::write(dir.join("config"), &text)?;
            chown(&dir, Some(ID), Some(ID))?;
        }
        match fs::read_dir(&self.many)?.count() {
            0 => bail!("no containers were made"),
            _ => Ok(()),
        }
    }
}
