//! `berth nic gc`: removes what no container uses any more.

use std::collections::BTreeSet;
use std::time::Duration;

use berth_common::Uid;
use berth_kernel::cred;
use berth_netlink::Socket;
use berth_usernic::Refusal;
use berth_usernic::lock::LockDir;

use super::{Nic, kernel, living, open, refresh_view, survey};
use crate::error::{Error, Result};

/// How long a user's running request is waited for; a stuck one is left alone.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why a NIC is of no use.
pub fn useless(nic: &Nic, living: &BTreeSet<u32>) -> Option<&'static str> {
    if nic.is_left_over() {
        return Some("its request was killed before it was done");
    }
    let number = nic.peer_namespace?;
    (!living.contains(&number)).then_some("no process is left in its network namespace")
}

/// Removes the useless NICs, each under its owner's lock, and tells what was done. Needs root.
pub fn gc() -> Result<Vec<String>> {
    if !cred::effective_uid().is_root() {
        return Err(Error::other("removing NICs needs root: sudo berth nic gc"));
    }
    let mut socket = open()?;
    let candidates = find(&mut socket)?;
    let locks = LockDir::open().map_err(|refusal| Error::other(refusal.to_string()))?;
    let mut told = Vec::new();
    for candidate in candidates {
        told.extend(remove(&mut socket, &locks, &candidate)?);
    }
    refresh_view()?;
    Ok(told)
}

fn find(socket: &mut Socket) -> Result<Vec<Nic>> {
    let living = living::numbers(socket)?;
    let mut nics = survey(socket)?;
    nics.retain(|nic| useless(nic, &living).is_some());
    Ok(nics)
}

fn remove(socket: &mut Socket, locks: &LockDir, candidate: &Nic) -> Result<Option<String>> {
    let (host, owner) = (&candidate.host, &candidate.owner);
    let Some(uid) = Uid::new(candidate.uid) else {
        return Ok(None);
    };
    let lock = match locks.lock(uid, PATIENCE) {
        Ok(lock) => lock,
        Err(Refusal::Busy) => {
            return Ok(Some(format!(
                "left {host} of {owner}: a request of his is under way"
            )));
        }
        Err(refusal) => return Err(Error::other(refusal.to_string())),
    };
    // Judged anew under the lock: it may have been finished, or be another one of that name.
    let same = |nic: &Nic| nic.host == candidate.host && nic.index == candidate.index;
    let Some(nic) = find(socket)?.into_iter().find(same) else {
        return Ok(None);
    };
    match socket.delete_link(nic.index) {
        Err(error) if !error.is_missing() => return Err(kernel(error)),
        _ => {}
    }
    drop(lock);
    let why = if nic.is_left_over() {
        "its request was killed before it was done"
    } else {
        "no process is left in its network namespace"
    };
    Ok(Some(format!("removed {host} of {owner}: {why}")))
}
