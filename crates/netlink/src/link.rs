//! Interfaces: look-up, creation, change, deletion.

use crate::message::{Attributes, Malformed, Message, Messages, Request, text, u32_at};
use crate::{Error, Mac, Socket, wire};
use berth_common::InterfaceName;
use std::os::fd::{AsRawFd, BorrowedFd};

pub(crate) const IFINFOMSG: usize = 16;

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index, positive.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address, if it has one.
    pub mac: Option<Mac>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// `IFF_…` (netdevice(7)).
    pub flags: u32,
    /// Index of the bridge or bond whose port it is.
    pub master: Option<u32>,
    /// `veth`, `bridge`, …; nothing for real hardware and the loopback.
    pub kind: Option<String>,
    /// Its group (`ip link … group`).
    pub group: u32,
    /// Free text.
    pub alias: Option<String>,
    /// Index of the interface it hangs on, in the namespace [`Link::peer_namespace`] if there is
    /// one: a veth's other end.
    pub peer: Option<u32>,
    /// This namespace's number for the namespace of the other end, if that is another one.
    pub peer_namespace: Option<u32>,
}

impl Link {
    /// Whether it was set up (it may still have no carrier).
    pub fn is_up(&self) -> bool {
        self.flags & wire::IFF_UP != 0
    }

    /// The interfaces that a datagram of the kernel describes, for looking at recorded ones.
    /// Fails where the datagram ends in the middle of a message.
    pub fn all_in(datagram: &[u8]) -> Result<Vec<Self>, Malformed> {
        Messages::new(datagram)
            .map(|message| Ok(Self::decode(&message?)))
            .filter_map(Result::transpose)
            .collect()
    }

    fn decode(message: &Message) -> Option<Self> {
        if message.kind != wire::RTM_NEWLINK || message.payload.len() < IFINFOMSG {
            return None;
        }
        let mut link = Self {
            index: u32_at(message.payload, 4)?,
            name: String::new(),
            mac: None,
            mtu: 0,
            flags: u32_at(message.payload, 8)?,
            master: None,
            kind: None,
            group: 0,
            alias: None,
            peer: None,
            peer_namespace: None,
        };
        for (kind, value) in Attributes::behind(message.payload, IFINFOMSG) {
            match kind {
                wire::IFLA_IFNAME => link.name = text(value),
                wire::IFLA_ADDRESS => link.mac = value.try_into().ok().map(Mac),
                wire::IFLA_MTU => link.mtu = u32_at(value, 0)?,
                wire::IFLA_MASTER => link.master = u32_at(value, 0),
                wire::IFLA_GROUP => link.group = u32_at(value, 0)?,
                wire::IFLA_IFALIAS => link.alias = Some(text(value)),
                wire::IFLA_LINK => link.peer = u32_at(value, 0).filter(|&index| index != 0),
                wire::IFLA_LINK_NETNSID => {
                    link.peer_namespace =
                        u32_at(value, 0).filter(|&number| !number.cast_signed().is_negative());
                }
                wire::IFLA_LINKINFO => {
                    link.kind = Attributes::new(value)
                        .find(|(kind, _)| *kind == wire::IFLA_INFO_KIND)
                        .map(|(_, value)| text(value));
                }
                _ => {}
            }
        }
        (link.index != 0 && !link.name.is_empty()).then_some(link)
    }
}

/// Name of a veth's other end.
#[derive(Clone, Copy, Debug)]
pub enum PeerName<'a> {
    /// Exactly this one; creation fails with EEXIST if it is taken there.
    Exact(&'a InterfaceName),
    /// The first free one of `eth0`, `eth1`, …
    NextEth,
}

/// A veth's other end.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// Its name.
    pub name: PeerName<'a>,
    /// Where it is born; here if nothing is given.
    pub namespace: Option<BorrowedFd<'a>>,
    /// Its MTU in bytes; the kernel's default is 1500.
    pub mtu: Option<u32>,
    /// Its address; the kernel's default is a random one.
    pub mac: Option<Mac>,
    /// Its queues.
    pub queues: Queues,
}

/// How many queues an end of a veth has each way: 1 to 4096, one by default.
///
/// The kernel would give each end as many as the machine may have processors, use the first, and
/// wait for a grace period of RCU for each end that gives up the rest (veth_init_queues()).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queues {
    /// For packets on their way in.
    pub receive: u32,
    /// For packets on their way out.
    pub transmit: u32,
}

impl Default for Queues {
    fn default() -> Self {
        Self {
            receive: 1,
            transmit: 1,
        }
    }
}

/// A veth pair to be created; both ends start down, this one with one queue each way.
#[derive(Clone, Copy, Debug)]
pub struct Veth<'a> {
    /// Name of this end.
    pub name: &'a InterfaceName,
    /// Address of this end; the kernel's default is a random one.
    pub mac: Option<Mac>,
    /// MTU of this end in bytes.
    pub mtu: Option<u32>,
    /// Group of this end.
    pub group: Option<u32>,
    /// Index of the bridge whose port this end becomes.
    pub master: Option<u32>,
    /// The other end.
    pub peer: Peer<'a>,
}

/// A bridge to be created: no spanning tree, no forwarding delay, so that a port forwards as soon
/// as it is up; it starts down.
#[derive(Clone, Copy, Debug)]
pub struct Bridge<'a> {
    /// Its name.
    pub name: &'a InterfaceName,
    /// Its address. Given at creation, it stays whatever ports come and go; otherwise the kernel
    /// takes the lowest of its ports' addresses.
    pub mac: Option<Mac>,
    /// Its MTU in bytes. Given, it stays whatever ports come and go.
    pub mtu: Option<u32>,
    /// Whether ports are members of virtual LANs.
    pub vlan_filtering: bool,
}

/// Changes to an interface, sent as one message; what is not named stays.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct LinkChange<'a> {
    up: Option<bool>,
    mac: Option<Mac>,
    mtu: Option<u32>,
    name: Option<&'a InterfaceName>,
    alias: Option<&'a str>,
    master: Option<u32>,
    isolated: Option<bool>,
    namespace: Option<BorrowedFd<'a>>,
}

impl<'a> LinkChange<'a> {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets it up or down.
    pub fn up(self, up: bool) -> Self {
        Self {
            up: Some(up),
            ..self
        }
    }

    /// Gives it another address.
    pub fn mac(self, mac: Mac) -> Self {
        Self {
            mac: Some(mac),
            ..self
        }
    }

    /// Gives it another MTU (bytes).
    pub fn mtu(self, mtu: u32) -> Self {
        Self {
            mtu: Some(mtu),
            ..self
        }
    }

    /// Gives it another name. Kernels before 6.2 refuse that while it is up.
    pub fn name(self, name: &'a InterfaceName) -> Self {
        Self {
            name: Some(name),
            ..self
        }
    }

    /// Gives it a free text, at most 255 bytes; an empty one removes it.
    pub fn alias(self, alias: &'a str) -> Self {
        Self {
            alias: Some(alias),
            ..self
        }
    }

    /// Makes it a port of this bridge; 0 makes it nobody's port.
    pub fn master(self, index: u32) -> Self {
        Self {
            master: Some(index),
            ..self
        }
    }

    /// For a bridge port: whether it reaches only ports that are not isolated (Linux 4.18).
    pub fn isolated(self, isolated: bool) -> Self {
        Self {
            isolated: Some(isolated),
            ..self
        }
    }

    /// Moves it into another network namespace.
    pub fn namespace(self, namespace: BorrowedFd<'a>) -> Self {
        Self {
            namespace: Some(namespace),
            ..self
        }
    }

    fn encode(&self, index: u32) -> Request {
        // RTM_SETLINK knows no IFLA_LINKINFO; RTM_NEWLINK without NLM_F_CREATE changes as well
        // and passes it on to the bridge.
        let mut request = Request::new(wire::RTM_NEWLINK, wire::NLM_F_ACK);
        let up = self.up.map(|up| if up { wire::IFF_UP } else { 0 });
        request.fixed(&ifinfomsg(index, up));
        if let Some(mac) = self.mac {
            request.attribute(wire::IFLA_ADDRESS, &mac.0);
        }
        if let Some(mtu) = self.mtu {
            request.number(wire::IFLA_MTU, mtu);
        }
        if let Some(name) = self.name {
            request.text(wire::IFLA_IFNAME, name.as_str());
        }
        if let Some(alias) = self.alias {
            request.attribute(wire::IFLA_IFALIAS, alias.as_bytes());
        }
        if let Some(master) = self.master {
            request.number(wire::IFLA_MASTER, master);
        }
        if let Some(namespace) = self.namespace {
            request.number(wire::IFLA_NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
        }
        if let Some(isolated) = self.isolated {
            let info = request.open(wire::IFLA_LINKINFO);
            request.text(wire::IFLA_INFO_SLAVE_KIND, "bridge");
            let data = request.open(wire::IFLA_INFO_SLAVE_DATA);
            request.attribute(wire::IFLA_BRPORT_ISOLATED, &[u8::from(isolated)]);
            request.close(data);
            request.close(info);
        }
        request
    }
}

/// `struct ifinfomsg`; with `up`, the one flag IFF_UP is changed and no other.
pub(crate) fn ifinfomsg(index: u32, up: Option<u32>) -> [u8; IFINFOMSG] {
    let mut bytes = [0; IFINFOMSG];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    if let Some(flags) = up {
        bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
        bytes[12..16].copy_from_slice(&wire::IFF_UP.to_ne_bytes());
    }
    bytes
}

impl Veth<'_> {
    fn encode(&self) -> Request {
        let mut request = create_request();
        request.text(wire::IFLA_IFNAME, self.name.as_str());
        ends(&mut request, self.mac, self.mtu);
        queues(&mut request, Queues::default());
        if let Some(group) = self.group {
            request.number(wire::IFLA_GROUP, group);
        }
        if let Some(master) = self.master {
            request.number(wire::IFLA_MASTER, master);
        }
        let info = request.open(wire::IFLA_LINKINFO);
        request.text(wire::IFLA_INFO_KIND, "veth");
        let data = request.open(wire::IFLA_INFO_DATA);
        let peer = request.open(wire::VETH_INFO_PEER);
        request.fixed(&ifinfomsg(0, None));
        request.text(
            wire::IFLA_IFNAME,
            match self.peer.name {
                PeerName::Exact(name) => name.as_str(),
                PeerName::NextEth => "eth%d",
            },
        );
        ends(&mut request, self.peer.mac, self.peer.mtu);
        queues(&mut request, self.peer.queues);
        if let Some(namespace) = self.peer.namespace {
            request.number(wire::IFLA_NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
        }
        request.close(peer);
        request.close(data);
        request.close(info);
        request
    }
}

impl Bridge<'_> {
    fn encode(&self) -> Request {
        let mut request = create_request();
        request.text(wire::IFLA_IFNAME, self.name.as_str());
        ends(&mut request, self.mac, self.mtu);
        let info = request.open(wire::IFLA_LINKINFO);
        request.text(wire::IFLA_INFO_KIND, "bridge");
        let data = request.open(wire::IFLA_INFO_DATA);
        request.number(wire::IFLA_BR_FORWARD_DELAY, 0);
        if self.vlan_filtering {
            request.attribute(wire::IFLA_BR_VLAN_FILTERING, &[1]);
        }
        request.number(wire::IFLA_BR_STP_STATE, 0);
        request.close(data);
        request.close(info);
        request
    }
}

pub(crate) fn create_request() -> Request {
    let flags = wire::NLM_F_ACK | wire::NLM_F_CREATE | wire::NLM_F_EXCL;
    let mut request = Request::new(wire::RTM_NEWLINK, flags);
    request.fixed(&ifinfomsg(0, None));
    request
}

pub(crate) fn ends(request: &mut Request, mac: Option<Mac>, mtu: Option<u32>) {
    if let Some(mac) = mac {
        request.attribute(wire::IFLA_ADDRESS, &mac.0);
    }
    if let Some(mtu) = mtu {
        request.number(wire::IFLA_MTU, mtu);
    }
}

fn queues(request: &mut Request, queues: Queues) {
    request.number(wire::IFLA_NUM_TX_QUEUES, queues.transmit);
    request.number(wire::IFLA_NUM_RX_QUEUES, queues.receive);
}

impl Socket {
    /// The interface of this name. If there is none, [`Error::is_missing`] holds.
    pub fn link(&mut self, name: &InterfaceName) -> Result<Link, Error> {
        let mut request = Request::new(wire::RTM_GETLINK, wire::NLM_F_ACK);
        request.fixed(&ifinfomsg(0, None));
        request.text(wire::IFLA_IFNAME, name.as_str());
        self.get(
            request,
            || format!("look up interface {name}"),
            Link::decode,
        )
    }

    /// The interface of this name, if there is one.
    pub fn find_link(&mut self, name: &InterfaceName) -> Result<Option<Link>, Error> {
        match self.link(name) {
            Ok(link) => Ok(Some(link)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The interface of this index.
    pub fn link_at(&mut self, index: u32) -> Result<Link, Error> {
        let mut request = Request::new(wire::RTM_GETLINK, wire::NLM_F_ACK);
        request.fixed(&ifinfomsg(index, None));
        self.get(
            request,
            || format!("look up interface {index}"),
            Link::decode,
        )
    }

    /// The other end of a veth, wherever it lives ([`Link::peer`], [`Link::peer_namespace`]).
    /// Asking about another namespace needs CAP_NET_ADMIN over it and Linux 4.15.
    pub fn link_at_peer(&mut self, index: u32, namespace: Option<u32>) -> Result<Link, Error> {
        let mut request = Request::new(wire::RTM_GETLINK, wire::NLM_F_ACK);
        request.fixed(&ifinfomsg(index, None));
        if let Some(namespace) = namespace {
            request.number(wire::IFLA_TARGET_NETNSID, namespace);
        }
        let operation = || format!("look up interface {index} of the other network namespace");
        self.get(request, operation, Link::decode)
    }

    /// All interfaces, by index.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        self.list_links(None)
    }

    /// All ports of this bridge.
    pub fn ports(&mut self, bridge: u32) -> Result<Vec<Link>, Error> {
        self.list_links(Some(bridge))
    }

    fn list_links(&mut self, master: Option<u32>) -> Result<Vec<Link>, Error> {
        let request = || {
            let mut request = Request::new(wire::RTM_GETLINK, wire::NLM_F_DUMP);
            request.fixed(&ifinfomsg(0, None));
            if let Some(master) = master {
                request.number(wire::IFLA_MASTER, master);
            }
            request
        };
        let mut links = self.dump(request, || "list interfaces".to_owned(), Link::decode)?;
        if master.is_some() {
            // A kernel that does not filter answers with everything.
            links.retain(|link| link.master == master);
        }
        links.sort_by_key(|link| link.index);
        Ok(links)
    }

    /// Creates a veth pair in one message. If the name of this end is taken, or an exact name of
    /// the other end is, [`Error::is_exists`] holds.
    pub fn create_veth(&mut self, veth: &Veth) -> Result<(), Error> {
        self.change(veth.encode(), || {
            format!("create the veth pair {}", veth.name)
        })
    }

    /// Creates a bridge.
    pub fn create_bridge(&mut self, bridge: &Bridge) -> Result<(), Error> {
        self.change(bridge.encode(), || {
            format!("create the bridge {}", bridge.name)
        })
    }

    /// Changes an interface.
    pub fn change_link(&mut self, index: u32, change: &LinkChange) -> Result<(), Error> {
        let operation = || format!("change interface {index}");
        if change.alias.is_some_and(|alias| alias.len() > 255) {
            return Err(Error::Invalid {
                operation: operation(),
                why: "the alias is too long",
            });
        }
        self.change(change.encode(index), operation)
    }

    /// Makes an interface a port of a bridge.
    pub fn enslave(&mut self, port: u32, bridge: u32) -> Result<(), Error> {
        self.change_link(port, &LinkChange::new().master(bridge))
    }

    /// Deletes an interface; a veth's other end goes with it.
    pub fn delete_link(&mut self, index: u32) -> Result<(), Error> {
        let operation = || format!("delete interface {index}");
        if index == 0 {
            return Err(Error::Invalid {
                operation: operation(),
                why: "there is no interface 0",
            });
        }
        let mut request = Request::new(wire::RTM_DELLINK, wire::NLM_F_ACK);
        request.fixed(&ifinfomsg(index, None));
        self.change(request, operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hostile_descriptions_do_not_panic(
            payload in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let message = Message { kind: wire::RTM_NEWLINK, flags: 0, sequence: 0, payload: &payload };
            if let Some(link) = Link::decode(&message) {
                prop_assert!(link.index != 0 && !link.name.is_empty());
            }
        }

        #[test]
        fn what_is_asked_for_is_what_is_read(
            name in "[a-z][a-z0-9]{0,14}", mtu in 68u32..65536, master in 1u32..1000, mac: [u8; 6],
        ) {
            let name: InterfaceName = name.parse().unwrap();
            let veth = Veth {
                name: &name, mac: Some(Mac(mac)), mtu: Some(mtu), group: Some(7),
                master: Some(master),
                peer: Peer { name: PeerName::NextEth, namespace: None, mtu: None, mac: None,
                    queues: Queues::default() },
            };
            let mut bytes = veth.encode().finish(1).unwrap();
            // A request has no index yet; the kernel's description of the same thing has.
            bytes[20..24].copy_from_slice(&5u32.to_ne_bytes());
            let message = Messages::new(&bytes).next().unwrap().unwrap();
            let link = Link::decode(&message).unwrap();
            prop_assert_eq!(link.name, name.as_str());
            prop_assert_eq!(link.mtu, mtu);
            prop_assert_eq!(link.master, Some(master));
            prop_assert_eq!(link.mac, Some(Mac(mac)));
            prop_assert_eq!(link.group, 7);
            prop_assert_eq!(link.kind.as_deref(), Some("veth"));
        }
    }
}
