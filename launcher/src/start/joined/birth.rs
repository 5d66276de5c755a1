//! Birth in the user namespace of another container.
//!
//! Nobody comes back from a user namespace below his own, so a messenger goes there for the
//! monitor, enters what else is shared, and makes the container's first process as the monitor's
//! child.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use berth_container_config::{IdKind, IdMapping};
use berth_kernel::ns::{Kind, Namespace};
use berth_kernel::process::{self, Child, PidFd};
use berth_session_protocol::{Connection, Frame};
use nix::sched::CloneFlags;

use crate::error::{Error, Plain, Result};

const BORN: u8 = 1;
const FAILED: u8 = 2;

/// Makes a process in `user` and in the other namespaces, each of which belongs to that one, whose
/// ids must be these.
pub(super) fn inside(
    user: &Namespace,
    others: &[&Namespace],
    (flags, birthplace): (CloneFlags, Option<BorrowedFd<'_>>),
    ids: &[IdMapping],
    is_seen: bool,
    body: impl FnOnce() -> u8,
) -> Result<Child> {
    let (ours, theirs) =
        Connection::pair().map_err(|error| Error::os("make a socket pair", error))?;
    let mut ours = Some(ours);
    let messenger = process::clone(CloneFlags::empty(), None, || {
        drop(ours.take());
        let born = enter(user, others, ids, is_seen).and_then(|()| {
            process::clone(flags | CloneFlags::CLONE_PARENT, birthplace, body)
                .map_err(|error| format!("make a process there: {}", Plain(&error)))
        });
        let sent = match &born {
            Ok(child) => theirs.send(
                &Frame::new(BORN, vec![child.pid.to_string().into_bytes()]),
                &[child.pidfd.as_fd()],
            ),
            Err(why) => theirs.send(&Frame::new(FAILED, vec![why.clone().into_bytes()]), &[]),
        };
        u8::from(sent.is_err())
    })
    .map_err(|error| Error::os("make a process that enters namespaces", error))?;
    let heard = ours.as_ref().map(Connection::recv);
    messenger
        .pidfd
        .wait()
        .map_err(|error| Error::os("wait for a process", error))?;
    let failed = |why: &str| Err(Error::other(format!("cannot enter what is shared: {why}")));
    match heard {
        Some(Ok(Some((frame, fds)))) => match child(&frame, fds) {
            Some(child) => Ok(child),
            None => failed(&text(&frame)),
        },
        _ => failed("the process that enters it was killed"),
    }
}

fn child(frame: &Frame, mut fds: Vec<OwnedFd>) -> Option<Child> {
    let pid = text(frame).parse().ok().filter(|_| frame.kind == BORN)?;
    let pidfd = PidFd::from_owned(fds.pop()?);
    Some(Child { pid, pidfd })
}

fn text(frame: &Frame) -> String {
    let field = frame.fields.first().map(Vec::as_slice);
    String::from_utf8_lossy(field.unwrap_or_default()).into_owned()
}

/// With a pid namespace of others, whoever is root there could otherwise look into a process that
/// still has its owner's rights.
fn enter(
    user: &Namespace,
    others: &[&Namespace],
    ids: &[IdMapping],
    is_seen: bool,
) -> std::result::Result<(), String> {
    let said = |what: &str, error: &io::Error| format!("{what}: {}", Plain(error));
    if is_seen {
        process::set_dumpable(false).map_err(|error| said("protect the process", &error))?;
    }
    user.enter()
        .map_err(|error| said("the user namespace", &error))?;
    for other in others {
        other.enter().map_err(|error| said("a namespace", &error))?;
    }
    for (kind, file) in [
        (IdKind::User, "/proc/self/uid_map"),
        (IdKind::Group, "/proc/self/gid_map"),
    ] {
        let map = std::fs::read_to_string(file).map_err(|error| said(file, &error))?;
        if !is_same(&map, ids, kind) {
            return Err(format!(
                "lxc.idmap: expected the lines of the container whose user namespace it is, found \
                 others (there is, as {file} has it: {})",
                map.split_whitespace().collect::<Vec<_>>().join(" ")
            ));
        }
    }
    Ok(())
}

/// Whether a file of user_namespaces(7) says the same as the configuration.
fn is_same(map: &str, ids: &[IdMapping], kind: IdKind) -> bool {
    let mut found: Vec<Vec<u64>> = map
        .lines()
        .map(|line| {
            let numbers = line.split_whitespace();
            numbers.filter_map(|number| number.parse().ok()).collect()
        })
        .collect();
    let mut wanted: Vec<Vec<u64>> = ids
        .iter()
        .filter(|mapping| mapping.kind == kind)
        .map(|mapping| [mapping.inside, mapping.host, mapping.count].map(u64::from))
        .map(Vec::from)
        .collect();
    found.sort();
    wanted.sort();
    found == wanted
}

/// Refuses a user namespace that is not right below the caller's own and his own making: whatever
/// the kernel allowed, others' are others'.
pub(super) fn refuse_others(user: &Namespace, at: &str) -> Result<()> {
    let refuse = |why: &str| Err(Error::other(format!("{at}: {why}")));
    let look = |error| Error::os(format!("{at}: look at the user namespace"), error);
    let own = Namespace::own(Kind::User).map_err(look)?;
    if user.is(&own).map_err(look)? {
        return refuse(
            "the container would have the ids of the host; expected the user namespace of a \
             container that has ids of its own",
        );
    }
    let is_below = user.parent().and_then(|parent| parent.is(&own));
    let me = berth_kernel::cred::effective_uid();
    let is_mine = user.owner().is_ok_and(|owner| owner == me);
    match (is_below.unwrap_or(false), is_mine || me.is_root()) {
        (true, true) => Ok(()),
        _ => refuse("the user namespace is not that of a container of yours"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_the_kernels_is_compared_with_the_configurations() {
        let mapping = |inside, host| IdMapping {
            kind: IdKind::User,
            inside,
            host,
            count: 10,
        };
        let ids = [mapping(10, 300), mapping(0, 100)];
        let map = "         0        100         10\n        10        300         10\n";
        assert!(is_same(map, &ids, IdKind::User));
        assert!(!is_same(map, &ids, IdKind::Group));
        assert!(!is_same(map, &ids[..1], IdKind::User));
        assert!(!is_same(&map.replace("300", "301"), &ids, IdKind::User));
    }
}
