//! The launch service with real clients and a shell in the place of `berth`, outside systemd.
//! A program of its own, without the test runner's threads: the service forks.

use berth_kernel::process::{self, Child, Exit};
use berth_kernel::{cred, sock};
use berth_session_helper::command::Program;
use berth_session_helper::serve::Server;
use berth_session_protocol::launch::{Launch, Reply, Request};
use berth_session_protocol::{Connection, Frame};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A running service; ended and removed when dropped.
struct Service {
    dir: PathBuf,
    process: Child,
}

impl Service {
    fn start(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("berth-launch-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let listener = sock::listen(&dir.join("socket"), 0o600, 64).unwrap();
        sock::set_nonblocking(listener.as_fd(), true).unwrap();
        let process = process::fork(|| {
            let uid = cred::effective_uid();
            let program = Program::of(uid).unwrap().at("/bin/sh");
            let result = Server::new(listener, uid, program).and_then(|mut server| server.run());
            u8::from(result.is_err())
        });
        Self {
            dir,
            process: process.unwrap(),
        }
    }

    fn connect(&self) -> Connection {
        let connection = Connection::connect(&self.dir.join("socket")).unwrap();
        connection
            .set_receive_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        connection
    }

    /// Launches a shell script with its output in a file.
    fn launch(&self, script: &str, environment: &[(&str, &str)]) -> (Connection, File) {
        let connection = self.connect();
        let output = self.dir.join(format!("output-{:?}", Instant::now()));
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(output)
            .unwrap();
        let null = File::open("/dev/null").unwrap();
        let dir = File::open(&self.dir).unwrap();
        let launch = request(script, environment);
        let fds = [null.as_fd(), file.as_fd(), file.as_fd(), dir.as_fd()];
        connection.send(&launch, &fds).unwrap();
        (connection, file)
    }

    fn run(&self, script: &str, environment: &[(&str, &str)]) -> (Exit, String) {
        let (connection, file) = self.launch(script, environment);
        assert!(matches!(hear(&connection), Some(Reply::Started { .. })));
        let Some(Reply::Exited(exit)) = hear(&connection) else {
            panic!("no end of {script}")
        };
        assert!(hear(&connection).is_none());
        (exit, read(file))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.pidfd.signal(9);
        let _ = self.process.pidfd.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn request(script: &str, environment: &[(&str, &str)]) -> Frame {
    let arguments = vec!["-c".into(), script.into()];
    let environment = environment
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    Request::Launch(Launch {
        arguments,
        environment,
    })
    .to_frame()
}

fn hear(connection: &Connection) -> Option<Reply> {
    connection
        .recv()
        .unwrap()
        .map(|(frame, _)| Reply::from_frame(&frame).unwrap())
}

fn read(file: File) -> String {
    let mut text = String::new();
    // Read from the start: the shell's writes went through another description's offset.
    let mut again = File::open(format!("/proc/self/fd/{}", fd(&file))).unwrap();
    again.read_to_string(&mut text).unwrap();
    text
}

fn fd(file: &File) -> i32 {
    use std::os::fd::AsRawFd;
    file.as_raw_fd()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not come true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn a_command_runs_as_at_a_fresh_login() {
    let service = Service::start("login");
    let script = "pwd; umask; env; ls -l /proc/self/fd; cat /proc/self/status; cat /proc/self/stat";
    let client = [
        ("LANG", "C"),
        ("BERTH_X", "y"),
        ("LD_PRELOAD", "/evil"),
        ("HOME", "/evil"),
    ];
    let (exit, output) = service.run(script, &client);
    assert_eq!(exit, Exit::Code(0), "{output}");
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines[..2], [service.dir.to_str().unwrap(), "0022"]);
    assert!(
        lines.contains(&"BERTH_X=y") && lines.contains(&"LANG=C"),
        "{output}"
    );
    assert!(!output.contains("/evil"), "{output}");
    // 0, 1, 2 and the directory that ls itself reads.
    assert_eq!(
        lines.iter().filter(|line| line.contains(" -> ")).count(),
        4,
        "{output}"
    );
    for mask in ["SigBlk", "SigIgn", "SigCgt"] {
        let line = lines
            .iter()
            .find_map(|line| line.strip_prefix(&format!("{mask}:\t")));
        // 32 and 33 are the C library's own and out of reach.
        let set = u64::from_str_radix(line.unwrap(), 16).unwrap() & !0x1_8000_0000;
        assert_eq!(set, 0, "{mask} {output}");
    }
    // The shell leads its session, and there is no terminal: fields 6 and 7 of proc_pid_stat(5).
    let stat: Vec<_> = lines.last().unwrap().split(' ').collect();
    let shell = service.run("cat /proc/$$/stat", &[]).1;
    let shell: Vec<_> = shell.split(' ').collect();
    assert_eq!((shell[0], shell[6]), (shell[5], "0"));
    assert_eq!(stat[6], "0");
}

fn codes_and_signals_come_back() {
    let service = Service::start("codes");
    assert_eq!(service.run("exit 7", &[]).0, Exit::Code(7));
    assert_eq!(service.run("kill -KILL $$", &[]).0, Exit::Signal(9));
    let (connection, file) = service.launch(
        "trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.01; done",
        &[],
    );
    assert!(matches!(hear(&connection), Some(Reply::Started { .. })));
    wait_until("the trap", || {
        read(file.try_clone().unwrap()).contains("ready")
    });
    let signal = Request::Signal(nix::sys::signal::Signal::SIGTERM);
    connection.send(&signal.to_frame(), &[]).unwrap();
    assert_eq!(hear(&connection), Some(Reply::Exited(Exit::Code(3))));
    assert!(read(file).contains("got"));
}

fn a_command_whose_caller_is_gone_is_asked_to_end() {
    let service = Service::start("gone");
    let (connection, file) = service.launch(
        "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.01; done",
        &[],
    );
    wait_until("the trap", || {
        read(file.try_clone().unwrap()).contains("ready")
    });
    drop(connection);
    wait_until("the request", || {
        read(file.try_clone().unwrap()).contains("asked")
    });
    assert_eq!(service.run("exit 0", &[]).0, Exit::Code(0));
}

fn nonsense_is_refused_and_the_service_goes_on() {
    let service = Service::start("nonsense");
    let null = File::open("/dev/null").unwrap();
    let refused = |frame: &Frame, fds: &[BorrowedFd<'_>]| {
        let connection = service.connect();
        connection.send(frame, fds).unwrap();
        match hear(&connection) {
            Some(Reply::Refused(reason)) => reason,
            other => panic!("{other:?}"),
        }
    };
    let reason = refused(&request("exit 0", &[]), &[null.as_fd(); 3]);
    assert!(reason.contains("3 descriptors"), "{reason}");
    let reason = refused(&request("exit 0", &[]), &[null.as_fd(); 16]);
    assert!(reason.contains("16 descriptors"), "{reason}");
    let reason = refused(&request("exit 0", &[]), &[null.as_fd(); 4]);
    assert!(reason.contains("working directory"), "{reason}");
    refused(&Frame::new(99, vec![]), &[]);
    refused(
        &Request::Signal(nix::sys::signal::Signal::SIGTERM).to_frame(),
        &[],
    );
    let connection = service.connect();
    sock::send(connection.as_fd(), b"\xff\xff\xff\xff junk", &[]).unwrap();
    assert!(matches!(hear(&connection), Some(Reply::Refused(_))));
    assert_eq!(service.run("exit 0", &[]).0, Exit::Code(0));
    // Nothing of all that stays open.
    let open = fs::read_dir(format!("/proc/{}/fd", service.process.pid))
        .unwrap()
        .count();
    assert!(open < 10, "{open} descriptors");
}

fn a_client_that_cannot_be_moved_hears_why() {
    let service = Service::start("move");
    let connection = service.connect();
    // Without such a unit, or without a system bus, the service manager does not do it.
    connection.send(&Request::Attach.to_frame(), &[]).unwrap();
    let Some(Reply::Refused(reason)) = hear(&connection) else {
        panic!("moved, or silent")
    };
    assert!(reason.contains("into the lasting cgroup"), "{reason}");
    assert!(hear(&connection).is_none());
    assert_eq!(service.run("exit 0", &[]).0, Exit::Code(0));
}

fn too_many_at_once_are_refused_and_silent_ones_forgotten() {
    let service = Service::start("many");
    let silent: Vec<_> = (0..64).map(|_| service.connect()).collect();
    let (one_more, _) = service.launch("exit 0", &[]);
    let Some(Reply::Refused(reason)) = hear(&one_more) else {
        panic!("accepted")
    };
    assert!(reason.contains("64"), "{reason}");
    for connection in &silent {
        assert!(hear(connection).is_none());
    }
    assert_eq!(service.run("exit 0", &[]).0, Exit::Code(0));
}

fn it_ends_in_order() {
    let service = Service::start("order");
    let (connection, _) = service.launch("sleep 0.3; exit 4", &[]);
    assert!(matches!(hear(&connection), Some(Reply::Started { .. })));
    service.process.pidfd.signal(15).unwrap();
    assert_eq!(hear(&connection), Some(Reply::Exited(Exit::Code(4))));
    wait_until("the end", || service.process.pidfd.has_ended().unwrap());
    let (late, _) = (Connection::connect(&service.dir.join("socket")), ());
    assert!(late.is_err());
}

/// The client's own words, from a shell in a new user namespace.
fn a_peer_in_another_user_namespace_is_refused() {
    let service = Service::start("userns");
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .arg(std::env::current_exe().unwrap())
        .env("BERTH_TEST_SOCKET", service.dir.join("socket"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("another user namespace"), "{output:?}");
}

fn as_client(socket: &Path) {
    let connection = Connection::connect(socket).unwrap();
    let null = File::open("/dev/null").unwrap();
    // The refusal may have been sent, and the connection closed, before.
    let _ = connection.send(&request("exit 0", &[]), &[null.as_fd(); 4]);
    println!("{:?}", hear(&connection));
}

fn a_launch_takes_little_time() {
    let service = Service::start("time");
    let mut samples: Vec<_> = (0..21)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(20));
            let start = Instant::now();
            service.run("exit 0", &[]);
            start.elapsed()
        })
        .collect();
    samples.sort();
    println!("one launch of a shell, median: {:?}", samples[10]);
    // Some hundred times what it takes: this finds a wait, not a slow machine.
    assert!(samples[10] < Duration::from_millis(500));
}

/// This file's tests by their names.
macro_rules! tests {
    ($($name:ident),+ $(,)?) => { &[$((stringify!($name), $name)),+] };
}

const TESTS: &[(&str, fn())] = tests![
    a_command_runs_as_at_a_fresh_login,
    codes_and_signals_come_back,
    a_command_whose_caller_is_gone_is_asked_to_end,
    nonsense_is_refused_and_the_service_goes_on,
    a_client_that_cannot_be_moved_hears_why,
    too_many_at_once_are_refused_and_silent_ones_forgotten,
    it_ends_in_order,
    a_peer_in_another_user_namespace_is_refused,
    a_launch_takes_little_time,
];

/// Does what the standard test runner does, and says it in the same words, in one thread.
fn main() -> ExitCode {
    if let Some(socket) = std::env::var_os("BERTH_TEST_SOCKET") {
        as_client(Path::new(&socket));
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let filter = arguments.iter().find(|word| !word.starts_with('-'));
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter.as_str()));
    let selected: Vec<_> = TESTS.iter().filter(|(name, _)| wanted(name)).collect();
    if arguments.iter().any(|word| word == "--list") {
        for (name, _) in selected {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", selected.len());
    let mut failed = 0;
    for (name, test) in &selected {
        let passed = std::panic::catch_unwind(test).is_ok();
        failed += usize::from(!passed);
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    let passed = selected.len() - failed;
    println!("\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(101)
    }
}
