//! Commands that ask the monitor for something.

use std::os::fd::{AsFd, BorrowedFd};

use berth_kernel::sock;
use berth_session_protocol::Connection;

use super::super::console::Seating;
use super::super::protocol::{Answer, Request};
use super::super::session::{Client, Session};
use super::Run;
use crate::error::Plain;
use crate::monitor::log;
use crate::state::State;

/// More clients than this at once are turned away.
const MAX_CLIENTS: usize = 256;

impl Run<'_> {
    pub(super) fn accept(&mut self) {
        let socket = match sock::accept(self.listener) {
            Ok(socket) => socket,
            Err(_) => {
                // No descriptor is free: the waiting caller keeps the socket readable.
                std::thread::sleep(std::time::Duration::from_millis(50));
                return;
            }
        };
        let connection = Connection::new(socket);
        let busy = self.clients.len() + self.sessions.len() + self.waiting.len() >= MAX_CLIENTS;
        if !busy && is_trusted(connection.as_fd()) && connection.set_nonblocking(true).is_ok() {
            self.clients.push(Client {
                connection,
                readable: false,
            });
        }
    }

    pub(super) fn serve_clients(&mut self) {
        let clients = std::mem::take(&mut self.clients);
        for client in clients {
            if !client.readable {
                self.clients.push(client);
                continue;
            }
            match client.connection.recv() {
                Ok(Some((frame, fds))) => match Request::of(frame, fds) {
                    Some(request) => self.serve_request(client.connection, request),
                    None => refuse(&client.connection, "the request was not understood"),
                },
                Err(error) if error.is_would_block() => {
                    self.clients.push(Client {
                        readable: false,
                        ..client
                    });
                }
                Ok(None) | Err(_) => {}
            }
        }
    }

    fn serve_request(&mut self, connection: Connection, request: Request) {
        match request {
            Request::Stop => {
                self.stop();
                self.waiting.push(connection);
            }
            Request::Kill => {
                self.kill();
                self.waiting.push(connection);
            }
            Request::Freeze => self.freeze(&connection, true),
            Request::Thaw => self.freeze(&connection, false),
            Request::Ports => self.change_ports(&connection),
            Request::Reboot => self.ask_to_reboot(&connection),
            Request::Exec(request, fds) => {
                if let Some(why) = self.takes_no_command() {
                    return refuse(&connection, why);
                }
                let Some(init) = &self.init else {
                    return refuse(&connection, "the container is between two lives; try again");
                };
                let payload = self.cgroup.map(|cgroup| &cgroup.payload);
                match Session::start(self.plan, init, payload, request, fds, connection) {
                    Ok(session) => self.sessions.push(session),
                    Err((connection, error)) => refuse(&connection, &error.to_string()),
                }
            }
            Request::Console(wanted) => self.seat(wanted, connection),
            Request::Follow => self.follow(&connection),
            Request::ConsoleLog => self.send_console_log(&connection),
            Request::ClearConsoleLog => {
                let answer = match self.terminals.clear_log() {
                    Ok(()) => Answer::ConsoleLog(None),
                    Err(error) => Answer::Refused(
                        berth_common::exit::FAILED,
                        format!("cannot begin a new log of the console: {}", Plain(&error)),
                    ),
                };
                let _ = connection.send(&answer.frame(), &[]);
            }
            Request::Signal(_) => refuse(&connection, "no command runs on this connection"),
        }
    }

    fn seat(&mut self, wanted: Option<u32>, connection: Connection) {
        match self.terminals.seat(wanted, connection) {
            Seating::Refused(connection, why) => {
                let answer = Answer::Refused(berth_common::exit::FAILED, why);
                let _ = connection.send(&answer.frame(), &[]);
            }
            Seating::Seated(seat, client) => {
                let answer = Answer::Seated(seat.number, Vec::new());
                // One who is gone is noticed at the next turn.
                let _ = client.send(&answer.frame(), &[seat.master, seat.output.as_fd()]);
            }
        }
    }

    fn follow(&mut self, connection: &Connection) {
        match self.terminals.follow() {
            Ok(ends) => {
                let fds: Vec<BorrowedFd<'_>> = ends.iter().map(AsFd::as_fd).collect();
                let _ = connection.send(&Answer::Following(Vec::new()).frame(), &fds);
            }
            Err(error) => refuse(
                connection,
                &format!("the console cannot be followed: {}", Plain(&error)),
            ),
        }
    }

    fn send_console_log(&self, connection: &Connection) {
        match self.terminals.copy_of_ring() {
            Ok(copy) => {
                let fds: Vec<BorrowedFd<'_>> = copy.iter().map(AsFd::as_fd).collect();
                let _ = connection.send(&Answer::ConsoleLog(None).frame(), &fds);
            }
            Err(error) => refuse(
                connection,
                &format!("cannot copy the console's output: {}", Plain(&error)),
            ),
        }
    }

    /// Asks init to reboot; what it does then is its program's.
    fn ask_to_reboot(&self, connection: &Connection) {
        let signal = self.plan.reboot_signal;
        if let Some(why) = self.takes_no_command() {
            return refuse(connection, why);
        }
        match self.init.as_ref().map(|init| init.pidfd.signal(signal)) {
            Some(Ok(())) => {
                let text = format!("asked init to reboot by signal {signal}");
                log::event(&self.plan.log, &text);
                let _ = connection.send(&Answer::Asked.frame(), &[]);
            }
            _ => refuse(connection, "the container has just ended"),
        }
    }

    /// Why nothing can be asked of the processes inside.
    fn takes_no_command(&self) -> Option<&'static str> {
        match self.record.state {
            _ if self.stopping => Some("the container is stopping"),
            State::Frozen => Some("the container is frozen (berth unfreeze)"),
            State::Restarting => Some("the container is between two lives; try again"),
            _ => None,
        }
    }
}

pub(super) fn refuse(connection: &Connection, why: &str) {
    let answer = Answer::Refused(berth_common::exit::RUN_FAILED, why.to_owned());
    let _ = connection.send(&answer.frame(), &[]);
}

/// A socket's mode may keep other users out. Whoever has our uid in another user namespace was put
/// into a sandbox there, and must not leave it through us; real root may do everything.
pub fn is_trusted(socket: BorrowedFd<'_>) -> bool {
    let Ok(peer) = sock::peer_credentials(socket) else {
        return false;
    };
    if peer.uid.is_root() {
        return true;
    }
    peer.uid == berth_kernel::cred::effective_uid()
        && matches!(
            (sock::peer_user_namespace(socket), sock::own_user_namespace()),
            (Ok(theirs), Ok(ours)) if theirs == ours
        )
}
