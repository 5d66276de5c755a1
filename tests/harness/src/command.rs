//! Commands with a hard time limit.

use anyhow::{Context, Result, anyhow, bail};
use std::fmt;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a command left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command as it was typed.
    pub command: String,
    /// Exit code; 128 + n when signal n ended it, as a shell says it.
    pub code: i32,
    /// Standard output; with a terminal, all output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Output {
    /// Standard output of a command that must have succeeded.
    pub fn ok(self) -> Result<String> {
        self.exits(0)
    }

    /// Standard output of a command that must have ended with `code`.
    pub fn exits(self, code: i32) -> Result<String> {
        if self.code == code {
            Ok(self.stdout)
        } else {
            Err(anyhow!("expected exit code {code} of {self}"))
        }
    }

    /// Standard error of a command that must have failed with `code`.
    pub fn fails(self, code: i32) -> Result<String> {
        if self.code == code {
            Ok(self.stderr)
        } else {
            Err(anyhow!("expected {code} of {self}"))
        }
    }

    /// Whether it exited with 0.
    pub fn success(&self) -> bool {
        self.code == 0
    }

    /// Standard output and standard error, one after the other.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}`: exit code {} after {:.1?}\n--- stdout\n{}--- stderr\n{}",
            self.command, self.code, self.took, self.stdout, self.stderr
        )
    }
}

/// Runs `command` and kills it when it takes longer than `limit`, which is an error. `shown` is
/// how messages call it.
pub fn run(command: &mut Command, shown: &str, input: &str, limit: Duration) -> Result<Output> {
    let start = Instant::now();
    let mut child = command
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    let feeder = child.stdin.take().map(|mut stdin| {
        let input = input.to_owned();
        // A reader that goes away early is the command's business, seen by its exit code.
        std::thread::spawn(move || drop(std::io::Write::write_all(&mut stdin, input.as_bytes())))
    });
    let stdout = child.stdout.take().map(drain);
    let stderr = child.stderr.take().map(drain);
    let status = wait(&mut child, limit)?;
    if status.is_none() {
        child
            .kill()
            .context("cannot kill a command past its time limit")?;
        child.wait().context("cannot wait for a killed command")?;
    }
    let stdout = stdout.map(collect).unwrap_or_default();
    let stderr = stderr.map(collect).unwrap_or_default();
    drop(feeder);
    let Some(status) = status else {
        bail!(
            "`{shown}` took longer than {limit:?}\n--- stdout so far\n{stdout}--- stderr so far\n{stderr}"
        );
    };
    let took = start.elapsed();
    Ok(Output {
        command: shown.to_owned(),
        code: code(status),
        stdout,
        stderr,
        took,
    })
}

/// Waits for `child` at most `limit`; `None` when it still runs then.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a command")? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The exit code as a shell says it.
pub(crate) fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

type Drain = (std::sync::mpsc::Receiver<Vec<u8>>, JoinHandle<()>);

fn drain(mut pipe: impl Read + Send + 'static) -> Drain {
    let (sender, receiver) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut chunk = [0; 8192];
        while let Ok(n @ 1..) = pipe.read(&mut chunk) {
            if sender.send(chunk[..n].to_vec()).is_err() {
                break;
            }
        }
    });
    (receiver, reader)
}

/// What came through the pipe. A grandchild that still holds the pipe open after the command
/// ended is not waited for longer than a second.
fn collect((receiver, _reader): Drain) -> String {
    let end = Instant::now() + Duration::from_secs(1);
    let mut bytes = Vec::new();
    while let Ok(chunk) = receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
        bytes.extend(chunk);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<Output> {
        run(Command::new("sh").args(["-c", script]), script, "in", limit)
    }

    #[test]
    fn output_and_code() {
        let output = shell("cat; echo err >&2; exit 3", Duration::from_secs(10)).unwrap();
        assert_eq!(
            (output.code, &*output.stdout, &*output.stderr),
            (3, "in", "err\n")
        );
        assert!(output.clone().ok().is_err());
        assert_eq!(output.exits(3).unwrap(), "in");
        assert_eq!(
            shell("kill -9 $$", Duration::from_secs(10)).unwrap().code,
            137
        );
    }

    #[test]
    fn a_time_limit_ends_the_command() {
        let start = Instant::now();
        let error = shell("echo early; exec sleep 60", Duration::from_millis(300)).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(20));
        assert!(error.to_string().contains("early"), "{error}");
    }
}
