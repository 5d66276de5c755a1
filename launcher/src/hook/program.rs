//! One program of the owner's, run with a limit on its time.

use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use berth_kernel::process::{self, Child, Exit};
use berth_kernel::signal;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::Confinement;
use crate::error::Plain;

/// What of a program's output is kept: the last bytes.
const KEPT: usize = 2048;
/// sh(1)'s codes for a program that cannot be executed, and for one that is not there.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// A program, its arguments and its environment.
pub struct Program {
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Exited(Exit),
    /// It took too long and was killed.
    TooLong(Duration),
    /// Nobody waited for the start any more.
    GivenUp,
}

impl End {
    pub fn is_success(self) -> bool {
        matches!(self, Self::Exited(exit) if exit.success())
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(exit) => write!(f, "failed ({exit})"),
            Self::TooLong(limit) => {
                write!(
                    f,
                    "has not ended in {} s and was killed",
                    limit.as_secs_f32()
                )
            }
            Self::GivenUp => f.write_str("was killed: the start was given up"),
        }
    }
}

/// The first word of a command that needs no shell to be read.
pub fn only_program(text: &str) -> Option<&str> {
    is_plain(text).then(|| text.split_whitespace().next())?
}

/// Whether a shell would do nothing with a command but to split it at blanks.
fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:,@%+-=".contains(c);
    let first = text.split_whitespace().next().unwrap_or_default();
    !first.contains('=') && text.chars().all(|c| plain(c) || c == ' ' || c == '\t')
}

impl Program {
    /// A command as sh(1) reads it, with arguments behind it. `environment`: what is set
    /// beforehand; `None`: this process's own.
    pub fn new(text: &str, arguments: Vec<String>, environment: Option<&[CString]>) -> Self {
        let mut words: Vec<String> = if is_plain(text) {
            text.split_whitespace().map(str::to_owned).collect()
        } else {
            let script = format!("exec {text} \"$@\"");
            ["/bin/sh", "-c", &script, "hook"]
                .map(str::to_owned)
                .to_vec()
        };
        words.extend(arguments);
        let own = || {
            use std::os::unix::ffi::OsStringExt;
            let pairs = std::env::vars_os().map(|(name, value)| {
                CString::new([name.into_vec(), b"=".to_vec(), value.into_vec()].concat())
            });
            pairs.filter_map(Result::ok).collect()
        };
        Self {
            arguments: words
                .into_iter()
                .filter_map(|word| CString::new(word).ok())
                .collect(),
            environment: environment.map_or_else(own, <[CString]>::to_vec),
        }
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        let before = format!("{name}=");
        self.environment
            .retain(|entry| !entry.as_bytes().starts_with(before.as_bytes()));
        self.environment
            .extend(CString::new(format!("{before}{value}")));
    }

    /// Runs it and waits for its end, at most `limit`; how it ended and the last it printed.
    /// Something to read from `given_up` ends it early. Processes that it leaves behind in its
    /// session end with it only if it is ended. `confinement` is the last that its process does.
    pub fn run(
        &self,
        limit: Duration,
        given_up: Option<BorrowedFd<'_>>,
        confinement: Option<&Confinement<'_>>,
    ) -> io::Result<(End, String)> {
        let (output, input) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let child = process::fork(|| self.become_it(&input, confinement))?;
        drop(input);
        berth_kernel::sock::set_nonblocking(output.as_fd(), true)?;
        let mut said = Vec::new();
        let end = wait(&child, output, limit, given_up, &mut said);
        if !matches!(end, Ok(End::Exited(_))) {
            // Not its leader yet if it has only just been made.
            let _ = nix::sys::signal::killpg(Pid::from_raw(child.pid), Signal::SIGKILL);
            let _ = child.pidfd.signal(Signal::SIGKILL as i32);
            child.pidfd.wait()?;
        }
        let said = String::from_utf8_lossy(&said);
        Ok((end?, crate::printable::printable(&said).into_owned()))
    }

    fn become_it(&self, output: &OwnedFd, confinement: Option<&Confinement<'_>>) -> u8 {
        let keep = confinement.map(|confinement| confinement.keep);
        let prepared = self
            .prepare(output, keep.as_slice())
            .and_then(|()| confinement.map_or(Ok(()), |c| (c.apply)().map_err(io::Error::other)));
        let failure = match prepared {
            Ok(()) => self.execute(),
            Err(error) => error,
        };
        let name = self.arguments.first().map(|name| name.to_string_lossy());
        let name = name.unwrap_or_default();
        // Its parent reads what this process says.
        let _ = writeln!(io::stderr(), "cannot execute {name}: {}", Plain(&failure));
        match failure.kind() {
            io::ErrorKind::NotFound => NOT_FOUND,
            _ => NOT_EXECUTABLE,
        }
    }

    fn prepare(&self, output: &OwnedFd, keep: &[BorrowedFd<'_>]) -> io::Result<()> {
        let null = File::open("/dev/null")?;
        process::set_standard_stream(0, null.as_fd())?;
        drop(null);
        for number in [1, 2] {
            process::set_standard_stream(number, output.as_fd())?;
        }
        // Nothing of the monitor's, least of all what leads from the container to the host.
        process::close_others(keep)?;
        nix::unistd::setsid()?;
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        nix::unistd::chdir("/")?;
        signal::reset()
    }

    fn execute(&self) -> io::Error {
        let Some(program) = self.arguments.first() else {
            return io::ErrorKind::NotFound.into();
        };
        let path = self
            .environment
            .iter()
            .find_map(|entry| entry.to_str().ok()?.strip_prefix("PATH="));
        let path = path.unwrap_or(crate::exec::DEFAULT_PATH);
        match program.to_bytes().contains(&b'/') {
            true => {
                let path = Path::new(std::ffi::OsStr::new(program.to_str().unwrap_or_default()));
                process::exec(path, &self.arguments, &self.environment)
            }
            false => process::exec_in_path(program, path, &self.arguments, &self.environment),
        }
    }
}

fn wait(
    child: &Child,
    output: OwnedFd,
    limit: Duration,
    given_up: Option<BorrowedFd<'_>>,
    said: &mut Vec<u8>,
) -> io::Result<End> {
    let deadline = Instant::now() + limit;
    let mut output = Some(File::from(output));
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(End::TooLong(limit));
        }
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = vec![readable(child.pidfd.as_fd())];
        fds.extend(given_up.map(readable));
        fds.extend(output.as_ref().map(|output| readable(output.as_fd())));
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, left) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let given_up =
            given_up.is_some() && fds[1].revents().is_some_and(|events| !events.is_empty());
        let ended = child.pidfd.try_wait()?;
        // Whoever has the other end of the pipe still may be no part of the hook any more.
        if output.as_mut().is_some_and(|output| !take(output, said)) {
            output = None;
        }
        match ended {
            Some(exit) => return Ok(End::Exited(exit)),
            None if given_up => return Ok(End::GivenUp),
            None => {}
        }
    }
}

/// Takes what is there; whether more may come.
fn take(output: &mut File, said: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    // A program that prints without end has its time all the same.
    for _ in 0..64 {
        match output.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => {
                said.extend_from_slice(&buffer[..count]);
                if said.len() > KEPT {
                    said.drain(..said.len() - KEPT);
                }
            }
            Err(error) => return error.kind() != io::ErrorKind::BrokenPipe,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, limit: Duration) -> (End, String) {
        let mut program = Program::new(text, vec!["a b".to_owned()], Some(&[]));
        program.set("A", "1");
        program.set("A", "2");
        program.run(limit, None, None).unwrap()
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_shell_reads_commands_that_need_one() {
        let ok = |said: &str| (End::Exited(Exit::Code(0)), said.to_owned());
        assert_eq!(run("echo one", LONG), ok("one a b\n"));
        assert_eq!(
            run("/bin/sh -c 'echo $A $0; exit 3'", LONG).0,
            End::Exited(Exit::Code(3))
        );
        assert_eq!(run("printf '%s-' $A \"x  y\"", LONG), ok("2-x  y-a b-"));
        assert_eq!(only_program("/opt/hook --x=1 y"), Some("/opt/hook"));
        for text in ["A=1 /opt/hook", "/opt/$A", "/opt/a; b", "'/opt/a b'"] {
            assert_eq!(only_program(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_executed_says_so() {
        let (end, said) = run("/nowhere/hook", LONG);
        assert_eq!(end, End::Exited(Exit::Code(127)));
        assert!(
            said.contains("cannot execute /nowhere/hook: No such file"),
            "{said}"
        );
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_what_it_started() {
        let marker = std::env::temp_dir().join(format!("berth-hook-{}", std::process::id()));
        let script = format!(
            "sh -c 'echo begun; (sleep 60; echo >{}) & echo $! ; wait'",
            marker.display()
        );
        let began = Instant::now();
        let (end, said) = run(&script, Duration::from_millis(300));
        assert_eq!(end, End::TooLong(Duration::from_millis(300)));
        assert!(began.elapsed() < LONG);
        let pid: i32 = said.lines().nth(1).unwrap().parse().unwrap();
        let gone = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        while !gone() {
            assert!(began.elapsed() < LONG, "{said}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_daemon_that_a_program_leaves_is_not_waited_for() {
        let began = Instant::now();
        let (end, said) = run("sh -c 'echo done; sleep 30 &'", LONG);
        assert!(end.is_success() && began.elapsed() < LONG);
        assert_eq!(said, "done\n");
    }

    #[test]
    fn only_the_end_of_a_long_output_is_kept() {
        let (end, said) = run("sh -c 'yes | head -c 1000000; echo last'", LONG);
        assert!(end.is_success());
        assert!(said.len() <= KEPT && said.ends_with("last\n"));
    }

    #[test]
    fn a_start_that_is_given_up_ends_its_hook() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(theirs);
        let program = Program::new("sleep 60", Vec::new(), None);
        let (end, _) = program.run(LONG, Some(ours.as_fd()), None).unwrap();
        assert_eq!(end, End::GivenUp);
    }
}
