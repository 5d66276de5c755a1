//! Containers that run under LXC: liblxc's monitor listens on an abstract socket, which is how its
//! own tools find it, and so does Berth's (`monitor/lxc.rs`), so that each sees the other's.
//!
//! Names of abstract sockets are nobody's: whoever listens there counts only if he is the
//! container's owner or root.

pub mod protocol;

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use berth_common::ContainerName;
use berth_kernel::process::PidFd;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::commands::load_config;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::state::State;
use crate::time;
use protocol::Command;

/// The most that is read of the table of sockets, in bytes.
const TABLE_LIMIT: u64 = 16 << 20;
/// How long a monitor of LXC's may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a killed container may take to end.
const KILL_LIMIT: Duration = Duration::from_secs(30);

/// A container that runs under LXC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its init as the host sees it.
    pub init: i32,
    /// What it is doing.
    pub state: State,
}

/// The names of the host's abstract sockets: one look for many containers.
#[derive(Debug, Default)]
pub struct Sockets(HashSet<Vec<u8>>);

impl Sockets {
    /// Those of the caller's network namespace; none where they cannot be listed.
    pub fn read() -> Self {
        let mut table = Vec::new();
        if let Ok(file) = File::open("/proc/net/unix") {
            let _ = file.take(TABLE_LIMIT).read_to_end(&mut table);
        }
        let lines = table.split(|byte| *byte == b'\n');
        // The eighth column is the name, an abstract one with an @ before it.
        let names = lines.filter_map(|line| {
            let at = line.windows(2).position(|pair| pair == b" @")?;
            Some(line[at + 2..].to_vec())
        });
        Self(names.filter(|name| name.ends_with(b"/command")).collect())
    }

    fn may_have(&self, name: &[u8]) -> bool {
        self.0.contains(name)
    }
}

/// The container as LXC has it, if it runs there, with one look at the sockets before.
pub fn find_among(
    sockets: &Sockets,
    place: &Place,
    name: &ContainerName,
) -> Result<Option<Running>> {
    match sockets.may_have(&protocol::socket_name(&place.lxcpath, name)) {
        true => find(place, name),
        false => Ok(None),
    }
}

/// The container as LXC has it, if it runs there. Whoever asks has seen that it does not run under
/// Berth, whose monitors answer here, too.
pub fn find(place: &Place, name: &ContainerName) -> Result<Option<Running>> {
    let Some(answer) = ask(place, name, Command::GetInitPid)? else {
        return Ok(None);
    };
    let state = ask(place, name, Command::GetState)?;
    let state = state.map_or(State::Stopped, |answer| protocol::state_of(answer.value));
    let init = i32::try_from(answer.value).unwrap_or_default();
    Ok((state != State::Stopped && init > 0).then_some(Running { init, state }))
}

/// An error if the container runs under LXC.
pub fn refuse_running(place: &Place, name: &ContainerName) -> Result<()> {
    match find(place, name)? {
        None => Ok(()),
        Some(_) => Err(Error::UnderLxc(name.clone())),
    }
}

/// Stops a container that runs under LXC: its init is asked by the signal of its configuration,
/// and after `grace` LXC's monitor kills it, unless it may not. Whether it ended by itself; `None` if
/// it has not ended.
pub fn stop(
    place: &Place,
    name: &ContainerName,
    running: Running,
    grace: Option<Duration>,
    may_kill: bool,
) -> Result<Option<bool>> {
    let init = PidFd::open(running.init)
        .map_err(|error| Error::os("open the container's first process", error))?;
    // The number meant init when LXC's monitor, which alone may reap it, was asked once more.
    if find(place, name)?.map(|again| again.init) != Some(running.init) {
        return Ok(Some(true));
    }
    if grace != Some(Duration::ZERO) {
        let (config, _) = load_config(place, name)?;
        let signal = config.signals.halt.as_ref().map(|signal| signal.number());
        let signal = signal.unwrap_or_else(|| crate::monitor::halt_signal_of(running.init));
        init.signal(signal)
            .map_err(|error| Error::os("ask the container's init to stop", error))?;
        if ends_within(&init, grace) {
            return wait_for_monitor(place, name).map(|()| Some(true));
        }
    }
    if !may_kill {
        return Ok(None);
    }
    if let Some(mut monitor) = connect(place, name)? {
        // It answers by the end of the connection.
        let _ = monitor.write_all(&protocol::request(Command::Stop));
    }
    if !ends_within(&init, Some(KILL_LIMIT)) {
        return Err(Error::other(format!(
            "container “{name}” runs under LXC, which has not ended it within {} s",
            KILL_LIMIT.as_secs()
        )));
    }
    wait_for_monitor(place, name).map(|()| Some(false))
}

fn ends_within(init: &PidFd, limit: Option<Duration>) -> bool {
    let limit = limit.map_or(PollTimeout::NONE, time::poll_timeout);
    let mut fds = [PollFd::new(init.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, limit).is_ok_and(|count| count > 0)
}

/// LXC's monitor clears up after init's end.
fn wait_for_monitor(place: &Place, name: &ContainerName) -> Result<()> {
    let deadline = Instant::now() + KILL_LIMIT;
    while connect(place, name)?.is_some() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn ask(
    place: &Place,
    name: &ContainerName,
    command: Command,
) -> Result<Option<protocol::Response>> {
    // A monitor that has not asked for credentials yet closes the connection.
    for _ in 0..3 {
        let Some(mut monitor) = connect(place, name)? else {
            return Ok(None);
        };
        let mut response = [0; protocol::RESPONSE_LEN];
        let talked = monitor
            .write_all(&protocol::request(command))
            .and_then(|()| monitor.read_exact(&mut response));
        match talked {
            Ok(()) => return Ok(Some(protocol::Response::of(&response))),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return Err(Error::other(format!(
                    "container “{name}” runs under LXC, whose monitor does not answer"
                )));
            }
            Err(_) => {}
        }
    }
    Ok(None)
}

fn connect(place: &Place, name: &ContainerName) -> Result<Option<UnixStream>> {
    let failed = |error| Error::os("look for a monitor of LXC's", error);
    let address = SocketAddr::from_abstract_name(protocol::socket_name(&place.lxcpath, name))
        .map_err(failed)?;
    let Ok(monitor) = UnixStream::connect_addr(&address) else {
        return Ok(None);
    };
    let peer = berth_kernel::sock::peer_credentials(monitor.as_fd());
    if !peer.is_ok_and(|peer| peer.uid.is_root() || peer.uid == place.owner.uid) {
        return Ok(None);
    }
    monitor.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    monitor.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    Ok(Some(monitor))
}
