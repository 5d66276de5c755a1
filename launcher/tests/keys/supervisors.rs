//! System calls that wait for a supervisor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_kernel::sock;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};

use crate::seccomp::{OWNERS, call, under};
use crate::world::{Container, Owner, on_host, refused_each};

/// Of the message: what stands before the structures, and those.
const HEAD: usize = 32;
const NOTIFICATION: usize = 80;
const RESPONSE: usize = 24;
const COOKIE: &str = "crumbs: 7";

/// What the program does with a system call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// This error.
    Error(i32),
    /// This result.
    Value(i64),
    /// The kernel's own.
    Continue,
    /// An answer to something else.
    Other,
    /// It hangs up.
    Close,
}

/// A system call that came.
#[derive(Clone, Debug)]
struct Call {
    number: i32,
    /// The text that its first argument points to.
    text: String,
    /// The line `Name:` of its process.
    name: String,
    init: i32,
}

/// The program that decides.
struct Program {
    path: PathBuf,
    calls: Arc<Mutex<Vec<Call>>>,
    over: Arc<AtomicBool>,
}

impl Program {
    fn listen(path: &Path, verdict: impl Fn(&Call) -> Verdict + Send + Sync + 'static) -> Self {
        let listener = sock::listen(path, 0o777, 8).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
        Self::serve(listener, path, verdict)
    }

    fn serve(
        listener: OwnedFd,
        path: &Path,
        verdict: impl Fn(&Call) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        let (calls, over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let verdict = Arc::new(verdict);
        let (seen, ended) = (Arc::clone(&calls), Arc::clone(&over));
        std::thread::spawn(move || {
            while let Ok(connection) = sock::accept(listener.as_fd()) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (seen, verdict) = (Arc::clone(&seen), Arc::clone(&verdict));
                std::thread::spawn(
                    move || {
                        while decide(&connection, &seen, &*verdict).unwrap_or(false) {}
                    },
                );
            }
        });
        Self {
            path: path.to_owned(),
            calls,
            over,
        }
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// Nobody listens any more.
    fn leave(self) {
        self.over.store(true, Ordering::SeqCst);
        sock::connect(&self.path).unwrap();
        std::fs::remove_file(&self.path).unwrap();
    }
}

fn decide(
    connection: &OwnedFd,
    seen: &Mutex<Vec<Call>>,
    verdict: &dyn Fn(&Call) -> Verdict,
) -> io::Result<bool> {
    let mut buffer = vec![0; 1000];
    let packet = sock::recv(connection.as_fd(), &mut buffer, 8)?;
    if packet.len == 0 {
        return Ok(false);
    }
    buffer.truncate(packet.len);
    assert_eq!(packet.len, HEAD + NOTIFICATION + RESPONSE + COOKIE.len());
    assert_eq!(packet.fds.len(), 3);
    let mut fds = packet.fds.into_iter();
    let (dir, memory) = (fds.next().unwrap(), fds.next().unwrap());
    let number = |at: usize| i32::from_ne_bytes(buffer[at..at + 4].try_into().unwrap());
    assert_eq!(buffer[..8], [0; 8]);
    let sizes: Vec<u8> = [80u16, 24, 64]
        .into_iter()
        .flat_map(u16::to_ne_bytes)
        .collect();
    assert_eq!(buffer[16..22], sizes);
    assert_eq!(buffer[24..32], (COOKIE.len() as u64).to_ne_bytes());
    assert_eq!(&buffer[HEAD + NOTIFICATION + RESPONSE..], COOKIE.as_bytes());
    let id = &buffer[HEAD..HEAD + 8];
    let response = HEAD + NOTIFICATION;
    assert_eq!(&buffer[response..response + 8], id);
    let comm = std::fs::read_to_string(format!("/proc/{}/comm", number(8)))?;
    assert_eq!(comm, "berth-monitor\n");
    // `id`, `pid`, `flags`; then number, architecture, instruction pointer, six arguments.
    let argument = HEAD + 16 + 16;
    let pointer = u64::from_ne_bytes(buffer[argument..argument + 8].try_into().unwrap());
    let mut text = [0; 32];
    let got = std::fs::File::from(memory)
        .read_at(&mut text, pointer)
        .unwrap_or(0);
    let text = text[..got]
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or(&[])
        .to_vec();
    let status = berth_kernel::fs::openat2(
        dir.as_fd(),
        Path::new("comm"),
        nix::fcntl::OFlag::O_RDONLY,
        0,
        berth_kernel::fs::Resolve::BENEATH,
    )?;
    let name = io::read_to_string(std::fs::File::from(status))?;
    let call = Call {
        number: number(HEAD + 16),
        text: String::from_utf8_lossy(&text).into_owned(),
        name: name.trim().to_owned(),
        init: number(12),
    };
    seen.lock().unwrap().push(call.clone());
    let (mut value, mut error, mut flags) = (0i64, 0i32, 0u32);
    match verdict(&call) {
        Verdict::Error(errno) => error = -errno,
        Verdict::Value(result) => value = result,
        Verdict::Continue => flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        Verdict::Other => buffer[response] ^= 1,
        Verdict::Close => return Ok(false),
    }
    buffer[response + 8..response + 16].copy_from_slice(&value.to_ne_bytes());
    buffer[response + 16..response + 20].copy_from_slice(&error.to_ne_bytes());
    buffer[response + 20..response + 24].copy_from_slice(&flags.to_ne_bytes());
    buffer.truncate(response + RESPONSE);
    sock::send(connection.as_fd(), &buffer, &[])?;
    Ok(true)
}

const POLICY: &str = "2\ndenylist\nmkdir notify\ngetpriority notify\nchdir notify\n";

fn proxy(address: &str) -> String {
    format!("lxc.seccomp.notify.proxy = {address}\nlxc.seccomp.notify.cookie = {COOKIE}\n")
}

fn mkdir(c: &Container<'_>, path: &str) -> String {
    call(c, libc::SYS_mkdir, &format!("($p = \"{path}\"), 0755"))
}

#[test]
fn a_supervisor_decides() {
    for owner in OWNERS {
        on_host(|host| {
            let path = Path::new("/run/decides");
            let c = under(host, owner, POLICY, &proxy("unix:/run/decides"));
            c.start_is_refused(
                "lxc.seccomp.notify.proxy: cannot connect to the supervisor of system calls at \
                 unix:/run/decides: No such file or directory",
            );
            let decide = |call: &Call| match &*call.text {
                _ if call.number == libc::SYS_getpriority as i32 => Verdict::Value(14),
                "/refused" => Verdict::Error(libc::EXDEV),
                _ => Verdict::Continue,
            };
            let program = Program::listen(path, decide);
            // In init itself, before there is a command.
            c.append("lxc.init.cmd = /bin/sh -c \"mkdir /early; mkdir /refused; exec sleep 1000\"");
            c.start();
            c.wait_for("test -d /early && ! test -d /refused");
            let calls = program.calls();
            assert!(
                calls
                    .iter()
                    .all(|call| call.init.to_string() == c.info("PID"))
            );
            let early: Vec<_> = calls.iter().filter(|call| call.text == "/early").collect();
            assert_eq!((early.len(), &*early[0].name), (1, "mkdir"), "{calls:?}");
            // In commands, at once and one after the other.
            assert_eq!(mkdir(&c, "/refused"), "18");
            assert_eq!(mkdir(&c, "/here"), "0");
            assert_eq!(mkdir(&c, "/here"), "17");
            let program_text = "for (1 .. 40) { exit 1 if syscall(140, 0, 0) != 14 }";
            let many: Vec<_> = (0..4)
                .map(|_| {
                    let mut berth = c.command("berth");
                    berth.args(["exec", "web", "--", "/usr/bin/perl", "-e", program_text]);
                    berth.spawn().unwrap()
                })
                .collect();
            for mut command in many {
                assert!(command.wait().unwrap().success());
            }
            // What a command leaves behind is supervised when the command is over.
            c.sh("sh -c 'sleep 0.3; mkdir /late; mkdir /refused 2>/said' >/dev/null 2>&1 &");
            c.wait_for("test -d /late && test -s /said");
            c.stop();
            c.destroy();
        });
    }
}

#[test]
fn whoever_has_no_answer_goes_on_without() {
    on_host(|host| {
        let path = Path::new("/run/decides");
        let turn = AtomicU64::new(0);
        let program = Program::listen(path, move |call| match &*call.text {
            _ if call.number != libc::SYS_mkdir as i32 => Verdict::Continue,
            "/twisted" => Verdict::Other,
            "/closed" => Verdict::Close,
            // One that may not be continued is no answer.
            "/wrong" => Verdict::Error(-5),
            _ => {
                turn.fetch_add(1, Ordering::SeqCst);
                Verdict::Error(libc::EXDEV)
            }
        });
        let c = under(host, Owner::User, POLICY, &proxy("unix:/run/decides"));
        c.append("lxc.hook.start = /bin/mkdir /hook");
        c.append("lxc.init.cmd = /bin/sleep 1000");
        // A hook is under the filter, too.
        let output = c.berth(&["start", "--here", "web"]);
        assert_eq!(output.status.code(), Some(1));
        let calls = program.calls();
        assert!(
            calls.iter().any(|call| call.text == "/hook"),
            "{calls:?} {output:?} {}",
            c.log()
        );
        let config = std::fs::read_to_string(c.config()).unwrap();
        let config = config.replace("lxc.hook.start = /bin/mkdir /hook\n", "");
        std::fs::write(c.config(), config).unwrap();
        c.start();
        const ENOSYS: &str = "38";
        assert_eq!(mkdir(&c, "/x"), "18");
        for path in ["/twisted", "/closed"] {
            assert_eq!(mkdir(&c, path), ENOSYS, "{path}");
            assert_eq!(mkdir(&c, "/x"), "18");
        }
        // Both in one process: the connection after the one that broke.
        let both = "$p = \"/closed\"; $q = \"/x\"; syscall(83, $p, 0); print 0 + $!; \
                    syscall(83, $q, 0); print \" \", 0 + $!";
        let said = c.ok(&["exec", "web", "--", "/usr/bin/perl", "-e", both]);
        assert_eq!(said, "38 18");
        program.leave();
        assert_eq!(mkdir(&c, "/x"), ENOSYS);
        let log = c.log();
        for part in [
            "lxc.seccomp.notify.proxy: a system call got ENOSYS: the supervisor answered something \
             else",
            "the supervisor's answer has 0 bytes instead of 136",
            "cannot connect to the supervisor of system calls at unix:/run/decides",
        ] {
            assert!(log.contains(part), "no “{part}” in {log}");
        }
        // One who comes back is found again.
        let again = Program::listen(path, |_| Verdict::Error(libc::EBADE));
        assert_eq!(mkdir(&c, "/x"), libc::EBADE.to_string());
        again.leave();
        // A call that waits does not keep the container from ending.
        let silent = Program::listen(path, |_| {
            std::thread::sleep(Duration::from_secs(600));
            Verdict::Continue
        });
        let mut berth = c.command("berth");
        berth.args([
            "exec",
            "web",
            "--",
            "/usr/bin/perl",
            "-e",
            "syscall(140, 0, 0)",
        ]);
        let mut waits = berth.spawn().unwrap();
        while silent.calls().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        c.stop();
        assert_eq!(waits.wait().unwrap().code(), Some(137));
        c.destroy();
    });
}

#[test]
fn a_supervisor_has_a_name_in_place_of_a_file() {
    on_host(|host| {
        let flags = SockFlag::SOCK_CLOEXEC;
        let kind = SockType::SeqPacket;
        let listener = socket(AddressFamily::Unix, kind, flags, None).unwrap();
        let name = UnixAddr::new_abstract(b"decides").unwrap();
        bind(listener.as_raw_fd(), &name).unwrap();
        listen(&listener, Backlog::new(8).unwrap()).unwrap();
        let program = Program::serve(listener, Path::new("@decides"), |call| match call.number {
            number if number == libc::SYS_mkdir as i32 => Verdict::Error(17),
            _ => Verdict::Continue,
        });
        let c = under(host, Owner::User, POLICY, &proxy("unix:@decides"));
        c.start();
        assert_eq!(mkdir(&c, "/x"), "17");
        assert_eq!(program.calls().last().unwrap().text, "/x");
        c.destroy();
    });
}

#[test]
fn what_cannot_be_supervised_is_refused() {
    on_host(|host| {
        let c = under(host, Owner::User, "2\ndenylist\n\nioctl notify\n", "");
        let none = "policy:4: notify: the call would wait for a supervisor, and \
                    lxc.seccomp.notify.proxy names none";
        c.start_is_refused(none);
        c.start_is_refused(none);
        c.append(&proxy("unix:@decides"));
        for (policy, line) in [
            ("2\ndenylist\nsendmsg notify\n", 3),
            ("2\nallowlist notify\nread allow\n", 2),
        ] {
            crate::seccomp::write_policy(&c, policy);
            let text = format!("policy:{line}: notify: sendmsg must not wait for a supervisor");
            c.start_is_refused(&text);
        }
        c.destroy();
    });
    let wrong = "lxc.seccomp.notify.proxy: expected unix: and an absolute path";
    refused_each(
        Owner::User,
        &[
            ("lxc.seccomp.notify.proxy = /run/proxy", wrong),
            ("lxc.seccomp.notify.proxy = unix:run/proxy", wrong),
            ("lxc.seccomp.notify.proxy = unix:@", wrong),
        ],
    );
}
