//! The caller's side of `attach` and `exec`: his terminal or his pipes, the command's exit code.

mod environment;
mod streams;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use berth_common::{ContainerName, exit};
use berth_kernel::process::Exit;
use berth_kernel::signal::SignalQueue;
use berth_kernel::tty::{self, RawMode};
use berth_session_protocol::Connection;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use crate::console::{Escape, Keys};
use crate::error::{Error, Result};
use crate::monitor::protocol::{Answer, ExecRequest, Request, Spared};
use crate::place::Place;
use crate::state::{Runtime, State};
pub use environment::Kept;
use streams::Streams;
pub(crate) use streams::copy_rest;

/// Where programs are looked for in a container that does not say.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How much typed text waits for a program that does not read, in bytes.
pub(crate) const MAX_PENDING: usize = 64 * 1024;

/// Ctrl-D, by which a terminal's reader is told that no more is typed.
const END_OF_INPUT: u8 = 4;

/// What a person does at his terminal beside typing.
pub(crate) const WATCHED: [Signal; 5] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGWINCH,
];

/// A command to run in a container.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Program and arguments; nothing: root's shell.
    pub argv: Vec<Vec<u8>>,
    /// `NAME=value` for the command.
    pub environment: Vec<Vec<u8>>,
    /// Which variables of the caller's it has beside them.
    pub kept: Kept,
    /// Where it runs inside.
    pub cwd: Vec<u8>,
    /// As whom, see [`ExecRequest::user`]; empty: as init is.
    pub user: Vec<u8>,
    /// What of the container's confinement it is spared.
    pub spared: Spared,
    /// Whether it has a terminal of its own; `None`: a shell if standard input is one, a command if
    /// standard output is, too.
    pub terminal: Option<bool>,
    /// The key that leaves at a terminal; `None`: all keys are the command's.
    pub escape: Option<Escape>,
}

/// Runs a command in a running container and returns its exit code as a shell counts.
pub fn run(place: &Place, name: &ContainerName, options: Options) -> Result<u8> {
    let failed = |error: Error| Error::Code {
        code: exit::RUN_FAILED,
        text: error.to_string(),
    };
    place.require(name).map_err(failed)?;
    let runtime = Runtime::new(place.runtime_dir(name));
    let (state, _) = runtime.state().map_err(failed)?;
    if state == State::Frozen {
        return Err(failed(Error::other(format!(
            "container “{name}” is frozen, and a command in it would be too (berth unfreeze {name})"
        ))));
    }
    if state == State::Stopped {
        crate::lxc::refuse_running(place, name).map_err(failed)?;
    }
    if state != State::Running {
        return Err(failed(Error::not_running(name, state)));
    }
    let monitor = Connection::connect(&runtime.socket())
        .map_err(|error| failed(Error::os("reach the container's monitor", error)))?;
    let stdin = std::io::stdin();
    let stdout = std::io::stdout();
    // Whoever redirects a command's output wants it as it is, without a terminal's line ends.
    let takes_lines = options.argv.is_empty() || tty::is_terminal(&stdout);
    let terminal = options
        .terminal
        .unwrap_or(takes_lines && tty::is_terminal(&stdin));
    let mut environment = environment::kept(&options.kept, terminal, std::env::vars_os());
    environment.extend(options.environment);
    let request = ExecRequest {
        argv: options.argv,
        environment,
        cwd: options.cwd,
        user: options.user,
        spared: options.spared,
        terminal,
    };
    let keys = options.escape.map(Keys::new);
    let frame = Request::Exec(request, Vec::new()).frame();
    let mut streams = Streams::default();
    let fds = if terminal {
        Vec::new()
    } else {
        streams.prepare().map_err(failed)?
    };
    let mut signals =
        SignalQueue::new(&WATCHED).map_err(|error| failed(Error::os("watch signals", error)))?;
    let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    monitor
        .send(&frame, &borrowed)
        .map_err(|error| failed(Error::other(format!("cannot ask the monitor: {error}"))))?;
    drop(fds);
    match wait_for_start(&monitor, &mut signals).map_err(failed)? {
        Begun::Answer(Answer::Started(Some(master))) => {
            if !tty::is_master(master.as_fd()) {
                return Err(failed(Error::other("the container's terminal is none")));
            }
            proxy(
                &monitor,
                master,
                stdin.as_fd(),
                stdout.as_fd(),
                keys,
                &mut signals,
            )
            .map_err(failed)
        }
        Begun::Answer(Answer::Started(None)) => {
            relay(&monitor, streams, &mut signals).map_err(failed)
        }
        Begun::Answer(other) => ended(other),
        Begun::Signal(number) => Ok(by_signal(number)),
    }
}

/// The code of one whom a signal ended.
pub fn by_signal(number: i32) -> u8 {
    Exit::Signal(number).shell_code()
}

enum Begun {
    Answer(Answer),
    Signal(i32),
}

/// Until the command runs, the container may hold it up as long as it likes; the caller need not
/// wait for that.
fn wait_for_start(monitor: &Connection, signals: &mut SignalQueue) -> Result<Begun> {
    loop {
        let mut fds = [
            PollFd::new(monitor.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        wait(&mut fds)?;
        if is_ready(&fds[0]) {
            return answer(monitor).map(Begun::Answer);
        }
        while let Some(number) = next_signal(signals)? {
            if number != Signal::SIGWINCH as i32 {
                return Ok(Begun::Signal(number));
            }
        }
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
        _ => Err(Error::Code {
            code: exit::RUN_FAILED,
            text: "the monitor broke the order of answers".to_owned(),
        }),
    }
}

/// Without a terminal: signals pass, the second of those that end a program ends the waiting.
fn relay(monitor: &Connection, mut streams: Streams, signals: &mut SignalQueue) -> Result<u8> {
    let stdin = std::io::stdin();
    let mut asked = false;
    loop {
        let mut fds = vec![
            PollFd::new(monitor.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(streams.watched(stdin.as_fd()));
        wait(&mut fds)?;
        let ready: Vec<bool> = fds.iter().map(is_ready).collect();
        drop(fds);
        streams.advance(stdin.as_fd(), &ready[2..])?;
        if ready[1] {
            while let Some(number) = next_signal(signals)? {
                if number == Signal::SIGWINCH as i32 {
                    continue;
                }
                if asked || number == Signal::SIGHUP as i32 {
                    return Ok(by_signal(number));
                }
                asked = true;
                // A monitor that is gone shows at the next turn.
                let _ = monitor.send(&Request::Signal(number).frame(), &[]);
            }
        }
        if ready[0] {
            streams.copy_rest();
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
    mut keys: Option<Keys>,
    signals: &mut SignalQueue,
) -> Result<u8> {
    let size_from = match tty::is_terminal(input) {
        true => input,
        false => output,
    };
    copy_window_size(size_from, master.as_fd());
    let raw = match tty::is_terminal(input) {
        true => Some(
            RawMode::enter(input)
                .map_err(|error| Error::os("switch the terminal to raw mode", error))?,
        ),
        false => None,
    };
    let mut input_open = true;
    berth_kernel::sock::set_nonblocking(master.as_fd(), true)
        .map_err(|error| Error::os("set up the terminal", error))?;
    let mut pending: VecDeque<u8> = VecDeque::new();
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
        let mut more = true;
        if typed {
            let mut read = VecDeque::new();
            more = read_input(input, &mut read)?;
            let leaves = match &mut keys {
                None => {
                    pending.append(&mut read);
                    false
                }
                Some(keys) => keys.pass(read.make_contiguous(), &mut pending),
            };
            if leaves {
                // As when a terminal is closed: the command is hung up when we are gone.
                return Ok(by_signal(Signal::SIGHUP as i32));
            }
        }
        if !more {
            if raw.is_some() {
                // The caller's terminal is gone; the command is hung up when we are.
                return Ok(by_signal(Signal::SIGHUP as i32));
            }
            // A pipe has no more: at a terminal that is said by a key.
            input_open = false;
            pending.push_back(END_OF_INPUT);
        }
        if signalled {
            while let Some(number) = next_signal(signals)? {
                if number == Signal::SIGWINCH as i32 {
                    copy_window_size(size_from, master.as_fd());
                } else if number == Signal::SIGHUP as i32 {
                    return Ok(by_signal(number));
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
            if master_open {
                copy_rest(&master, output);
            }
            result = Some(answer(monitor)?);
        }
    }
    drop(raw);
    match result {
        Some(answer) => ended(answer),
        None => Err(Error::other("the command's end is not known")),
    }
}

pub(crate) fn copy_window_size(from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    if let Ok(size) = tty::window_size(from) {
        let _ = tty::set_window_size(to, size);
    }
}

/// Whether there will be more.
pub(crate) fn read_input(input: BorrowedFd<'_>, pending: &mut VecDeque<u8>) -> Result<bool> {
    let mut buffer = [0; 4096];
    match nix::unistd::read(input, &mut buffer) {
        Ok(0) | Err(Errno::EIO) => Ok(false),
        Ok(count) => {
            pending.extend(&buffer[..count]);
            Ok(true)
        }
        Err(Errno::EINTR | Errno::EAGAIN) => Ok(true),
        Err(errno) => Err(Error::os("read the terminal", errno)),
    }
}

pub(crate) fn write_pending(master: &OwnedFd, pending: &mut VecDeque<u8>) {
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
pub(crate) fn copy_output(master: &OwnedFd, output: BorrowedFd<'_>) -> bool {
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

pub(crate) fn has_output(master: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok()
        && fds[0]
            .revents()
            .is_some_and(|events| events.contains(PollFlags::POLLIN))
}

/// A caller who does not listen any more is no error of the command's.
pub(crate) fn write_all(output: BorrowedFd<'_>, mut bytes: &[u8]) {
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

pub(crate) fn wait(fds: &mut [PollFd<'_>]) -> Result<()> {
    match poll(fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(Error::os("wait", errno)),
    }
}

pub(crate) fn is_ready(fd: &PollFd<'_>) -> bool {
    fd.revents().is_some_and(|events| !events.is_empty())
}

pub(crate) fn next_signal(signals: &mut SignalQueue) -> Result<Option<i32>> {
    signals
        .take()
        .map_err(|error| Error::os("read signals", error))
}
