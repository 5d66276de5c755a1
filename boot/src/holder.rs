//! Holds the containers of one user: his lasting cgroup through a PAM session, the launch socket
//! that leads there, what starts at boot, and the ordered stop of all of it in the end.

use crate::child::{self, Person, Said, finish};
use crate::pam::Session;
use crate::{Failure, place, say};
use berth_cgroups::session::is_session_id;
use berth_cgroups::{DelegatedBase, Hierarchy};
use berth_common::{boot, cgroup, path};
use berth_kernel::process::Child;
use berth_kernel::ready::Readiness;
use berth_kernel::signal::{self, SignalQueue};
use berth_kernel::user::User;
use berth_kernel::{fs, sock};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The PAM service, as in `/etc/pam.d`.
const SERVICE: &std::ffi::CStr = c"berth-user";
/// How long PAM's modules may take. After that the process ends by SIGALRM: an init system that
/// waits for readiness waits for that, too.
const SESSION_SECONDS: u32 = 60;
/// How long starting all containers may take. Each has limits of its own; this is for an engine
/// that hangs.
const START_LIMIT: Duration = Duration::from_secs(30 * 60);
/// How long a program may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);
/// What the ordered stop may take beyond its own limit.
const BEYOND: Duration = Duration::from_secs(15);
/// The pause before a launch service that has ended is started again: the first, and the longest.
const DOOR_PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(60));
/// One that lived so long begins anew with the shortest pause.
const DOOR_LIVED: Duration = Duration::from_secs(60);
/// How many clients may wait in the launch socket.
const BACKLOG: u16 = 128;

/// What is to be held, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Containers of these groups start at boot, as `berth autostart --groups` takes it.
    pub groups: Option<String>,
    /// Whether any do.
    pub start: bool,
    /// Seconds that all containers together have to stop.
    pub stop_seconds: u64,
}

/// Holds until SIGTERM or SIGINT. The lock is taken; `ready` is told when commands of the user's
/// find what they need, before his containers start.
pub fn hold(user: &User, options: &Options, ready: Readiness) -> Result<(), Failure> {
    signal::reset().map_err(Failure::doing("set the signals"))?;
    let signals = SignalQueue::new(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP])
        .map_err(Failure::doing("block signals"))?;
    leave_session_of_caller();
    let (session, of_session) = if user.uid.is_root() {
        (None, Vec::new())
    } else {
        let session = open_session(user)?;
        let environment = session.environment();
        (Some(session), environment)
    };
    let person =
        Person::new(user.clone(), of_session).map_err(Failure::doing("prepare the environment"))?;
    let mut holder = Holder {
        person,
        options: options.clone(),
        signals,
        said: Vec::new(),
        boot: None,
        door: None,
    };
    if session.is_some() {
        place::make_user_dir(user).map_err(Failure::doing("make the user's directory"))?;
        match is_in_base(user) {
            Ok(()) => match Door::open(user) {
                Ok(door) => holder.door = Some(door),
                Err(error) => say(&format!(
                    "no launch socket: {}: sessions start containers in their own cgroup",
                    berth_kernel::Plain(&error)
                )),
            },
            Err(why) => say(&format!(
                "{} has no lasting cgroup: {why}; containers start without limits",
                user.name
            )),
        }
    }
    ready
        .tell()
        .map_err(Failure::doing("say that it is ready"))?;
    holder.start_containers();
    let ended = holder.wait();
    holder.stop();
    drop(holder);
    let _ = std::fs::remove_file(place::mark(user.uid));
    nix::unistd::alarm::set(SESSION_SECONDS);
    drop(session);
    nix::unistd::alarm::cancel();
    ended.map_err(Failure::doing("wait"))
}

/// An administrator who starts this by hand sits in a session of elogind's, which would end with
/// him and which PAM would take for the user's.
fn leave_session_of_caller() {
    let Ok(hierarchy) = Hierarchy::detect() else {
        return;
    };
    let root = hierarchy.init_root();
    let first = hierarchy.path_of_self().ok().and_then(|own| {
        let below = root.suffix_of(&own)?;
        Some(below.iter().next()?.to_string_lossy().into_owned())
    });
    if first.is_some_and(|name| is_session_id(&name) || name == cgroup::OWN_TREE)
        && let Ok(top) = hierarchy.open(&root)
    {
        let _ = top.move_process(std::process::id().cast_signed());
    }
}

fn open_session(user: &User) -> Result<Session, Failure> {
    let name = CString::new(user.name.as_bytes())
        .map_err(|error| Failure::doing("name the user")(error.into()))?;
    nix::unistd::alarm::set(SESSION_SECONDS);
    let session = Session::open(SERVICE, &name);
    nix::unistd::alarm::cancel();
    session.map_err(|error| Failure::failed(error.to_string()))
}

/// pam_berth has put this process into the leaf of the user's lasting cgroup, or a log says why not.
fn is_in_base(user: &User) -> Result<(), String> {
    let hierarchy = Hierarchy::detect().map_err(|error| error.to_string())?;
    let own = hierarchy
        .path_of_self()
        .map_err(|error| error.to_string())?;
    let base =
        DelegatedBase::lasting_of(&hierarchy, user.uid).map_err(|error| error.to_string())?;
    let base = base.ok_or("pam_berth made none (is it in /etc/pam.d/berth-user?)")?;
    let leaf = base
        .path()
        .child(cgroup::LEAF)
        .map_err(|error| error.to_string())?;
    if own == leaf {
        Ok(())
    } else {
        Err(format!("this process is in {own}"))
    }
}

struct Holder {
    person: Person,
    options: Options,
    signals: SignalQueue,
    /// Of programs that have ended, while something still holds the other end.
    said: Vec<Said>,
    boot: Option<Job>,
    door: Option<Door>,
}

struct Job {
    child: Child,
    said: Option<Said>,
    deadline: Instant,
}

impl Holder {
    /// Starts what starts at boot, once in the life of a boot.
    fn start_containers(&mut self) {
        if !self.options.start || place::mark(self.person.user.uid).exists() {
            return;
        }
        let mut words = vec!["autostart"];
        if let Some(groups) = &self.options.groups {
            words.extend(["--groups", groups]);
        }
        match child::berth(&self.person, &words) {
            Ok((child, said)) => {
                self.boot = Some(Job {
                    child,
                    said: Some(said),
                    deadline: Instant::now() + START_LIMIT,
                });
            }
            Err(error) => say(&format!(
                "containers are not started: {}",
                berth_kernel::Plain(&error)
            )),
        }
    }

    /// Until it is told to end.
    fn wait(&mut self) -> io::Result<()> {
        loop {
            self.poll()?;
            self.said.retain_mut(Said::pass_on);
            self.look_at_boot();
            if let Some(door) = &mut self.door {
                door.look(&self.person);
            }
            while let Some(number) = self.signals.take()? {
                if number != Signal::SIGHUP as i32 {
                    return Ok(());
                }
            }
        }
    }

    fn poll(&self) -> io::Result<()> {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let mut add = |fd| fds.push(PollFd::new(fd, PollFlags::POLLIN));
        let mut deadline = None;
        if let Some(boot) = &self.boot {
            add(boot.child.pidfd.as_fd());
            boot.said.iter().for_each(|said| add(said.as_fd()));
            deadline = Some(boot.deadline);
        }
        if let Some(door) = &self.door {
            door.child.iter().for_each(|child| add(child.pidfd.as_fd()));
            door.said.iter().for_each(|said| add(said.as_fd()));
            // A pause before the next start; while nobody knocks it does not matter.
            deadline = [deadline, door.next].into_iter().flatten().min();
        }
        self.said.iter().for_each(|said| add(said.as_fd()));
        let timeout = deadline.map_or(PollTimeout::NONE, |deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            let rounded_up = left.saturating_add(Duration::from_millis(1));
            PollTimeout::try_from(rounded_up).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn look_at_boot(&mut self) {
        let Some(boot) = &mut self.boot else {
            return;
        };
        if boot.said.as_mut().is_some_and(|said| !said.pass_on()) {
            boot.said = None;
        }
        let name = &self.person.user.name;
        match boot.child.pidfd.try_wait() {
            Ok(None) if Instant::now() < boot.deadline => return,
            Ok(None) => {
                say("starting containers takes too long: ending it");
                finish(&boot.child, &mut boot.said, Duration::ZERO, GRACE);
            }
            Ok(Some(exit)) if exit.success() => {
                say(&format!("the containers of {name} are started"));
            }
            Ok(Some(exit)) => say(&format!("starting the containers of {name}: {exit}")),
            Err(error) => say(&format!(
                "how starting containers ended is not known: {}",
                berth_kernel::Plain(&error)
            )),
        }
        if let Some(job) = self.boot.take() {
            self.said.extend(job.said);
        }
        if let Err(error) = std::fs::write(place::mark(self.person.user.uid), "") {
            say(&format!(
                "cannot note that containers were started: {}",
                berth_kernel::Plain(&error)
            ));
        }
    }

    /// The ordered end: nobody starts any more, containers stop, nobody is let in any more.
    fn stop(&mut self) {
        if let Some(mut boot) = self.boot.take() {
            say("starting containers is ended");
            finish(&boot.child, &mut boot.said, Duration::ZERO, GRACE);
        }
        let seconds = self.options.stop_seconds;
        let total = seconds.to_string();
        let name = &self.person.user.name;
        match child::berth(&self.person, &boot::stop_all(&total)) {
            Ok((child, said)) => {
                let limit = Duration::from_secs(seconds).saturating_add(BEYOND);
                match finish(&child, &mut Some(said), limit, GRACE) {
                    Some(exit) if exit.success() => {
                        say(&format!("the containers of {name} are stopped"));
                    }
                    Some(exit) => say(&format!("stopping the containers of {name}: {exit}")),
                    None => say(&format!("stopping the containers of {name} did not end")),
                }
            }
            Err(error) => say(&format!(
                "containers are not stopped: {}",
                berth_kernel::Plain(&error)
            )),
        }
        if let Some(door) = self.door.take() {
            door.close();
        }
    }
}

/// The launch socket, and the service behind it.
struct Door {
    socket: OwnedFd,
    path: PathBuf,
    child: Option<Child>,
    said: Option<Said>,
    began: Instant,
    pause: Duration,
    /// When the service is started again.
    next: Option<Instant>,
}

impl Door {
    fn open(user: &User) -> io::Result<Self> {
        let path = Path::new(path::LAUNCH_DIR).join(user.uid.to_string());
        // What a holder that was killed has left; the lock says that none runs.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = sock::listen(&path, 0o600, BACKLOG)?;
        let dir = fs::open_dir(Path::new(path::LAUNCH_DIR))?;
        let name = user.uid.to_string();
        fs::chown_at(dir.as_fd(), name.as_ref(), Some(user.uid), Some(user.gid))?;
        let now = Instant::now();
        Ok(Self {
            socket,
            path,
            child: None,
            said: None,
            began: now,
            pause: DOOR_PAUSES.0,
            next: Some(now),
        })
    }

    /// Starts the service when it is time, and notices its end.
    fn look(&mut self, person: &Person) {
        if self.said.as_mut().is_some_and(|said| !said.pass_on()) {
            self.said = None;
        }
        let now = Instant::now();
        if let Some(child) = &self.child {
            let how = match child.pidfd.try_wait() {
                Ok(None) => return,
                Ok(Some(exit)) => exit.to_string(),
                Err(error) => berth_kernel::Plain(&error).to_string(),
            };
            self.child = None;
            if now.duration_since(self.began) >= DOOR_LIVED {
                self.pause = DOOR_PAUSES.0;
            }
            say(&format!("the launch service has ended ({how})"));
            self.next = Some(now + self.pause);
            self.pause = (self.pause * 4).min(DOOR_PAUSES.1);
        }
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        let socket = Some(self.socket.as_fd());
        match person.spawn(path::SESSION_HELPER, &["serve"], socket) {
            Ok((child, said)) => {
                (self.child, self.said) = (Some(child), Some(said));
                (self.began, self.next) = (now, None);
            }
            Err(error) => {
                say(&format!(
                    "cannot start the launch service: {}",
                    berth_kernel::Plain(&error)
                ));
                self.next = Some(now + DOOR_PAUSES.1);
            }
        }
    }

    fn close(mut self) {
        let _ = std::fs::remove_file(&self.path);
        if let Some(child) = self.child.take() {
            finish(&child, &mut self.said, Duration::ZERO, GRACE);
        }
    }
}
