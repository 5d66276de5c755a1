//! The process that carries connections from the host's ports into the container.
//!
//! It sits in the monitor's cgroup and in the container's network, where it makes connections; the
//! sockets that listen were made on the host before. It has no right and no path of either. One
//! event loop, no thread: what waits for somebody holds up nobody else, and everything that a
//! stranger can make it keep is bounded.

mod datagram;
mod pipes;
mod serve;
mod target;
mod tcp;
mod udp;

use std::os::fd::{AsFd, BorrowedFd};

use berth_kernel::cred::{self, CapabilitySet};
use berth_kernel::process::{self, Child, PidFd};
use berth_kernel::rlimit::Limited;
use berth_session_protocol::{Connection, Frame};
use nix::sched::CloneFlags;

use super::inside;
use crate::error::{Error, Result};
use crate::ports::Listening;
use crate::start::plan::StartPlan;
use serve::{Gate, Server};

/// Descriptors beyond what a forwarder can need are not asked for.
const MOST_DESCRIPTORS: u64 = 8192;

const ADD: u8 = 1;
const REMOVE: u8 = 2;

/// The monitor's end of a forwarder.
pub struct Forwarder {
    process: PidFd,
    control: Connection,
}

impl Forwarder {
    /// Starts one for these sockets.
    pub fn start(plan: &StartPlan, init: &Child, ports: &[(u32, Listening)]) -> Result<Self> {
        let failed = |error| Error::os("start the forwarder of ports", error);
        let (ours, theirs) = Connection::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let mut ours = Some(ours);
        let child = process::clone(CloneFlags::empty(), None, || {
            drop(ours.take());
            match begin(plan, &init.pidfd, &theirs, ports) {
                Ok(mut server) => server.run(&theirs),
                Err(_) => 1,
            }
        });
        let child = child.map_err(failed)?;
        let control = ours.ok_or_else(|| Error::other("the socket pair is gone"))?;
        Ok(Self {
            process: child.pidfd,
            control,
        })
    }

    /// Whether it has ended; it is reaped then.
    pub fn has_ended(&self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Gives it one more socket.
    pub fn add(&self, number: u32, listening: &Listening) -> Result<()> {
        let fields = vec![
            number.to_le_bytes().to_vec(),
            listening.port.to_le_bytes().to_vec(),
            listening.publish.protocol.word().as_bytes().to_vec(),
        ];
        self.tell(&Frame::new(ADD, fields), &[listening.as_fd()])
    }

    /// Has it give up a socket, and every connection that came by it.
    pub fn remove(&self, number: u32) -> Result<()> {
        let fields = vec![number.to_le_bytes().to_vec()];
        self.tell(&Frame::new(REMOVE, fields), &[])
    }

    fn tell(&self, frame: &Frame, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let sent = self.control.send(frame, fds);
        sent.map_err(|error| Error::other(format!("cannot reach the forwarder of ports: {error}")))
    }
}

impl AsFd for Forwarder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        let _ = self.process.signal(nix::libc::SIGKILL);
        let _ = self.process.wait();
    }
}

/// Puts the process where it works, and takes everything from it that it does not need.
fn begin(
    plan: &StartPlan,
    init: &PidFd,
    control: &Connection,
    ports: &[(u32, Listening)],
) -> std::io::Result<Server> {
    // Descriptors of its own, so that it can give one up.
    let gates = ports
        .iter()
        .map(|(number, port)| Ok((*number, Gate::of(port)?)));
    let gates: Vec<(u32, Gate)> = gates.collect::<std::io::Result<_>>()?;
    let mut keep = vec![init.as_fd(), control.as_fd()];
    keep.extend(gates.iter().map(|(_, gate)| gate.as_fd()));
    process::close_others(&keep)?;
    process::set_name(c"berth-ports")?;
    inside::enter_network(plan, init)?;
    let none = CapabilitySet::of([]);
    cred::set_capabilities(none, none, none)?;
    cred::set_no_new_privs()?;
    if let Some(files) = Limited::by_name("nofile") {
        let (soft, hard) = files.get()?;
        let enough = soft.max(MOST_DESCRIPTORS.min(hard));
        files.set(enough.min(MOST_DESCRIPTORS), enough)?;
    }
    Server::new(control, gates)
}
