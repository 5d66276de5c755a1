//! One client of the launch socket and what runs for it.

use crate::attach;
use crate::command::{Descriptors, Program};
use crate::error::{Doing, Error, Result};
use berth_kernel::process::Child;
use berth_kernel::sock::NamespaceId;
use berth_session_protocol::Connection;
use berth_session_protocol::launch::{LAUNCH_FDS, Launch, Reply, Request};
use nix::sys::signal::Signal;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a client may take from connecting to saying what it wants.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// Whom the service answers.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// His id; clients must have it.
    pub uid: berth_common::Uid,
    /// Where this service is; clients must be there too.
    pub user_namespace: NamespaceId,
}

impl Owner {
    /// Lets nobody in but processes of the same user in the same user namespace: one that he
    /// confined in a sandbox must not leave it through here.
    pub fn admits(&self, connection: &Connection) -> std::result::Result<(), String> {
        let peer = connection
            .peer()
            .map_err(|error| format!("who you are is unknown: {error}"))?;
        if peer.uid != self.uid {
            return Err(format!(
                "this is user {}'s, and you are user {}",
                self.uid, peer.uid
            ));
        }
        match connection.peer_user_namespace() {
            Ok(theirs) if theirs == self.user_namespace => Ok(()),
            Ok(_) => Err("you are in another user namespace".to_owned()),
            Err(error) => Err(format!("your user namespace is unknown: {error}")),
        }
    }
}

/// A client, from its connection to its command's end.
pub(crate) enum Session {
    /// It has not said yet what it wants.
    Waiting {
        connection: Connection,
        deadline: Instant,
    },
    /// Its command runs; the connection is gone if the client is.
    Running {
        connection: Option<Connection>,
        child: Child,
    },
    /// A child has it moved, and will answer it.
    Moving {
        connection: Connection,
        child: Child,
    },
}

impl Session {
    /// A client that has just connected.
    pub fn new(connection: Connection) -> Self {
        Self::Waiting {
            connection,
            deadline: Instant::now() + REQUEST_LIMIT,
        }
    }

    /// What to poll for what the client says.
    pub fn talk(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Waiting { connection, .. } => Some(connection.as_fd()),
            Self::Running { connection, .. } => connection.as_ref().map(AsFd::as_fd),
            // It has asked for all that it may.
            Self::Moving { .. } => None,
        }
    }

    /// What to poll for the command's end.
    pub fn end(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Waiting { .. } => None,
            Self::Running { child, .. } | Self::Moving { child, .. } => Some(child.pidfd.as_fd()),
        }
    }

    /// When the client's patience ends.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Waiting { deadline, .. } => Some(*deadline),
            Self::Running { .. } | Self::Moving { .. } => None,
        }
    }

    /// Whether something is being done for the client.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Moving { .. })
    }

    /// Takes one message of the client. `None`: the session is over.
    pub fn hear(self, owner: Owner, program: &Program) -> Option<Self> {
        match self {
            Self::Waiting { connection, .. } => Self::begin(connection, owner, program),
            moving @ Self::Moving { .. } => Some(moving),
            Self::Running {
                connection: Some(connection),
                child,
            } => {
                let request = match connection.recv() {
                    Ok(Some((frame, _))) => Request::from_frame(frame).ok(),
                    Err(error) if error.is_would_block() => {
                        return Some(Self::running(connection, child));
                    }
                    Ok(None) | Err(_) => None,
                };
                match request {
                    Some(Request::Signal(signal)) => {
                        // It may have ended meanwhile.
                        let _ = child.pidfd.signal(signal as i32);
                        Some(Self::running(connection, child))
                    }
                    _ => Some(Self::abandoned(child)),
                }
            }
            running @ Self::Running {
                connection: None, ..
            } => Some(running),
        }
    }

    /// Takes a client's first message.
    fn begin(connection: Connection, owner: Owner, program: &Program) -> Option<Self> {
        let request = match connection.recv() {
            Ok(None) => return None,
            Ok(Some((frame, fds))) => Request::from_frame(frame).map(|it| (it, fds)),
            Err(error) => Err(error),
        };
        let begun = match request {
            Ok((Request::Launch(launch), fds)) => start(&launch, fds, program).map(|child| {
                let pid = child.pid;
                (child, Some(Reply::Started { pid }))
            }),
            Ok((Request::Attach, _)) => start_move(&connection, owner).map(|child| (child, None)),
            Ok((Request::Signal(_), _)) => Err(Error::new("obey", "a launch comes first")),
            Err(error) => Err(Error::new("understand the request", error)),
        };
        match begun {
            Ok((child, Some(reply))) => Some(Self::running(connection, child).tell(&reply)),
            Ok((child, None)) => Some(Self::Moving { connection, child }),
            Err(error) => {
                tracing::warn!("refused: {error}");
                refuse(&connection, error.to_string());
                None
            }
        }
    }

    fn running(connection: Connection, child: Child) -> Self {
        Self::Running {
            connection: Some(connection),
            child,
        }
    }

    /// The client is gone: nobody waits for the command, which is asked to end.
    fn abandoned(child: Child) -> Self {
        tracing::info!(
            "the caller of process {} is gone: asking it to end",
            child.pid
        );
        let _ = child.pidfd.signal(Signal::SIGTERM as i32);
        Self::Running {
            connection: None,
            child,
        }
    }

    /// Tells the client; one that does not listen is gone.
    fn tell(self, reply: &Reply) -> Self {
        match self {
            Self::Running {
                connection: Some(connection),
                child,
            } => match connection.send(&reply.to_frame(), &[]) {
                Ok(()) => Self::running(connection, child),
                Err(_) => Self::abandoned(child),
            },
            other => other,
        }
    }

    /// Looks whether the command has ended, and tells the client. `None`: the session is over.
    pub fn reap(self) -> Option<Self> {
        let (connection, child) = match self {
            Self::Waiting { .. } => return Some(self),
            Self::Running { connection, child } => (connection, child),
            Self::Moving { connection, child } => return reap_move(connection, child),
        };
        match child.pidfd.try_wait() {
            Ok(None) => Some(Self::Running { connection, child }),
            Ok(Some(exit)) => {
                tracing::info!("process {} ended with {exit}", child.pid);
                if let Some(connection) = connection {
                    let _ = connection.send(&Reply::Exited(exit).to_frame(), &[]);
                }
                None
            }
            Err(error) => {
                tracing::warn!("how process {} ended is not known: {error}", child.pid);
                None
            }
        }
    }
}

/// Has the client itself moved into the lasting cgroup.
fn start_move(connection: &Connection, owner: Owner) -> Result<Child> {
    let operation = "move the client";
    let peer = connection.peer().doing(operation)?;
    if peer.pid <= 0 {
        let reason = "it is in a process namespace that cannot be seen from here";
        return Err(Error::new(operation, reason));
    }
    let child = attach::start(owner.uid, peer.pid, Some(connection))?;
    tracing::info!("moving process {} here", peer.pid);
    Ok(child)
}

/// The child that had the client moved has ended, and has told the client how it went unless it
/// was killed.
fn reap_move(connection: Connection, child: Child) -> Option<Session> {
    match child.pidfd.try_wait() {
        Ok(None) => Some(Session::Moving { connection, child }),
        Ok(Some(exit)) if exit.success() => None,
        other => {
            tracing::warn!("moving a client failed: {other:?}");
            refuse(&connection, "the process that should move it failed".into());
            None
        }
    }
}

/// Tells a client that it gets nothing.
pub(crate) fn refuse(connection: &Connection, reason: String) {
    let _ = connection.send(&Reply::Refused(reason).to_frame(), &[]);
}

fn start(launch: &Launch, fds: Vec<OwnedFd>, program: &Program) -> Result<Child> {
    let [input, output, error, directory]: [OwnedFd; LAUNCH_FDS] =
        fds.try_into().map_err(|fds: Vec<OwnedFd>| {
            let reason = format!(
                "{} descriptors came with it instead of {LAUNCH_FDS}",
                fds.len()
            );
            Error::new("understand the request", reason)
        })?;
    let command = program.command(&launch.arguments, &launch.environment)?;
    let stdio = [input.as_fd(), output.as_fd(), error.as_fd()];
    let child = command.spawn(Descriptors {
        stdio,
        directory: directory.as_fd(),
    })?;
    // The rest of the command line is the user's secret.
    let verb = launch
        .arguments
        .first()
        .and_then(|word| plain_word(word))
        .unwrap_or("…");
    tracing::info!("process {}: berth {verb}", child.pid);
    Ok(child)
}

/// A word that may stand in a log.
fn plain_word(word: &OsStr) -> Option<&str> {
    let word = word.to_str()?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    (word.len() <= 16 && word.bytes().all(plain)).then_some(word)
}
