//! Ports and those who mean no good.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::ports_server::{Server, client, comes_back};
use crate::world::{Container, Owner, eventually, in_container};

fn forwarder(container: &Container<'_>) -> String {
    container.on_host("pgrep -x berth-ports")
}

#[test]
fn a_forwarder_has_no_right_and_little_memory() {
    in_container(Owner::User, "", |web| {
        web.ok(&["publish", "web", "8080:80"]);
        let _server = Server::echo(web, "127.0.0.1:80");
        for _ in 0..20 {
            comes_back(client("127.0.0.1:8080"), 100_000);
        }
        let pid = forwarder(web);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        for line in [
            "CapEff:\t0000000000000000",
            "CapPrm:\t0000000000000000",
            "NoNewPrivs:\t1",
        ] {
            assert!(status.contains(line), "{status}");
        }
        let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let private: u32 = memory
            .lines()
            .filter(|line| line.starts_with("Private"))
            .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u32>().ok())
            .sum();
        assert!(private < 1024, "{memory}");
        // Of the host it holds nothing but its sockets.
        let fds = web.on_host(&format!("ls -l /proc/{pid}/fd"));
        for line in fds.lines().skip(1) {
            let is_known = ["socket:", "anon_inode:", "pipe:", "/dev/null"]
                .iter()
                .any(|kind| line.contains(kind));
            assert!(is_known, "{fds}");
        }
        // The container does not see it.
        web.sh("! ps | grep -q '[b]erth-ports'");
    });
}

#[test]
fn where_nobody_listens_who_comes_is_reset() {
    in_container(Owner::User, "", |web| {
        web.ok(&["publish", "web", "8080:80"]);
        let mut stream = TcpStream::connect("127.0.0.1:8080").unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let error = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_reset_on_one_side_is_one_on_the_other() {
    in_container(Owner::User, "", |web| {
        web.ok(&["publish", "web", "8080:80"]);
        let _server = Server::start(web, || {
            let listener = TcpListener::bind("127.0.0.1:80").unwrap();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut byte = [0];
                let _ = stream.read(&mut byte).and_then(|_| stream.write(&byte));
                // With something unread, its end is a reset.
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let mut stream = client("127.0.0.1:8080");
        stream.write_all(&[1; 1000]).unwrap();
        let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn who_does_not_read_holds_up_nobody_and_fills_no_memory() {
    in_container(Owner::User, "", |web| {
        web.ok(&["publish", "web", "8080:80"]);
        let _server = Server::echo(web, "127.0.0.1:80");
        let mut slow: Vec<TcpStream> = (0..10).map(|_| client("127.0.0.1:8080")).collect();
        for stream in &mut slow {
            stream
                .set_write_timeout(Some(Duration::from_millis(100)))
                .unwrap();
            while stream.write(&[0; 65_536]).is_ok() {}
        }
        let begun = Instant::now();
        comes_back(client("127.0.0.1:8080"), 100_000);
        assert!(begun.elapsed() < Duration::from_secs(10));
        let pid = forwarder(web);
        let spent = |pid: &str| -> u64 {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let fields: Vec<&str> = stat
                .rsplit(')')
                .next()
                .unwrap()
                .split_whitespace()
                .collect();
            fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
        };
        // Nor does it turn in circles: in half a second of waiting it uses less than a tenth.
        let before = spent(&pid);
        std::thread::sleep(Duration::from_millis(500));
        assert!(spent(&pid) - before <= 5, "busy while all wait");
        drop(slow);
        comes_back(client("127.0.0.1:8080"), 1000);
    });
}

#[test]
fn a_container_that_takes_no_connection_costs_its_callers_their_connections_only() {
    in_container(Owner::User, "", |web| {
        web.ok(&["publish", "web", "8080:80", "8081:81"]);
        let _deaf = Server::start(web, || {
            let _listener = TcpListener::bind("127.0.0.1:80").unwrap();
            loop {
                std::thread::park();
            }
        });
        let _server = Server::echo(web, "127.0.0.1:81");
        comes_back(client("127.0.0.1:8081"), 1000);
        // More than its queue takes, and more than are served at once.
        let mut callers = Vec::new();
        let mut was_reset = false;
        for _ in 0..1500 {
            let Ok(stream) = TcpStream::connect_timeout(
                &"127.0.0.1:8080".parse().unwrap(),
                Duration::from_secs(5),
            ) else {
                break;
            };
            stream.set_nonblocking(true).unwrap();
            was_reset |= matches!((&stream).read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset);
            callers.push(stream);
        }
        eventually("the refusal of those beyond the limit", || {
            was_reset
                || callers.iter().any(|mut stream| {
                    matches!(stream.read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset)
                })
        });
        // When they have gone, there is place again.
        drop(callers);
        web.ok(&["unpublish", "web", "8080:80"]);
        comes_back(client("127.0.0.1:8081"), 1000);
    });
}

#[test]
fn clients_without_number_are_forgotten() {
    in_container(Owner::User, "", |web| {
        web.ok(&["publish", "web", "5353:53/udp"]);
        let _server = Server::echo_datagrams(web, "127.0.0.1:53");
        let mut clients = Vec::new();
        for _ in 0..700 {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let _ = socket.send_to(b"x", "127.0.0.1:5353");
            clients.push(socket);
        }
        let pid = forwarder(web);
        let fds = web.on_host(&format!("ls /proc/{pid}/fd | wc -l"));
        let fds: u32 = fds.parse().unwrap();
        assert!((100..600).contains(&fds), "{fds}");
        // Those whom it knows are served still.
        let first = &clients[0];
        first
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        eventually("an answer", || {
            first.send_to(b"again", "127.0.0.1:5353").unwrap();
            let mut buffer = [0; 16];
            matches!(first.recv(&mut buffer), Ok(5))
        });
    });
}
