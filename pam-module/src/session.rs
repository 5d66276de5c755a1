//! What happens when a session opens.
#![forbid(unsafe_code)]

use crate::arguments::Arguments;
use berth_cgroups::session::{self, hand_over, is_session_id, session_owner};
use berth_cgroups::{CgroupPath, Error, Hierarchy};
use berth_common::{Gid, Uid};
use std::fmt;
use std::time::Duration;

/// What the module asks of PAM. Tests script it.
pub trait Handle {
    /// The service, as in `/etc/pam.d`.
    fn service(&mut self) -> Option<String>;
    /// Uid and primary group of the user who logs in. Asks the name service, so it is called
    /// once and only when everything that can be checked without it was.
    fn user(&mut self) -> Option<(Uid, Gid)>;
    /// A variable of the environment that PAM collects for the session.
    fn variable(&mut self, name: &str) -> Option<String>;
    /// One line to syslog.
    fn log(&mut self, level: Level, line: &str);
}

/// Severity of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something is to be mended.
    Warning,
    /// Of interest to whoever asked for it.
    Debug,
}

/// What the module asks of the machine. Tests put a subtree and a clock of their own in place.
pub trait Host {
    /// Whether the process may do what follows.
    fn is_root(&self) -> bool;
    /// The mounted hierarchy.
    fn hierarchy(&self) -> Result<Hierarchy, Error>;
    /// The cgroup of the calling process.
    fn own_path(&self, hierarchy: &Hierarchy) -> Result<CgroupPath, Error>;
    /// Monotonic time since a fixed moment.
    fn now(&self) -> Duration;
}

/// Why a session stays as it is.
#[derive(Debug)]
pub enum Skip {
    /// `session=none`.
    SwitchedOff,
    /// The process has no right to delegate.
    NotRoot,
    /// The service is one of those that log nobody in.
    Service(String),
    /// The session is of a class in which no person works.
    Class(String),
    /// pam_systemd registered no session in this stack (su and sudo inside a session, cron,
    /// no systemd, or this module comes before it).
    NoSession,
    /// The process is not in the scope of the session being opened.
    OtherCgroup(CgroupPath),
    /// The user is root, a system user or unknown.
    NoPerson,
    /// systemd did not mark the scope as delegated, so its inside is not ours to touch.
    NotDelegated,
    /// The scope belongs to neither root nor the user.
    ForeignScope(u32),
    /// The machine has no cgroup v2.
    NoHierarchy,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SwitchedOff => f.write_str("session=none is set"),
            Self::NotRoot => f.write_str("the process is not root's"),
            Self::Service(name) => write!(f, "nobody logs in by the service {name}"),
            Self::Class(name) => write!(f, "nobody works in a session of class {name}"),
            Self::NoSession => f.write_str("pam_systemd opened no session before"),
            Self::OtherCgroup(path) => {
                write!(f, "{path} is not the scope of the session being opened")
            }
            Self::NoPerson => f.write_str("the user is no person"),
            Self::NotDelegated => f.write_str(
                "systemd did not delegate the session's scope (session-.scope.d/50-berth.conf is \
                 missing, or systemd is older than 252)",
            ),
            Self::ForeignScope(uid) => write!(f, "the session's scope belongs to uid {uid}"),
            Self::NoHierarchy => f.write_str("no cgroup v2 is mounted"),
        }
    }
}

/// Why a delegation was begun and not finished.
#[derive(Debug)]
enum Failure {
    Skip(Skip),
    Deadline(Duration),
    Cgroup(Error),
}

impl From<Skip> for Failure {
    fn from(skip: Skip) -> Self {
        Self::Skip(skip)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::NoHierarchy | Error::NoMembership { .. } => Self::Skip(Skip::NoHierarchy),
            other => Self::Cgroup(other),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skip(skip) => skip.fmt(f),
            Self::Deadline(limit) => {
                write!(
                    f,
                    "it took longer than deadline={} allows",
                    limit.as_millis()
                )
            }
            Self::Cgroup(error) => error.fmt(f),
        }
    }
}

/// Controllers that could not be turned on, and why.
type Refused = Vec<(String, Error)>;

/// Opens a session: delegates its cgroup if it is to be delegated. Never fails; says in one line
/// of syslog what stood in the way.
pub fn open(handle: &mut impl Handle, host: &impl Host, arguments: &Arguments) {
    let (mut level, mut text) = match delegate(handle, host, arguments) {
        Ok((path, refused)) if refused.is_empty() => (Level::Debug, format!("delegated {path}")),
        Ok((path, refused)) => {
            let each = refused
                .iter()
                .map(|(name, error)| format!("{name} ({error})"));
            let each = each.collect::<Vec<_>>().join(", ");
            (
                Level::Warning,
                format!("delegated {path}, but without {each}"),
            )
        }
        Err(Failure::Skip(skip)) => (Level::Debug, format!("session left as it is: {skip}")),
        Err(failure) => (Level::Warning, format!("session not delegated: {failure}")),
    };
    if !arguments.unknown.is_empty() {
        let each = arguments
            .unknown
            .iter()
            .map(|word| format!("“{}”", word.escape_debug()));
        let each = each.collect::<Vec<_>>().join(" ");
        level = Level::Warning;
        text = format!("ignored unknown arguments: {each}; {text}");
    }
    if level == Level::Warning || arguments.debug {
        handle.log(level, &text);
    }
}

/// The way of a login, top to bottom: everything that speaks against it, the user, the clock,
/// the work.
fn delegate(
    handle: &mut impl Handle,
    host: &impl Host,
    arguments: &Arguments,
) -> Result<(CgroupPath, Refused), Failure> {
    if !arguments.delegate {
        return Err(Skip::SwitchedOff.into());
    }
    if !host.is_root() {
        return Err(Skip::NotRoot.into());
    }
    if let Some(service) = handle
        .service()
        .filter(|name| !session::service_has_person(name))
    {
        return Err(Skip::Service(service).into());
    }
    let class = handle.variable("XDG_SESSION_CLASS");
    if let Some(class) = class.filter(|name| !session::class_has_person(name)) {
        return Err(Skip::Class(class).into());
    }
    let id = handle
        .variable("XDG_SESSION_ID")
        .filter(|id| is_session_id(id));
    let id = id.ok_or(Skip::NoSession)?;

    let hierarchy = host.hierarchy()?;
    let path = host.own_path(&hierarchy)?;
    let root = hierarchy.init_root();
    let uid_in_path =
        session_owner(&root, &path, &id).ok_or_else(|| Skip::OtherCgroup(path.clone()))?;
    let (uid, gid) = handle
        .user()
        .filter(|(uid, _)| uid.is_person())
        .ok_or(Skip::NoPerson)?;
    if uid != uid_in_path {
        return Err(Skip::OtherCgroup(path).into());
    }

    let clock = Clock {
        host,
        begin: host.now(),
        limit: arguments.deadline,
    };
    let scope = hierarchy.open(&path)?;
    clock.check()?;
    if !scope.is_marked_delegated()? {
        return Err(Skip::NotDelegated.into());
    }
    let owner = scope.owner()?.0;
    if owner != uid.raw() && owner != Uid::ROOT.raw() {
        return Err(Skip::ForeignScope(owner).into());
    }
    match hand_over(&scope, uid, gid, || clock.check().is_ok()) {
        Ok(controllers) => Ok((path, controllers.refused)),
        Err(Error::OutOfTime { .. }) => Err(Failure::Deadline(clock.limit)),
        Err(error) => Err(error.into()),
    }
}

struct Clock<'a, H> {
    host: &'a H,
    begin: Duration,
    limit: Duration,
}

impl<H: Host> Clock<'_, H> {
    fn check(&self) -> Result<(), Failure> {
        if self.host.now().saturating_sub(self.begin) > self.limit {
            Err(Failure::Deadline(self.limit))
        } else {
            Ok(())
        }
    }
}
