//! Connections to the guest's sshd: one connection is one login, as PAM and logind see it, and
//! each command is a channel of it.

use crate::Pty;
use crate::command::{self, Output, wait};
use crate::guest::{GUEST_ADDRESS, Namespaces};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a command may take unless a test says otherwise.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// Which sshd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// The distribution's sshd with PAM: a login.
    Login = 22,
    /// A second sshd without PAM, so that root's commands are no login.
    Root = 2222,
}

/// A connection that stays open until it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    master: Child,
    namespaces: Namespaces,
    dir: PathBuf,
    socket: String,
    target: String,
    key: PathBuf,
}

impl Connection {
    /// Logs in as `user`; tries again until `limit` when nobody answers yet.
    pub(crate) fn open(
        namespaces: Namespaces,
        dir: &Path,
        key: &Path,
        (user, port): (&str, Port),
        name: &str,
        limit: Duration,
    ) -> Result<Self> {
        let end = Instant::now() + limit;
        let socket = format!("{name}.ssh");
        let target = format!("{user}@{GUEST_ADDRESS}");
        let log = dir.join(format!("{name}.log"));
        loop {
            let errors = File::create(&log)?;
            let mut command = namespaces.command("ssh");
            // The socket's path is relative: absolute ones may be too long for a socket.
            command.args(options(key)).args(["-M", "-N", "-S", &socket]);
            // The first who answers is awaited; a busy host is not asked anew every two seconds.
            let patience = match port {
                Port::Login => "ConnectTimeout=30",
                Port::Root => "ConnectTimeout=2",
            };
            command.args(["-o", patience, "-p", &(port as u16).to_string(), &target]);
            let mut master = command
                .current_dir(dir)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(errors)
                .spawn()
                .context("cannot run nsenter")?;
            while !dir.join(&socket).exists() {
                if master.try_wait()?.is_some() {
                    break;
                }
                if Instant::now() > end {
                    master.kill()?;
                    master.wait()?;
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            if master.try_wait()?.is_none() {
                let (dir, key) = (dir.to_owned(), key.to_owned());
                return Ok(Self {
                    master,
                    namespaces,
                    dir,
                    socket,
                    target,
                    key,
                });
            }
            if Instant::now() > end || !namespaces.exist() {
                let why = std::fs::read_to_string(&log).unwrap_or_default();
                let off = if namespaces.exist() {
                    ""
                } else {
                    " (the guest is off)"
                };
                bail!("no login as {user} within {limit:?}{off}: {}", why.trim());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The ssh command for a channel of this connection.
    pub(crate) fn channel(&self, extra: &[&str]) -> Command {
        // The client sends signals to the connection's process by pid, so both have to see the
        // same pids.
        let mut ssh = self.namespaces.command("ssh");
        ssh.args(options(&self.key))
            .args(["-S", &self.socket])
            .args(extra)
            .arg(&self.target);
        ssh.current_dir(&self.dir);
        ssh
    }

    pub(crate) fn run(&self, command: &str, input: &str, limit: Duration) -> Result<Output> {
        let mut ssh = self.channel(&["-T"]);
        command::run(ssh.arg("--").arg(command), command, input, limit)
    }

    /// Closes the connection: sshd ends the login.
    fn close(&mut self) -> Result<()> {
        let mut exit = self.namespaces.command("ssh");
        exit.args(options(&self.key))
            .args(["-S", &self.socket, "-O", "exit", &self.target]);
        exit.current_dir(&self.dir);
        command::run(&mut exit, "ssh -O exit", "", Duration::from_secs(10))?;
        if wait(&mut self.master, Duration::from_secs(10))?.is_none() {
            let target = &self.target;
            bail!("the ssh connection of {target} did not close within 10 s");
        }
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if matches!(self.master.try_wait(), Ok(None)) {
            drop(self.close());
            drop(self.master.kill());
            drop(self.master.wait());
        }
        drop(std::fs::remove_file(self.dir.join(&self.socket)));
    }
}

fn options(key: &Path) -> Vec<String> {
    let mut words = vec![
        "-F".into(),
        "none".into(),
        "-i".into(),
        key.display().to_string(),
    ];
    for option in [
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "BatchMode=yes",
        "ConnectionAttempts=1",
        "ServerAliveInterval=20",
        "ServerAliveCountMax=6",
    ] {
        words.push("-o".into());
        words.push(option.into());
    }
    words
}

/// A login through sshd and PAM: one session of logind, from connecting to logging out.
#[derive(Debug)]
pub struct Login {
    pub(crate) connection: Connection,
    pub(crate) user: String,
}

impl Login {
    /// Runs a shell command in this login session, without a terminal.
    pub fn run(&self, command: &str) -> Result<Output> {
        self.run_for(command, COMMAND_LIMIT)
    }

    /// The same with another time limit.
    pub fn run_for(&self, command: &str, limit: Duration) -> Result<Output> {
        self.connection
            .run(command, "", limit)
            .with_context(|| self.who())
    }

    /// The same with something on standard input.
    pub fn run_with_input(&self, command: &str, input: &str) -> Result<Output> {
        self.connection
            .run(command, input, COMMAND_LIMIT)
            .with_context(|| self.who())
    }

    /// Runs a command on a terminal of 80 columns and 24 rows; an empty command is the login
    /// shell.
    pub fn pty(&self, command: &str) -> Result<Pty> {
        let mut ssh = self.connection.channel(&["-tt"]);
        if !command.is_empty() {
            ssh.arg("--").arg(command);
        }
        Pty::spawn(&ssh, command).with_context(|| self.who())
    }

    /// An `ssh` command for this login, to run with the caller's own terminal.
    pub fn interactive(&self) -> Command {
        self.connection.channel(&["-t"])
    }

    /// Who is logged in.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Logs out and waits until the connection is closed.
    pub fn logout(mut self) -> Result<()> {
        self.connection.close().with_context(|| self.who())
    }

    fn who(&self) -> String {
        format!("in the login of {}", self.user)
    }
}
