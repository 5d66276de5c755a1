//! `berth nic`: what the administrator sees and does about users' NICs.
//!
//! The kernel is the ledger: everything here is read from it anew. Run by root, each verb also
//! writes `/run/lxc/nics`, a view in LXC's format that nothing reads back; `berth-nics.service`
//! does so after requests, which only leave word.

mod check;
mod gc;
mod living;
mod verify;
mod view;

use std::collections::BTreeMap;
use std::path::Path;

use berth_common::{Uid, path};
use berth_kernel::cred;
use berth_kernel::user::User;
use berth_netlink::{Link, Socket};
use berth_usernic::{alias, ledger};
use serde::Serialize;

use crate::error::{Error, Result};
pub use check::check;
pub use gc::gc;
pub use verify::verify;

/// A NIC that the helper made for a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nic {
    /// Name of the user whom it counts for, or his uid if he has no name.
    pub owner: String,
    /// His uid.
    pub uid: u32,
    /// The container, as whoever started it named it.
    pub container: Option<String>,
    /// The bridge whose port it is.
    pub bridge: Option<String>,
    /// The host's end.
    pub host: String,
    /// Its index.
    pub index: u32,
    /// Since when, in seconds since 1970.
    pub since: Option<u64>,
    /// Whether it is set up. One that never was does not have a time either: its request was
    /// killed.
    pub up: bool,
    /// Bytes and packets that the container received.
    pub received: Counter,
    /// Bytes and packets that the container sent.
    pub sent: Counter,
    #[serde(skip)]
    group: u32,
    #[serde(skip)]
    peer_namespace: Option<u32>,
    #[serde(skip)]
    marked: bool,
}

/// A direction's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counter {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets that were thrown away.
    pub dropped: u64,
}

impl Nic {
    /// Left over from a request that was killed before it was done.
    fn is_left_over(&self) -> bool {
        !self.up && !self.marked
    }

    fn bridge_or_none(&self) -> &str {
        self.bridge.as_deref().unwrap_or("none")
    }
}

/// The NICs of all users, or only those of one, in the order of owner and name.
pub fn list(only: Option<Uid>) -> Result<Vec<Nic>> {
    let mut nics = survey(&mut open()?)?;
    if let Some(uid) = only {
        nics.retain(|nic| nic.uid == uid.raw());
    }
    Ok(nics)
}

/// What a user sees: root all, others their own.
pub fn visible_to_caller() -> Option<Uid> {
    Some(cred::real_uid()).filter(|uid| !uid.is_root())
}

/// Writes the view, if the caller is root.
pub fn refresh_view() -> Result<()> {
    if cred::effective_uid().is_root() {
        write_view()?;
    }
    Ok(())
}

/// Writes the view.
pub fn write_view() -> Result<()> {
    if !cred::effective_uid().is_root() {
        return Err(Error::other(format!(
            "only root writes {}; `berth nic list` shows your interfaces",
            path::NICS_VIEW
        )));
    }
    // Before looking: what a request changes from here on, it notes anew.
    match std::fs::remove_file(path::NICS_CHANGED) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::file("remove", Path::new(path::NICS_CHANGED), error));
        }
        _ => {}
    }
    view::write(&survey(&mut open()?)?)
}

fn open() -> Result<Socket> {
    Socket::open().map_err(kernel)
}

fn kernel(error: berth_netlink::Error) -> Error {
    Error::other(error.to_string())
}

fn survey(socket: &mut Socket) -> Result<Vec<Nic>> {
    let links = socket.links().map_err(kernel)?;
    let names: BTreeMap<u32, &str> = links
        .iter()
        .map(|link| (link.index, link.name.as_str()))
        .collect();
    let mut owners = BTreeMap::new();
    let mut nics = Vec::new();
    for link in &links {
        if let Some(uid) = owner(link) {
            let name = owners.entry(uid.raw()).or_insert_with(|| user_name(uid));
            nics.push(describe(link, uid, name, &names));
        }
    }
    nics.sort_by(|a, b| (&a.owner, &a.host).cmp(&(&b.owner, &b.host)));
    Ok(nics)
}

fn owner(link: &Link) -> Option<Uid> {
    (link.kind.as_deref() == Some("veth"))
        .then(|| ledger::owner(&link.name))
        .flatten()
}

fn user_name(uid: Uid) -> String {
    match User::by_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

fn describe(link: &Link, uid: Uid, owner: &str, names: &BTreeMap<u32, &str>) -> Nic {
    let alias = link.alias.as_deref().map(alias::parse).unwrap_or_default();
    // What the host's end receives is what the container sent.
    let counter = |direction| Counter {
        bytes: statistic(&link.name, direction, "bytes"),
        packets: statistic(&link.name, direction, "packets"),
        dropped: statistic(&link.name, direction, "dropped"),
    };
    Nic {
        owner: owner.to_owned(),
        uid: uid.raw(),
        container: alias.container,
        bridge: link
            .master
            .and_then(|master| names.get(&master))
            .map(|&name| name.to_owned()),
        host: link.name.clone(),
        index: link.index,
        since: alias.since,
        up: link.is_up(),
        received: counter("tx"),
        sent: counter("rx"),
        group: link.group,
        peer_namespace: link.peer_namespace,
        marked: link.alias.is_some(),
    }
}

/// 0 where the interface has gone meanwhile.
fn statistic(name: &str, direction: &str, what: &str) -> u64 {
    let path = Path::new("/sys/class/net")
        .join(name)
        .join("statistics")
        .join(format!("{direction}_{what}"));
    std::fs::read_to_string(path)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}
