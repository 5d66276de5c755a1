//! What is written down of a container's life.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

use crate::world::{Container, Owner, in_container, on_host, refused_each};

#[test]
fn what_matters_less_than_the_level_is_left_out() {
    let failing = "lxc.hook.post-stop = sh -c 'exit 3'";
    for (level, events, failures) in [
        ("", true, true),
        ("NOTICE", true, true),
        ("4", false, true),
        ("ERROR", false, true),
        ("fatal", false, false),
    ] {
        let lines = format!("{failing}\nlxc.log.level = {level}");
        in_container(Owner::User, &lines, |container| {
            container.stop();
            let log = container.log();
            assert_eq!(log.contains("running, init is"), events, "{level}: {log}");
            assert_eq!(log.contains("post-stop"), failures, "{level}: {log}");
        });
    }
}

/// The host's `/dev/log` here is the test's.
fn listen() -> UnixDatagram {
    let _ = fs::remove_file("/dev/log");
    let socket = UnixDatagram::bind("/dev/log").unwrap();
    fs::set_permissions("/dev/log", PermissionsExt::from_mode(0o666)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn heard(socket: &UnixDatagram) -> Vec<String> {
    let mut buffer = [0; 4096];
    let mut heard = Vec::new();
    while let Ok(length) = socket.recv(&mut buffer) {
        heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    heard
}

#[test]
fn the_systems_log_gets_it_too() {
    for owner in [Owner::User, Owner::Root] {
        on_host(|host| {
            own_dev();
            let container = Container::create(host, owner, "web");
            container.append("lxc.log.syslog = local3");
            // Without anybody who listens the container starts all the same.
            container.start();
            container.stop();
            let system = listen();
            container.start();
            container.stop();
            let told = heard(&system);
            // 19 is local3, 5 a notice.
            let running = |line: &String| {
                line.starts_with("<157>berth-monitor[") && line.contains("]: web: running, init is")
            };
            assert!(told.iter().any(running), "{told:?}");
            assert!(told.iter().any(|line| line.ends_with("web: stopped")));
            assert!(container.log().contains("running, init is"));

            // One that is full holds nobody up.
            let sender = UnixDatagram::unbound().unwrap();
            sender.set_nonblocking(true).unwrap();
            while sender.send_to(b"x", "/dev/log").is_ok() {}
            container.start();
            container.stop();
            assert!(heard(&system).iter().all(|line| line == "x"));
            container.append("lxc.log.syslog =");
            container.start();
            assert!(heard(&system).is_empty());
            container.destroy();
        });
    }
    let wrong = [
        (
            "lxc.log.syslog = kern",
            "lxc.log.syslog: expected daemon, or local0 to local7",
        ),
        ("lxc.log.syslog = local8", "expected daemon, or local0"),
    ];
    refused_each(Owner::User, &wrong);
}

/// A `/dev` of this host's own, with the machine's devices.
fn own_dev() {
    let script = "mkdir -p /run/olddev /run/newdev && mount --rbind /dev /run/olddev && \
        mount -t tmpfs -o mode=755 tmpfs /run/newdev && cd /run/olddev && for d in *; do \
        if [ -c $d ]; then touch /run/newdev/$d && mount --bind $d /run/newdev/$d; \
        elif [ -L $d ]; then cp -P $d /run/newdev/; \
        elif [ -d $d ]; then mkdir /run/newdev/$d && mount --rbind $d /run/newdev/$d; fi; done; \
        mount --rbind /run/newdev /dev";
    let done = std::process::Command::new("sh")
        .args(["-c", script])
        .output();
    let done = done.unwrap();
    assert!(done.status.success(), "{done:?}");
}
