//! Interfaces of the host that a container has for its life.
//!
//! The kernel would send a real device home by itself, under whatever name the container gave it,
//! and would remove a virtual one. So a small process of its own, the guardian, moves them in, waits
//! for init's end and moves them back, with their names, addresses and sizes. It is not the
//! monitor's to end: when that is killed, init ends with it and the interfaces come back the same
//! way.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use berth_common::InterfaceName;
use berth_kernel::process::{self, Child, Exit};
use berth_kernel::signal;
use berth_netlink::{Link, LinkChange, Socket};
use berth_session_protocol::{Connection, Frame};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::Signal;

use crate::error::{Error, Plain, Result};
use crate::monitor::log;
use crate::start::plan::{LinkPlan, StartPlan};

const MOVED: u8 = 1;
const FAILED: u8 = 2;
/// How long the guardian may take to move interfaces back.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whoever brings the interfaces back.
pub struct Guardian(Child);

impl Guardian {
    /// Waits until they are back. Why they may not be.
    pub fn wait(self) -> Option<String> {
        let mut fds = [PollFd::new(self.0.pidfd.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
        while poll(&mut fds, limit) == Err(nix::errno::Errno::EINTR) {}
        match self.0.pidfd.try_wait() {
            Ok(Some(Exit::Code(0))) => None,
            Ok(Some(_)) => Some("not all interfaces of the host came back".to_owned()),
            _ => Some("the interfaces of the host are still on their way back".to_owned()),
        }
    }
}

/// Moves the plan's interfaces of the host into `namespace`, the network namespace of `init`.
pub fn take(
    plan: &StartPlan,
    init: &Child,
    namespace: BorrowedFd<'_>,
    leaf: Option<BorrowedFd<'_>>,
) -> Result<Guardian> {
    let (ours, theirs) =
        Connection::pair().map_err(|error| Error::os("make a socket pair", error))?;
    let mut ours = Some(ours);
    let guardian = process::clone(CloneFlags::empty(), leaf, || {
        drop(ours.take());
        guard(plan, init, namespace, theirs)
    })
    .map_err(|error| Error::os("start what moves interfaces", error))?;
    // The other end is held by the guardian alone from here on.
    let answer = ours.as_ref().map(Connection::recv);
    match answer {
        Some(Ok(Some((frame, _)))) if frame.kind == MOVED => Ok(Guardian(guardian)),
        Some(Ok(Some((frame, _)))) => {
            let _ = guardian.pidfd.wait();
            let why = frame
                .fields
                .first()
                .map(|why| String::from_utf8_lossy(why).into_owned());
            Err(Error::other(why.unwrap_or_default()))
        }
        _ => {
            let _ = guardian.pidfd.wait();
            Err(Error::other("what moves interfaces was killed"))
        }
    }
}

/// An interface that is away from home.
struct Away {
    /// As it was.
    home: Link,
    /// Its index in the container.
    index: u32,
}

fn guard(plan: &StartPlan, init: &Child, namespace: BorrowedFd<'_>, monitor: Connection) -> u8 {
    // It goes with init, not with signals to the monitor's group, and keeps nothing open that
    // somebody waits to be closed.
    let quiet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]
        .into_iter()
        .try_for_each(signal::ignore)
        .and_then(|()| process::close_others(&[init.pidfd.as_fd(), namespace, monitor.as_fd()]));
    let _ = process::set_name(c"berth-guardian");
    let sides = quiet
        .map_err(|error| error.to_string())
        .and_then(|()| Sides::open(namespace));
    let mut sides = match sides {
        Ok(sides) => sides,
        Err(why) => return failed(&monitor, &why),
    };
    let mut away = Vec::new();
    for net in &plan.nets {
        let (LinkPlan::Phys(link), Some(name)) = (&net.link, &net.name) else {
            continue;
        };
        match sides.move_in(link, name, namespace) {
            Ok(moved) => away.push(moved),
            Err(error) => {
                // What was moved before goes back; that it was is what the error is told for.
                let _ = sides.move_back(&away);
                let why = format!("{}: cannot give {link} to the container: {error}", net.at);
                return failed(&monitor, &why);
            }
        }
    }
    // If nobody hears it, init is about to end.
    let _ = monitor.send(&Frame::new(MOVED, Vec::new()), &[]);
    drop(monitor);
    let mut fds = [PollFd::new(init.pidfd.as_fd(), PollFlags::POLLIN)];
    while poll(&mut fds, PollTimeout::NONE) == Err(nix::errno::Errno::EINTR) {}
    let failures = sides.move_back(&away);
    for failure in &failures {
        log::failure(&plan.log, failure);
    }
    u8::from(!failures.is_empty())
}

fn failed(monitor: &Connection, why: &str) -> u8 {
    let _ = monitor.send(&Frame::new(FAILED, vec![why.as_bytes().to_vec()]), &[]);
    1
}

/// Sockets of both network namespaces, and the host's itself.
struct Sides {
    here: Socket,
    inside: Socket,
    home: File,
}

impl Sides {
    fn open(namespace: BorrowedFd<'_>) -> std::result::Result<Self, String> {
        let text = |error: berth_netlink::Error| error.to_string();
        let path = Path::new("/proc/self/ns/net");
        let home =
            File::open(path).map_err(|error| format!("{}: {}", path.display(), Plain(&error)))?;
        let enter = |namespace: BorrowedFd<'_>| {
            setns(namespace, CloneFlags::CLONE_NEWNET)
                .map_err(|errno| format!("cannot enter a network namespace: {}", errno.desc()))
        };
        let here = Socket::open().map_err(text)?;
        enter(namespace)?;
        let inside = Socket::open().map_err(text)?;
        enter(home.as_fd())?;
        Ok(Self { here, inside, home })
    }

    fn move_in(
        &mut self,
        link: &InterfaceName,
        name: &InterfaceName,
        namespace: BorrowedFd<'_>,
    ) -> std::result::Result<Away, berth_netlink::Error> {
        let home = self.here.link(link)?;
        let change = LinkChange::new().up(false).namespace(namespace).name(name);
        self.here.change_link(home.index, &change)?;
        let index = self.inside.link(name)?.index;
        Ok(Away { home, index })
    }

    /// Moves all back, as they were; why some are not.
    fn move_back(&mut self, away: &[Away]) -> Vec<String> {
        let mut failures = Vec::new();
        for Away { home, index } in away.iter().rev() {
            if let Err(error) = self.move_one_back(home, *index) {
                failures.push(format!("{} has not come back: {error}", home.name));
            }
        }
        failures
    }

    fn move_one_back(
        &mut self,
        home: &Link,
        index: u32,
    ) -> std::result::Result<(), berth_netlink::Error> {
        // Some devices keep the address or size that they were given.
        let _ = self.inside.change_link(index, &LinkChange::new().up(false));
        if let Some(mac) = home.mac {
            let _ = self.inside.change_link(index, &LinkChange::new().mac(mac));
        }
        let _ = self
            .inside
            .change_link(index, &LinkChange::new().mtu(home.mtu));
        let back = LinkChange::new().namespace(self.home.as_fd());
        match home.name.parse::<InterfaceName>() {
            Ok(name) => self.inside.change_link(index, &back.name(&name)),
            Err(_) => self.inside.change_link(index, &back),
        }
    }
}
