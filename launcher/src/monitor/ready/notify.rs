//! What a container says of itself, as sd_notify(3) has it.
//!
//! The socket has an abstract name in the container's network namespace: nothing that init mounts
//! can cover it, and nobody outside can reach it. Whoever is inside may send; all that he can have
//! is that his own container counts as ready.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use crate::printable::cell;

/// The longest message that is read, in bytes; the rest of it is cut off.
const LONGEST: usize = 4096;
/// The longest status that is kept, in bytes.
const STATUS: usize = 256;
/// So many messages are read at once; then nothing for a while, so that nobody inside keeps the
/// monitor busy.
const AT_ONCE: usize = 8;
const QUIET: Duration = Duration::from_millis(100);

/// The socket's end outside.
pub struct NotifySocket {
    socket: UnixDatagram,
    quiet_until: Option<Instant>,
}

/// What was said.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub ready: bool,
    pub status: Option<String>,
}

/// Makes the socket in the network namespace of the calling process.
pub fn bind(name: &str) -> std::io::Result<OwnedFd> {
    let address = SocketAddr::from_abstract_name(name)?;
    let socket = UnixDatagram::bind_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

impl NotifySocket {
    pub fn new(socket: OwnedFd) -> Self {
        Self {
            socket: socket.into(),
            quiet_until: None,
        }
    }

    /// Whether its messages are to be read now.
    pub fn is_listening(&self) -> bool {
        self.quiet_until.is_none()
    }

    pub fn quiet_until(&self) -> Option<Instant> {
        self.quiet_until
    }

    /// What was said since; the last status counts. Descriptors that come along are closed.
    pub fn hear(&mut self, now: Instant) -> Heard {
        let mut heard = Heard::default();
        if self.quiet_until.is_some_and(|moment| now < moment) {
            return heard;
        }
        self.quiet_until = None;
        let mut buffer = [0; LONGEST];
        for _ in 0..AT_ONCE {
            match self.socket.recv(&mut buffer) {
                Ok(length) => heard.take(&buffer[..length]),
                Err(_) => return heard,
            }
        }
        self.quiet_until = Some(now + QUIET);
        heard
    }
}

impl Heard {
    /// A message has a variable a line; all but these two are passed over.
    fn take(&mut self, message: &[u8]) {
        for line in message.split(|byte| *byte == b'\n') {
            if line == b"READY=1" {
                self.ready = true;
            } else if let Some(status) = line.strip_prefix(b"STATUS=") {
                let status = &status[..status.len().min(STATUS)];
                self.status = Some(cell(&String::from_utf8_lossy(status)).into_owned());
            }
        }
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str) -> (NotifySocket, UnixDatagram) {
        let name = format!("berth-test-{name}-{}", std::process::id());
        let ours = NotifySocket::new(bind(&name).unwrap());
        let theirs = UnixDatagram::unbound().unwrap();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        theirs.connect_addr(&address).unwrap();
        theirs.set_nonblocking(true).unwrap();
        (ours, theirs)
    }

    #[test]
    fn readiness_and_status_are_heard_and_nothing_else() {
        let (mut ours, theirs) = pair("heard");
        let now = Instant::now();
        assert_eq!(ours.hear(now), Heard::default());
        theirs
            .send(b"WATCHDOG=1\nREADY=0\nXREADY=1\n\xff\0")
            .unwrap();
        theirs.send(b"STATUS=two\x1b[2J\nMAINPID=1").unwrap();
        let heard = ours.hear(now);
        assert!(!heard.ready);
        assert_eq!(heard.status.as_deref(), Some("two\\u{1b}[2J"));
        theirs.send(b"STATUS=up\nREADY=1").unwrap();
        let heard = ours.hear(now);
        assert!(heard.ready && heard.status.as_deref() == Some("up"));
        theirs
            .send(&[b"STATUS=".as_slice(), &[b'x'; 20_000]].concat())
            .unwrap();
        assert_eq!(ours.hear(now).status.unwrap().len(), STATUS);
    }

    #[test]
    fn who_says_too_much_is_not_heard_for_a_while() {
        let (mut ours, theirs) = pair("flood");
        let now = Instant::now();
        while theirs.send(b"STATUS=x").is_ok() {}
        ours.hear(now);
        assert!(!ours.is_listening());
        theirs.send(b"READY=1").unwrap();
        assert_eq!(ours.hear(now), Heard::default());
        let mut later = now;
        let mut ready = false;
        for _ in 0..10 {
            later += QUIET;
            ready |= ours.hear(later).ready;
        }
        assert!(ready);
    }
}
