use crate::{Error, Frame, MAX_PACKET};
use berth_kernel::sock::{self, NamespaceId, PeerCredentials};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// One end of a connected SOCK_SEQPACKET socket that carries frames and descriptors.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
}

impl Connection {
    /// Takes a connected socket.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Connects to the socket at `path`, of any length. The error is the kernel's: `NotFound`
    /// (no socket there), `ConnectionRefused` (nobody listens), `PermissionDenied`.
    pub fn connect(path: &Path) -> io::Result<Self> {
        sock::connect(path).map(Self::new)
    }

    /// As [`Self::connect`]; `WouldBlock` when the listener's queue was full for `limit`, which holds
    /// for [`send`](Self::send) from then on, too.
    pub fn connect_within(path: &Path, limit: Duration) -> io::Result<Self> {
        sock::connect_within(path, Some(limit)).map(Self::new)
    }

    /// Two connections that are each other's peers.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = sock::pair()?;
        Ok((Self::new(one), Self::new(other)))
    }

    /// Sends one frame with copies of `fds` (at most [`sock::MAX_FDS`]).
    pub fn send(&self, frame: &Frame, fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
        let packet = frame.encode()?;
        sock::send(self.as_fd(), &packet, fds).map_err(Error::io("send a message"))
    }

    /// Receives one frame and its descriptors; `None`: the peer has closed its end.
    ///
    /// After an error the conversation cannot be trusted and the connection is to be dropped,
    /// unless the error [is only about time](Error::is_would_block).
    pub fn recv(&self) -> Result<Option<(Frame, Vec<OwnedFd>)>, Error> {
        let mut buffer = Vec::new();
        let mut receive = || {
            // Messages are small: a buffer for the largest would cost more than the message.
            buffer.resize(sock::next_len(self.as_fd())?.min(MAX_PACKET), 0);
            sock::recv(self.as_fd(), &mut buffer, sock::MAX_FDS)
        };
        let mut result = receive();
        // A peer that closed with our messages unread is reported once as a reset, before what
        // it had sent us is handed out.
        if result
            .as_ref()
            .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset)
        {
            result = receive();
        }
        let packet = match result {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            other => other.map_err(Error::io("receive a message"))?,
        };
        match buffer.get(..packet.len) {
            None | Some([]) => Ok(None),
            Some(bytes) => Ok(Some((Frame::decode(bytes)?, packet.fds))),
        }
    }

    /// Limits how long [`recv`](Self::recv) waits; `None`: for ever.
    pub fn set_receive_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        sock::set_receive_timeout(self.as_fd(), limit)
    }

    /// Limits how long [`send`](Self::send) waits for room; `None`: for ever.
    pub fn set_send_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        sock::set_send_timeout(self.as_fd(), limit)
    }

    /// Lets `send` and `recv` fail with `WouldBlock` instead of waiting.
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        sock::set_nonblocking(self.as_fd(), on)
    }

    /// Who connected.
    pub fn peer(&self) -> io::Result<PeerCredentials> {
        sock::peer_credentials(self.as_fd())
    }

    /// The user namespace of who connected; see [`sock::peer_user_namespace`].
    pub fn peer_user_namespace(&self) -> io::Result<NamespaceId> {
        sock::peer_user_namespace(self.as_fd())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8) -> Frame {
        Frame::new(kind, vec![b"field".to_vec(), Vec::new()])
    }

    #[test]
    fn frames_and_descriptors_arrive() {
        let (a, b) = Connection::pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        a.send(&frame(1), &[null.as_fd(), null.as_fd()]).unwrap();
        let (got, fds) = b.recv().unwrap().unwrap();
        assert_eq!((got, fds.len()), (frame(1), 2));
        drop(a);
        assert!(b.recv().unwrap().is_none());
    }

    #[test]
    fn the_largest_frame_fits_a_default_socket() {
        let (a, b) = Connection::pair().unwrap();
        let large = Frame::new(1, vec![vec![7; MAX_PACKET - 8]]);
        a.send(&large, &[]).unwrap();
        assert_eq!(b.recv().unwrap().unwrap().0, large);
        let larger = Frame::new(1, vec![vec![7; MAX_PACKET]]);
        assert!(matches!(a.send(&larger, &[]), Err(Error::Frame(_))));
    }

    #[test]
    fn the_last_words_of_a_peer_that_did_not_listen_are_heard() {
        let (a, b) = Connection::pair().unwrap();
        b.send(&frame(1), &[]).unwrap();
        a.send(&frame(2), &[]).unwrap();
        drop(a);
        assert_eq!(b.recv().unwrap().unwrap().0, frame(2));
        assert!(b.recv().unwrap().is_none());
        assert!(b.send(&frame(1), &[]).unwrap_err().is_disconnected());
    }

    #[test]
    fn junk_is_an_error_and_silence_a_timeout() {
        let (a, b) = Connection::pair().unwrap();
        sock::send(a.as_fd(), b"junk", &[]).unwrap();
        assert!(matches!(b.recv(), Err(Error::Frame(_))));
        sock::send(a.as_fd(), &vec![1; MAX_PACKET + 1], &[]).unwrap();
        assert!(b.recv().is_err());
        b.set_receive_timeout(Some(Duration::from_millis(5)))
            .unwrap();
        assert!(b.recv().unwrap_err().is_would_block());
    }
}
