//! The caller's side of `attach` and `exec`: his terminal or his pipes, the command's exit code.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use berth_common::{ContainerName, exit};
use berth_kernel::signal::SignalQueue;
use berth_kernel::tty::{self, RawMode};
use berth_session_protocol::Connection;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use crate::error::{Error, Result};
use crate::monitor::protocol::{Answer, ExecRequest, Request};
use crate::place::Place;
use crate::state::{Runtime, State};

/// Where programs are looked for in a container that does not say.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the caller's terminal tells programs, and they inside need as well.
const TERMINAL_VARIABLES: [&str; 3] = ["TERM", "COLORTERM", "NO_COLOR"];
/// How much typed text waits for a program that does not read, in bytes.
const MAX_PENDING: usize = 64 * 1024;

/// A command to run in a container.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Program and arguments; nothing: root's shell.
    pub argv: Vec<Vec<u8>>,
    /// `NAME=value` for the command.
    pub environment: Vec<Vec<u8>>,
    /// Where it runs inside.
    pub cwd: Vec<u8>,
}

/// Runs a command in a running container and returns its exit code as a shell counts. The
/// command has a terminal of its own if standard input is one.
pub fn run(place: &Place, name: &ContainerName, options: Options) -> Result<u8> {
    let failed = |error: Error| Error::Code {
        code: exit::RUN_FAILED,
        text: error.to_string(),
    };
    place.require(name).map_err(failed)?;
    let runtime = Runtime::new(place.runtime_dir(name));
    let (state, _) = runtime.state().map_err(failed)?;
    if state != State::Running {
        return Err(failed(Error::NotRunning {
            name: name.clone(),
            state: state.word(),
        }));
    }
    let monitor = Connection::connect(&runtime.socket())
        .map_err(|error| failed(Error::os("reach the container's monitor", error)))?;
    let stdin = std::io::stdin();
    let terminal = tty::is_terminal(&stdin);
    let mut environment: Vec<Vec<u8>> = Vec::new();
    if terminal {
        for variable in TERMINAL_VARIABLES {
            if let Some(value) = std::env::var_os(variable) {
                let value = std::os::unix::ffi::OsStrExt::as_bytes(value.as_os_str()).to_vec();
                environment.push([variable.as_bytes(), b"=", &value].concat());
            }
        }
    }
    environment.extend(options.environment);
    let request = ExecRequest {
        argv: options.argv,
        environment,
        cwd: options.cwd,
        terminal,
    };
    let frame = Request::Exec(request, Vec::new()).frame();
    let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
    let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let fds: &[BorrowedFd<'_>] = if terminal { &[] } else { &streams };
    let watched = [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGWINCH,
    ];
    let mut signals =
        SignalQueue::new(&watched).map_err(|error| failed(Error::os("watch signals", error)))?;
    monitor
        .send(&frame, fds)
        .map_err(|error| failed(Error::other(format!("cannot ask the monitor: {error}"))))?;
    match answer(&monitor).map_err(failed)? {
        Answer::Started(Some(master)) => {
            if !tty::is_master(master.as_fd()) {
                return Err(failed(Error::other("the container's terminal is none")));
            }
            proxy(
                &monitor,
                master,
                stdin.as_fd(),
                stdout.as_fd(),
                &mut signals,
            )
            .map_err(failed)
        }
        Answer::Started(None) => relay(&monitor, &mut signals).map_err(failed),
        other => ended(other),
    }
}

fn answer(monitor: &Connection) -> Result<Answer> {
    match monitor.recv() {
        Ok(Some((frame, fds))) => Answer::of(&frame, fds)
            .ok_or_else(|| Error::other("the monitor gave an answer that makes no sense")),
        Ok(None) => Err(Error::other("the container's monitor was killed")),
        Err(error) => Err(Error::other(format!("cannot hear the monitor: {error}"))),
    }
}

fn ended(answer: Answer) -> Result<u8> {
    match answer {
        Answer::Exited(code) => Ok(code),
        Answer::Refused(code, text) => Err(Error::Code { code, text }),
        Answer::Started(_) | Answer::Ended => Err(Error::Code {
            code: exit::RUN_FAILED,
            text: "the monitor broke the order of answers".to_owned(),
        }),
    }
}

/// Without a terminal: the command has the caller's own streams; only signals pass.
fn relay(monitor: &Connection, signals: &mut SignalQueue) -> Result<u8> {
    loop {
        let mut fds = [
            PollFd::new(monitor.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        wait(&mut fds)?;
        let (answered, signalled) = (is_ready(&fds[0]), is_ready(&fds[1]));
        if signalled {
            while let Some(number) = next_signal(signals)? {
                if number != Signal::SIGWINCH as i32 {
                    // A monitor that is gone shows at the next turn.
                    let _ = monitor.send(&Request::Signal(number).frame(), &[]);
                }
            }
        }
        if answered {
            return ended(answer(monitor)?);
        }
    }
}

/// With a terminal: everything typed goes in, everything printed comes out, byte for byte.
fn proxy(
    monitor: &Connection,
    master: OwnedFd,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    signals: &mut SignalQueue,
) -> Result<u8> {
    copy_window_size(input, master.as_fd());
    let raw = RawMode::enter(input)
        .map_err(|error| Error::os("switch the terminal to raw mode", error))?;
    berth_kernel::sock::set_nonblocking(master.as_fd(), true)
        .map_err(|error| Error::os("set up the terminal", error))?;
    let mut pending: VecDeque<u8> = VecDeque::new();
    let mut input_open = true;
    let mut result = None;
    let mut master_open = true;
    while result.is_none() {
        let wants = if pending.is_empty() {
            PollFlags::POLLIN
        } else {
            PollFlags::POLLIN | PollFlags::POLLOUT
        };
        let reads_input = input_open && pending.len() < MAX_PENDING;
        let mut fds = vec![
            PollFd::new(monitor.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        if master_open {
            fds.push(PollFd::new(master.as_fd(), wants));
        }
        if reads_input {
            fds.push(PollFd::new(input, PollFlags::POLLIN));
        }
        wait(&mut fds)?;
        let answered = is_ready(&fds[0]);
        let signalled = is_ready(&fds[1]);
        let typed = reads_input && fds.last().is_some_and(is_ready);
        if typed {
            input_open = read_input(input, &mut pending)?;
        }
        if signalled {
            while let Some(number) = next_signal(signals)? {
                if number == Signal::SIGWINCH as i32 {
                    copy_window_size(input, master.as_fd());
                } else {
                    let _ = monitor.send(&Request::Signal(number).frame(), &[]);
                }
            }
        }
        write_pending(&master, &mut pending);
        if master_open {
            master_open = copy_output(&master, output);
        }
        if answered {
            // What the command printed last is still in the terminal.
            while master_open && copy_output(&master, output) && has_output(&master) {}
            result = Some(answer(monitor)?);
        }
    }
    drop(raw);
    match result {
        Some(answer) => ended(answer),
        None => Err(Error::other("the command's end is not known")),
    }
}

fn copy_window_size(from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    if let Ok(size) = tty::window_size(from) {
        let _ = tty::set_window_size(to, size);
    }
}

/// Whether there will be more.
fn read_input(input: BorrowedFd<'_>, pending: &mut VecDeque<u8>) -> Result<bool> {
    let mut buffer = [0; 4096];
    match nix::unistd::read(input, &mut buffer) {
        // The caller's terminal is gone; the command sees its own close when we end.
        Ok(0) | Err(Errno::EIO) => Ok(false),
        Ok(count) => {
            pending.extend(&buffer[..count]);
            Ok(true)
        }
        Err(Errno::EINTR | Errno::EAGAIN) => Ok(true),
        Err(errno) => Err(Error::os("read the terminal", errno)),
    }
}

fn write_pending(master: &OwnedFd, pending: &mut VecDeque<u8>) {
    while !pending.is_empty() {
        let (front, _) = pending.as_slices();
        match nix::unistd::write(master, front) {
            Ok(count) => drop(pending.drain(..count)),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return,
            // Nobody reads any more.
            Err(_) => return pending.clear(),
        }
    }
}

/// Copies what there is; whether the terminal is still open on the other side.
fn copy_output(master: &OwnedFd, output: BorrowedFd<'_>) -> bool {
    let mut buffer = [0; 16 * 1024];
    match nix::unistd::read(master, &mut buffer) {
        Ok(0) => false,
        Ok(count) => {
            write_all(output, &buffer[..count]);
            true
        }
        Err(Errno::EINTR | Errno::EAGAIN) => true,
        // EIO: every process that had the terminal open is gone.
        Err(_) => false,
    }
}

fn has_output(master: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok()
        && fds[0]
            .revents()
            .is_some_and(|events| events.contains(PollFlags::POLLIN))
}

/// A caller who does not listen any more is no error of the command's.
fn write_all(output: BorrowedFd<'_>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match nix::unistd::write(output, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let mut fds = [PollFd::new(output, PollFlags::POLLOUT)];
                let _ = poll(&mut fds, PollTimeout::NONE);
            }
            Err(_) => return,
        }
    }
}

fn wait(fds: &mut [PollFd<'_>]) -> Result<()> {
    match poll(fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(Error::os("wait", errno)),
    }
}

fn is_ready(fd: &PollFd<'_>) -> bool {
    fd.revents().is_some_and(|events| !events.is_empty())
}

fn next_signal(signals: &mut SignalQueue) -> Result<Option<i32>> {
    signals
        .take()
        .map_err(|error| Error::os("read signals", error))
}
