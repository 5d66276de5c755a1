//! Against the running kernel, in network namespaces of the tests' own. Needs root and `ip`.

mod common;

use berth_netlink::{Address, Bridge, LinkChange, Mac, Peer, PeerName, Route, Socket, Veth};
use common::{fresh, ip, name};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::os::fd::AsFd;

/// An interface with a carrier, for tests that need nothing special.
fn plain(name: &str) {
    ip(&[
        "link",
        "add",
        name,
        "type",
        "veth",
        "peer",
        "name",
        "plain-peer",
    ]);
    ip(&["link", "set", "plain-peer", "up"]);
}

fn bridge(socket: &mut Socket, text: &str) -> u32 {
    let (name, mac) = (name(text), Mac([2, 0, 0, 0, 0, 1]));
    socket
        .create_bridge(&Bridge {
            name: &name,
            mac: Some(mac),
            mtu: Some(1400),
            vlan_filtering: false,
        })
        .unwrap();
    socket.link(&name).unwrap().index
}

#[test]
fn a_bridge_keeps_its_address_and_has_no_spanning_tree() {
    let (mut socket, _) = fresh();
    let index = bridge(&mut socket, "br0");
    let link = socket.link_at(index).unwrap();
    assert_eq!(link.kind.as_deref(), Some("bridge"));
    assert_eq!(
        (link.mac, link.mtu, link.is_up()),
        (Some(Mac([2, 0, 0, 0, 0, 1])), 1400, false)
    );
    socket
        .change_link(index, &LinkChange::new().up(true))
        .unwrap();
    assert!(socket.link_at(index).unwrap().is_up());

    let low = name("low");
    plain("low");
    let port = socket.link(&low).unwrap().index;
    socket
        .change_link(port, &LinkChange::new().mac(Mac([0, 0, 0, 0, 0, 2])))
        .unwrap();
    socket.enslave(port, index).unwrap();
    assert_eq!(
        socket.link_at(index).unwrap().mac,
        Some(Mac([2, 0, 0, 0, 0, 1]))
    );
    let details = ip(&["-d", "link", "show", "br0"]);
    assert!(
        details.contains("stp_state 0") && details.contains("forward_delay 0"),
        "{details}"
    );
    let again = socket.create_bridge(&Bridge {
        name: &name("br0"),
        mac: None,
        mtu: None,
        vlan_filtering: false,
    });
    assert!(again.unwrap_err().is_exists());
}

#[test]
fn a_veth_is_born_where_it_lives() {
    let (mut inner, there) = fresh();
    let (mut socket, _) = fresh();
    let br = bridge(&mut socket, "br0");
    let (host, eth7) = (name("veth1000_Ab3d"), name("eth7"));
    let mac = Mac::for_bridge_port([1, 2, 3, 4, 5]);
    let peer = Peer {
        name: PeerName::Exact(&eth7),
        namespace: Some(there.as_fd()),
        mtu: Some(1400),
        mac: None,
        queues: berth_netlink::Queues::default(),
    };
    let veth = Veth {
        name: &host,
        mac: Some(mac),
        mtu: Some(1400),
        group: Some(1000),
        master: Some(br),
        peer,
    };
    socket.create_veth(&veth).unwrap();
    let link = socket.link(&host).unwrap();
    assert_eq!(link.kind.as_deref(), Some("veth"));
    assert_eq!((link.mac, link.mtu, link.group), (Some(mac), 1400, 1000));
    assert_eq!((link.master, link.is_up()), (Some(br), false));

    let inside = inner.link(&eth7).unwrap();
    assert_eq!((inside.mtu, inside.is_up()), (1400, false));
    assert_eq!(link.peer, Some(inside.index));
    let seen = socket
        .link_at_peer(inside.index, link.peer_namespace)
        .unwrap();
    assert_eq!((seen.name.as_str(), seen.mac), ("eth7", inside.mac));

    // A name that is taken, on either side.
    assert!(socket.create_veth(&veth).unwrap_err().is_exists());
    let other = name("veth1000_other");
    let error = socket
        .create_veth(&Veth {
            name: &other,
            ..veth
        })
        .unwrap_err();
    assert!(error.is_exists(), "{error}");
    assert_eq!(
        socket.find_link(&other).unwrap(),
        None,
        "half a pair stayed"
    );

    let next = Peer {
        name: PeerName::NextEth,
        ..peer
    };
    socket
        .create_veth(&Veth {
            name: &other,
            peer: next,
            ..veth
        })
        .unwrap();
    let link = socket.link(&other).unwrap();
    let seen = socket
        .link_at_peer(link.peer.unwrap(), link.peer_namespace)
        .unwrap();
    assert_eq!(seen.name, "eth0");

    assert_eq!(socket.ports(br).unwrap().len(), 2);
    socket.delete_link(link.index).unwrap();
    assert_eq!(socket.ports(br).unwrap().len(), 1);
    assert!(inner.link(&name("eth0")).unwrap_err().is_missing());
}

#[test]
fn one_message_changes_everything_it_names() {
    let (mut socket, _) = fresh();
    let br = bridge(&mut socket, "br0");
    let (host, inside, renamed) = (name("a0"), name("b0"), name("c0"));
    let peer = Peer {
        name: PeerName::Exact(&inside),
        namespace: None,
        mtu: None,
        mac: None,
        queues: berth_netlink::Queues::default(),
    };
    let veth = Veth {
        name: &host,
        mac: None,
        mtu: None,
        group: None,
        master: Some(br),
        peer,
    };
    socket.create_veth(&veth).unwrap();
    let index = socket.link(&host).unwrap().index;
    let change = LinkChange::new()
        .name(&renamed)
        .alias("for web")
        .mtu(1300)
        .mac(Mac([0xfe, 1, 1, 1, 1, 1]))
        .isolated(true)
        .up(true);
    socket.change_link(index, &change).unwrap();
    let link = socket.link_at(index).unwrap();
    assert_eq!(
        (link.name.as_str(), link.alias.as_deref()),
        ("c0", Some("for web"))
    );
    assert_eq!(
        (link.mtu, link.mac),
        (1300, Some(Mac([0xfe, 1, 1, 1, 1, 1])))
    );
    assert!(link.is_up());
    assert!(ip(&["-d", "link", "show", "c0"]).contains("isolated on"));

    socket
        .change_link(index, &LinkChange::new().isolated(false))
        .unwrap();
    let details = ip(&["-d", "link", "show", "c0"]);
    assert!(details.contains("isolated off"), "{details}");
    assert!(
        socket.link_at(index).unwrap().is_up(),
        "an unnamed thing changed"
    );
    socket.enslave(index, 0).unwrap();
    assert_eq!(socket.link_at(index).unwrap().master, None);
}

#[test]
fn an_interface_moves_to_another_namespace() {
    let (mut inner, there) = fresh();
    let (mut socket, _) = fresh();
    plain("d0");
    let index = socket.link(&name("d0")).unwrap().index;
    socket
        .change_link(index, &LinkChange::new().namespace(there.as_fd()))
        .unwrap();
    assert!(socket.link_at(index).unwrap_err().is_missing());
    assert_eq!(
        inner.link(&name("d0")).unwrap().kind.as_deref(),
        Some("veth")
    );
}

#[test]
fn addresses_and_routes() {
    let (mut socket, _) = fresh();
    plain("d0");
    let index = socket.link(&name("d0")).unwrap().index;
    socket
        .change_link(index, &LinkChange::new().up(true))
        .unwrap();
    let v4 = Address::new("10.9.8.7".parse().unwrap(), 24).unwrap();
    let v6 = Address::new("fd00:9::7".parse().unwrap(), 64)
        .unwrap()
        .no_dad();
    socket.add_address(index, &v4).unwrap();
    socket.add_address(index, &v6).unwrap();
    assert!(socket.add_address(index, &v4).unwrap_err().is_exists());
    let shown = ip(&["addr", "show", "dev", "d0"]);
    assert!(shown.contains("inet 10.9.8.7/24 brd 10.9.8.255"), "{shown}");
    assert!(
        shown.contains("nodad") && !shown.contains("tentative scope global"),
        "{shown}"
    );
    let listed = socket.addresses(Some(index)).unwrap();
    for address in [v4, v6] {
        let found = |a: &&berth_netlink::AddressOn| {
            (a.ip, a.prefix, a.index) == (address.ip(), address.prefix(), index)
        };
        assert!(listed.iter().any(|a| found(&a)), "{address} in {listed:?}");
    }

    let gateway = Route::default_through("10.9.8.1".parse().unwrap(), index);
    let gateway6 = Route::default_through("fd00:9::1".parse().unwrap(), index);
    let direct = Route::direct("192.0.2.1".parse().unwrap(), 32, index);
    for route in [&gateway, &gateway6, &direct] {
        socket.add_route(route).unwrap();
    }
    assert!(socket.add_route(&gateway).unwrap_err().is_exists());
    let shown = ip(&["route"]);
    assert!(shown.contains("default via 10.9.8.1 dev d0"), "{shown}");
    assert!(
        shown.contains("192.0.2.1 dev d0") && shown.contains("scope link"),
        "{shown}"
    );
    assert!(ip(&["-6", "route"]).contains("default via fd00:9::1 dev d0"));
    for route in [&gateway, &gateway6, &direct] {
        socket.delete_route(route).unwrap();
    }
    assert!(!ip(&["route"]).contains("default"));
    socket.delete_address(index, &v4).unwrap();
    assert!(!ip(&["addr"]).contains("10.9.8.7"));
}

#[test]
fn errors_carry_the_kernels_words() {
    let (mut socket, _) = fresh();
    let missing = socket.link(&name("nothere")).unwrap_err();
    assert!(missing.is_missing(), "{missing}");
    assert!(
        missing.to_string().contains("look up interface nothere"),
        "{missing}"
    );
    plain("d0");
    let index = socket.link(&name("d0")).unwrap().index;
    let error = socket
        .change_link(index, &LinkChange::new().mtu(1))
        .unwrap_err();
    assert!(error.to_string().contains("mtu"), "{error}");
    let down = Route::default_through("10.0.0.1".parse().unwrap(), index);
    assert!(socket.add_route(&down).unwrap_err().errno().is_some());
}

#[test]
fn many_interfaces_are_listed_whole() {
    let (mut socket, _) = fresh();
    let br = bridge(&mut socket, "br0");
    for number in 0..300 {
        let (host, inside) = (name(&format!("h{number}")), name(&format!("i{number}")));
        let peer = Peer {
            name: PeerName::Exact(&inside),
            namespace: None,
            mtu: None,
            mac: None,
            queues: berth_netlink::Queues::default(),
        };
        let veth = Veth {
            name: &host,
            mac: None,
            mtu: None,
            group: None,
            master: Some(br),
            peer,
        };
        socket.create_veth(&veth).unwrap();
    }
    assert_eq!(socket.ports(br).unwrap().len(), 300);
    // Both ends, the bridge and the loopback.
    assert_eq!(socket.links().unwrap().len(), 602);
}

#[test]
fn a_socket_stays_in_its_namespace() {
    let here = File::open("/proc/thread-self/ns/net").unwrap();
    let (mut socket, _) = fresh();
    bridge(&mut socket, "br0");
    setns(&here, CloneFlags::CLONE_NEWNET).unwrap();
    assert_eq!(socket.links().unwrap().len(), 2);
}
