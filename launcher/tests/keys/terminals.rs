//! Terminals and the console.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use berth_kernel::tty::PseudoTerminal;

use crate::world::{Container, Owner, in_container, on_host, refused_each};

const BOTH: [Owner; 2] = [Owner::User, Owner::Root];

fn with_container(owner: Owner, body: impl FnOnce(&Container<'_>)) {
    on_host(|host| {
        let container = Container::create(host, owner, "web");
        body(&container);
        container.destroy();
    });
}

/// Waits until a condition holds.
fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// `berth console` with what it printed so far.
struct Sitting {
    berth: Child,
    output: ChildStdout,
    seen: String,
}

impl Sitting {
    fn at(container: &Container<'_>, arguments: &[&str]) -> Self {
        let mut command = container.command("berth");
        command.args(["console", container.name]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut berth = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut told = String::new();
        let stderr = berth.stderr.as_mut().unwrap();
        BufReader::new(stderr).read_line(&mut told).unwrap();
        assert!(told.contains("q leaves"), "{told}");
        let output = berth.stdout.take().unwrap();
        berth_kernel::sock::set_nonblocking(output.as_fd(), true).unwrap();
        Self {
            berth,
            output,
            seen: String::new(),
        }
    }

    fn types(&mut self, keys: &str) {
        let stdin = self.berth.stdin.as_mut().unwrap();
        stdin.write_all(keys.as_bytes()).unwrap();
    }

    fn sees(&mut self, text: &str) {
        let mut buffer = [0; 4096];
        soon(text, || {
            while let Ok(count @ 1..) = self.output.read(&mut buffer) {
                self.seen
                    .push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
            self.seen.contains(text)
        });
    }

    fn ends(mut self) {
        soon("berth console does not end", || {
            self.berth.try_wait().unwrap().is_some()
        });
        assert!(self.berth.wait().unwrap().success());
    }
}

#[test]
fn tty_max() {
    for owner in BOTH {
        in_container(owner, "lxc.tty.max = 2", |container| {
            assert_eq!(container.sh("ls /dev/tty[0-9]*"), "/dev/tty1\n/dev/tty2");
            // The first that is free; the next one gets the next one.
            let mut first = Sitting::at(container, &[]);
            container.sh("echo to-one > /dev/tty1");
            first.sees("to-one");
            let mut second = Sitting::at(container, &["-t", "2"]);
            container.sh("echo to-two > /dev/tty2");
            second.sees("to-two");
            assert!(!first.seen.contains("to-two"), "{}", first.seen);
            let full = container.berth(&["console", "web"]);
            let said = String::from_utf8_lossy(&full.stderr);
            assert!(said.contains("somebody is at each"), "{said}");
            // What is typed is read there.
            let mut reader = container.command("berth");
            let reader = reader.args(["exec", "web", "--", "head", "-n1", "/dev/tty1"]);
            let reader = reader.stdout(Stdio::piped()).spawn().unwrap();
            first.types("typed\x01\x01\n");
            let output = reader.wait_with_output().unwrap();
            assert_eq!(output.stdout, b"typed\x01\n");
            first.types("\x01q");
            first.ends();
            second.types("\x01q");
            second.ends();
        });
    }
}

#[test]
fn tty_dir() {
    in_container(
        Owner::User,
        "lxc.tty.dir = lxc\nlxc.tty.max = 1",
        |container| {
            let links = container.sh("readlink /dev/console; readlink /dev/tty1; ls /dev/lxc");
            assert_eq!(links, "lxc/console\nlxc/tty1\nconsole\ntty1");
            container.sh("rm /dev/tty1 && echo > /dev/tty1");
        },
    );
}

#[test]
fn pty_max() {
    with_container(Owner::User, |container| {
        container.append("lxc.pty.max = 3\nlxc.tty.max = 1");
        container.start();
        let mounts = container.sh("grep /dev/pts /proc/self/mounts");
        assert!(mounts.contains("max=3"), "{mounts}");
        container.stop();
        container.append("lxc.pty.max = 4");
        container.append("lxc.tty.max = 4");
        container.start_is_refused("lxc.tty.max: expected at most 3");
        container.append("lxc.pty.max = 1000000\nlxc.tty.max = 900000");
        container.start_is_refused("the monitor may have");
        container.append("lxc.tty.max = 0");
    });
}

#[test]
fn console_path() {
    for owner in BOTH {
        with_container(owner, |container| {
            let file = container.dir().join("peer");
            container.append(&format!("lxc.console.path = {}", file.display()));
            container.start();
            container.sh("echo to-the-file > /dev/console");
            soon("the file", || read(&file).contains("to-the-file"));
            let mode = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            container.stop();

            container.append("lxc.console.path = none");
            container.start();
            let said = container.sh("ls /dev/console 2>&1 || true; readlink /proc/1/fd/0");
            assert!(
                said.contains("No such file") && said.ends_with("/dev/null"),
                "{said}"
            );
            let none = container.berth(&["console", "web", "-t", "0"]);
            let said = String::from_utf8_lossy(&none.stderr);
            assert!(said.contains("has no console"), "{said}");
            container.stop();
            container.append("lxc.console.path =");
        });
    }
}

#[test]
fn a_terminal_as_the_consoles_peer_shows_it_and_types_into_it() {
    with_container(Owner::Root, |container| {
        let devpts = berth_kernel::fs::open_dir(Path::new("/dev/pts")).unwrap();
        let terminal = PseudoTerminal::open(devpts.as_fd()).unwrap();
        let settings = || nix::sys::termios::tcgetattr(&terminal.slave).unwrap();
        let before = settings();
        container.append(&format!("lxc.console.path = /dev/pts/{}", terminal.number));
        container.start();
        assert_ne!(settings(), before);
        berth_kernel::sock::set_nonblocking(terminal.master.as_fd(), true).unwrap();
        let mut seen = Vec::new();
        container.sh("echo shown > /dev/console");
        soon("the terminal shows it", || {
            let mut buffer = [0; 4096];
            if let Ok(count) = nix::unistd::read(&terminal.master, &mut buffer) {
                seen.extend_from_slice(&buffer[..count]);
            }
            String::from_utf8_lossy(&seen).contains("shown")
        });
        let mut reader = container.command("berth");
        let reader = reader.args(["exec", "web", "--", "head", "-n1", "/dev/console"]);
        let reader = reader.stdout(Stdio::piped()).spawn().unwrap();
        // Busybox's init may have a question open at the console, which takes the first line.
        let mut reader = reader;
        soon("typed text arrives", || {
            nix::unistd::write(&terminal.master, b"typed\n").unwrap();
            reader.try_wait().unwrap().is_some()
        });
        assert!(
            reader
                .wait_with_output()
                .unwrap()
                .stdout
                .ends_with(b"typed\n")
        );
        container.stop();
        // A stop that has been answered has put everything back.
        assert_eq!(settings(), before);
    });
}

#[test]
fn console_logfile() {
    for owner in BOTH {
        with_container(owner, |container| {
            let log = container.dir().join("console.log");
            container.append(&format!("lxc.console.logfile = {}", log.display()));
            container.start();
            container.sh("echo first > /dev/console");
            soon("the log", || read(&log).contains("first"));
            let mode = fs::metadata(&log).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let boot = container.sh("cut -d' ' -f22 /proc/1/stat");
            container.sh("kill -TERM 1");
            soon("the second life", || {
                let again = [
                    "exec",
                    "web",
                    "--",
                    "cut",
                    "-d",
                    " ",
                    "-f22",
                    "/proc/1/stat",
                ];
                let output = container.berth(&again);
                output.status.success() && String::from_utf8_lossy(&output.stdout).trim() != boot
            });
            container.sh("echo second > /dev/console");
            soon("the log of both lives", || {
                let text = read(&log);
                text.find("first") < text.find("second") && text.contains("first")
            });
            container.stop();
            assert!(
                container
                    .ok(&["console", "web", "--show-log"])
                    .contains("second")
            );
        });
    }
}

#[test]
fn a_log_that_somebody_else_could_lead_elsewhere_is_refused() {
    with_container(Owner::User, |container| {
        let dir = container.dir();
        let victim = dir.join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, dir.join("link")).unwrap();
        // Planted by the container, say in a directory that is bound into it.
        let foreign = dir.join("foreign");
        std::os::unix::fs::symlink(&dir, &foreign).unwrap();
        std::os::unix::fs::lchown(&foreign, Some(berth_test_private_host::SUBID), None).unwrap();
        let before = fs::read_to_string(container.config()).unwrap();
        for (path, text) in [
            (dir.join("link"), "it is a link"),
            (foreign.join("log"), "is somebody else's link"),
            (dir.join("rootfs/var/log"), "it lies in the container"),
            (dir.join("missing/log"), "No such file or directory"),
            (Path::new("/dev/null").to_owned(), "it is no regular file"),
            (dir.clone(), "it is no regular file"),
        ] {
            container.append(&format!("lxc.console.logfile = {}", path.display()));
            container.start_is_refused(text);
            fs::write(container.config(), &before).unwrap();
        }
        assert_eq!(read(&victim), "precious");
    });
}

#[test]
fn console_size_and_rotate() {
    with_container(Owner::User, |container| {
        let log = container.dir().join("console.log");
        let old = container.dir().join("console.log.1");
        container.append(&format!(
            "lxc.console.logfile = {}\nlxc.console.size = 4KB\nlxc.console.rotate = 1",
            log.display()
        ));
        container.start();
        container.sh("for i in $(seq 1 600); do echo line-$i-of-many; done > /dev/console");
        soon("the end of the log", || read(&log).contains("line-600-of"));
        assert!(fs::metadata(&log).unwrap().len() <= 4096);
        assert_eq!(fs::metadata(&old).unwrap().len(), 4096);
        container.ok(&["console", "web", "--clear-log"]);
        assert_eq!(read(&log), "");
        assert!(read(&old).contains("line-600-of"));
        container.stop();
        container.append("lxc.console.rotate = 0");
        fs::remove_file(&old).unwrap();
        container.start();
        container.sh("for i in $(seq 1 600); do echo line-$i-of-many; done > /dev/console");
        soon("the end of the log", || read(&log).contains("line-600-of"));
        assert!(fs::metadata(&log).unwrap().len() <= 4096 && !old.exists());
    });
}

#[test]
fn console_buffer_size() {
    in_container(Owner::User, "lxc.console.buffer.size = 4kb", |container| {
        let log = || container.ok(&["console", "web", "--show-log"]);
        container.sh("for i in $(seq 1 600); do echo line-$i-of-many; done > /dev/console");
        soon("the end of the output", || log().contains("line-600-of"));
        assert_eq!(log().len(), 4096);
        container.ok(&["console", "web", "--clear-log"]);
        assert!(!log().contains("line-600-of"));
        container.sh("echo after > /dev/console");
        soon("what came after", || log().contains("after"));
    });
    with_container(Owner::User, |container| {
        let output = container.berth(&["console", "web", "--show-log"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("lxc.console.buffer.size = auto"), "{said}");
    });
}

#[test]
fn wrong_values_are_refused() {
    refused_each(
        Owner::User,
        &[
            ("lxc.tty.max = many", "lxc.tty.max: expected a number"),
            (
                "lxc.tty.dir = ../x",
                "lxc.tty.dir: expected a relative path",
            ),
            ("lxc.pty.max = -1", "lxc.pty.max: expected a number"),
            (
                "lxc.console.path = console",
                "lxc.console.path: expected none, or the absolute",
            ),
            (
                "lxc.console.path = /nowhere/x",
                "in a directory that exists",
            ),
            ("lxc.console.path = /etc", "found the directory /etc"),
            (
                "lxc.console.logfile = log",
                "lxc.console.logfile: expected an absolute path",
            ),
            (
                "lxc.console.size = 1TB",
                "lxc.console.size: expected auto, or a number",
            ),
            (
                "lxc.console.buffer.size = 1GB",
                "lxc.console.buffer.size: expected at most 64MB",
            ),
            (
                "lxc.console.rotate = 2",
                "lxc.console.rotate: expected 0 or 1",
            ),
        ],
    );
}

#[test]
fn a_flood_holds_up_nobody() {
    let lines = "lxc.console.buffer.size = auto\nlxc.tty.max = 1";
    in_container(Owner::User, lines, |container| {
        // Who looks and does not read misses output, and blocks nobody.
        let mut idle = Sitting::at(container, &["-t", "0"]);
        let second = container.berth(&["console", "web", "-t", "0"]);
        let said = String::from_utf8_lossy(&second.stderr);
        assert!(said.contains("somebody is at that terminal"), "{said}");
        container
            .sh("head -c 3000000 /dev/zero | tr '\\0' x > /dev/console; echo end > /dev/console");
        container.sh("head -c 3000000 /dev/zero > /dev/tty1");
        soon("the end", || {
            container
                .ok(&["console", "web", "--show-log"])
                .ends_with("end\r\n")
        });
        idle.types("\x01q");
        idle.ends();
    });
}

#[test]
fn a_full_disk_costs_the_log_and_nothing_else() {
    with_container(Owner::Root, |container| {
        let disk = Path::new("/run/small");
        fs::create_dir(disk).unwrap();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8k", "none"])
            .arg(disk)
            .status();
        assert!(mount.unwrap().success());
        container.append("lxc.console.logfile = /run/small/log\nlxc.console.buffer.size = 4KB");
        container.start();
        container
            .sh("head -c 100000 /dev/zero | tr '\\0' x > /dev/console; echo end > /dev/console");
        soon("the end", || {
            container
                .ok(&["console", "web", "--show-log"])
                .ends_with("end\r\n")
        });
        assert!(fs::metadata("/run/small/log").unwrap().len() <= 8192);
        fs::remove_file("/run/small/log").unwrap();
    });
}

#[test]
fn the_hosts_console_is_covered_by_the_containers() {
    let lines =
        "lxc.mount.entry = /dev/null dev/console none bind,create=file 0 0\nlxc.tty.dir = lxc";
    in_container(Owner::User, lines, |container| {
        assert!(container.sh("test -t 0 < /dev/console && echo terminal") == "terminal");
    });
}

#[test]
fn terminals_without_autodev() {
    with_container(Owner::Root, |container| {
        let dev = container.dir().join("rootfs/dev");
        std::os::unix::fs::symlink("/etc/passwd", dev.join("tty1")).unwrap();
        fs::write(dev.join("console"), "").unwrap();
        container.append("lxc.autodev = 0\nlxc.tty.max = 1");
        container.start();
        assert_eq!(
            container.sh("test -t 0 < /dev/console && test -t 0 < /dev/tty1 && echo both"),
            "both"
        );
        assert_eq!(
            container.sh("test -L /dev/tty1 || readlink /dev/ptmx"),
            "pts/ptmx"
        );
    });
}
