//! Running a command in a container: into its namespaces, its confinement, its terminal.
//!
//! Two processes: the first is born in the container's cgroup and enters its namespaces; a pid
//! namespace counts for children only, so it makes the second, as the monitor's child, and ends.
//! Neither can be looked into from the container before exec.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use berth_common::{Gid, Uid, exit};
use berth_kernel::process::{self, PidFd};
use berth_kernel::tty::{self, PseudoTerminal};
use berth_kernel::{cred, fs, signal};
use berth_session_protocol::{Connection, Frame};
use nix::sched::CloneFlags;

use super::protocol::ExecRequest;
use crate::error::{Error, Plain, Result};
use crate::exec::DEFAULT_PATH;
use crate::start::child;
use crate::start::label::Requests;
use crate::start::plan::StartPlan;

const COMMAND: u8 = 1;
const TERMINAL: u8 = 2;
const FAILED: u8 = 3;

/// What the entering processes tell the monitor.
pub enum FromInside {
    /// The command's process.
    Command(PidFd),
    /// The master of the command's terminal.
    Terminal(OwnedFd),
    /// It failed: exit code and reason.
    Failed(u8, String),
    /// They are done: exec happened, or a failure was told.
    Closed,
}

/// Starts to enter: what they tell, and the first process.
pub fn start(
    plan: &StartPlan,
    init: &PidFd,
    payload: Option<BorrowedFd<'_>>,
    request: &ExecRequest,
    fds: Vec<OwnedFd>,
) -> Result<(Connection, PidFd)> {
    let (ours, theirs) =
        Connection::pair().map_err(|error| Error::os("make a socket pair", error))?;
    let mut ours = Some(ours);
    let entering = process::clone(CloneFlags::empty(), payload, || {
        drop(ours.take());
        enter(plan, init, request, &fds, &theirs)
    })
    .map_err(|error| Error::os("make a process in the container's cgroup", error))?;
    let ours = ours.ok_or_else(|| Error::other("the socket pair is gone"))?;
    ours.set_nonblocking(true)
        .map_err(|error| Error::os("set up a socket", error))?;
    Ok((ours, entering.pidfd))
}

/// The next thing told; `None` if there is none yet.
pub fn hear(inside: &Connection) -> Result<Option<FromInside>> {
    let (frame, fds) = match inside.recv() {
        Ok(Some(message)) => message,
        Ok(None) => return Ok(Some(FromInside::Closed)),
        Err(error) if error.is_would_block() => return Ok(None),
        Err(error) if error.is_disconnected() => return Ok(Some(FromInside::Closed)),
        Err(error) => return Err(Error::other(error.to_string())),
    };
    let fd = fds.into_iter().next();
    Ok(Some(match (frame.kind, fd) {
        (COMMAND, Some(fd)) => FromInside::Command(PidFd::from_owned(fd)),
        (TERMINAL, Some(fd)) => FromInside::Terminal(fd),
        _ => {
            let code = frame.fields.first().and_then(|code| code.first()).copied();
            let why = frame
                .fields
                .get(1)
                .map(|why| String::from_utf8_lossy(why).into_owned());
            FromInside::Failed(
                code.unwrap_or(exit::RUN_FAILED),
                why.unwrap_or_else(|| "the command failed without a reason".to_owned()),
            )
        }
    }))
}

/// A directory of the caller's as a standard stream would be a way out of the container.
fn refuse_directories(fds: &[OwnedFd]) -> std::result::Result<(), Failure> {
    for fd in fds {
        if fs::status(fd.as_fd())
            .map_err(because("look at the standard streams"))?
            .is_dir()
        {
            return Err(Failure {
                code: exit::RUN_FAILED,
                why: "a standard stream of the command is a directory".to_owned(),
            });
        }
    }
    Ok(())
}

struct Failure {
    code: u8,
    why: String,
}

fn because(what: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure {
        code: exit::RUN_FAILED,
        why: format!("cannot {what}: {}", Plain(&error)),
    }
}

fn tell(monitor: &Connection, failure: &Failure) {
    let fields = vec![vec![failure.code], failure.why.clone().into_bytes()];
    let _ = monitor.send(&Frame::new(FAILED, fields), &[]);
}

fn enter(
    plan: &StartPlan,
    init: &PidFd,
    request: &ExecRequest,
    fds: &[OwnedFd],
    monitor: &Connection,
) -> u8 {
    let entered = (|| {
        // What is left of the monitor's would lead whoever plants links to /proc/self/fd/N in the
        // container to the host (CVE-2024-21626).
        let mut keep: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        keep.extend([init.as_fd(), monitor.as_fd()]);
        process::close_others(&keep).map_err(because("close descriptors"))?;
        refuse_directories(fds)?;
        process::set_dumpable(false).map_err(because("protect the process"))?;
        let proc = plan.confinement.labels.proc();
        let mut proc = proc.map_err(because("open /proc"))?;
        init.enter_namespaces(plan.birth_namespaces() | plan.own_namespaces())
            .map_err(because("enter the container"))?;
        let command = process::clone(CloneFlags::CLONE_PARENT, None, || {
            run(plan, request, fds, proc.take(), monitor)
        })
        .map_err(because("make a process in the container"))?;
        monitor
            .send(&Frame::new(COMMAND, Vec::new()), &[command.pidfd.as_fd()])
            .map_err(|error| Failure {
                code: exit::RUN_FAILED,
                why: format!("cannot reach the monitor: {error}"),
            })
    })();
    match entered {
        Ok(()) => 0,
        Err(failure) => {
            tell(monitor, &failure);
            1
        }
    }
}

/// The second process: the container's in everything but its program.
fn run(
    plan: &StartPlan,
    request: &ExecRequest,
    fds: &[OwnedFd],
    proc: Option<OwnedFd>,
    monitor: &Connection,
) -> u8 {
    let failure = match try_run(plan, request, fds, proc, monitor) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    tell(monitor, &failure);
    failure.code
}

fn try_run(
    plan: &StartPlan,
    request: &ExecRequest,
    fds: &[OwnedFd],
    proc: Option<OwnedFd>,
    monitor: &Connection,
) -> std::result::Result<std::convert::Infallible, Failure> {
    let labels = &plan.confinement.labels;
    let requests = match &proc {
        None => Requests::default(),
        Some(proc) => labels
            .open(proc.as_fd())
            .map_err(because("open /proc/thread-self/attr"))?,
    };
    // The host's /proc is closed before any path of the container is followed.
    drop(proc);
    cred::set_groups(&[]).map_err(because("clear supplementary groups"))?;
    cred::set_all_gids(Gid::ROOT).map_err(because("become group 0 of the container"))?;
    cred::set_all_uids(Uid::ROOT).map_err(because("become root of the container"))?;
    process::set_dumpable(false).map_err(because("protect the process"))?;
    nix::unistd::setsid().map_err(|errno| because("make a session")(errno.into()))?;
    if request.terminal {
        open_terminal(monitor)?;
    } else {
        for (number, fd) in (0..).zip(fds) {
            process::set_standard_stream(number, fd.as_fd())
                .map_err(because("set up the standard streams"))?;
        }
    }
    child::confine(plan, requests).map_err(|why| Failure {
        code: exit::RUN_FAILED,
        why,
    })?;
    let account = Account::of_root();
    let command = Command::of(request, &account)?;
    change_directory(request, &account)?;
    signal::reset().map_err(because("reset signals"))?;
    process::mark_close_on_exec(3).map_err(because("close descriptors"))?;
    let environment = environment(plan, request, &account);
    let path = environment
        .iter()
        .find_map(|entry| entry.to_str().ok()?.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH)
        .to_owned();
    let error = process::exec_in_path(&command.program, &path, &command.arguments, &environment);
    let name = command.program.to_string_lossy();
    Err(match error.raw_os_error() {
        Some(nix::libc::ENOENT) => Failure {
            code: exit::NOT_FOUND,
            why: format!("there is no command “{name}” in the container"),
        },
        _ => Failure {
            code: exit::NOT_EXECUTABLE,
            why: format!(
                "cannot execute “{name}” in the container: {}",
                Plain(&error)
            ),
        },
    })
}

/// A terminal of the container's own devpts, so that programs inside know its name.
fn open_terminal(monitor: &Connection) -> std::result::Result<(), Failure> {
    let terminal = fs::open_dir(Path::new("/dev/pts"))
        .and_then(|devpts| PseudoTerminal::open(devpts.as_fd()))
        .map_err(because("make a terminal in the container"))?;
    monitor
        .send(
            &Frame::new(TERMINAL, Vec::new()),
            &[terminal.master.as_fd()],
        )
        .map_err(|error| Failure {
            code: exit::RUN_FAILED,
            why: format!("cannot reach the monitor: {error}"),
        })?;
    tty::set_controlling(terminal.slave.as_fd())
        .map_err(because("make the terminal the controlling one"))?;
    for number in 0..=2 {
        process::set_standard_stream(number, terminal.slave.as_fd())
            .map_err(because("use the terminal"))?;
    }
    Ok(())
}

/// What the container's own user data base says of root.
struct Account {
    home: PathBuf,
    shell: PathBuf,
}

impl Account {
    /// Reads no more of a file that is the container's than a reasonable one has.
    fn of_root() -> Self {
        use std::io::Read;
        let mut text = Vec::new();
        if let Ok(file) = fs::open_regular(Path::new("/etc/passwd")) {
            let _ = file.take(1 << 20).read_to_end(&mut text);
        }
        let entry = text.split(|byte| *byte == b'\n').find_map(|line| {
            let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
            (fields.len() == 7 && fields[2] == b"0").then(|| (fields[5], fields[6]))
        });
        let path = |bytes: &[u8], default: &str| {
            if bytes.starts_with(b"/") && !bytes.contains(&0) {
                PathBuf::from(OsStr::from_bytes(bytes))
            } else {
                PathBuf::from(default)
            }
        };
        let (home, shell) = entry.unwrap_or((b"", b""));
        Self {
            home: path(home, "/root"),
            shell: path(shell, "/bin/sh"),
        }
    }
}

struct Command {
    program: CString,
    arguments: Vec<CString>,
}

impl Command {
    fn of(request: &ExecRequest, account: &Account) -> std::result::Result<Self, Failure> {
        let zero = |_| Failure {
            code: exit::RUN_FAILED,
            why: "an argument has a zero byte in the middle".to_owned(),
        };
        if let Some(program) = request.argv.first() {
            let program = CString::new(program.clone()).map_err(zero)?;
            let arguments = request
                .argv
                .iter()
                .map(|argument| CString::new(argument.clone()).map_err(zero))
                .collect::<std::result::Result<_, _>>()?;
            return Ok(Self { program, arguments });
        }
        let shell = if account.shell.exists() {
            &account.shell
        } else {
            Path::new("/bin/sh")
        };
        let mut login = b"-".to_vec();
        login.extend(shell.file_name().unwrap_or(OsStr::new("sh")).as_bytes());
        Ok(Self {
            program: CString::new(shell.as_os_str().as_bytes()).map_err(zero)?,
            arguments: vec![CString::new(login).map_err(zero)?],
        })
    }
}

fn change_directory(request: &ExecRequest, account: &Account) -> std::result::Result<(), Failure> {
    if request.cwd.is_empty() {
        let home = if request.argv.is_empty() {
            account.home.as_path()
        } else {
            Path::new("/")
        };
        // A home that is missing is no reason for no shell.
        return nix::unistd::chdir(home)
            .or_else(|_| nix::unistd::chdir("/"))
            .map_err(|errno| because("change to /")(errno.into()));
    }
    let wanted = Path::new(OsStr::from_bytes(&request.cwd));
    nix::unistd::chdir(wanted).map_err(|errno| Failure {
        code: exit::RUN_FAILED,
        why: format!(
            "cannot change to {} in the container: {errno}",
            wanted.display()
        ),
    })
}

fn environment(plan: &StartPlan, request: &ExecRequest, account: &Account) -> Vec<CString> {
    let mut all: Vec<Vec<u8>> = vec![
        [b"HOME=", account.home.as_os_str().as_bytes()].concat(),
        b"USER=root".to_vec(),
        b"LOGNAME=root".to_vec(),
        [b"SHELL=", account.shell.as_os_str().as_bytes()].concat(),
    ];
    let given = plan
        .environment
        .iter()
        .map(|entry| entry.as_bytes().to_vec());
    for entry in given.chain(request.environment.iter().cloned()) {
        let name = entry
            .split(|byte| *byte == b'=')
            .next()
            .unwrap_or_default()
            .to_vec();
        all.retain(|other| other.split(|byte| *byte == b'=').next() != Some(&name[..]));
        all.push(entry);
    }
    all.into_iter()
        .filter_map(|entry| CString::new(entry).ok())
        .collect()
}
