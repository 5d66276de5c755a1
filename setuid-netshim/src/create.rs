//! Counting and creating, under the caller's own lock.

use crate::invocation::{Create, Link};
use crate::lock::LockDir;
use crate::ovs::Ovs;
use crate::usernet::Quota;
use crate::{Refusal, alias, ledger, ports};
use berth_common::{InterfaceName, Uid};
use berth_kernel::ns::Namespace;
use berth_kernel::random;
use berth_netlink::{self as netlink, LinkChange, Mac, Peer, PeerName, Socket, Veth};
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long a NIC whose container just ended may take to disappear: the kernel dismantles network
/// namespaces in the background.
const GOING_AWAY: Duration = Duration::from_millis(500);
/// Pause between two looks at what is going away.
const PAUSE: Duration = Duration::from_millis(10);
/// How long other requests of the same user are waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// How often a random host name may turn out to be taken.
const NAME_TRIES: usize = 16;
/// The MTU of a NIC without a bridge (LXC's).
const DEFAULT_MTU: u32 = 1500;
/// find_portno() of the kernel's bridge: no number is free.
const EXFULL: i32 = 54;

/// What the host's end becomes a port of.
#[derive(Clone, Debug)]
pub enum Switch {
    /// Nothing (`none`).
    None,
    /// A Linux bridge.
    Linux(netlink::Link),
    /// An Open vSwitch bridge.
    Ovs {
        /// How it is asked.
        ovs: Ovs,
        /// Its name.
        bridge: InterfaceName,
        /// Its MTU in bytes.
        mtu: u32,
    },
}

impl Switch {
    fn mtu(&self) -> u32 {
        match self {
            Self::None => DEFAULT_MTU,
            Self::Linux(bridge) => bridge.mtu,
            Self::Ovs { mtu, .. } => *mtu,
        }
    }

    /// Index of the interface that the kernel knows as the port's master.
    fn master(&self) -> Option<u32> {
        match self {
            Self::Linux(bridge) => Some(bridge.index),
            _ => None,
        }
    }
}

/// A NIC that exists.
#[derive(Debug)]
pub struct Nic {
    /// The host's end.
    pub host: InterfaceName,
    /// Its index.
    pub index: u32,
    /// Name of the container's end.
    pub inside: String,
    /// Its index in the container's network namespace.
    pub inside_index: u32,
}

/// What is to be made, once everything about it is proven.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Whom it counts for.
    pub caller: Uid,
    /// What he asked for.
    pub request: &'a Create,
    /// The container's network namespace, proven to be his.
    pub namespace: &'a Namespace,
    /// Where the host's end goes.
    pub switch: Switch,
    /// Where the caller's lock is.
    pub locks: &'a LockDir,
    /// A socket in the host's network namespace.
    pub socket: &'a mut Socket,
}

impl Plan<'_> {
    /// Creates the NIC if fewer than the quota's limit count, waiting a little for one that is
    /// going away. The wait is outside of the lock.
    pub fn create_within(&mut self, user: &str, quota: &Quota) -> Result<Nic, Refusal> {
        let deadline = Instant::now() + GOING_AWAY;
        loop {
            let lock = self.locks.lock(self.caller, LOCK_PATIENCE)?;
            let nics = self.count()?;
            if (nics.len() as u64) < quota.limit {
                return self.create();
            }
            drop(lock);
            if quota.limit == 0 || Instant::now() >= deadline {
                return Err(Refusal::UsedUp {
                    user: user.to_owned(),
                    bridge: self.request.link.as_str().to_owned(),
                    nics,
                    quota: quota.clone(),
                });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Names of the caller's NICs that count. Under his lock, one that was created and never set
    /// up is left from a request that was killed; it is removed.
    fn count(&mut self) -> Result<Vec<String>, Refusal> {
        let mut counting = Vec::new();
        for nic in self.own_nics()? {
            if ports::is_up(&nic) == Some(true) || !self.remove_if_left_over(&nic)? {
                counting.push(nic);
            }
        }
        Ok(counting)
    }

    fn own_nics(&mut self) -> Result<Vec<String>, Refusal> {
        let all = match (&self.switch, &self.request.link) {
            (Switch::Ovs { ovs, bridge, .. }, _) => {
                let ports = ovs.ports(bridge)?;
                return Ok(owned(ports.iter().map(String::as_str), self.caller));
            }
            (Switch::Linux(bridge), Link::Bridge(name)) => {
                // sysfs may show another network namespace, or be missing: then the slow way.
                if ports::index(name).is_ok_and(|index| index == bridge.index)
                    && let Ok(nics) = ports::of_user(name, self.caller)
                {
                    return Ok(nics);
                }
                self.socket.ports(bridge.index)?
            }
            _ => self.socket.links()?,
        };
        let master = self.switch.master();
        let names = all
            .iter()
            .filter(|link| link.master == master && link.kind.as_deref() == Some("veth"))
            .map(|link| link.name.as_str());
        Ok(owned(names, self.caller))
    }

    /// Whether the NIC was a left-over and is gone now. One that an administrator set down has
    /// the alias that comes with setting it up, and stays.
    fn remove_if_left_over(&mut self, nic: &str) -> Result<bool, Refusal> {
        let Ok(name) = nic.parse::<InterfaceName>() else {
            return Ok(false);
        };
        match self.socket.find_link(&name)? {
            Some(link) if link.is_up() || link.alias.is_some() => return Ok(false),
            Some(link) => match self.socket.delete_link(link.index) {
                Err(error) if !error.is_missing() => return Err(error.into()),
                _ => {}
            },
            None => {}
        }
        // The record of a port stays when the port is gone.
        if let Switch::Ovs { ovs, bridge, .. } = &self.switch {
            ovs.delete(bridge, &name)?;
        }
        Ok(true)
    }

    /// Two messages: the first creates the pair, down, as a port of the bridge; the second sets
    /// the host's end up and thereby makes it valid.
    fn create(&mut self) -> Result<Nic, Refusal> {
        let host = self.create_down()?;
        // The container may end while its NIC is made, and takes it along.
        let vanished = || Refusal::NotYourNamespace {
            pid: self.request.pid,
        };
        let link = self.socket.find_link(&host)?.ok_or_else(vanished)?;
        let inside_index = link.peer.ok_or_else(vanished)?;
        let index = link.index;
        match self.finish(&host, &link, inside_index) {
            Ok(inside) => Ok(Nic {
                host,
                index,
                inside,
                inside_index,
            }),
            Err(error) => {
                // The first error is the one to tell.
                let _ = self.socket.delete_link(index);
                if let Switch::Ovs { ovs, bridge, .. } = &self.switch {
                    let _ = ovs.delete(bridge, &host);
                }
                Err(error)
            }
        }
    }

    /// Name of the container's end of a NIC that is set up now.
    fn finish(
        &mut self,
        host: &InterfaceName,
        link: &netlink::Link,
        inside_index: u32,
    ) -> Result<String, Refusal> {
        if let Switch::Ovs { ovs, bridge, .. } = &self.switch {
            ovs.add(bridge, host)?;
        }
        let inside = match &self.request.name {
            Some(name) => name.as_str().to_owned(),
            None => {
                self.socket
                    .link_at_peer(inside_index, link.peer_namespace)?
                    .name
            }
        };
        let alias = alias::text(self.caller, self.request.container.as_ref());
        let change = LinkChange::new().alias(&alias).up(true);
        self.socket.change_link(link.index, &change)?;
        Ok(inside)
    }

    fn create_down(&mut self) -> Result<InterfaceName, Refusal> {
        let mtu = self.switch.mtu();
        let peer_name = match &self.request.name {
            Some(name) => PeerName::Exact(name),
            None => PeerName::NextEth,
        };
        let peer = Peer {
            name: peer_name,
            namespace: Some(self.namespace.as_fd()),
            mtu: Some(mtu),
            mac: None,
            queues: berth_netlink::Queues::default(),
        };
        for _ in 0..NAME_TRIES {
            let [a, b, c, d, mac @ ..] =
                random::bytes::<9>().map_err(|source| Refusal::System {
                    operation: "get random bytes".to_owned(),
                    source,
                })?;
            let host =
                ledger::host_name(self.caller, [a, b, c, d]).map_err(|error| Refusal::System {
                    operation: "name the interface".to_owned(),
                    source: io::Error::other(error),
                })?;
            let veth = Veth {
                name: &host,
                mac: Some(Mac::for_bridge_port(mac)),
                mtu: Some(mtu),
                group: Some(self.caller.raw()),
                master: self.switch.master(),
                peer,
            };
            match self.socket.create_veth(&veth) {
                Ok(()) => return Ok(host),
                Err(error) if error.is_exists() => {
                    // Which of the two names is taken, the errno does not say.
                    if self.socket.find_link(&host)?.is_none() {
                        return Err(match &self.request.name {
                            Some(name) => Refusal::NameTaken(name.as_str().to_owned()),
                            None => error.into(),
                        });
                    }
                }
                Err(error) if error.errno() == Some(EXFULL) => {
                    return Err(Refusal::BridgeFull(self.request.link.as_str().to_owned()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::Busy)
    }
}

fn owned<'a>(names: impl Iterator<Item = &'a str>, caller: Uid) -> Vec<String> {
    ledger::of_user(names, caller)
        .into_iter()
        .map(Into::into)
        .collect()
}
