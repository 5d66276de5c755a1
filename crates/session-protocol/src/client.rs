//! The caller's end of a user's launch socket.

use crate::launch::{FORWARDED, Launch, Reply, Request, socket_path};
use crate::{Connection, Error, Frame};
use berth_common::{Uid, unit};
use berth_kernel::Plain;
use berth_kernel::process::Exit;
use berth_kernel::signal::{self, SignalQueue};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the service may take to say that the command runs. On a busy host it may first have
/// to be started, and to be moved by the service manager.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Why a command could not be launched, or how it ended is not known.
#[derive(Debug)]
pub enum LaunchError {
    /// There is no socket for this user: he has not logged in through a session that starts
    /// one, or Berth's units are not installed.
    NoSocket(PathBuf),
    /// The socket cannot be connected to.
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The service refused; it says why.
    Refused(String),
    /// The service did not answer within 30 seconds.
    Silent(Uid),
    /// The caller got this signal before the command was started. Should it have been started
    /// all the same, the service asks it to end.
    Interrupted(Signal),
    /// The service ended before the command was started; nothing runs.
    DiedBefore(Uid),
    /// The service ended while the command ran; how it ended, or whether, is not known.
    DiedAfter {
        /// Whose service.
        uid: Uid,
        /// The command's process number.
        pid: i32,
    },
    /// What the caller wants is too large for one message, or the conversation failed.
    Protocol(Error),
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSocket(path) => {
                write!(f, "there is no launch socket {}", path.display())
            }
            Self::Connect { path, source } => {
                write!(
                    f,
                    "cannot connect to the launch socket {}: {}",
                    path.display(),
                    Plain(source)
                )
            }
            Self::Refused(reason) => write!(f, "the launch service refused: {reason}"),
            Self::Silent(uid) => write!(
                f,
                "the launch service did not answer within {} seconds (see: systemctl status {})",
                ANSWER_LIMIT.as_secs(),
                unit::session_helper(*uid)
            ),
            Self::Interrupted(signal) => {
                write!(f, "interrupted by {signal} before the command was started")
            }
            Self::DiedBefore(uid) => write!(
                f,
                "the launch service ended before the command was started (see: systemctl status \
                 {})",
                unit::session_helper(*uid)
            ),
            Self::DiedAfter { uid, pid } => write!(
                f,
                "the launch service ended while the command ran (process {pid}); how it ended is \
                 not known (see: systemctl status {})",
                unit::session_helper(*uid)
            ),
            Self::Protocol(error) => write!(f, "talking to the launch service: {error}"),
        }
    }
}

impl std::error::Error for LaunchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect { source, .. } => Some(source),
            Self::Protocol(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for LaunchError {
    fn from(error: Error) -> Self {
        Self::Protocol(error)
    }
}

/// What a launched command gets from its caller besides arguments and environment.
#[derive(Clone, Copy, Debug)]
pub struct Descriptors<'a> {
    /// Standard input, output, error.
    pub stdio: [BorrowedFd<'a>; 3],
    /// A descriptor of the working directory.
    pub directory: BorrowedFd<'a>,
}

/// Moves the calling process into the leaf of the lasting cgroup of `uid` (the caller's own). All
/// that the process is and has stays as it was: its terminal, its session, its parent. Where the
/// lasting cgroup has gone, asking for it brings it back. A signal ends the wait as it would end
/// the caller.
pub fn attach(uid: Uid) -> Result<(), LaunchError> {
    ask_to_be_moved(&connect(uid)?, uid)
}

fn ask_to_be_moved(connection: &Connection, uid: Uid) -> Result<(), LaunchError> {
    connection
        .set_receive_timeout(Some(ANSWER_LIMIT))
        .map_err(Error::io("limit the wait for the service"))?;
    send_unless_closed(connection, &Request::Attach.to_frame(), &[])?;
    match connection.recv() {
        Ok(Some((frame, _))) => match Reply::from_frame(&frame)? {
            Reply::Attached => Ok(()),
            Reply::Refused(reason) => Err(LaunchError::Refused(reason)),
            _ => Err(Error::Unexpected("this is no answer to a wish to be moved").into()),
        },
        Ok(None) => Err(LaunchError::DiedBefore(uid)),
        Err(error) if error.is_would_block() => Err(LaunchError::Silent(uid)),
        Err(error) => Err(error.into()),
    }
}

fn connect(uid: Uid) -> Result<Connection, LaunchError> {
    connect_to(socket_path(uid), uid, ANSWER_LIMIT)
}

fn connect_to(path: PathBuf, uid: Uid, limit: Duration) -> Result<Connection, LaunchError> {
    match Connection::connect_within(&path, limit) {
        Ok(connection) => Ok(connection),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(LaunchError::NoSocket(path)),
        // Its queue is full and nobody empties it: the service is frozen, or its user keeps it busy.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(LaunchError::Silent(uid)),
        Err(source) => Err(LaunchError::Connect { path, source }),
    }
}

/// Runs `berth` with these arguments in the lasting cgroup of `uid` (the caller's own) and waits
/// for its end. SIGINT, SIGTERM, SIGHUP and SIGQUIT that the caller gets meanwhile are forwarded,
/// except those that it ignores. To be called where there are no other threads.
pub fn launch(uid: Uid, launch: Launch, with: Descriptors<'_>) -> Result<Exit, LaunchError> {
    converse(&connect(uid)?, uid, launch, with)
}

fn converse(
    connection: &Connection,
    uid: Uid,
    launch: Launch,
    with: Descriptors<'_>,
) -> Result<Exit, LaunchError> {
    let mut signals = ForwardedSignals::block().map_err(Error::io("wait for signals"))?;
    let [input, output, error] = with.stdio;
    let request = Request::Launch(launch).to_frame();
    send_unless_closed(
        connection,
        &request,
        &[input, output, error, with.directory],
    )?;
    let deadline = Instant::now() + ANSWER_LIMIT;
    let mut running = None;
    loop {
        let timeout = match running {
            None => remaining(deadline).ok_or(LaunchError::Silent(uid))?,
            Some(_) => PollTimeout::NONE,
        };
        if wait(connection, &signals.queue, timeout).map_err(Error::io("wait for the service"))? {
            let Some((frame, _)) = connection.recv()? else {
                return Err(match running {
                    None => LaunchError::DiedBefore(uid),
                    Some(pid) => LaunchError::DiedAfter { uid, pid },
                });
            };
            match Reply::from_frame(&frame)? {
                Reply::Started { pid } => running = Some(pid),
                Reply::Attached => return Err(Error::Unexpected("nobody asked for that").into()),
                Reply::Exited(exit) => return Ok(exit),
                Reply::Refused(reason) => return Err(LaunchError::Refused(reason)),
            }
        }
        while let Some(signal) = signals.take().map_err(Error::io("read a signal"))? {
            if running.is_none() {
                return Err(LaunchError::Interrupted(signal));
            }
            send_unless_closed(connection, &Request::Signal(signal).to_frame(), &[])?;
        }
    }
}

/// Sends, or leaves it where the service has closed: what it had to say before, a refusal
/// perhaps, is still to be read.
fn send_unless_closed(
    connection: &Connection,
    frame: &Frame,
    fds: &[BorrowedFd<'_>],
) -> Result<(), Error> {
    match connection.send(frame, fds) {
        Err(error) if error.is_disconnected() => Ok(()),
        other => other,
    }
}

fn remaining(deadline: Instant) -> Option<PollTimeout> {
    let left = deadline.checked_duration_since(Instant::now())?;
    PollTimeout::try_from(left.max(Duration::from_millis(1))).ok()
}

/// Waits for either; whether the connection has something to say.
fn wait(connection: &Connection, signals: &SignalQueue, limit: PollTimeout) -> io::Result<bool> {
    let mut ready = [
        PollFd::new(connection.as_fd(), PollFlags::POLLIN),
        PollFd::new(signals.as_fd(), PollFlags::POLLIN),
    ];
    match poll(&mut ready, limit) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let [connection, _] = ready;
    Ok(connection.any().unwrap_or(true))
}

/// Takes the caller's signals for as long as it lives.
struct ForwardedSignals {
    queue: SignalQueue,
    mask_before: SigSet,
}

impl ForwardedSignals {
    fn block() -> io::Result<Self> {
        // A blocked signal is queued even if it is ignored, so what `nohup` ignores stays out.
        let mut wanted = Vec::new();
        for signal in FORWARDED {
            if !signal::is_ignored(signal)? {
                wanted.push(signal);
            }
        }
        let mut mask_before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, None, Some(&mut mask_before))?;
        Ok(Self {
            queue: SignalQueue::new(&wanted)?,
            mask_before,
        })
    }

    fn take(&mut self) -> io::Result<Option<Signal>> {
        let number = self.queue.take()?;
        Ok(number.and_then(|number| Signal::try_from(number).ok()))
    }
}

impl Drop for ForwardedSignals {
    fn drop(&mut self) {
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.mask_before), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::pthread::{pthread_kill, pthread_self};
    use std::fs::File;

    /// What a client gets from a service that behaves like `service`.
    fn against(service: impl FnOnce(Connection) + Send + 'static) -> Result<Exit, LaunchError> {
        let (ours, theirs) = Connection::pair().unwrap();
        let other = std::thread::spawn(move || service(theirs));
        let (null, root) = (File::open("/dev/null").unwrap(), File::open("/").unwrap());
        let launch = Launch {
            arguments: vec!["start".into()],
            environment: vec![],
        };
        let stdio = [null.as_fd(); 3];
        let with = Descriptors {
            stdio,
            directory: root.as_fd(),
        };
        let result = converse(&ours, Uid::ROOT, launch, with);
        drop(ours);
        other.join().unwrap();
        result
    }

    #[test]
    fn a_full_queue_is_not_waited_for_for_ever() {
        let path = std::env::temp_dir().join(format!("berth-full-{}", std::process::id()));
        let _listener = berth_kernel::sock::listen(&path, 0o600, 0).unwrap();
        let (begin, limit) = (Instant::now(), Duration::from_millis(50));
        let mut taken = Vec::new();
        let refused = loop {
            assert!(taken.len() < 100, "the queue has no end");
            match connect_to(path.clone(), Uid::ROOT, limit) {
                Ok(connection) => taken.push(connection),
                Err(error) => break error,
            }
        };
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(refused, LaunchError::Silent(_)), "{refused}");
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    fn say(connection: &Connection, reply: Reply) {
        connection.send(&reply.to_frame(), &[]).unwrap();
    }

    #[test]
    fn the_commands_end_is_the_callers() {
        let exit = against(|service| {
            let (frame, fds) = service.recv().unwrap().unwrap();
            assert!(matches!(Request::from_frame(frame), Ok(Request::Launch(_))));
            assert_eq!(fds.len(), crate::launch::LAUNCH_FDS);
            say(&service, Reply::Started { pid: 5 });
            say(&service, Reply::Exited(Exit::Code(3)));
        });
        assert_eq!(exit.unwrap(), Exit::Code(3));
    }

    #[test]
    fn refusal_and_death_are_told_apart() {
        let refused = against(|service| {
            service.recv().unwrap();
            say(&service, Reply::Refused("why".into()));
        });
        assert!(matches!(refused, Err(LaunchError::Refused(why)) if why == "why"));
        let at_once = against(|service| say(&service, Reply::Refused("no".into())));
        assert!(matches!(at_once, Err(LaunchError::Refused(why)) if why == "no"));
        assert!(matches!(against(drop), Err(LaunchError::DiedBefore(_))));
        let before = against(|service| drop(service.recv()));
        assert!(matches!(before, Err(LaunchError::DiedBefore(_))));
        let after = against(|service| {
            service.recv().unwrap();
            say(&service, Reply::Started { pid: 5 });
        });
        assert!(matches!(after, Err(LaunchError::DiedAfter { pid: 5, .. })));
    }

    #[test]
    fn a_wish_to_be_moved_is_granted_refused_or_not_heard() {
        let ask = |service: fn(Connection)| {
            let (ours, theirs) = Connection::pair().unwrap();
            let other = std::thread::spawn(move || service(theirs));
            let result = ask_to_be_moved(&ours, Uid::ROOT);
            drop(ours);
            other.join().unwrap();
            result
        };
        let granted = ask(|service| {
            let (frame, _) = service.recv().unwrap().unwrap();
            assert_eq!(Request::from_frame(frame).unwrap(), Request::Attach);
            say(&service, Reply::Attached);
        });
        assert!(granted.is_ok(), "{granted:?}");
        let refused = ask(|service| say(&service, Reply::Refused("why".into())));
        assert!(matches!(refused, Err(LaunchError::Refused(why)) if why == "why"));
        assert!(matches!(ask(drop), Err(LaunchError::DiedBefore(_))));
        let strange = ask(|service| {
            service.recv().unwrap();
            say(&service, Reply::Started { pid: 5 });
        });
        assert!(matches!(strange, Err(LaunchError::Protocol(_))));
    }

    #[test]
    fn signals_are_forwarded_once_the_command_runs() {
        let caller = pthread_self();
        let exit = against(move |service| {
            service.recv().unwrap();
            say(&service, Reply::Started { pid: 5 });
            // Caught by the caller at the earliest after it has blocked the signal, which it
            // does before it speaks; it may not have read the reply yet.
            std::thread::sleep(Duration::from_millis(50));
            pthread_kill(caller, Signal::SIGTERM).unwrap();
            let (frame, _) = service.recv().unwrap().unwrap();
            let signal = Request::from_frame(frame).unwrap();
            assert_eq!(signal, Request::Signal(Signal::SIGTERM));
            say(&service, Reply::Exited(Exit::Signal(15)));
        });
        assert_eq!(exit.unwrap(), Exit::Signal(15));
        let mut mask = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, None, Some(&mut mask)).unwrap();
        assert!(!mask.contains(Signal::SIGTERM), "the mask is as it was");
    }

    #[test]
    fn a_signal_ends_the_wait_for_a_silent_service() {
        // Not SIGINT, which a test in the background may have been told to ignore.
        let caller = pthread_self();
        let result = against(move |service| {
            service.recv().unwrap();
            pthread_kill(caller, Signal::SIGTERM).unwrap();
            assert!(service.recv().unwrap().is_none());
        });
        assert!(matches!(
            result,
            Err(LaunchError::Interrupted(Signal::SIGTERM))
        ));
    }

    #[test]
    fn too_much_to_say_is_refused_here() {
        let (ours, _theirs) = Connection::pair().unwrap();
        let null = File::open("/dev/null").unwrap();
        let launch = Launch {
            arguments: vec!["x".repeat(200_000).into()],
            environment: vec![],
        };
        let with = Descriptors {
            stdio: [null.as_fd(); 3],
            directory: null.as_fd(),
        };
        let error = converse(&ours, Uid::ROOT, launch, with).unwrap_err();
        assert!(
            matches!(error, LaunchError::Protocol(Error::Frame(_))),
            "{error}"
        );
    }

    #[test]
    fn a_missing_socket_is_its_own_error() {
        let nobody = Uid::new(4_000_000_000).unwrap();
        let null = File::open("/dev/null").unwrap();
        let with = Descriptors {
            stdio: [null.as_fd(); 3],
            directory: null.as_fd(),
        };
        let nothing = Launch {
            arguments: vec![],
            environment: vec![],
        };
        let error = launch(nobody, nothing, with).unwrap_err();
        assert!(matches!(error, LaunchError::NoSocket(_)), "{error}");
    }
}
