//! What commands and a container's monitor tell each other over the monitor's socket.
//!
//! A connection carries one request. `Stop` and `Kill` are answered by `Ended` when the container
//! and its remains are gone, `Reboot`, `Freeze`, `Thaw` and `Ports` by `Asked`; `Exec` by `Started`, then `Exited`; `Console` by `Seated`, and the
//! terminal is the client's until either end closes; `ConsoleLog` and `ClearConsoleLog` by
//! `ConsoleLog`, `Follow` by `Following`.

use std::os::fd::OwnedFd;

use berth_session_protocol::Frame;

/// A command to run in the container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments; nothing: the login shell of `user`.
    pub argv: Vec<Vec<u8>>,
    /// `NAME=value` on top of the container's own.
    pub environment: Vec<Vec<u8>>,
    /// Where to run; empty: the user's home for a shell, `/` for a command.
    pub cwd: Vec<u8>,
    /// As whom: `USER` or `UID`, with `:GROUP` or `:GID` if it is to be another group than his;
    /// empty: as init is.
    pub user: Vec<u8>,
    /// What of the container's confinement it is spared.
    pub spared: Spared,
    /// Whether the command gets a terminal of its own; otherwise three descriptors go with the
    /// request.
    pub terminal: bool,
}

/// What of a container's confinement a command is spared; the namespaces it never is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spared {
    /// It is in the monitor's cgroup, beside the container's limits.
    pub cgroup: bool,
    /// It keeps the capabilities that the container drops.
    pub capabilities: bool,
    /// No profile of a security module, no filter of system calls, no `no_new_privs`.
    pub profiles: bool,
}

impl Spared {
    /// Nothing of it.
    pub const ALL: Self = Self {
        cgroup: true,
        capabilities: true,
        profiles: true,
    };

    fn bits(self) -> u8 {
        u8::from(self.cgroup) | u8::from(self.capabilities) << 1 | u8::from(self.profiles) << 2
    }

    fn of_bits(bits: u8) -> Self {
        Self {
            cgroup: bits & 1 != 0,
            capabilities: bits & 2 != 0,
            profiles: bits & 4 != 0,
        }
    }
}

/// A command's request.
#[derive(Debug)]
pub enum Request {
    /// Asks init to stop.
    Stop,
    /// Ends every process of the container.
    Kill,
    /// Asks init to reboot.
    Reboot,
    /// Has all processes stand still.
    Freeze,
    /// Lets them go on.
    Thaw,
    /// Reads again which ports are published.
    Ports,
    /// Runs a command.
    Exec(ExecRequest, Vec<OwnedFd>),
    /// For the command of this connection: a signal.
    Signal(i32),
    /// A seat at `/dev/ttyN`, at the console (0), or at the first of them that is free.
    Console(Option<u32>),
    /// What the console printed last.
    ConsoleLog,
    /// The same, and what it prints from now on.
    Follow,
    /// Forgets that, and begins a new log file.
    ClearConsoleLog,
}

/// The monitor's answer.
#[derive(Debug)]
pub enum Answer {
    /// The container and its remains are gone.
    Ended,
    /// Init, or the kernel, was asked.
    Asked,
    /// The command runs; the master of its terminal, if it has one.
    Started(Option<OwnedFd>),
    /// The command ended with this code, as a shell counts.
    Exited(u8),
    /// The number of the terminal, and for what is typed and for its output a descriptor each.
    Seated(u32, Vec<OwnedFd>),
    /// A file with what the console printed last; `None` if the monitor does not keep it.
    ConsoleLog(Option<OwnedFd>),
    /// A file with what the console printed last, if that is kept, and a pipe with what follows.
    Following(Vec<OwnedFd>),
    /// It did not work: exit code and reason.
    Refused(u8, String),
}

const STOP: u8 = 1;
const KILL: u8 = 2;
const EXEC: u8 = 3;
const SIGNAL: u8 = 4;
const CONSOLE: u8 = 5;
const CONSOLE_LOG: u8 = 6;
const CLEAR_CONSOLE_LOG: u8 = 7;
const REBOOT: u8 = 8;
const FREEZE: u8 = 9;
const THAW: u8 = 10;
const PORTS: u8 = 11;
const FOLLOW: u8 = 12;
const ENDED: u8 = 16;
const STARTED: u8 = 17;
const EXITED: u8 = 18;
const REFUSED: u8 = 19;
const SEATED: u8 = 20;
const KEPT_LOG: u8 = 21;
const ASKED: u8 = 22;
const FOLLOWING: u8 = 23;

impl Request {
    /// The frame; descriptors go beside it.
    pub fn frame(&self) -> Frame {
        match self {
            Self::Stop => Frame::new(STOP, Vec::new()),
            Self::Kill => Frame::new(KILL, Vec::new()),
            Self::Reboot => Frame::new(REBOOT, Vec::new()),
            Self::Freeze => Frame::new(FREEZE, Vec::new()),
            Self::Thaw => Frame::new(THAW, Vec::new()),
            Self::Ports => Frame::new(PORTS, Vec::new()),
            Self::Signal(number) => Frame::new(SIGNAL, vec![number.to_le_bytes().to_vec()]),
            Self::Console(number) => {
                let number = number.iter().map(|number| number.to_le_bytes().to_vec());
                Frame::new(CONSOLE, number.collect())
            }
            Self::ConsoleLog => Frame::new(CONSOLE_LOG, Vec::new()),
            Self::Follow => Frame::new(FOLLOW, Vec::new()),
            Self::ClearConsoleLog => Frame::new(CLEAR_CONSOLE_LOG, Vec::new()),
            Self::Exec(request, _) => {
                let count = (request.argv.len() as u32).to_le_bytes().to_vec();
                let flags = vec![u8::from(request.terminal), request.spared.bits()];
                let mut fields = vec![flags, request.cwd.clone(), request.user.clone(), count];
                fields.extend(request.argv.iter().cloned());
                fields.extend(request.environment.iter().cloned());
                Frame::new(EXEC, fields)
            }
        }
    }

    /// The request in a frame; `None` if it is none.
    pub fn of(frame: Frame, fds: Vec<OwnedFd>) -> Option<Self> {
        match frame.kind {
            STOP => Some(Self::Stop),
            KILL => Some(Self::Kill),
            REBOOT => Some(Self::Reboot),
            FREEZE => Some(Self::Freeze),
            THAW => Some(Self::Thaw),
            PORTS => Some(Self::Ports),
            SIGNAL => {
                let number = i32::from_le_bytes(frame.fields.first()?.as_slice().try_into().ok()?);
                Some(Self::Signal(number))
            }
            CONSOLE => Some(Self::Console(match frame.fields.first() {
                None => None,
                Some(number) => Some(u32::from_le_bytes(number.as_slice().try_into().ok()?)),
            })),
            CONSOLE_LOG => Some(Self::ConsoleLog),
            FOLLOW => Some(Self::Follow),
            CLEAR_CONSOLE_LOG => Some(Self::ClearConsoleLog),
            EXEC => {
                let mut fields = frame.fields.into_iter();
                let flags: [u8; 2] = fields.next()?.try_into().ok()?;
                let [terminal, spared] = flags;
                let terminal = terminal == 1;
                let cwd = fields.next()?;
                let user = fields.next()?;
                let count = u32::from_le_bytes(fields.next()?.as_slice().try_into().ok()?);
                let argv: Vec<_> = fields.by_ref().take(count as usize).collect();
                if argv.len() != count as usize || (!terminal && fds.len() != 3) {
                    return None;
                }
                let environment = fields.collect();
                Some(Self::Exec(
                    ExecRequest {
                        argv,
                        environment,
                        cwd,
                        user,
                        spared: Spared::of_bits(spared),
                        terminal,
                    },
                    fds,
                ))
            }
            _ => None,
        }
    }
}

impl Answer {
    /// The frame; a descriptor goes beside it.
    pub fn frame(&self) -> Frame {
        match self {
            Self::Ended => Frame::new(ENDED, Vec::new()),
            Self::Asked => Frame::new(ASKED, Vec::new()),
            Self::Started(_) => Frame::new(STARTED, Vec::new()),
            Self::Seated(number, _) => Frame::new(SEATED, vec![number.to_le_bytes().to_vec()]),
            Self::ConsoleLog(_) => Frame::new(KEPT_LOG, Vec::new()),
            Self::Following(_) => Frame::new(FOLLOWING, Vec::new()),
            Self::Exited(code) => Frame::new(EXITED, vec![vec![*code]]),
            Self::Refused(code, why) => {
                Frame::new(REFUSED, vec![vec![*code], why.as_bytes().to_vec()])
            }
        }
    }

    /// The answer in a frame; `None` if it is none.
    pub fn of(frame: &Frame, fds: Vec<OwnedFd>) -> Option<Self> {
        let code = || {
            frame
                .fields
                .first()
                .and_then(|field| field.first())
                .copied()
        };
        match frame.kind {
            ENDED => Some(Self::Ended),
            ASKED => Some(Self::Asked),
            STARTED => Some(Self::Started(fds.into_iter().next())),
            SEATED => {
                let number = frame.fields.first()?.as_slice().try_into().ok()?;
                Some(Self::Seated(u32::from_le_bytes(number), fds))
            }
            KEPT_LOG => Some(Self::ConsoleLog(fds.into_iter().next())),
            FOLLOWING => Some(Self::Following(fds)),
            EXITED => Some(Self::Exited(code()?)),
            REFUSED => {
                let why = String::from_utf8_lossy(frame.fields.get(1)?).into_owned();
                Some(Self::Refused(code()?, why))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_wire() {
        let exec = ExecRequest {
            argv: vec![b"ls".to_vec(), b"-l".to_vec()],
            environment: vec![b"TERM=xterm".to_vec()],
            cwd: b"/tmp".to_vec(),
            user: b"alice:adm".to_vec(),
            spared: Spared {
                capabilities: true,
                ..Spared::default()
            },
            terminal: true,
        };
        let frame = Request::Exec(exec.clone(), Vec::new()).frame();
        match Request::of(frame, Vec::new()) {
            Some(Request::Exec(back, _)) => assert_eq!(back, exec),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            Request::of(Request::Signal(15).frame(), Vec::new()),
            Some(Request::Signal(15))
        ));
    }

    #[test]
    fn a_command_without_a_terminal_needs_three_descriptors() {
        let exec = ExecRequest {
            argv: vec![b"ls".to_vec()],
            ..ExecRequest::default()
        };
        assert!(Request::of(Request::Exec(exec, Vec::new()).frame(), Vec::new()).is_none());
    }

    #[test]
    fn a_count_that_lies_is_refused() {
        let frame = Frame::new(
            EXEC,
            vec![vec![1, 0], vec![], vec![], 9u32.to_le_bytes().to_vec()],
        );
        assert!(Request::of(frame, Vec::new()).is_none());
    }
}
