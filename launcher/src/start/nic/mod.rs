//! A container's interfaces from outside: made, and undone where the end of the container's
//! network namespace does not do it.
//!
//! What would be left if the monitor were killed is written into its record before it is made
//! ([`Undo`]), so that the next command can remove it.

mod helper;
mod phys;
mod routed;
mod script;
mod stacked;
mod undo;
mod veth;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use berth_kernel::process::Child;
use berth_netlink::Socket;

use super::plan::{LinkPlan, NetPlan, StartPlan};
use crate::error::{Error, Result};
use crate::state::{Nic, Record, Runtime};

pub use helper::refuse_without_helper;
pub use script::ScriptCall;
pub use undo::{Undo, undo};

/// What of one life's interfaces the monitor holds on to.
#[derive(Default)]
pub struct Outside {
    /// The container's network namespace, for as long as something in it is to be undone.
    namespace: Option<File>,
    guardian: Option<phys::Guardian>,
}

/// Interfaces on their way.
pub struct Requests<'plan>(Vec<helper::Request<'plan>>);

/// Where things are done and written down.
pub struct Desk<'a> {
    /// What is to be made.
    pub plan: &'a StartPlan,
    /// Where the record is kept.
    pub runtime: &'a Runtime,
    /// The record; its interfaces are those of this life.
    pub record: &'a mut Record,
    /// A cgroup that is not the container's, for what must outlive its end.
    pub leaf: Option<BorrowedFd<'a>>,
    /// Something to read from this means that nobody waits for the start any more.
    pub given_up: Option<BorrowedFd<'a>>,
}

impl Desk<'_> {
    fn note(&mut self) -> Result<()> {
        self.runtime.write(self.record)
    }
}

impl Outside {
    /// Makes root's interfaces, or asks the NIC helper for an ordinary user's; they are born in the
    /// network namespace of `init`. The helpers run side by side.
    pub fn request<'plan>(
        &mut self,
        desk: &mut Desk<'_>,
        plan: &'plan StartPlan,
        init: &Child,
    ) -> Result<Requests<'plan>> {
        if plan.nets.is_empty() {
            return Ok(Requests(Vec::new()));
        }
        if !berth_kernel::cred::effective_uid().is_root() {
            if plan.nets.iter().any(|net| net.scripts.down.is_some()) {
                self.namespace = Some(namespace_of(init.pid)?);
            }
            return helper::request(plan, init.pid).map(Requests);
        }
        let namespace = namespace_of(init.pid)?;
        let mut socket = Socket::open().map_err(fail)?;
        for net in &plan.nets {
            make(desk, net, &mut socket, namespace.as_fd()).map_err(|error| {
                Error::other(format!("{}: no network interface: {error}", net.at))
            })?;
        }
        if plan
            .nets
            .iter()
            .any(|net| matches!(net.link, LinkPlan::Phys(_)))
        {
            self.guardian = Some(phys::take(plan, init, namespace.as_fd(), desk.leaf)?);
        }
        if plan.nets.iter().any(is_undone_inside) {
            self.namespace = Some(namespace);
        }
        Ok(Requests(Vec::new()))
    }

    /// Waits for the helpers, then runs what the owner wants to be run. The names inside, in the
    /// plan's order; empty for what is no interface.
    pub fn finish(&mut self, desk: &mut Desk<'_>, requests: Requests<'_>) -> Result<Vec<String>> {
        if !requests.0.is_empty() {
            let nics: Result<Vec<Nic>> = requests
                .0
                .into_iter()
                .map(helper::Request::finish)
                .collect();
            desk.record.nics = nics?;
        }
        for (index, net) in desk.plan.nets.iter().enumerate() {
            self::script::up(desk, index, net)?;
        }
        Ok(desk
            .record
            .nics
            .iter()
            .map(|nic| nic.name.clone())
            .collect())
    }

    /// Undoes what outlives init, who has ended. Goes on past failures; they are returned.
    pub fn undo(&mut self, nics: &mut Vec<Nic>) -> Vec<String> {
        let mut failures = undo(nics);
        if let Some(namespace) = self.namespace.take() {
            failures.extend(stacked::remove(nics, namespace.as_fd()));
        }
        failures.extend(self.guardian.take().and_then(phys::Guardian::wait));
        nics.clear();
        failures
    }
}

/// Whether the interface must not be left to the end of the network namespace, which comes some
/// time after that of its last process: a next start would find the lower interface still taken,
/// and a script nothing that it could take down.
fn is_undone_inside(net: &NetPlan) -> bool {
    matches!(net.link, LinkPlan::Stacked(_)) || net.scripts.down.is_some()
}

fn make(
    desk: &mut Desk<'_>,
    net: &NetPlan,
    socket: &mut Socket,
    namespace: BorrowedFd<'_>,
) -> Result<()> {
    let mut nic = Nic {
        name: net
            .name
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        host: String::new(),
        bridge: net
            .link
            .parent()
            .map(ToString::to_string)
            .unwrap_or_default(),
        kind: match net.link {
            LinkPlan::Veth(_) => String::new(),
            _ => net.link.word().to_owned(),
        },
        undo: Undo::default(),
    };
    match &net.link {
        LinkPlan::Empty | LinkPlan::Phys(_) => desk.record.nics.push(nic),
        LinkPlan::Stacked(stacked) => {
            stacked::make(socket, net, stacked, namespace)?;
            desk.record.nics.push(nic);
            if net.l2proxy {
                let lo = stacked.kind.word() == "ipvlan";
                routed::answer(desk, socket, net, &stacked.lower, lo)?;
            }
        }
        LinkPlan::Veth(veth) => {
            let made = veth::create(socket, net, veth, namespace)?;
            nic.host = made.name.to_string();
            nic.undo.delete = veth.pair.is_some();
            if veth.router {
                nic.bridge.clear();
            }
            desk.record.nics.push(nic);
            veth::connect(desk, socket, net, veth, &made)?;
        }
    }
    Ok(())
}

fn namespace_of(init: i32) -> Result<File> {
    let path = format!("/proc/{init}/ns/net");
    File::open(&path).map_err(|error| Error::file("open", Path::new(&path), error))
}

fn fail(error: berth_netlink::Error) -> Error {
    Error::other(error.to_string())
}
