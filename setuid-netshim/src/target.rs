//! The proof that a network namespace is the caller's.

use crate::Refusal;
use crate::invocation::Place;
use berth_common::Uid;
use berth_kernel::fs;
use berth_kernel::ns::{self, Kind, Namespace};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// Opens the network namespace of process `pid` and proves that `caller` answers for it. All
/// failures get the same words: which processes and namespaces others have is not told.
pub fn prove(pid: u32, caller: Uid) -> Result<Namespace, Refusal> {
    let own = own_namespaces()?;
    match judge(pid, caller, &own) {
        Ok(Some(target)) => Ok(target),
        Ok(None) | Err(_) => Err(Refusal::NotYourNamespace { pid }),
    }
}

/// The same for the namespace of a container that ends, which its monitor holds open.
pub fn prove_place(place: Option<Place>, caller: Uid) -> Result<(), Refusal> {
    let own = own_namespaces()?;
    let open = || -> io::Result<Namespace> {
        match place.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))? {
            Place::Process(pid) => of_process(pid),
            Place::Descriptor(pid, number) => {
                let process = fs::open_dir(Path::new(&format!("/proc/{pid}")))?;
                Namespace::at(process.as_fd(), &format!("fd/{number}"), Kind::Net)
            }
        }
    };
    match open().and_then(|target| is_callers(&target, caller, &own)) {
        Ok(true) => Ok(()),
        _ => Err(Refusal::NotYourPlace),
    }
}

struct Own {
    net: Namespace,
    user: Namespace,
}

/// The helper's own namespaces. Bridges and quotas are the host's, so they must be those of the
/// host: PID 1's.
fn own_namespaces() -> Result<Own, Refusal> {
    let look = || -> io::Result<(Own, Namespace)> {
        let own = Own {
            net: Namespace::own(Kind::Net)?,
            user: Namespace::own(Kind::User)?,
        };
        let init = fs::open_dir(Path::new("/proc/1"))?;
        Ok((own, Namespace::of_process(init.as_fd(), Kind::Net)?))
    };
    let system = |source| Refusal::System {
        operation: "compare the network namespace with that of process 1".to_owned(),
        source,
    };
    let (own, init) = look().map_err(system)?;
    if own.net.is(&init).map_err(system)? {
        Ok(own)
    } else {
        Err(Refusal::NotTheHost)
    }
}

fn judge(pid: u32, caller: Uid, own: &Own) -> io::Result<Option<Namespace>> {
    let target = of_process(pid)?;
    Ok(is_callers(&target, caller, own)?.then_some(target))
}

fn of_process(pid: u32) -> io::Result<Namespace> {
    let process = fs::open_dir(Path::new(&format!("/proc/{pid}")))?;
    Namespace::of_process(process.as_fd(), Kind::Net)
}

fn is_callers(target: &Namespace, caller: Uid, own: &Own) -> io::Result<bool> {
    if target.is(&own.net)? {
        return Ok(false);
    }
    let owner = match ns::owner_below(target, &own.user)? {
        Some(owner) => owner,
        // Ruled by the host's own user namespace: root's, if it is anybody's.
        None if target.user_namespace()?.is(&own.user)? => Uid::ROOT,
        None => return Ok(false),
    };
    Ok(owner == caller)
}
