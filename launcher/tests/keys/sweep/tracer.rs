//! Follows a command and the processes of a container's start through their system calls, and has
//! one of them fail, or its process killed there.
//!
//! The tracer is root's, so the set-user-id programs that a start executes keep their rights; with
//! exec they are let go. Failures go through the registers of x86_64.

use std::collections::HashMap;
use std::fs;

use nix::libc;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Which process of a start it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `berth start`.
    Starter,
    /// The container's monitor.
    Monitor,
    /// The container's first process.
    First,
    /// The n-th other process on its way to a program of its own.
    Helper(usize),
}

/// The `nth` system call `number` of a process, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub role: Role,
    pub number: i64,
    pub nth: usize,
}

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call is not made and returns this error.
    Error(i32),
    /// SIGKILL, before the call.
    Kill,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Trace {
    /// Every system call up to the starter's end.
    pub points: Vec<Point>,
    /// Whether the fault's point was reached.
    pub reached: bool,
    /// The starter's exit code; `None` after a signal.
    pub code: Option<i32>,
}

struct Tracee {
    role: Role,
    /// How often it has made which call.
    calls: HashMap<i64, usize>,
    /// Whether it is in a system call.
    inside: bool,
    /// The error with which the call it is in returns.
    error: Option<i32>,
}

/// Follows processes.
pub struct Tracer {
    tracees: HashMap<Pid, Tracee>,
    fault: Option<(Point, Fault)>,
    helpers: usize,
    trace: Trace,
}

const EVENT_STOP: i32 = 128;

impl Tracer {
    /// Follows `starter`, a stopped or waiting child of the caller, from its exec to its end. `go`
    /// has it execute its program.
    pub fn follow(starter: i32, fault: Option<(Point, Fault)>, go: impl FnOnce()) -> Trace {
        let starter = Pid::from_raw(starter);
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC;
        ptrace::seize(starter, options).unwrap();
        go();
        let mut tracer = Self {
            tracees: HashMap::new(),
            fault,
            helpers: 0,
            trace: Trace::default(),
        };
        while !tracer.turn(starter) {}
        tracer.let_go();
        tracer.trace
    }

    /// Deals with one report; whether the starter has ended.
    fn turn(&mut self, starter: Pid) -> bool {
        match waitpid(None, Some(WaitPidFlag::__WALL)).unwrap() {
            // Nothing more is to be looked at.
            WaitStatus::PtraceSyscall(pid) if self.is_done(pid) => {
                let _ = ptrace::cont(pid, None);
            }
            WaitStatus::PtraceSyscall(pid) => self.system_call(pid),
            WaitStatus::PtraceEvent(pid, signal, event) => self.event(pid, signal, event, starter),
            WaitStatus::Stopped(pid, signal) => go_on(pid, Some(signal)),
            WaitStatus::Exited(pid, code) => {
                self.tracees.remove(&pid);
                if pid == starter {
                    self.trace.code = Some(code);
                    return true;
                }
            }
            WaitStatus::Signaled(pid, ..) => {
                self.tracees.remove(&pid);
                return pid == starter;
            }
            _ => {}
        }
        false
    }

    fn is_done(&self, pid: Pid) -> bool {
        let tracee = self.tracees.get(&pid);
        self.trace.reached && tracee.is_none_or(|tracee| tracee.error.is_none())
    }

    fn event(&mut self, pid: Pid, signal: Signal, event: i32, starter: Pid) {
        const EXEC: i32 = Event::PTRACE_EVENT_EXEC as i32;
        match event {
            EXEC if pid == starter => self.add(pid, Role::Starter),
            EXEC => {
                self.tracees.remove(&pid);
                let _ = ptrace::detach(pid, None);
                return;
            }
            // A new process; one that was known stops at a signal.
            EVENT_STOP if signal == Signal::SIGTRAP && !self.tracees.contains_key(&pid) => {
                let role = self.role_of(pid);
                self.add(pid, role);
            }
            _ => {}
        }
        go_on(pid, None);
    }

    fn add(&mut self, pid: Pid, role: Role) {
        let tracee = Tracee {
            role,
            calls: HashMap::new(),
            inside: role == Role::Starter,
            error: None,
        };
        self.tracees.insert(pid, tracee);
    }

    fn role_of(&mut self, pid: Pid) -> Role {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().to_owned()
        };
        let parent = field("PPid:").trim().parse().map(Pid::from_raw).ok();
        let parent = parent.and_then(|parent| self.tracees.get(&parent));
        let is_inside = field("NSpid:").split_whitespace().count() > 1;
        match parent.map(|parent| parent.role) {
            Some(Role::Starter) => Role::Monitor,
            Some(Role::Monitor) if is_inside => Role::First,
            _ => {
                self.helpers += 1;
                Role::Helper(self.helpers)
            }
        }
    }

    fn system_call(&mut self, pid: Pid) {
        let Some(tracee) = self.tracees.get_mut(&pid) else {
            // The child that has not executed the starter's program yet.
            return go_on(pid, None);
        };
        tracee.inside = !tracee.inside;
        let Ok(mut registers) = ptrace::getregs(pid) else {
            // It was killed.
            return;
        };
        if !tracee.inside {
            if let Some(error) = tracee.error.take() {
                registers.rax = (-i64::from(error)).cast_unsigned();
                let _ = ptrace::setregs(pid, registers);
            }
            return go_on(pid, None);
        }
        let number = registers.orig_rax.cast_signed();
        let nth = tracee.calls.entry(number).or_default();
        *nth += 1;
        let point = Point {
            role: tracee.role,
            number,
            nth: *nth,
        };
        self.trace.points.push(point);
        match self.fault {
            Some((at, fault)) if at == point && !self.trace.reached => {
                self.trace.reached = true;
                match fault {
                    Fault::Error(error) => {
                        tracee.error = Some(error);
                        registers.orig_rax = u64::MAX;
                        let _ = ptrace::setregs(pid, registers);
                    }
                    Fault::Kill => {
                        let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
                        return;
                    }
                }
            }
            _ => {}
        }
        go_on(pid, None);
    }

    /// Detaches from whatever still lives.
    fn let_go(&mut self) {
        for pid in self.tracees.keys() {
            let _ = ptrace::interrupt(*pid);
        }
        while !self.tracees.is_empty() {
            let (pid, signal) = match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Ok(WaitStatus::Stopped(pid, signal)) => (pid, Some(signal)),
                Ok(WaitStatus::PtraceSyscall(pid) | WaitStatus::PtraceEvent(pid, ..)) => {
                    (pid, None)
                }
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) => {
                    self.tracees.remove(&pid);
                    continue;
                }
                Ok(_) => continue,
                Err(_) => return,
            };
            if let Some(tracee) = self.tracees.remove(&pid)
                && let (Some(error), Ok(mut registers)) = (tracee.error, ptrace::getregs(pid))
            {
                registers.rax = (-i64::from(error)).cast_unsigned();
                let _ = ptrace::setregs(pid, registers);
            }
            let _ = ptrace::detach(pid, signal);
        }
    }
}

fn go_on(pid: Pid, signal: Option<Signal>) {
    // Whoever was killed meanwhile does not go on.
    let _ = ptrace::syscall(pid, signal);
}

/// The calls that make, open or change something, with the error with which each fails.
pub const CALLS: &[(i64, &str, i32)] = &{
    macro_rules! calls {
        ($($call:ident $error:ident)*) => {
            [$((libc::$call, stringify!($call), libc::$error)),*]
        };
    }
    calls! {
        SYS_bind EADDRINUSE SYS_capset EPERM SYS_chdir EACCES SYS_clone EAGAIN SYS_clone3 ENOMEM
        SYS_connect EAGAIN SYS_dup3 EBUSY SYS_execve ENOMEM SYS_fchmod EPERM SYS_fchmodat EPERM
        SYS_fchown EPERM SYS_fchownat EPERM SYS_fcntl ENOLCK SYS_fsconfig EINVAL SYS_fsmount EPERM
        SYS_fsopen EPERM SYS_ftruncate ENOSPC SYS_ioctl EIO SYS_keyctl EDQUOT SYS_linkat ENOSPC
        SYS_listen EADDRINUSE SYS_mkdir ENOSPC SYS_mkdirat ENOSPC SYS_mknodat EPERM
        SYS_mount EPERM SYS_mount_setattr EPERM SYS_move_mount EPERM SYS_open_tree EMFILE
        SYS_openat EMFILE SYS_openat2 EMFILE SYS_pidfd_open EMFILE SYS_pipe2 EMFILE
        SYS_pivot_root EPERM SYS_poll ENOMEM SYS_prctl EPERM SYS_prlimit64 EPERM SYS_read EIO SYS_recvmsg ENOMEM SYS_rename ENOSPC
        SYS_renameat ENOSPC SYS_renameat2 ENOSPC SYS_rmdir EBUSY SYS_seccomp ENOMEM
        SYS_sendmsg ENOBUFS SYS_sendto ENOBUFS SYS_setgid EPERM SYS_setgroups EPERM
        SYS_sethostname EPERM SYS_setns EPERM SYS_setregid EPERM SYS_setresgid EPERM
        SYS_setresuid EAGAIN SYS_setsid EPERM SYS_setsockopt ENOMEM SYS_socket EMFILE
        SYS_socketpair EMFILE SYS_symlinkat ENOSPC SYS_umount2 EBUSY
        SYS_unlink EROFS SYS_unlinkat EROFS SYS_unshare ENOSPC SYS_vfork EAGAIN
        SYS_write ENOSPC
    }
};
