//! Moves into the lasting cgroup, which is another unit's than the mover's: only the service
//! manager may make them.

use crate::error::{Doing, Result};
use berth_common::{Uid, cgroup, exit, unit};
use berth_kernel::process::{self, Child};
use berth_kernel::signal;
use berth_session_protocol::Connection;
use berth_session_protocol::launch::Reply;
use nix::sched::CloneFlags;
use nix::unistd::alarm;
use std::os::fd::AsFd;

/// How long a move may take, in seconds; then the child is ended by SIGALRM.
const LIMIT: u32 = 20;

/// Starts a child that has the service manager move the process `pid` into the leaf of the
/// lasting cgroup of `uid`, and answers `client`, if there is one. Its exit code is 0 if it has
/// answered, or if there was nobody to answer and the process was moved.
///
/// A connection to the bus brings threads and memory that would stay as long as this process, and
/// waits for others; so a child talks to it. The service manager moves only processes of the user
/// whom the caller and the unit belong to.
pub fn start(uid: Uid, pid: i32, client: Option<&Connection>) -> Result<Child> {
    let child = process::clone(CloneFlags::empty(), None, || {
        let moved = prepare_child(client).and_then(|()| attach(uid, pid));
        if let Err(error) = &moved {
            tracing::error!("{error}");
        }
        let done = match client {
            None => moved.is_ok(),
            Some(client) => {
                let reply = match moved {
                    Ok(()) => Reply::Attached,
                    Err(error) => Reply::Refused(error.to_string()),
                };
                client.send(&reply.to_frame(), &[]).is_ok()
            }
        };
        if done { exit::OK } else { exit::FAILED }
    });
    child.doing("start a process")
}

/// The child may be told to end, ends by itself in time, and must not keep other clients'
/// connections open.
fn prepare_child(client: Option<&Connection>) -> Result<()> {
    let operation = "prepare a process";
    signal::reset().doing(operation)?;
    alarm::set(LIMIT);
    let keep: Vec<_> = client.iter().map(AsFd::as_fd).collect();
    process::close_others(&keep).doing(operation)
}

fn attach(uid: Uid, pid: i32) -> Result<()> {
    let operation = format!("move process {pid} into the lasting cgroup");
    let leaf = format!("/{}", cgroup::LEAF);
    let number = u32::try_from(pid).doing(&operation)?;
    berth_systemd_bus::attach_processes_to_unit(&unit::lasting_base(uid), &leaf, &[number])
        .doing(&operation)
}
