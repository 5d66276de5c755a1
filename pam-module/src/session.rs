//! What happens when a session opens and closes.
#![forbid(unsafe_code)]

use crate::arguments::Arguments;
use crate::legacy::{self, Remembering};
use crate::{elogind, own_tree, systemd};
use berth_cgroups::legacy::Hierarchies;
use berth_cgroups::session::{class_has_person, is_session_id, service_has_person};
use berth_cgroups::{CgroupPath, Controllers, Error, Hierarchy};
use berth_common::{Gid, Uid};
use std::fmt;
use std::time::Duration;

/// What the module asks of PAM. Tests script it.
pub trait Handle {
    /// The service, as in `/etc/pam.d`.
    fn service(&mut self) -> Option<String>;
    /// The user who logs in. Asks the name service, so it is called once and only when
    /// everything that can be checked without it was.
    fn user(&mut self) -> Option<Person>;
    /// A variable of the environment that PAM collects for the session.
    fn variable(&mut self, name: &str) -> Option<String>;
    /// Keeps something for the end of the session.
    fn remember(&mut self, record: Record);
    /// What was kept when the session opened, if it was this process that opened it.
    fn recall(&mut self) -> Option<Record>;
    /// One line to syslog.
    fn log(&mut self, level: Level, line: &str);
}

/// A user as the user data base knows him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: Uid,
    /// Primary group.
    pub gid: Gid,
}

/// What the end of a session needs to know of its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who logged in.
    pub user: Person,
    /// Where the process was that opened the session.
    pub origin: CgroupPath,
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
    /// Whose cgroups these are.
    fn layout(&self) -> Layout;
    /// The mounted hierarchy.
    fn hierarchy(&self) -> Result<Hierarchy, Error>;
    /// The cgroup of the calling process.
    fn own_path(&self, hierarchy: &Hierarchy) -> Result<CgroupPath, Error>;
    /// The calling process.
    fn process(&self) -> i32;
    /// The hierarchies of cgroup v1, and where the calling process sits in them.
    fn legacy_hierarchies(&self) -> Result<Hierarchies, Error>;
    /// Whose session this is, as elogind wrote it down.
    fn session_user(&self, id: &str) -> Option<Uid>;
    /// The files of `limits.d` with their names, in the order in which they count, and what is
    /// wrong with those that cannot be read.
    fn limit_files(&self) -> (Vec<(String, String)>, Vec<String>);
    /// The text of `/etc/group`; empty if it cannot be read.
    fn group_file(&self) -> String;
    /// Whether the user's containers start at boot.
    fn starts_at_boot(&self, user: &Person) -> bool;
    /// Seconds since the epoch.
    fn time(&self) -> i64;
    /// Monotonic time since a fixed moment.
    fn now(&self) -> Duration;
}

/// Who makes the machine's cgroups and sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// systemd and its login manager.
    Systemd,
    /// Any init system, and elogind for the sessions.
    Elogind,
    /// Any init system, and nobody else: the tree of users is this module's own.
    Own,
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
    /// `-c` selects version 2 too, and the session got its place there by that.
    Selected,
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
            Self::Selected => f.write_str("it has its place in version 2 by -c"),
        }
    }
}

/// Why a delegation was begun and not finished.
#[derive(Debug)]
pub(crate) enum Failure {
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

/// What was done.
#[derive(Debug)]
pub(crate) struct Done {
    /// The cgroup that is the user's now.
    pub path: CgroupPath,
    /// What could not be had: controllers, limits. Each with its reason.
    pub without: Vec<String>,
    /// What else is to be told by `debug`.
    pub remark: Option<String>,
}

impl Done {
    /// Without a remark.
    pub fn new(path: CgroupPath, without: Vec<String>) -> Self {
        Self {
            path,
            without,
            remark: None,
        }
    }
}

/// Controllers that could not be turned on, each with its reason.
pub(crate) fn refused(controllers: &Controllers) -> Vec<String> {
    let refused = controllers.refused.iter();
    refused
        .map(|(name, error)| format!("{name} ({error})"))
        .collect()
}

/// Opens a session: delegates its cgroup if it is to be delegated. Never fails; says in one line
/// of syslog what stood in the way.
pub fn open(handle: &mut impl Handle, host: &impl Host, arguments: &Arguments) {
    let begin = arguments.debug.then(|| host.now());
    let handle = &mut Remembering::new(handle);
    let (mut level, mut text) = match delegate(handle, host, arguments) {
        Ok(Done {
            path,
            without,
            remark,
        }) if without.is_empty() => {
            let remark = remark.map_or(String::new(), |remark| format!("; {remark}"));
            (Level::Debug, format!("delegated {path}{remark}"))
        }
        Ok(Done { path, without, .. }) => (
            Level::Warning,
            format!("delegated {path}, but without {}", without.join(", ")),
        ),
        Err(Failure::Skip(skip)) => (Level::Debug, format!("session left as it is: {skip}")),
        Err(failure) => (Level::Warning, format!("session not delegated: {failure}")),
    };
    if let Some(begin) = begin {
        let took = host.now().saturating_sub(begin).as_micros();
        text = format!("{text} ({took} µs, name service included)");
    }
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

/// The way of a login, top to bottom: everything that speaks against it, the layout of the
/// machine, and what is to be done in it.
fn delegate(
    handle: &mut impl Handle,
    host: &impl Host,
    arguments: &Arguments,
) -> Result<Done, Failure> {
    check_caller(handle, host)?;
    if legacy::open(handle, host, arguments) {
        return Err(Skip::Selected.into());
    }
    match host.layout() {
        Layout::Systemd => systemd::open(handle, host, arguments),
        Layout::Elogind => elogind::open(handle, host, arguments),
        Layout::Own => own_tree::open(handle, host, arguments),
    }
}

/// Closes a session: takes away what is empty and ours. Never fails and kills nothing.
pub fn close(handle: &mut impl Handle, host: &impl Host, arguments: &Arguments) {
    let handle = &mut Remembering::new(handle);
    let cleared = clear_up(handle, host, arguments);
    if let (Err(failure), true) = (cleared, arguments.debug) {
        handle.log(Level::Debug, &format!("nothing done at close: {failure}"));
    }
}

/// The way of a logout.
fn clear_up(
    handle: &mut impl Handle,
    host: &impl Host,
    arguments: &Arguments,
) -> Result<(), Failure> {
    check_caller(handle, host)?;
    if legacy::close(handle, host, arguments) {
        return Ok(());
    }
    match host.layout() {
        // systemd removes the scope with all that is in it, and whether what still runs is
        // killed is its policy.
        Layout::Systemd => Ok(()),
        Layout::Elogind | Layout::Own => own_tree::close(handle, host, arguments),
    }
}

/// What can be told without asking who logs in.
fn check_caller(handle: &mut impl Handle, host: &impl Host) -> Result<(), Failure> {
    if !host.is_root() {
        return Err(Skip::NotRoot.into());
    }
    if let Some(service) = handle.service().filter(|name| !service_has_person(name)) {
        return Err(Skip::Service(service).into());
    }
    let class = handle.variable("XDG_SESSION_CLASS");
    if let Some(class) = class.filter(|name| !class_has_person(name)) {
        return Err(Skip::Class(class).into());
    }
    Ok(())
}

/// The user who logs in, if he is a person.
pub(crate) fn person(handle: &mut impl Handle) -> Result<Person, Failure> {
    let user = handle.user().filter(|user| user.uid.is_person());
    user.ok_or_else(|| Skip::NoPerson.into())
}

/// The session that the login manager opened in this stack, if it did.
pub(crate) fn session_id(handle: &mut impl Handle) -> Option<String> {
    handle
        .variable("XDG_SESSION_ID")
        .filter(|id| is_session_id(id))
}

/// The time that a login may be kept.
pub(crate) struct Clock<'a, H> {
    host: &'a H,
    begin: Duration,
    limit: Duration,
}

impl<'a, H: Host> Clock<'a, H> {
    /// Starts it.
    pub fn start(host: &'a H, limit: Duration) -> Self {
        let begin = host.now();
        Self { host, begin, limit }
    }

    /// To be asked before each step.
    pub fn check(&self) -> Result<(), Failure> {
        if self.host.now().saturating_sub(self.begin) > self.limit {
            Err(self.late())
        } else {
            Ok(())
        }
    }

    /// Takes the end of the time for what it is.
    pub fn heed<T>(&self, result: Result<T, Error>) -> Result<T, Failure> {
        match result {
            Err(Error::OutOfTime { .. }) => Err(self.late()),
            other => Ok(other?),
        }
    }

    /// That it is over.
    pub fn late(&self) -> Failure {
        Failure::Deadline(self.limit)
    }
}
