//! Commands of the owner's on the host, when an interface comes and goes.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use berth_kernel::process::PidFd;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::Desk;
use crate::error::{Error, Result};
use crate::start::plan::{LinkPlan, NetPlan};
use crate::state::Nic;

/// How long a command has.
pub const TIME: Duration = Duration::from_secs(10);
/// So much of the end of its output is told (bytes).
const TOLD: usize = 1000;

/// A command with everything that it is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptCall {
    /// File, line and key.
    pub at: String,
    /// The command as it is written: a shell's words.
    pub command: String,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// Environment variables beside the monitor's own.
    pub environment: Vec<(String, String)>,
}

/// Notes down what undoes an interface's script, then runs the script.
pub fn up(desk: &mut Desk<'_>, index: usize, net: &NetPlan) -> Result<()> {
    let name = desk.plan.name.as_str();
    let Some(nic) = desk.record.nics.get_mut(index) else {
        return Ok(());
    };
    let up = call(name, net, nic, "up", net.scripts.up.as_ref());
    nic.undo.down = call(name, net, nic, "down", net.scripts.down.as_ref());
    if nic.undo.down.is_some() {
        desk.note()?;
    }
    match up {
        None => Ok(()),
        Some(up) => up.run(TIME).map_err(Error::other),
    }
}

/// LXC's arguments (`NAME net up TYPE [LINK] [NAME ON THE HOST]`) or its environment.
fn call(
    container: &str,
    net: &NetPlan,
    nic: &Nic,
    word: &str,
    script: Option<&(String, String)>,
) -> Option<ScriptCall> {
    let (at, command) = script?;
    let kind = net.link.word();
    let link = net.link.parent().map(ToString::to_string);
    let host = Some(nic.host.clone()).filter(|host| !host.is_empty());
    let mut environment = net.scripts.environment.clone();
    let mut arguments = Vec::new();
    if net.scripts.by_environment {
        let mut set = |name: &str, value: String| environment.push((name.to_owned(), value));
        set("LXC_HOOK_TYPE", word.to_owned());
        set("LXC_HOOK_SECTION", "net".to_owned());
        set("LXC_NET_TYPE", kind.to_owned());
        if let Some(link) = link.filter(|_| net.link != LinkPlan::Empty) {
            set("LXC_NET_PARENT", link);
        }
        if let Some(host) = host {
            set("LXC_NET_PEER", host);
        }
    } else {
        arguments = [container, "net", word, kind]
            .map(ToOwned::to_owned)
            .to_vec();
        arguments.extend(link);
        arguments.extend(host);
    }
    Some(ScriptCall {
        at: at.clone(),
        command: command.clone(),
        arguments,
        environment,
    })
}

impl ScriptCall {
    /// Runs it, as its owner. What it started in its process group ends with it if it takes too
    /// long.
    pub fn run(&self, time: Duration) -> std::result::Result<(), String> {
        let told = |what: String| format!("{}: {}: {what}", self.at, self.command);
        let os = |error: std::io::Error| told(format!("cannot be run: {error}"));
        let (output, theirs) = nix::unistd::pipe().map_err(|errno| os(errno.into()))?;
        for end in [&output, &theirs] {
            fcntl(end, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))
                .map_err(|errno| os(errno.into()))?;
        }
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|errno| os(errno.into()))?;
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("{} \"$@\"", self.command), "sh"])
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(theirs.try_clone().map_err(os)?)
            .stderr(theirs)
            .spawn()
            .map_err(os)?;
        let mut said = Vec::new();
        let ended = wait(&mut child, output, time, &mut said).map_err(os)?;
        let said = String::from_utf8_lossy(&said);
        let said = match said.trim() {
            "" => "it said nothing".to_owned(),
            said => format!("it said: {said}"),
        };
        match ended {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(told(format!("it ended with {status}; {said}"))),
            None => Err(told(format!(
                "it did not end within {} s and was killed; {said}",
                time.as_secs_f32()
            ))),
        }
    }
}

/// Waits for the command's end; `None` if it was killed for taking too long. Who holds the pipe
/// open afterwards (a daemon) is not waited for.
fn wait(
    child: &mut std::process::Child,
    output: OwnedFd,
    time: Duration,
    said: &mut Vec<u8>,
) -> std::io::Result<Option<ExitStatus>> {
    let group = Pid::from_raw(child.id().cast_signed());
    let pidfd = PidFd::open(group.as_raw())?;
    let mut output = std::fs::File::from(output);
    let limit = Instant::now() + time;
    let mut closed = false;
    loop {
        let left = limit.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // It may end by itself at this moment.
            let _ = killpg(group, Signal::SIGKILL);
            child.wait()?;
            read(&mut output, said)?;
            return Ok(None);
        }
        let mut fds = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        if !closed {
            fds.push(PollFd::new(output.as_fd(), PollFlags::POLLIN));
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        closed = closed || read(&mut output, said)?;
        if let Some(status) = child.try_wait()? {
            read(&mut output, said)?;
            return Ok(Some(status));
        }
    }
}

/// Takes what there is, of which the end is kept; whether it was the last.
fn read(output: &mut std::fs::File, said: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut buffer = [0; 4096];
    loop {
        match output.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(count) => {
                said.extend_from_slice(&buffer[..count]);
                let surplus = said.len().saturating_sub(TOLD);
                said.drain(..surplus);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &str, time: Duration) -> std::result::Result<(), String> {
        let call = ScriptCall {
            at: "config:7: lxc.net.0.script.up".to_owned(),
            command: command.to_owned(),
            arguments: vec!["web".to_owned(), "two words".to_owned()],
            environment: vec![("LXC_NET_TYPE".to_owned(), "veth".to_owned())],
        };
        call.run(time)
    }

    #[test]
    fn words_arguments_and_environment_arrive() {
        let check =
            "sh -c 'test \"$1/$3/$LXC_NET_TYPE\" = \"own/two words/veth\" || exit 9' sh own";
        run(check, TIME).unwrap();
    }

    #[test]
    fn a_failure_is_told_with_the_output() {
        let why = run("echo out; echo no bridge >&2; exit 3 #", TIME).unwrap_err();
        assert!(
            why.starts_with("config:7: lxc.net.0.script.up: echo out"),
            "{why}"
        );
        assert!(
            why.contains("exit status: 3") && why.contains("no bridge"),
            "{why}"
        );
    }

    #[test]
    fn one_that_hangs_is_killed_with_what_it_started() {
        let began = Instant::now();
        let why = run(
            "echo waiting; sleep 1000 & echo $!; wait #",
            Duration::from_millis(200),
        );
        let why = why.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(5), "{why}");
        assert!(why.contains("waiting") && why.contains("0.2 s"), "{why}");
        let pid = why.lines().last().unwrap().trim();
        let gone = || {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .map_or(true, |stat| stat.contains(") Z "))
        };
        while !gone() {
            assert!(began.elapsed() < Duration::from_secs(5), "{pid} lives");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_daemon_that_it_leaves_is_not_waited_for() {
        let began = Instant::now();
        run("setsid sleep 3 & #", TIME).unwrap();
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}
