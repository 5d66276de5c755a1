//! Ports of the host that lead into a container.

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::chown;
use std::time::Duration;

use berth_test_private_host::ID;

use crate::ports_server::{Server, client, comes_back};
use crate::world::{Container, Owner, eventually, in_container, on_host};

fn is_refused(address: &str) -> bool {
    TcpStream::connect(address)
        .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

fn fails(container: &Container<'_>, arguments: &[&str]) -> String {
    let output = container.berth(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    said
}

#[test]
fn streams_go_both_ways_to_their_ends_over_both_kinds_of_addresses() {
    in_container(Owner::User, "", |web| {
        let _server = Server::echo(web, "127.0.0.1:80");
        web.ok(&["publish", "web", "8080:80"]);
        for address in ["127.0.0.1:8080", "[::1]:8080", "10.233.0.1:8080"] {
            comes_back(client(address), 3_000_000);
        }
        // Several at once.
        let many: Vec<_> = (0..40).map(|_| client("127.0.0.1:8080")).collect();
        for stream in many {
            comes_back(stream, 10_000);
        }
        assert!(web.ok(&["ls"]).contains("8080:80"));
        assert!(web.ok(&["ls", "--json"]).contains("\"8080:80\""));
        assert_eq!(web.info("Published"), "8080:80");
        // What is taken back is cut.
        let stream = client("127.0.0.1:8080");
        web.ok(&["unpublish", "web", "8080:80"]);
        assert!(is_refused("127.0.0.1:8080") && is_refused("[::1]:8080"));
        let ended = std::io::Read::read(&mut &stream, &mut [0; 1]);
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
        assert!(!web.ok(&["info", "web"]).contains("Published"));
        assert!(fails(web, &["unpublish", "web", "8080:80"]).contains("no such port is published"));
    });
}

#[test]
fn a_server_that_listens_at_another_address_is_found() {
    in_container(Owner::User, "lxc.net.0.type = empty\n", |web| {
        web.sh("ip addr add 10.99.0.1/24 dev lo");
        web.ok(&["publish", "web", "127.0.0.1:8081:81", "127.0.0.1:8082:82"]);
        let _six = Server::echo(web, "[::1]:81");
        let _other = Server::echo(web, "10.99.0.1:82");
        comes_back(client("127.0.0.1:8081"), 1000);
        comes_back(client("127.0.0.1:8082"), 1000);
        assert!(is_refused("[::1]:8081"));
    });
}

#[test]
fn datagrams_go_both_ways_for_each_client() {
    in_container(Owner::User, "", |web| {
        let _server = Server::echo_datagrams(web, "127.0.0.1:53");
        web.ok(&["publish", "web", "5353:53", "--protocol", "udp"]);
        for (own, address) in [("127.0.0.1:0", "127.0.0.1:5353"), ("[::1]:0", "[::1]:5353")] {
            let clients: Vec<UdpSocket> = (0..5).map(|_| UdpSocket::bind(own).unwrap()).collect();
            for (number, socket) in clients.iter().enumerate() {
                socket.connect(address).unwrap();
                socket
                    .set_read_timeout(Some(Duration::from_millis(200)))
                    .unwrap();
                let text = format!("datagram {number}");
                let mut buffer = [0; 100];
                eventually("an answer", || {
                    socket.send(text.as_bytes()).unwrap();
                    matches!(socket.recv(&mut buffer), Ok(length) if buffer[..length] == *text.as_bytes())
                });
            }
        }
        web.ok(&["unpublish", "web", "--all"]);
        UdpSocket::bind("0.0.0.0:5353").unwrap();
    });
}

/// The kernel would choose the address of an answer by the way back, which is another one here.
#[test]
fn answers_come_from_the_address_to_which_the_client_spoke() {
    in_container(Owner::User, "", |web| {
        let _server = Server::echo_datagrams(web, "127.0.0.1:53");
        web.on_host("ip -6 address add fd00:77::2/128 dev lo nodad");
        web.ok(&["publish", "web", "5353:53", "--protocol", "udp"]);
        for (own, others) in [
            ("127.0.0.1:0", ["127.0.0.2:5353", "127.0.0.3:5353"]),
            ("[::1]:0", ["[fd00:77::2]:5353", "[::1]:5353"]),
        ] {
            // One socket speaks to both, whose answers are told apart by where they come from.
            let client = UdpSocket::bind(own).unwrap();
            let limit = Some(Duration::from_millis(200));
            client.set_read_timeout(limit).unwrap();
            for other in others {
                let mut buffer = [0; 100];
                eventually("an answer", || {
                    client.send_to(other.as_bytes(), other).unwrap();
                    matches!(
                        client.recv_from(&mut buffer),
                        Ok((length, from))
                            if buffer[..length] == *other.as_bytes()
                                && from.to_string() == other
                    )
                });
            }
        }
    });
}

#[test]
fn what_cannot_be_had_is_refused_with_who_has_it() {
    on_host(|host| {
        let web = Container::create(host, Owner::User, "web");
        web.ok(&[
            "create",
            "db",
            "--publish",
            "8080:80",
            "--publish",
            "127.0.0.1:5353:53/udp",
        ]);
        let db = Container {
            host,
            owner: Owner::User,
            name: "db",
        };
        db.append("lxc.net =\n");
        db.start();
        assert!(
            fails(&web, &["publish", "web", "8080:80"])
                .contains("container “db”, which publishes 8080:80")
        );
        assert!(
            fails(&web, &["publish", "web", "127.0.0.1:5353:53/udp"]).contains("container “db”")
        );
        let privileged = fails(&web, &["publish", "web", "80:80"]);
        assert!(
            privileged.contains("ports below 1024 are root's"),
            "{privileged}"
        );
        assert!(
            fails(&web, &["publish", "web", "192.0.2.1:8081:80"]).contains("no address 192.0.2.1")
        );
        // A range is published whole or not at all.
        let taken = TcpListener::bind("127.0.0.1:8092").unwrap();
        let said = fails(&web, &["publish", "web", "8090-8095:80-85"]);
        assert!(
            said.contains("port 8092 of the host is in use by "),
            "{said}"
        );
        assert!(!web.dir().join("berth.toml").exists());
        // Free at that moment, taken at the start: nothing is made.
        web.ok(&["publish", "web", "8090-8091:80-81"]);
        let other = TcpListener::bind("[::]:8091").unwrap();
        web.start_is_refused("berth.toml: tcp port 8091 of the host is in use by ");
        drop((other, taken));
        web.start();
        assert!(fails(&db, &["publish", "db", "8091:1"]).contains("container “web”"));
        for wrong in ["8080", "x:80", "8080:0", "8080-8090:80"] {
            assert_eq!(
                web.berth(&["publish", "web", wrong]).status.code(),
                Some(2),
                "{wrong}"
            );
        }
        // Whoever shares the host's network has its ports.
        web.stop();
        web.append("lxc.net.0.type = none");
        web.start_is_refused("in the host's network");
        db.destroy();
        web.destroy();
    });
}

#[test]
fn comments_stay_and_a_refusal_leaves_the_file_as_it_was() {
    in_container(Owner::User, "", |web| {
        let file = web.dir().join("berth.toml");
        let text = "# mine\n[stop] # slowly\ntimeout = \"5s\"\n";
        fs::write(&file, text).unwrap();
        chown(&file, Some(ID), Some(ID)).unwrap();
        let _taken = TcpListener::bind("127.0.0.1:8092").unwrap();
        fails(web, &["publish", "web", "8091:80", "8092:80"]);
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        assert!(is_refused("127.0.0.1:8091"));
        web.ok(&["publish", "web", "8091:80"]);
        assert!(fs::read_to_string(&file).unwrap().starts_with(text));
        assert!(fails(web, &["publish", "web", "8091:80"]).contains("published already"));
        assert!(
            fails(web, &["publish", "web", "127.0.0.1:8091:81"]).contains("published as 8091:80")
        );
    });
}

#[test]
fn ports_lead_to_each_life_and_go_with_the_container() {
    in_container(Owner::User, "", |web| {
        web.ok(&["publish", "web", "8080:80"]);
        for _ in 0..2 {
            let server = Server::echo(web, "127.0.0.1:80");
            comes_back(client("127.0.0.1:8080"), 1000);
            drop(server);
            web.reboot();
        }
        // Who carries them is killed, and another one comes.
        let server = Server::echo(web, "127.0.0.1:80");
        let forwarder = || web.on_host("pgrep -x berth-ports | head -1 || :");
        let first = forwarder();
        web.on_host(&format!("kill -9 {first}"));
        eventually("another forwarder", || {
            let now = forwarder();
            !now.is_empty() && now != first
        });
        comes_back(client("127.0.0.1:8080"), 1000);
        drop(server);
        web.stop();
        assert!(is_refused("127.0.0.1:8080"));
        web.start();
        web.kill_monitor();
        eventually("the end of the ports with their monitor", || {
            is_refused("127.0.0.1:8080")
        });
        eventually("the end of the forwarder", || forwarder().is_empty());
        web.start();
        let _server = Server::echo(web, "127.0.0.1:80");
        comes_back(client("127.0.0.1:8080"), 1000);
    });
}

#[test]
fn roots_containers_have_low_ports_too() {
    on_host(|host| {
        let web = Container::create(host, Owner::Root, "web");
        web.append("lxc.net.0.type = empty");
        web.ok(&["publish", "web", "127.0.0.1:81:80", "127.0.0.1:81:80/udp"]);
        web.start();
        let _server = Server::echo(&web, "127.0.0.1:80");
        comes_back(client("127.0.0.1:81"), 100_000);
        let pid = web.on_host("pgrep -x berth-ports");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
        web.destroy();
    });
}
