//! Servers in a container's network, and their clients on the host.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use berth_kernel::process::{self, Child};
use nix::sched::{CloneFlags, setns};

use crate::world::Container;

/// A process that serves in the container's network until it is dropped.
pub struct Server(Child);

impl Server {
    pub fn start(container: &Container<'_>, serve: impl FnOnce()) -> Self {
        let init = container.info("PID");
        let (mut ready, told) = std::io::pipe().unwrap();
        let child = process::fork(|| {
            let namespace = File::open(format!("/proc/{init}/ns/net")).unwrap();
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            // The end of the pipe is the word that it listens: see `listening`.
            drop(told);
            serve();
            0
        });
        let _ = ready.read(&mut [0]);
        Self(child.unwrap())
    }

    /// Takes connections and sends back what comes, each to its end.
    pub fn echo(container: &Container<'_>, address: &str) -> Self {
        Self::start(container, || {
            let listener = TcpListener::bind(address).unwrap();
            for stream in listener.incoming() {
                std::thread::spawn(move || echo_one(&stream.unwrap()));
            }
        })
    }

    /// Sends datagrams back.
    pub fn echo_datagrams(container: &Container<'_>, address: &str) -> Self {
        Self::start(container, || {
            let socket = UdpSocket::bind(address).unwrap();
            let mut buffer = vec![0; 65_536];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).unwrap();
                let _ = socket.send_to(&buffer[..length], from);
            }
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.pidfd.signal(9);
        let _ = self.0.pidfd.wait();
    }
}

fn echo_one(mut stream: &TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

/// A client with a limit, so that no test hangs. Tried until somebody listens: a connection that
/// nobody inside takes is reset.
pub fn client(address: &str) -> TcpStream {
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(mut stream) = TcpStream::connect(address) {
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            stream
                .set_write_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            let mut byte = [0];
            if stream.write_all(b"?").is_ok() && stream.read_exact(&mut byte).is_ok() {
                return stream;
            }
        }
        assert!(Instant::now() < limit, "nobody answers at {address}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Everything comes back, in order, and the end after it.
pub fn comes_back(mut stream: TcpStream, size: usize) {
    let sent: Vec<u8> = (0..size).map(|index| (index * 7 % 251) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == sent, "{} of {} bytes", back.len(), sent.len());
}
