//! The caller's side of a start in the foreground: the console at his terminal until the end.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use berth_common::exit;
use berth_kernel::signal::SignalQueue;
use berth_kernel::tty::{self, RawMode};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;

use crate::console::{Escape, Keys, answer, copy_piece, takes_output};
use crate::error::{Error, Result};
use crate::exec::{
    MAX_PENDING, WATCHED, copy_window_size, has_output, is_ready, next_signal, read_input, wait,
    write_pending,
};
use crate::monitor::FrontSeat;
use crate::monitor::protocol::{Answer, Request};

/// What the caller waits at.
pub struct Front {
    seat: FrontSeat,
    signals: SignalQueue,
    /// The console, while there is one.
    master: Option<OwnedFd>,
    pending: VecDeque<u8>,
    /// Whether a stop was asked for.
    asked: bool,
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
        })
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
            let reads = open && self.pending.len() < MAX_PENDING;
            if reads {
                fds.push(PollFd::new(input, PollFlags::POLLIN));
            }
            wait(&mut fds)?;
            let told = is_ready(&fds[0]);
            let signalled = is_ready(&fds[1]);
            let printed = is_ready(&fds[2]);
            let typed = reads && fds.last().is_some_and(is_ready);
            drop(fds);
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
