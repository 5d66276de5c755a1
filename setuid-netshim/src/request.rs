//! A request from the command line to the answer, in the order of its acts: parse, prove, look
//! up, then, under the caller's own lock, count and create. Nothing is made before everything is
//! proven, and nothing under the lock waits for anybody.

use crate::create::{Plan, Switch};
use crate::invocation::{AnswerForm, Create, Delete, Invocation, Link};
use crate::lock::LockDir;
use crate::ovs::Ovs;
use crate::usernet::{self, Quota};
use crate::{Refusal, confine, invocation, ledger, target};
use berth_common::{InterfaceName, Uid, path};
use berth_kernel::{cred, fs, user};
use berth_netlink::Socket;
use std::io;
use std::os::fd::AsFd;

/// A quota file of a million lines is a mistake.
const MAX_USERNET: usize = 16 << 20;

/// A request that was served.
#[derive(Debug)]
pub enum Served {
    /// A NIC was created.
    Granted(Granted),
    /// A port of an Open vSwitch bridge was deleted.
    Deleted {
        /// Name of the caller.
        user: String,
        /// The bridge.
        bridge: InterfaceName,
        /// The port.
        host: InterfaceName,
    },
}

/// A NIC that was created.
#[derive(Debug)]
pub struct Granted {
    /// Name of the caller.
    pub user: String,
    /// The host's end.
    pub host: InterfaceName,
    /// Name of the container's end.
    pub inside: String,
    /// As asked for: the bridge or `none`.
    pub link: String,
    /// The line for the caller, with its newline.
    pub answer: String,
    socket: Socket,
    locks: LockDir,
    index: u32,
}

impl Granted {
    /// Leaves word that the text view of NICs is out of date.
    pub fn note_change(&self) {
        self.locks.note_change();
    }

    /// Takes the NIC back, for a caller whom the answer did not reach.
    pub fn undo(mut self) {
        // A NIC that is gone already is what is wanted.
        let _ = self.socket.delete_link(self.index);
    }
}

/// Serves a request of the user `caller`; the arguments are those behind the program's name.
pub fn serve(caller: Uid, arguments: &[&str]) -> Result<Served, Refusal> {
    match invocation::parse(arguments).map_err(Refusal::Misuse)? {
        Invocation::Create(request) => create(caller, &request).map(Served::Granted),
        Invocation::Delete(request) => delete(caller, &request),
    }
}

fn create(caller: Uid, request: &Create) -> Result<Granted, Refusal> {
    let namespace = target::prove(request.pid, caller)?;
    let (user, quota) = look_up(caller, &request.link)?;
    let mut socket = Socket::open()?;
    let switch = find_switch(&mut socket, &request.link)?;
    let locks = LockDir::open()?;
    if !matches!(switch, Switch::Ovs { .. }) {
        confine::for_the_act().map_err(|source| Refusal::System {
            operation: "restrict the process".to_owned(),
            source,
        })?;
    }
    let mut plan = Plan {
        caller,
        request,
        namespace: &namespace,
        switch,
        locks: &locks,
        socket: &mut socket,
    };
    let nic = plan.create_within(&user, &quota)?;
    let (host, inside) = (&nic.host, &nic.inside);
    let answer = match request.answer {
        AnswerForm::Names => format!("{inside}:{host}\n"),
        AnswerForm::NamesAndIndexes => {
            format!("{inside}:{}:{host}:{}\n", nic.inside_index, nic.index)
        }
    };
    Ok(Granted {
        user,
        host: nic.host,
        inside: nic.inside,
        link: request.link.as_str().to_owned(),
        answer,
        socket,
        locks,
        index: nic.index,
    })
}

/// liblxc asks for this when a container ends that had a NIC on an Open vSwitch bridge, whose
/// record of the port stays when the NIC is gone. Only the caller's own NIC on that very bridge,
/// for a namespace that is his.
fn delete(caller: Uid, request: &Delete) -> Result<Served, Refusal> {
    target::prove_place(request.place, caller)?;
    let bridge = &request.bridge;
    let (user, _) = look_up(caller, &Link::Bridge(bridge.clone()))?;
    let mut socket = Socket::open()?;
    let Switch::Ovs { ovs, .. } = find_switch(&mut socket, &Link::Bridge(bridge.clone()))? else {
        return Err(Refusal::NotOvs(bridge.as_str().to_owned()));
    };
    let host = request.host.as_str();
    let ports = ovs.ports(bridge)?;
    if ledger::owner(host) != Some(caller) || !ports.iter().any(|port| port == host) {
        return Err(Refusal::NotYourPort {
            host: host.to_owned(),
            bridge: bridge.as_str().to_owned(),
        });
    }
    ovs.delete(bridge, &request.host)?;
    if let Ok(locks) = LockDir::open() {
        locks.note_change();
    }
    Ok(Served::Deleted {
        user,
        bridge: bridge.clone(),
        host: request.host.clone(),
    })
}

/// The caller's name and what the quota file grants him there.
fn look_up(caller: Uid, link: &Link) -> Result<(String, Quota), Refusal> {
    let name = user::User::by_uid(caller)
        .map_err(|source| Refusal::System {
            operation: format!("look up uid {caller}"),
            source,
        })?
        .ok_or(Refusal::UnknownUser(caller))?
        .name;
    let text = read_usernet()?;
    let mut groups: Option<Vec<String>> = None;
    let quota = usernet::quota(
        &text,
        &name,
        |group| {
            groups
                .get_or_insert_with(group_names)
                .iter()
                .any(|name| name == group)
        },
        "veth",
        link.as_str(),
    );
    quota
        .map(|quota| (name.clone(), quota))
        .ok_or(Refusal::NoLine {
            user: name,
            bridge: link.as_str().to_owned(),
        })
}

/// Names of the caller's groups, his primary one included. One without a name matches no line.
fn group_names() -> Vec<String> {
    let mut groups = user::own_groups().unwrap_or_default();
    groups.push(cred::real_gid());
    groups
        .into_iter()
        .filter_map(|gid| user::group_name(gid).ok().flatten())
        .collect()
}

fn read_usernet() -> Result<String, Refusal> {
    let refuse = |why: String| Refusal::Usernet { why };
    let file = match std::fs::File::open(path::USERNET) {
        Ok(file) => file,
        // No file, no line: the user hears what to ask for.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(refuse(error.to_string())),
    };
    let status = fs::status(file.as_fd()).map_err(|error| refuse(error.to_string()))?;
    if !status.is_file() {
        return Err(refuse("it is no regular file".to_owned()));
    }
    if status.uid != 0 || status.mode & 0o002 != 0 {
        return Err(refuse("others than root may write to it".to_owned()));
    }
    let bytes = fs::read_bounded(file, MAX_USERNET).map_err(|error| refuse(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn find_switch(socket: &mut Socket, link: &Link) -> Result<Switch, Refusal> {
    let Link::Bridge(name) = link else {
        return Ok(Switch::None);
    };
    let bridge = socket
        .find_link(name)?
        .ok_or_else(|| Refusal::NoBridge(name.as_str().to_owned()))?;
    if bridge.kind.as_deref() == Some("bridge") {
        return Ok(Switch::Linux(bridge));
    }
    match Ovs::find() {
        Some(ovs) if ovs.is_bridge(name)? => Ok(Switch::Ovs {
            ovs,
            bridge: name.clone(),
            mtu: bridge.mtu,
        }),
        _ => Err(Refusal::NotABridge {
            name: bridge.name,
            kind: bridge.kind,
        }),
    }
}
