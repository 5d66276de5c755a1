//! `berth console`: at a terminal of a running container, and what its console printed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use berth_common::{ContainerName, exit};
use berth_kernel::signal::SignalQueue;
use berth_kernel::tty::{self, RawMode};
use berth_session_protocol::Connection;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use crate::commands::load_config;
use crate::error::{Error, Result};
use crate::exec::{
    MAX_PENDING, WATCHED, by_signal, copy_window_size, has_output, is_ready, next_signal,
    read_input, wait, write_all, write_pending,
};
use crate::monitor::protocol::{Answer, Request};
use crate::place::Place;
use crate::printable::printable;
use crate::state::Runtime;

/// The control character that begins a command to `berth console`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escape(u8);

impl std::str::FromStr for Escape {
    type Err = String;

    /// `^a` to `^z`, or the letter alone.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let letter = text.strip_prefix('^').unwrap_or(text);
        match letter.as_bytes() {
            [letter] if letter.is_ascii_alphabetic() => {
                Ok(Self(letter.to_ascii_lowercase() - b'a' + 1))
            }
            _ => Err("expected ^ and a letter, as in ^a".to_owned()),
        }
    }
}

impl Escape {
    /// As it is given on a command line.
    pub fn given(self) -> String {
        format!("^{}", char::from(self.0 + b'a' - 1))
    }

    fn name(self) -> String {
        format!("Ctrl-{}", char::from(self.0 + b'a' - 1))
    }
}

fn monitor_of(place: &Place, name: &ContainerName) -> Result<Option<Connection>> {
    place.require(name)?;
    let runtime = Runtime::new(place.runtime_dir(name));
    match runtime.state()? {
        (state, _) if state.has_init() => Connection::connect(&runtime.socket())
            .map(Some)
            .map_err(|error| Error::os("reach the container's monitor", error)),
        _ => Ok(None),
    }
}

fn ask(monitor: &Connection, request: &Request) -> Result<()> {
    monitor
        .send(&request.frame(), &[])
        .map_err(|error| Error::other(format!("cannot ask the monitor: {error}")))
}

pub(crate) fn answer(monitor: &Connection) -> Result<Answer> {
    match monitor.recv() {
        Ok(Some((frame, fds))) => match Answer::of(&frame, fds) {
            Some(Answer::Refused(_, why)) => Err(Error::other(why)),
            Some(answer) => Ok(answer),
            None => Err(Error::other(
                "the monitor gave an answer that makes no sense",
            )),
        },
        Ok(None) => Err(Error::other("the container's monitor was killed")),
        Err(error) => Err(Error::other(format!("cannot hear the monitor: {error}"))),
    }
}

/// Takes a seat at a terminal until the caller leaves it or the container ends. `told` gets the
/// sentence that says where he is and how he leaves.
pub fn attach(
    place: &Place,
    name: &ContainerName,
    terminal: Option<u32>,
    escape: Escape,
    told: impl FnOnce(&str),
) -> Result<u8> {
    let Some(monitor) = monitor_of(place, name)? else {
        let (state, _) = Runtime::new(place.runtime_dir(name)).state()?;
        return Err(Error::not_running(name, state));
    };
    let mut signals =
        SignalQueue::new(&WATCHED).map_err(|error| Error::os("watch signals", error))?;
    ask(&monitor, &Request::Console(terminal))?;
    let Answer::Seated(number, fds) = answer(&monitor)? else {
        return Err(Error::other("the monitor broke the order of answers"));
    };
    let mut fds = fds.into_iter();
    let (Some(master), Some(output)) = (fds.next(), fds.next()) else {
        return Err(Error::other("the monitor gave no terminal"));
    };
    if !tty::is_master(master.as_fd()) {
        return Err(Error::other("the container's terminal is none"));
    }
    let shown = match number {
        0 => "the console".to_owned(),
        number => format!("tty{number}"),
    };
    told(&format!(
        "at {shown} of {name}; {} q leaves, {} twice types it once",
        escape.name(),
        escape.name()
    ));
    let seat = Seat {
        monitor,
        master,
        output,
    };
    seat.sit(escape, &mut signals)
}

struct Seat {
    monitor: Connection,
    master: OwnedFd,
    output: OwnedFd,
}

impl Seat {
    fn sit(&self, escape: Escape, signals: &mut SignalQueue) -> Result<u8> {
        let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
        let input = stdin.as_fd();
        let raw = match tty::is_terminal(input) {
            true => Some(
                RawMode::enter(input)
                    .map_err(|error| Error::os("switch the terminal to raw mode", error))?,
            ),
            false => None,
        };
        copy_window_size(input, self.master.as_fd());
        let mut keys = Keys::new(escape);
        let mut pending = VecDeque::new();
        // Keys and signals count also while the caller's terminal takes no output.
        let mut stalled = false;
        loop {
            let output = match stalled {
                true => PollFd::new(stdout.as_fd(), PollFlags::POLLOUT),
                false => PollFd::new(self.output.as_fd(), PollFlags::POLLIN),
            };
            let mut fds = vec![
                PollFd::new(self.monitor.as_fd(), PollFlags::POLLIN),
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
                output,
            ];
            if !pending.is_empty() {
                fds.push(PollFd::new(self.master.as_fd(), PollFlags::POLLOUT));
            }
            let reads_input = pending.len() < MAX_PENDING;
            if reads_input {
                fds.push(PollFd::new(input, PollFlags::POLLIN));
            }
            wait(&mut fds)?;
            let ended = is_ready(&fds[0]);
            let signalled = is_ready(&fds[1]);
            let printed = is_ready(&fds[2]);
            let typed = reads_input && fds.last().is_some_and(is_ready);
            if typed {
                let mut read = VecDeque::new();
                let more = read_input(input, &mut read)?;
                let leaves = keys.pass(read.make_contiguous(), &mut pending);
                if leaves || !more {
                    write_pending(&self.master, &mut pending);
                    break;
                }
            }
            if signalled {
                while let Some(number) = next_signal(signals)? {
                    if number != Signal::SIGWINCH as i32 {
                        return Ok(by_signal(number));
                    }
                    copy_window_size(input, self.master.as_fd());
                }
            }
            write_pending(&self.master, &mut pending);
            let mut open = true;
            if printed {
                stalled = !takes_output(stdout.as_fd());
                open = stalled || copy_piece(&self.output, stdout.as_fd());
            }
            if ended || !open {
                // The container has ended, or begun a new life.
                while open && takes_output(stdout.as_fd()) && has_output(&self.output) {
                    open = copy_piece(&self.output, stdout.as_fd());
                }
                break;
            }
        }
        drop(raw);
        Ok(exit::OK)
    }
}

pub(crate) fn takes_output(to: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(to, PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO).is_ok() && is_ready(&fds[0])
}

/// Copies what a pipe takes at once when it takes anything (pipe(7), PIPE_BUF); whether there may
/// be more.
pub(crate) fn copy_piece(from: &OwnedFd, to: BorrowedFd<'_>) -> bool {
    let mut buffer = [0; 4096];
    match nix::unistd::read(from, &mut buffer) {
        Ok(0) => false,
        Ok(count) => {
            write_all(to, &buffer[..count]);
            true
        }
        Err(Errno::EINTR | Errno::EAGAIN) => true,
        Err(_) => false,
    }
}

/// What is typed, with the commands to `berth console` taken out.
pub(crate) struct Keys {
    escape: u8,
    /// Whether the last key was the escape character.
    escaped: bool,
}

impl Keys {
    pub(crate) fn new(escape: Escape) -> Self {
        Self {
            escape: escape.0,
            escaped: false,
        }
    }

    /// Passes keys on; whether the caller wants to leave.
    pub(crate) fn pass(&mut self, typed: &[u8], to: &mut VecDeque<u8>) -> bool {
        for key in typed {
            match (self.escaped, *key) {
                (true, b'q') => return true,
                (true, key) => {
                    self.escaped = false;
                    if key != self.escape {
                        to.push_back(self.escape);
                    }
                    to.push_back(key);
                }
                (false, key) if key == self.escape => self.escaped = true,
                (false, key) => to.push_back(key),
            }
        }
        false
    }
}

/// Prints what the console printed last: what the monitor keeps of it, else the log file. On a
/// terminal, without what would command it.
pub fn show_log(place: &Place, name: &ContainerName) -> Result<u8> {
    let kept = match monitor_of(place, name)? {
        None => None,
        Some(monitor) => {
            ask(&monitor, &Request::ConsoleLog)?;
            match answer(&monitor)? {
                Answer::ConsoleLog(kept) => kept,
                _ => return Err(Error::other("the monitor broke the order of answers")),
            }
        }
    };
    let mut log = match kept {
        Some(kept) => File::from(kept),
        None => log_file(place, name)?,
    };
    log.rewind()
        .map_err(|error| Error::os("read the console's log", error))?;
    let stdout = std::io::stdout();
    print(&mut log, stdout.as_fd())?;
    Ok(exit::OK)
}

fn log_file(place: &Place, name: &ContainerName) -> Result<File> {
    let (config, _) = load_config(place, name)?;
    match &config.console.log_file {
        Some(path) => berth_kernel::fs::open_regular(&path.value)
            .map_err(|error| Error::file("read", &path.value, error)),
        None => Err(Error::other(format!(
            "nothing keeps what the console of “{name}” prints; lxc.console.buffer.size = auto in \
             its configuration keeps the last of it while it runs, lxc.console.logfile all of it \
             in a file"
        ))),
    }
}

fn print(log: &mut File, to: BorrowedFd<'_>) -> Result<()> {
    let read = |error| Error::os("read the console's log", error);
    let mut out = File::from(to.try_clone_to_owned().map_err(read)?);
    let clean = tty::is_terminal(to);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = log.read(&mut buffer).map_err(read)?;
        if count == 0 {
            return Ok(());
        }
        let written = match clean {
            true => {
                let text = String::from_utf8_lossy(&buffer[..count]).replace('\r', "");
                out.write_all(printable(&text).as_bytes())
            }
            false => out.write_all(&buffer[..count]),
        };
        match written {
            // Who does not read on has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            other => other.map_err(|error| Error::os("print", error))?,
        }
    }
}

/// Forgets what the console of a running container printed.
pub fn clear_log(place: &Place, name: &ContainerName) -> Result<u8> {
    let Some(monitor) = monitor_of(place, name)? else {
        let (state, _) = Runtime::new(place.runtime_dir(name)).state()?;
        return Err(Error::not_running(name, state));
    };
    ask(&monitor, &Request::ClearConsoleLog)?;
    answer(&monitor).map(|_| exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_pass_but_for_commands() {
        let mut keys = Keys::new("^a".parse().unwrap());
        let mut to = VecDeque::new();
        assert!(!keys.pass(b"ls\x01", &mut to));
        assert!(!keys.pass(b"\x01x\x01y", &mut to));
        assert_eq!(to, b"ls\x01x\x01y");
        assert!(keys.pass(b"\x01qnever", &mut to));
        assert_eq!(to, b"ls\x01x\x01y");
    }

    #[test]
    fn escape_characters() {
        for (text, byte) in [("^a", 1), ("b", 2), ("^Z", 26)] {
            assert_eq!(text.parse(), Ok(Escape(byte)), "{text}");
        }
        for wrong in ["", "^", "^1", "ab", "^^", "ä"] {
            assert!(wrong.parse::<Escape>().is_err(), "{wrong}");
        }
    }
}
