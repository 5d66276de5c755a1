//! Interfaces on others, proxies and VLANs against the running kernel, in network namespaces of the
//! tests' own. Needs root and `ip`. What a kernel lacks it must say, and nothing else.

mod common;

use berth_netlink::{
    IpvlanIsolation, IpvlanMode, MacvlanMode, Peer, PeerName, PortVlan, Queues, Socket, Stacked,
    StackedKind, Veth,
};
use common::{fresh, ip, name};
use nix::sched::{CloneFlags, setns};
use std::os::fd::AsFd;
use std::process::Command;

/// The kernel knows no interfaces of that kind.
const EOPNOTSUPP: i32 = 95;

fn lower(socket: &mut Socket) -> u32 {
    ip(&[
        "link", "add", "low0", "type", "veth", "peer", "name", "low1",
    ]);
    socket.link(&name("low0")).unwrap().index
}

#[test]
fn interfaces_on_others_are_born_where_they_live() {
    let kinds = [
        (
            StackedKind::Macvlan(MacvlanMode::Private),
            "macvlan mode private",
        ),
        (StackedKind::Macvlan(MacvlanMode::Vepa), "macvlan mode vepa"),
        (
            StackedKind::Macvlan(MacvlanMode::Bridge),
            "macvlan mode bridge",
        ),
        (
            StackedKind::Macvlan(MacvlanMode::Passthru),
            "macvlan mode passthru",
        ),
        (
            StackedKind::Ipvlan(IpvlanMode::L3, IpvlanIsolation::Bridge),
            "ipvlan mode l3 bridge",
        ),
        (
            StackedKind::Ipvlan(IpvlanMode::L3s, IpvlanIsolation::Private),
            "ipvlan mode l3s private",
        ),
        (
            StackedKind::Ipvlan(IpvlanMode::L2, IpvlanIsolation::Vepa),
            "ipvlan mode l2 vepa",
        ),
        (StackedKind::Vlan(5), "vlan protocol 802.1Q id 5"),
    ];
    for (kind, shown) in kinds {
        let (_inner, there) = fresh();
        let (mut socket, here) = fresh();
        let inside = name("eth0");
        let stacked = Stacked {
            name: &inside,
            lower: lower(&mut socket),
            namespace: Some(there.as_fd()),
            mac: None,
            mtu: Some(1300),
            kind,
        };
        match socket.create_stacked(&stacked) {
            Ok(()) => {}
            Err(error) if error.errno() == Some(EOPNOTSUPP) => {
                // iproute2 gets no more from this kernel.
                let mut tried = Command::new("ip");
                tried.args([
                    "link",
                    "add",
                    "link",
                    "low0",
                    "name",
                    "x",
                    "type",
                    kind.word(),
                ]);
                if let StackedKind::Vlan(_) = kind {
                    tried.args(["id", "5"]);
                }
                assert!(!tried.output().unwrap().status.success(), "{error}");
                continue;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(socket.find_link(&inside).unwrap().is_none());
        setns(&there, CloneFlags::CLONE_NEWNET).unwrap();
        let seen = ip(&["-d", "link", "show", "dev", "eth0"]);
        assert!(seen.contains(shown) && seen.contains("mtu 1300"), "{seen}");
        setns(&here, CloneFlags::CLONE_NEWNET).unwrap();
    }
}

#[test]
fn an_end_has_the_queues_that_it_is_given() {
    let (mut socket, _) = fresh();
    let (one, other) = (name("one"), name("other"));
    let queues = Queues {
        receive: 3,
        transmit: 2,
    };
    let peer = Peer {
        name: PeerName::Exact(&other),
        namespace: None,
        mtu: None,
        mac: None,
        queues,
    };
    let veth = Veth {
        name: &one,
        mac: None,
        mtu: None,
        group: None,
        master: None,
        peer,
    };
    socket.create_veth(&veth).unwrap();
    let seen = ip(&["-d", "link", "show", "dev", "other"]);
    assert!(seen.contains("numtxqueues 2 numrxqueues 3"), "{seen}");
    let seen = ip(&["-d", "link", "show", "dev", "one"]);
    assert!(seen.contains("numtxqueues 1 numrxqueues 1"), "{seen}");
}

#[test]
fn proxies_come_and_go() {
    let (mut socket, _) = fresh();
    let index = lower(&mut socket);
    for (address, family) in [("10.1.2.3", "-4"), ("fd00::3", "-6")] {
        let address = address.parse().unwrap();
        let listed = || ip(&[family, "neigh", "show", "proxy"]);
        socket.add_proxy(index, address).unwrap();
        socket.add_proxy(index, address).unwrap();
        assert!(
            listed().contains(&format!("{address} dev low0")),
            "{}",
            listed()
        );
        socket.delete_proxy(index, address).unwrap();
        assert_eq!(listed(), "");
        assert!(
            socket
                .delete_proxy(index, address)
                .unwrap_err()
                .is_missing()
        );
    }
}

#[test]
fn a_port_joins_and_leaves_vlans() {
    let (mut socket, _) = fresh();
    let port = lower(&mut socket);
    let made = Command::new("ip")
        .args([
            "link",
            "add",
            "br0",
            "type",
            "bridge",
            "vlan_filtering",
            "1",
        ])
        .status()
        .unwrap();
    if !made.success() {
        // A kernel without VLANs of bridges refuses them to us as well.
        let error = socket.add_port_vlan(port, 5, PortVlan::Tagged).unwrap_err();
        assert_eq!(error.errno(), Some(EOPNOTSUPP), "{error}");
        return;
    }
    ip(&["link", "set", "low0", "master", "br0"]);
    socket.delete_port_vlan(port, 1).unwrap();
    socket.add_port_vlan(port, 5, PortVlan::Untagged).unwrap();
    socket.add_port_vlan(port, 6, PortVlan::Tagged).unwrap();
    let output = Command::new("bridge")
        .args(["vlan", "show", "dev", "low0"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = text.split_whitespace().skip(2).collect();
    assert_eq!(words.join(" "), "low0 5 PVID Egress Untagged 6");
}
