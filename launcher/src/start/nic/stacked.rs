//! VLANs, macvlan and ipvlan: interfaces on one of the host's, born in the container.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use berth_common::InterfaceName;
use berth_kernel::process::{self, Exit};
use berth_netlink::{LinkChange, Socket, Stacked};
use nix::sched::CloneFlags;

use super::{fail, veth};
use crate::error::{Error, Result};
use crate::start::plan::{NetPlan, StackedPlan};
use crate::state::Nic;

/// A killed container's network namespace ends some time after its last process, and keeps the
/// lower interface taken until then.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

/// Makes the interface in `namespace`.
pub fn make(
    socket: &mut Socket,
    net: &NetPlan,
    plan: &StackedPlan,
    namespace: BorrowedFd<'_>,
) -> Result<()> {
    let Some(name) = &net.name else {
        return Err(Error::other("it has no name"));
    };
    let lower = socket
        .find_link(&plan.lower)
        .map_err(fail)?
        .ok_or_else(|| Error::other(format!("there is no interface {}", plan.lower)))?;
    // Kernels before 6.14 refuse a name that an interface of the caller's own namespace has.
    let temporary = veth::random_name("berth")?;
    let stacked = Stacked {
        name: &temporary,
        lower: lower.index,
        namespace: Some(namespace),
        mac: None,
        mtu: None,
        kind: plan.kind,
    };
    let word = plan.kind.word();
    with_patience(|| socket.create_stacked(&stacked)).map_err(|error| match error.errno() {
        Some(nix::libc::EOPNOTSUPP) => Error::other(format!(
            "this kernel makes no interfaces of type {word} (modprobe {})",
            if word == "vlan" { "8021q" } else { word }
        )),
        Some(nix::libc::EEXIST | nix::libc::EBUSY | nix::libc::EINVAL) => Error::other(format!(
            "{} is taken by another interface on it, which leaves no place for this one ({error})",
            plan.lower
        )),
        _ => fail(error),
    })?;
    in_namespace(namespace, |socket| {
        let link = socket.link(&temporary).map_err(other)?;
        let change = LinkChange::new().name(name);
        socket.change_link(link.index, &change).map_err(other)
    })
    .map_err(|why| Error::other(format!("cannot name the {word} interface {name}: {why}")))
}

/// Works in a network namespace, in a process of its own.
fn in_namespace(
    namespace: BorrowedFd<'_>,
    work: impl FnOnce(&mut Socket) -> std::io::Result<()>,
) -> std::result::Result<(), String> {
    let child = process::clone(CloneFlags::empty(), None, || {
        let done = nix::sched::setns(namespace, CloneFlags::CLONE_NEWNET)
            .map_err(std::io::Error::from)
            .and_then(|()| Socket::open().map_err(other))
            .and_then(|mut socket| work(&mut socket));
        u8::from(done.is_err())
    });
    match child.and_then(|child| child.pidfd.wait()) {
        Ok(Exit::Code(0)) => Ok(()),
        Ok(exit) => Err(format!("the process that was to do it ended by {exit}")),
        Err(error) => Err(crate::error::Plain(&error).to_string()),
    }
}

fn other(error: berth_netlink::Error) -> std::io::Error {
    std::io::Error::other(error.to_string())
}

/// Tries again while what is in the way may be on its way out.
pub fn with_patience(
    mut make: impl FnMut() -> std::result::Result<(), berth_netlink::Error>,
) -> std::result::Result<(), berth_netlink::Error> {
    let limit = Instant::now() + PATIENCE;
    loop {
        match make() {
            Err(error)
                if Instant::now() < limit
                    && matches!(
                        error.errno(),
                        Some(nix::libc::EEXIST | nix::libc::EBUSY | nix::libc::EINVAL)
                    ) => {}
            other => return other,
        }
        std::thread::sleep(PAUSE);
    }
}

/// Removes those of the interfaces that keep one of the host's taken, in their namespace.
pub fn remove(nics: &[Nic], namespace: BorrowedFd<'_>) -> Option<String> {
    let names: Vec<InterfaceName> = nics
        .iter()
        .filter(|nic| ["vlan", "macvlan", "ipvlan"].contains(&nic.kind.as_str()))
        .filter_map(|nic| nic.name.parse().ok())
        .collect();
    if names.is_empty() {
        return None;
    }
    let removed = in_namespace(namespace, |socket| {
        for name in &names {
            // The container may have renamed or removed it.
            if let Some(link) = socket.find_link(name).map_err(other)? {
                socket.delete_link(link.index).map_err(other)?;
            }
        }
        Ok(())
    });
    removed
        .err()
        .map(|why| format!("an interface could not be removed from the container's network: {why}"))
}
