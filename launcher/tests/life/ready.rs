//! When a container is ready, and what waits for it.

use crate::beside::settings;
use crate::world::{Container, Owner, on_host};

/// Its directory on the host, with a berth.toml and these lines in its configuration.
fn container<'h>(
    host: &'h berth_test_private_host::Host,
    name: &'static str,
    toml: &str,
    lines: &str,
) -> Container<'h> {
    let container = Container::create(host, Owner::User, name);
    container.append(lines);
    settings(&container, toml);
    container
}

/// A start that fails; what it said.
fn fails(container: &Container<'_>) -> String {
    let output = container.berth(&["start", "--here", container.name]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

const QUICK: &str = "interval = \"50ms\"\ntimeout = \"20s\"\n";

#[test]
fn a_start_returns_when_the_command_inside_says_so() {
    on_host(|host| {
        let toml = format!("[ready]\ncommand = [\"test\", \"-e\", \"/run/ok\"]\n{QUICK}");
        let init =
            "lxc.init.cmd = /bin/sh -c \"rm -f /run/ok; sleep 0.4; touch /run/ok; sleep 1000\"";
        let web = container(host, "web", &toml, init);
        web.start();
        web.sh("test -e /run/ok");
        assert_eq!(web.info("State"), "running");
        assert!(web.ok(&["ls", "--json"]).contains("\"ready\": true"));
        web.stop();
        // In its time it is not; it goes on running, and is ready later.
        settings(&web, &toml.replace("20s", "60ms"));
        let said = fails(&web);
        assert!(
            said.contains("goes on running and is not ready after 60 ms"),
            "{said}"
        );
        assert!(said.contains("the command"), "{said}");
        web.ok(&["wait", "web", "--ready", "--timeout", "20"]);
        web.stop();
        web.ok(&["start", "--here", "--no-wait", "web"]);
        assert_eq!(web.info("State"), "running, not ready");
        web.destroy();
    });
}

#[test]
fn a_command_that_does_not_exist_is_told_at_once() {
    on_host(|host| {
        let late = "interval = \"50ms\"\ntimeout = \"10min\"\n";
        for (command, why) in [
            (
                "[\"/run/ok\"]",
                "there is no command “/run/ok” in the container",
            ),
            ("[\"sh\", \"-c\", \"/run/ok\"]", "exit code 127"),
            ("[\"/etc/passwd\"]", "cannot execute “/etc/passwd”"),
        ] {
            let toml = format!("[ready]\ncommand = {command}\n{late}");
            let web = container(host, "web", &toml, "");
            let said = fails(&web);
            assert!(
                said.contains("goes on running and is not ready: "),
                "{said}"
            );
            assert!(said.contains(why), "{said}");
            if !command.contains("passwd") {
                // It may come, and counts then.
                assert_eq!(web.info("State"), "running, not ready");
                web.sh("printf '#!/bin/sh\\n' > /run/k; chmod 755 /run/k; mv /run/k /run/ok");
                web.ok(&["wait", "web", "--ready", "--timeout", "20"]);
            }
            web.destroy();
        }
    });
}

#[test]
fn a_probe_that_hangs_is_killed_and_an_end_is_told_at_once() {
    on_host(|host| {
        let toml = "[ready]\ncommand = [\"/bin/sleep\", \"1000\"]\ntimeout = \"200ms\"\ninterval = \"100s\"\n";
        let web = container(host, "web", toml, "");
        let said = fails(&web);
        assert!(said.contains("not ready after 200 ms"), "{said}");
        web.wait_for("! ps | grep -q '[s]leep 1000'");
        web.stop();
        settings(&web, &toml.replace("200ms", "100s"));
        web.append("lxc.init.cmd = /bin/sh -c \"sleep 0.2; exit 3\"");
        let said = fails(&web);
        assert!(
            said.contains("ended before it was ready: exit code 3"),
            "{said}"
        );
        web.destroy();
    });
}

#[test]
fn a_start_returns_when_the_port_inside_takes_a_connection() {
    on_host(|host| {
        let toml = format!("[ready]\nport = 8000\n{QUICK}");
        let init = "lxc.init.cmd = /bin/sh -c \"sleep 0.3; httpd -p 127.0.0.1:8000; sleep 1000\"";
        let web = container(host, "web", &toml, init);
        web.start();
        web.sh("wget -q -O /dev/null http://127.0.0.1:8000/ || test $? = 1");
        web.stop();
        settings(&web, &toml.replace("20s", "80ms").replace("8000", "8001"));
        let said = fails(&web);
        assert!(
            said.contains("nobody takes connections at port 8001"),
            "{said}"
        );
        web.destroy();
    });
}

#[test]
fn a_start_returns_when_init_says_ready() {
    on_host(|host| {
        // The host's perl, to send a datagram.
        let mounts = "lxc.mount.entry = /usr usr none rbind,ro,create=dir\n\
                      lxc.mount.entry = /lib lib none rbind,ro,create=dir\n\
                      lxc.mount.entry = /lib64 lib64 none rbind,ro,create=dir,optional\n";
        let script = "#!/bin/sh\nsleep 0.2\n/usr/bin/perl /say 'STATUS=half'\nsleep 0.2\n\
                      /usr/bin/perl /say 'READY=1'\nexec sleep 1000\n";
        let say = "use Socket; my $name = $ENV{NOTIFY_SOCKET}; $name =~ s/^@/\\0/; \
                   socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die; \
                   send($s, $ARGV[0], 0, pack_sockaddr_un($name)) or die $!;\n";
        let lines = format!("{mounts}lxc.init.cmd = /bin/sh /init-script\n");
        let web = container(
            host,
            "web",
            &format!("[ready]\nnotify = true\n{}", &QUICK[18..]),
            &lines,
        );
        for (name, text) in [("init-script", script), ("say", say)] {
            let path = web.dir().join("rootfs").join(name);
            std::fs::write(path, text).unwrap();
        }
        web.start();
        assert_eq!(web.info("Says"), "half");
        assert_eq!(web.info("State"), "running");
        // Commands are not init.
        web.sh("test -z \"$NOTIFY_SOCKET\"");
        web.stop();
        web.append("lxc.init.cmd = /sbin/init");
        settings(&web, "[ready]\nnotify = true\ntimeout = \"100ms\"\n");
        let said = fails(&web);
        assert!(said.contains("nothing has said READY=1"), "{said}");
        web.stop();
        web.append("lxc.net.0.type = none");
        web.start_is_refused("ready.notify: the container is in the host's network");
        web.destroy();
    });
}

#[test]
fn what_a_container_needs_is_started_first() {
    on_host(|host| {
        let ready = format!("[ready]\ncommand = [\"test\", \"-e\", \"/run/ok\"]\n{QUICK}");
        let slow =
            "lxc.init.cmd = /bin/sh -c \"rm -f /run/ok; sleep 0.3; touch /run/ok; sleep 1000\"";
        let db = container(host, "db", &ready, slow);
        let cache = container(host, "cache", "[start]\nafter = [\"db\"]\n", "");
        let web = container(host, "web", "[start]\nafter = [\"cache\", \"db\"]\n", "");
        web.start();
        assert_eq!(db.info("State"), "running");
        assert_eq!(cache.info("State"), "running");
        db.sh("test -e /run/ok");
        for container in [&db, &cache, &web] {
            container.stop();
        }
        web.ok(&["start", "--here", "--no-deps", "web"]);
        assert_eq!(db.info("State"), "stopped");
        web.stop();
        // A circle, and one that is not there, are refused before anything is started.
        settings(&cache, "[start]\nafter = [\"db\", \"web\"]\n");
        let said = fails(&web);
        assert!(said.contains("web → cache → web"), "{said}");
        settings(&cache, "[start]\nafter = [\"db\", \"dbb\"]\n");
        let said = fails(&web);
        assert!(said.contains("did you mean “db”?"), "{said}");
        assert_eq!(db.info("State"), "stopped");
        // What does not get ready keeps the others from starting.
        settings(&cache, "[start]\nafter = [\"db\"]\n");
        let never = ready
            .replace("20s", "60ms")
            .replace("/run/ok", "/run/never");
        settings(&db, &never);
        let said = fails(&web);
        assert!(
            said.contains("container “web” is not started, it needs “db” first"),
            "{said}"
        );
        assert_eq!(web.info("State"), "stopped");
        db.stop();
        settings(&db, &ready);
        // At boot the same.
        web.append("lxc.start.auto = 1");
        web.ok(&["autostart"]);
        assert_eq!(db.info("State"), "running");
        for container in [&web, &cache, &db] {
            container.destroy();
        }
    });
}
