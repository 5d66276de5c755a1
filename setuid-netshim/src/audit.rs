//! One line to the system log for each decision, without ever waiting for the log.

use std::fmt;
use std::os::unix::net::UnixDatagram;

const SOCKET: &str = "/dev/log";
/// LOG_AUTHPRIV (10) with LOG_INFO (6), as syslog(3) counts.
const PRIORITY: u8 = 10 << 3 | 6;
/// Longer lines are cut: a datagram must fit whatever listens.
const MAX_LINE: usize = 1000;

/// Sends one line. A log that does not listen or does not keep up is passed over: the caller can
/// do nothing about it, and waiting for it would hold him.
pub fn record(text: fmt::Arguments<'_>) {
    let Ok(socket) = UnixDatagram::unbound() else {
        return;
    };
    if socket.set_nonblocking(true).is_err() {
        return;
    }
    let text = text.to_string().replace(|c: char| c.is_control(), " ");
    let mut line = format!("<{PRIORITY}>berth-usernic[{}]: {text}", std::process::id());
    if let Some((end, _)) = line.char_indices().nth(MAX_LINE) {
        line.truncate(end);
    }
    // Nobody is left to tell about a failure.
    let _ = socket.send_to(line.as_bytes(), SOCKET);
}
