//! What is being done, for how long, and where its output went.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Shows steps on standard error and keeps the output of their commands in files.
#[derive(Debug)]
pub struct Progress {
    start: Instant,
    logs: PathBuf,
    live: bool,
}

impl Progress {
    /// Starts the clock; logs go to `logs`.
    pub fn new(logs: &Path) -> Result<Self> {
        std::fs::create_dir_all(logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let live = std::io::stderr().is_terminal();
        Ok(Self {
            start: Instant::now(),
            logs: logs.to_owned(),
            live,
        })
    }

    /// Says one thing.
    pub fn say(&self, text: &str) {
        eprintln!("{} {text}", self.clock());
    }

    /// Runs a command, showing `title` and the seconds; on failure shows the end of its output.
    pub fn run(&self, title: &str, command: &mut Command) -> Result<()> {
        let log = self.log(title);
        let file = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        self.during(title, || {
            let status = command
                .status()
                .with_context(|| format!("cannot run {:?}", command.get_program()))?;
            if !status.success() {
                let text = std::fs::read(&log).unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                let lines: Vec<_> = text.lines().collect();
                let tail = lines[lines.len().saturating_sub(40)..].join("\n");
                bail!("{title}: {status}; the end of {}:\n{tail}", log.display());
            }
            Ok(())
        })
    }

    /// Does something that takes a while, showing `title` and the seconds.
    pub fn during<T>(&self, title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let begin = Instant::now();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let every = Duration::from_secs(if self.live { 1 } else { 20 });
                if self.live {
                    eprint!("{} {title} …", self.clock());
                } else {
                    self.say(&format!("{title} …"));
                }
                let stopped = stopped;
                while stopped.recv_timeout(every) == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
                {
                    let seconds = begin.elapsed().as_secs();
                    if self.live {
                        eprint!("\r\x1b[K{} {title} … {seconds} s", self.clock());
                    } else {
                        self.say(&format!("{title} … {seconds} s"));
                    }
                }
            });
            let result = work();
            drop(stop);
            let word = if result.is_ok() { "done" } else { "FAILED" };
            let line = format!(
                "{} {title}: {word}, {:.1} s",
                self.clock(),
                begin.elapsed().as_secs_f32()
            );
            eprintln!("{}{line}", if self.live { "\r\x1b[K" } else { "" });
            drop(std::io::stderr().flush());
            result
        })
    }

    /// Leaves output in a file.
    pub fn keep(&self, title: &str, text: &str) -> Result<()> {
        let log = self.log(title);
        std::fs::write(&log, text).with_context(|| format!("cannot write {}", log.display()))
    }

    fn log(&self, title: &str) -> PathBuf {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        self.logs.join(format!(
            "{}.log",
            title.chars().map(plain).collect::<String>()
        ))
    }

    fn clock(&self) -> String {
        let seconds = self.start.elapsed().as_secs();
        format!("[{:>2}:{:02}]", seconds / 60, seconds % 60)
    }
}
