//! A program on a terminal, as a person at the keyboard has it.

use crate::command::{self, Output, wait};
use anyhow::{Context, Result, bail};
use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A program with a controlling terminal.
#[derive(Debug)]
pub struct Pty {
    child: Child,
    master: File,
    /// Path of the terminal on the machine's side.
    tty: String,
    output: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    /// How much of `seen` an earlier [`Pty::expect`] has answered already.
    consumed: usize,
    command: String,
    start: Instant,
}

impl Pty {
    pub(crate) fn spawn(command: &Command, shown: &str) -> Result<Self> {
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(&size, None).context("cannot open a terminal")?;
        let tty = nix::unistd::ttyname(&pair.slave).context("cannot name the terminal")?;
        // setsid(1) makes the terminal the controlling one, so that window changes and job
        // control reach ssh.
        let mut setsid = Command::new("setsid");
        setsid
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args());
        if let Some(dir) = command.get_current_dir() {
            setsid.current_dir(dir);
        }
        let child = setsid
            .env("TERM", "xterm")
            .stdin(Stdio::from(pair.slave.try_clone()?))
            .stdout(Stdio::from(pair.slave.try_clone()?))
            .stderr(Stdio::from(pair.slave))
            .spawn()
            .context("cannot run setsid")?;
        let master = File::from(pair.master);
        let mut reader = master.try_clone()?;
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // The end is EIO: the last process has closed the terminal.
            while let Ok(n @ 1..) = reader.read(&mut chunk) {
                if sender.send(chunk[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            master,
            tty: tty.display().to_string(),
            output,
            seen: Vec::new(),
            consumed: 0,
            command: shown.to_owned(),
            start: Instant::now(),
        })
    }

    /// Types `text`; a line ends with `\n`, ctrl-C is `\x03`.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.master
            .write_all(text.as_bytes())
            .context("cannot type on the terminal")
    }

    /// Waits until `text` shows up after what earlier calls have found, at most `limit`.
    /// Returns everything up to its end.
    pub fn expect(&mut self, text: &str, limit: Duration) -> Result<String> {
        let end = Instant::now() + limit;
        loop {
            let fresh = &self.seen[self.consumed..];
            if let Some(at) = find(fresh, text.as_bytes()) {
                let upto = at + text.len();
                let answer = String::from_utf8_lossy(&fresh[..upto]).into_owned();
                self.consumed += upto;
                return Ok(answer);
            }
            match self
                .output
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(chunk) => self.seen.extend(chunk),
                Err(why) => {
                    let ended = why == RecvTimeoutError::Disconnected;
                    let why = if ended { "before the end" } else { "in time" };
                    let fresh = String::from_utf8_lossy(&self.seen[self.consumed..]);
                    bail!(
                        "no “{text}” {why} on the terminal of `{}`:\n{fresh}",
                        self.command
                    );
                }
            }
        }
    }

    /// Changes the window's size, as dragging its corner does.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut stty = Command::new("stty");
        stty.args(["-F", &self.tty, "cols", &columns, "rows", &rows]);
        command::run(&mut stty, "stty", "", Duration::from_secs(10))?.ok()?;
        Ok(())
    }

    /// How many bytes of the output [`Pty::expect`] has returned so far.
    pub fn shown(&self) -> usize {
        self.consumed
    }

    /// Waits for the program's end; all that it showed is the output.
    pub fn finish(mut self, limit: Duration) -> Result<Output> {
        let Some(status) = wait(&mut self.child, limit)? else {
            self.pump(Duration::ZERO);
            let seen = String::from_utf8_lossy(&self.seen).into_owned();
            bail!(
                "`{}` still runs on its terminal after {limit:?}:\n{seen}",
                self.command
            );
        };
        self.pump(Duration::from_secs(1));
        Ok(Output {
            command: self.command.clone(),
            code: command::code(status),
            stdout: String::from_utf8_lossy(&self.seen).into_owned(),
            stderr: String::new(),
            took: self.start.elapsed(),
        })
    }

    /// Reads what is left.
    fn pump(&mut self, limit: Duration) {
        let end = Instant::now() + limit;
        while let Ok(chunk) = self
            .output
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            self.seen.extend(chunk);
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    if what.is_empty() {
        return Some(0);
    }
    text.windows(what.len()).position(|window| window == what)
}
