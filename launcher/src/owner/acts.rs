//! The administrator in place of a container's owner: `sudo berth --user alice stop web`.
//!
//! The process that does it is the owner's like any other of his, and his other processes may do with
//! it what they like. So it has nothing of root's: it leads a session without root's terminal, its
//! streams are pipes, or a terminal of its own, whose other ends are here.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth_kernel::process::PidFd;
use berth_kernel::signal::SignalQueue;
use berth_kernel::tty::{self, PseudoTerminal, RawMode};
use berth_kernel::user::User;
use berth_kernel::{fs, sock};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;

use super::{MARK, code_of, command, copy};
use crate::error::{Error, Result};
use crate::exec::{
    MAX_PENDING, WATCHED, copy_output, copy_rest, copy_window_size, is_ready, next_signal,
    read_input, wait, write_pending,
};

/// How long after its end what it left in its pipes is waited for: processes that it started may
/// have them still.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs berth with these arguments as the user, who is named in them; its exit code.
pub(super) fn run(user: &User, arguments: &[OsString]) -> Result<u8> {
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    match tty::is_terminal(&stdin) && tty::is_terminal(&stdout) {
        true => at_terminal(user, arguments),
        false => through_pipes(user, arguments),
    }
}

/// What the process does that has become the user: it is executed again, with nothing that tells
/// of root.
pub(super) fn again(arguments: &[OsString]) -> Result<Infallible> {
    let error = Command::new("/proc/self/exe")
        .arg0("berth")
        .args(without_user(arguments))
        .env_remove(MARK)
        .exec();
    Err(failed(error))
}

fn failed(error: std::io::Error) -> Error {
    Error::os("run berth as the user", error)
}

/// The arguments without the first `--user`, which stands before the verb.
fn without_user(arguments: &[OsString]) -> Vec<OsString> {
    let is_it =
        |word: &OsString| word == "--user" || word.as_encoded_bytes().starts_with(b"--user=");
    let mut words = arguments.to_vec();
    if let Some(at) = words.iter().position(is_it) {
        let both = words[at] == "--user" && at + 1 < words.len();
        words.drain(at..at + 1 + usize::from(both));
    }
    words
}

fn through_pipes(user: &User, arguments: &[OsString]) -> Result<u8> {
    let stdin = std::io::stdin();
    let typed = tty::is_terminal(&stdin);
    let mut command = command(user, arguments);
    command
        // What is typed is for the terminal that there is not.
        .stdin(if typed { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut to) = child.stdin.take() {
        // It reads for as long as this process lives.
        std::thread::spawn(move || std::io::copy(&mut std::io::stdin(), &mut to));
    }
    let readers = [
        child.stdout.take().map(|from| {
            let shown = tty::is_terminal(std::io::stdout());
            std::thread::spawn(move || hand_on(from, std::io::stdout(), shown))
        }),
        child.stderr.take().map(|from| {
            let shown = tty::is_terminal(std::io::stderr());
            std::thread::spawn(move || hand_on(from, std::io::stderr(), shown))
        }),
    ];
    let status = child.wait().map_err(failed)?;
    let end = std::time::Instant::now() + LAST_WORDS;
    for reader in readers.into_iter().flatten() {
        while !reader.is_finished() && std::time::Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(code_of(status))
}

/// Byte for byte, or, where a person looks on, without what would steer his terminal.
fn hand_on(mut from: impl Read, mut to: impl Write, shown: bool) {
    if shown {
        return copy(Some(from), to);
    }
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
            Ok(length) => {
                let written = to.write_all(&buffer[..length]).and_then(|()| to.flush());
                if written.is_err() {
                    return;
                }
            }
        }
    }
}

fn at_terminal(user: &User, arguments: &[OsString]) -> Result<u8> {
    let devpts = fs::open_dir(Path::new("/dev/pts")).map_err(failed)?;
    let PseudoTerminal { master, slave, .. } =
        PseudoTerminal::open(devpts.as_fd()).map_err(failed)?;
    fs::chown(slave.as_fd(), Some(user.uid), None).map_err(failed)?;
    let stdin = std::io::stdin();
    copy_window_size(stdin.as_fd(), master.as_fd());
    let stream = || slave.try_clone().map(Stdio::from).map_err(failed);
    let mut command = command(user, arguments);
    command.stdin(stream()?).stdout(stream()?).stderr(stream()?);
    let mut signals = SignalQueue::new(&WATCHED).map_err(failed)?;
    let mut child = command.spawn().map_err(failed)?;
    drop((command, slave));
    show(&mut child, &master, &mut signals)?;
    child.wait().map(code_of).map_err(failed)
}

/// Everything typed goes in and everything printed comes out until the end of the process.
fn show(child: &mut Child, master: &OwnedFd, signals: &mut SignalQueue) -> Result<()> {
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    let process = PidFd::open(child.id().cast_signed()).map_err(failed)?;
    let raw = RawMode::enter(stdin.as_fd()).map_err(failed)?;
    sock::set_nonblocking(master.as_fd(), true).map_err(failed)?;
    let mut pending = VecDeque::new();
    let mut open = true;
    loop {
        let wanted = match pending.is_empty() {
            true => PollFlags::POLLIN,
            false => PollFlags::POLLIN | PollFlags::POLLOUT,
        };
        let reads = pending.len() < MAX_PENDING;
        let mut fds = vec![
            PollFd::new(process.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        if open {
            fds.push(PollFd::new(master.as_fd(), wanted));
        }
        if reads {
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        wait(&mut fds)?;
        let ended = is_ready(&fds[0]);
        let typed = reads && fds.last().is_some_and(is_ready);
        drop(fds);
        if typed && !read_input(stdin.as_fd(), &mut pending)? {
            // Root's terminal is gone.
            let _ = process.signal(Signal::SIGHUP as i32);
            break;
        }
        while let Some(number) = next_signal(signals)? {
            match number {
                number if number == Signal::SIGWINCH as i32 => {
                    copy_window_size(stdin.as_fd(), master.as_fd());
                }
                number => {
                    let _ = process.signal(number);
                }
            }
        }
        write_pending(master, &mut pending);
        if open {
            open = copy_output(master, stdout.as_fd());
        }
        if ended {
            copy_rest(master, stdout.as_fd());
            break;
        }
    }
    drop(raw);
    Ok(())
}

/// In the process that is about to become the user: away from root's session and terminal, to its own
/// terminal if it has one.
pub(super) fn leave_session() -> std::io::Result<()> {
    nix::unistd::setsid()?;
    let stdin = std::io::stdin();
    match tty::is_terminal(&stdin) {
        true => tty::set_controlling(stdin.as_fd()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_that_names_the_user_goes() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (given, left) in [
            ("--user alice stop web", "stop web"),
            ("--user=alice stop web", "stop web"),
            (
                "-P /x --user alice exec web --user bob id",
                "-P /x exec web --user bob id",
            ),
            ("stop web", "stop web"),
        ] {
            assert_eq!(without_user(&words(given)), words(left), "{given}");
        }
    }
}
