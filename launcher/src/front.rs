//! The caller's side of a start in the foreground: the console at his terminal until the end.

use std::collections::VecDeque;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use berth_common::{ContainerName, exit};
use berth_kernel::notify;
use berth_kernel::process::{self, PidFd};
use berth_kernel::signal::SignalQueue;
use berth_kernel::tty::{self, RawMode};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;

use crate::commands::ready;
use crate::console::{Escape, Keys, answer, copy_piece, takes_output};
use crate::error::{Error, Result};
use crate::exec::{
    MAX_PENDING, WATCHED, copy_window_size, has_output, is_ready, next_signal, read_input, wait,
    write_pending,
};
use crate::monitor::FrontSeat;
use crate::monitor::protocol::{Answer, Request};
use crate::place::Place;

/// What the caller waits at.
pub struct Front {
    seat: FrontSeat,
    signals: SignalQueue,
    /// The console, while there is one.
    master: Option<OwnedFd>,
    pending: VecDeque<u8>,
    /// Whether a stop was asked for.
    asked: bool,
    /// Waits until the container is ready; the init system is told then.
    readiness: Option<PidFd>,
}

impl Front {
    /// Signals count from here on.
    pub fn new(seat: FrontSeat) -> Result<Self> {
        let signals =
            SignalQueue::new(&WATCHED).map_err(|error| Error::os("watch signals", error))?;
        Ok(Self {
            seat,
            signals,
            master: None,
            pending: VecDeque::new(),
            asked: false,
            readiness: None,
        })
    }

    /// Tells the init system when the container is ready, if it wants to know (sd_notify(3)). One
    /// that does not get ready is stopped: its unit has failed.
    pub fn tell_init_system(&mut self, place: &Place, name: &ContainerName) -> Result<()> {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Ok(());
        }
        let parent = nix::unistd::getpid();
        let child = process::fork(|| {
            let orphaned = process::set_parent_death_signal(Signal::SIGKILL as i32).is_err()
                || nix::unistd::getppid() != parent;
            if orphaned {
                return exit::FAILED;
            }
            match ready::wait(place, name) {
                Ok(()) => exit::OK,
                Err(error) => {
                    let _ = writeln!(std::io::stderr(), "berth: {error}");
                    exit::FAILED
                }
            }
        });
        let child = child.map_err(|error| Error::process("wait until it is ready", error))?;
        self.readiness = Some(child.pidfd);
        Ok(())
    }

    /// The process that waits has ended.
    fn hear_of_readiness(&mut self) {
        let Some(exit) = self.readiness.as_ref().map(PidFd::try_wait) else {
            return;
        };
        match exit {
            Ok(None) => return,
            Ok(Some(exit)) if exit.success() => {
                // An init system that does not listen any more ends this in its time.
                let _ = notify::notify(&format!("{}\nSTATUS=ready", notify::READY));
            }
            _ => {
                let _ = notify::notify("STATUS=did not get ready");
                self.ask_to_end();
            }
        }
        self.readiness = None;
    }

    /// Until the container has ended, or the caller leaves it; init's exit code as lxc-start(1)
    /// has it. A signal that ends programs asks the container to stop, the next one kills it.
    pub fn sit(mut self, escape: Escape) -> Result<u8> {
        let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
        let (input, output) = (stdin.as_fd(), stdout.as_fd());
        let raw = match tty::is_terminal(input) {
            true => Some(
                RawMode::enter(input)
                    .map_err(|error| Error::os("switch the terminal to raw mode", error))?,
            ),
            false => None,
        };
        let mut keys = Keys::new(escape);
        let mut open = true;
        // Signals count also while the caller's terminal takes no output.
        let mut stalled = false;
        loop {
            let mut fds = vec![
                PollFd::new(self.seat.monitor.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
                match stalled {
                    true => PollFd::new(output, PollFlags::POLLOUT),
                    false => PollFd::new(self.seat.output.as_fd(), PollFlags::POLLIN),
                },
            ];
            if let (Some(master), false) = (&self.master, self.pending.is_empty()) {
                fds.push(PollFd::new(master.as_fd(), PollFlags::POLLOUT));
            }
            let ready_at = self.readiness.as_ref().map(|process| {
                fds.push(PollFd::new(process.as_fd(), PollFlags::POLLIN));
                fds.len() - 1
            });
            let reads = open && self.pending.len() < MAX_PENDING;
            if reads {
                fds.push(PollFd::new(input, PollFlags::POLLIN));
            }
            wait(&mut fds)?;
            let told = is_ready(&fds[0]);
            let signalled = is_ready(&fds[1]);
            let printed = is_ready(&fds[2]);
            let typed = reads && fds.last().is_some_and(is_ready);
            let is_known = ready_at.is_some_and(|index| is_ready(&fds[index]));
            drop(fds);
            if is_known {
                self.hear_of_readiness();
            }
            if printed {
                stalled = !takes_output(output);
                if !stalled {
                    copy_piece(&self.seat.output, output);
                }
            }
            if signalled {
                self.pass_signals(input);
            }
            if typed {
                let mut read = VecDeque::new();
                open = read_input(input, &mut read)?;
                if keys.pass(read.make_contiguous(), &mut self.pending) {
                    drop(raw);
                    return Ok(exit::OK);
                }
                if !open && raw.is_some() {
                    // The terminal is gone.
                    self.ask_to_end();
                }
            }
            if let Some(master) = &self.master {
                write_pending(master, &mut self.pending);
            }
            if told && let Some(code) = self.hear(input)? {
                while takes_output(output)
                    && has_output(&self.seat.output)
                    && copy_piece(&self.seat.output, output)
                {}
                drop(raw);
                return Ok(code);
            }
        }
    }

    /// A life's console, or the code at the end.
    fn hear(&mut self, input: BorrowedFd<'_>) -> Result<Option<u8>> {
        match answer(&self.seat.monitor)? {
            Answer::Seated(_, fds) => {
                let master = fds.into_iter().next();
                let master = master.filter(|master| tty::is_master(master.as_fd()));
                if let Some(master) = &master {
                    copy_window_size(input, master.as_fd());
                    berth_kernel::sock::set_nonblocking(master.as_fd(), true)
                        .map_err(|error| Error::os("set up the terminal", error))?;
                }
                self.master = master;
                Ok(None)
            }
            Answer::Exited(code) => Ok(Some(code)),
            _ => Err(Error::other("the monitor broke the order of answers")),
        }
    }

    fn pass_signals(&mut self, input: BorrowedFd<'_>) {
        while let Ok(Some(number)) = next_signal(&mut self.signals) {
            match &self.master {
                _ if number != Signal::SIGWINCH as i32 => self.ask_to_end(),
                Some(master) => copy_window_size(input, master.as_fd()),
                None => {}
            }
        }
    }

    fn ask_to_end(&mut self) {
        let request = match self.asked {
            true => Request::Kill,
            false => Request::Stop,
        };
        self.asked = true;
        // A monitor that is gone shows at the next turn.
        let _ = self.seat.monitor.send(&request.frame(), &[]);
    }
}
