//! One command, timed.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use berth_kernel::process::PidFd;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// No peer needs as long as this.
const LIMIT: Duration = Duration::from_secs(20);

/// The FIFO into which the payload writes a byte as its first act.
pub struct Mark(File);

impl Mark {
    /// Opens it.
    pub fn open(fifo: &Path) -> Result<Self> {
        // Open for writing too, it never comes to its end.
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(fifo)
            .with_context(|| format!("cannot open {}", fifo.display()))?;
        Ok(Self(file))
    }

    /// Takes what is in it; whether there was anything.
    fn take(&self) -> io::Result<bool> {
        let mut bytes = [0; 16];
        match (&self.0).read(&mut bytes) {
            Ok(count) => Ok(count > 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Since the moment before the command was started.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Until the payload ran; `None` if none was waited for.
    pub payload: Option<Duration>,
    /// Until the command ended.
    pub command: Duration,
}

/// Runs a command that must succeed and, if `mark` is given, must bring the payload to run. Its
/// errors are kept in the file `said`.
pub fn time(command: &mut Command, mark: Option<&Mark>, said: &Path) -> Result<Times> {
    let program = command.get_program().display().to_string();
    if let Some(mark) = mark {
        mark.take().context("cannot read the mark")?;
    }
    // A pipe would be held open by what the command leaves running.
    let errors = File::create(said).with_context(|| format!("cannot make {}", said.display()))?;
    let (out, errors) = (errors.try_clone()?, errors);
    command.stdin(Stdio::null()).stdout(out).stderr(errors);

    let start = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let ended = PidFd::open(i32::try_from(child.id())?)?;
    let mut payload = None;
    let mut status = None;
    while status.is_none() || (mark.is_some() && payload.is_none()) {
        let left = LIMIT.saturating_sub(start.elapsed());
        if left.is_zero() {
            child.kill()?;
            child.wait()?;
            bail!(
                "{program} took longer than {} s{}",
                LIMIT.as_secs(),
                last_words(said)
            );
        }
        let mut fds = Vec::new();
        if status.is_none() {
            fds.push(PollFd::new(ended.as_fd(), PollFlags::POLLIN));
        }
        if let (Some(mark), None) = (mark, payload) {
            fds.push(PollFd::new(mark.0.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, PollTimeout::try_from(left)?) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => bail!("cannot wait for {program}: {errno}"),
        }
        let now = start.elapsed();
        if payload.is_none() && mark.is_some_and(|mark| mark.take().unwrap_or(false)) {
            payload = Some(now);
        }
        if status.is_none()
            && let Some(ended) = child.try_wait()?
        {
            if !ended.success() {
                bail!("{program} failed ({ended}){}", last_words(said));
            }
            status = Some(now);
        }
    }
    let command = status.context("the command did not end")?;
    Ok(Times { payload, command })
}

fn last_words(said: &Path) -> String {
    let text = std::fs::read(said).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [] => String::new(),
        [.., last] => format!(": {last}"),
    }
}

/// Runs a command that must succeed, untimed.
pub fn run(command: &mut Command, said: &Path) -> Result<()> {
    time(command, None, said).map(drop)
}
