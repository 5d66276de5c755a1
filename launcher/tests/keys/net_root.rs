//! Interfaces that only root's containers can have.

use berth_test_private_host::{BRIDGE, BRIDGE_ADDRESS};

use crate::world::{Container, Owner, each_refused, eventually, in_container, on_host, refused};

/// A container of root's with these lines, after a shell script on the host.
fn with_host(script: &str, lines: &str, body: impl FnOnce(&Container)) {
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        container.on_host(script);
        container.append(lines);
        container.start();
        body(&container);
        container.destroy();
    });
}

/// Kernels that lack a kind of interface say so before they make anything.
fn has_kind(container: &Container, create: &str) -> bool {
    let tried = container
        .host
        .as_root("sh")
        .args(["-c", create])
        .output()
        .unwrap();
    tried.status.success()
}

#[test]
fn a_name_on_the_host() {
    let lines =
        format!("lxc.net.0.type = veth\nlxc.net.0.link = {BRIDGE}\nlxc.net.0.veth.pair = webhost");
    in_container(Owner::Root, &lines, |container| {
        for _ in 0..3 {
            assert!(
                container
                    .on_host(&format!("ip -o link show master {BRIDGE}"))
                    .contains("webhost")
            );
            container.stop();
            container.start();
        }
        container.kill_monitor();
        container.start();
        assert!(
            container
                .on_host("ip -o link show dev webhost")
                .contains("UP")
        );
        container.stop();
        container.wait_for_host("ip -o link show dev webhost 2>/dev/null", "");
    });
    let taken = lines.replace("webhost", BRIDGE);
    refused(
        Owner::Root,
        &taken,
        "the host has an interface testbr0 already",
    );
}

#[test]
fn several_queues() {
    let lines = format!(
        "lxc.net.0.type = veth\nlxc.net.0.link = {BRIDGE}\nlxc.net.0.veth.n_rxqueues = 3\n\
         lxc.net.0.veth.n_txqueues = 2"
    );
    in_container(Owner::Root, &lines, |container| {
        let queues = container.sh("ls /sys/class/net/eth0/queues | sort | tr '\\n' ' '");
        assert_eq!(queues, "rx-0 rx-1 rx-2 tx-0 tx-1");
    });
    let text = "lxc.net.0.veth.n_rxqueues: expected a number of queues from 1 to 4096";
    refused(Owner::Root, "lxc.net.0.veth.n_rxqueues = 0", text);
}

#[test]
fn routes_to_what_is_behind_a_container() {
    let lines = format!(
        "lxc.net.0.type = veth\nlxc.net.0.link = {BRIDGE}\nlxc.net.0.flags = up\n\
         lxc.net.0.veth.pair = webhost\nlxc.net.0.veth.ipv4.route = 10.8.0.0/16\n\
         lxc.net.0.veth.ipv4.route = 10.9.9.9/32\nlxc.net.0.veth.ipv6.route = fd00:8::/32"
    );
    in_container(Owner::Root, &lines, |container| {
        let routes = container.on_host("ip route; ip -6 route");
        for route in [
            "10.8.0.0/16 dev webhost",
            "10.9.9.9 dev webhost",
            "fd00:8::/32 dev webhost",
        ] {
            assert!(routes.contains(route), "no {route} in {routes}");
        }
        container.stop();
        container.wait_for_host("ip route | grep webhost", "");
    });
    let taken = lines.replace("10.9.9.9/32", "10.233.0.0/24");
    // The bridge's own route has another scope; a second of the same is refused.
    let text = "the host has another route to 10.8.0.0/16 already";
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        container.on_host(&format!("ip route add 10.8.0.0/16 dev {BRIDGE} scope link"));
        container.append(&taken);
        container.start_is_refused(text);
        container.wait_for_host("ip -o link show dev webhost 2>/dev/null", "");
        container.destroy();
    });
    let text = "lxc.net.0.veth.ipv4.route: expected a network without bits behind its prefix";
    refused(Owner::Root, "lxc.net.0.veth.ipv4.route = 10.8.0.1/16", text);
}

const ROUTER: &str = "lxc.net.0.type = veth\nlxc.net.0.veth.mode = router\nlxc.net.0.flags = up\n\
    lxc.net.0.ipv4.address = 10.77.0.7/32\nlxc.net.0.ipv4.gateway = 169.254.1.1\n\
    lxc.net.0.ipv6.address = fd00:77::7/128\nlxc.net.0.ipv6.gateway = fe80::77\n\
    lxc.net.0.veth.pair = webhost\n";

#[test]
fn a_veth_that_is_reached_by_routes() {
    let host = format!("ip route add default dev {BRIDGE}");
    with_host(&host, ROUTER, |container| {
        for _ in 0..2 {
            let routes = container.on_host("ip route; ip -6 route");
            assert!(
                routes.contains("10.77.0.7 dev webhost")
                    && routes.contains("fd00:77::7 dev webhost"),
                "{routes}"
            );
            let proxies = container.on_host("ip neigh show proxy; ip -6 neigh show proxy");
            assert!(
                proxies.contains("169.254.1.1 dev webhost")
                    && proxies.contains("fe80::77 dev webhost"),
                "{proxies}"
            );
            container.sh(&format!("ping -c 1 -W 5 {BRIDGE_ADDRESS}"));
            assert_eq!(
                container.on_host(&format!("ip -o link show master {BRIDGE}")),
                ""
            );
            container.stop();
            container.start();
        }
    });
    refused(
        Owner::Root,
        "lxc.net.0.veth.mode = routed",
        "lxc.net.0.veth.mode: expected bridge or router",
    );
}

#[test]
fn the_link_answers_for_a_routed_container() {
    let lines = format!("{ROUTER}lxc.net.0.link = {BRIDGE}\nlxc.net.0.l2proxy = 1");
    let sysctls = format!(
        "ip route add default dev {BRIDGE}; cd /proc/sys/net; echo 1 > ipv4/conf/{BRIDGE}/forwarding; \
         echo 1 > ipv6/conf/{BRIDGE}/forwarding; echo 1 > ipv6/conf/{BRIDGE}/proxy_ndp"
    );
    let proxies = format!("ip neigh show proxy dev {BRIDGE}; ip -6 neigh show proxy dev {BRIDGE}");
    with_host(&sysctls, &lines, |container| {
        let answered = container.on_host(&proxies);
        assert!(
            answered.contains("10.77.0.7") && answered.contains("fd00:77::7"),
            "{answered}"
        );
        container.stop();
        assert_eq!(container.on_host(&proxies), "");
        container.start();
        container.kill_monitor();
        container.stop();
        assert_eq!(container.on_host(&proxies), "");
    });
    // What it takes is the administrator's to set.
    refused(
        Owner::Root,
        &lines,
        "lxc.net.0.l2proxy: testbr0 does not forward",
    );
    let bridged =
        format!("lxc.net.0.type = veth\nlxc.net.0.link = {BRIDGE}\nlxc.net.0.l2proxy = 1");
    refused(
        Owner::Root,
        &bridged,
        "a veth of mode router with a link, or an ipvlan",
    );
    refused(
        Owner::Root,
        "lxc.net.0.l2proxy = yes",
        "lxc.net.0.l2proxy: expected",
    );
}

const LOWER: &str =
    "ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up";

#[test]
fn macvlan_in_its_modes() {
    for mode in ["private", "vepa", "bridge", "passthru"] {
        let lines = format!(
            "lxc.net.0.type = macvlan\nlxc.net.0.link = up0\nlxc.net.0.flags = up\n\
             lxc.net.0.macvlan.mode = {mode}\nlxc.net.0.ipv4.address = 10.5.0.7/24\n"
        );
        with_host(
            &format!("{LOWER}; ip addr add 10.5.0.1/24 dev up1"),
            &lines,
            |container| {
                let seen = || {
                    let pid = container.info("PID");
                    container.on_host(&format!("nsenter -n -t {pid} ip -d link show dev eth0"))
                };
                assert!(
                    seen().contains(&format!("macvlan mode {mode}")),
                    "{}",
                    seen()
                );
                container.sh("ping -c 1 -W 5 10.5.0.1");
                // A second start finds the lower interface free, however the first ended.
                container.stop();
                container.start();
                container.kill_monitor();
                container.start();
                assert!(
                    seen().contains(&format!("macvlan mode {mode}")),
                    "{}",
                    seen()
                );
            },
        );
    }
    let text = "lxc.net.0.macvlan.mode: expected private, vepa, bridge or passthru";
    refused(Owner::Root, "lxc.net.0.macvlan.mode = l2", text);
}

#[test]
fn interfaces_on_others_need_one() {
    for kind in ["macvlan", "ipvlan", "phys", "vlan"] {
        let vlan = if kind == "vlan" {
            "lxc.net.0.vlan.id = 5\n"
        } else {
            ""
        };
        let missing = format!("lxc.net.0.link: the line is missing: type {kind} needs");
        let none = "there is no interface nothere on this host";
        let mut cases = vec![
            ("", missing.as_str()),
            ("lxc.net.0.link = nothere", none),
            (
                "lxc.net.0.link = lo",
                "lxc.net.0.link: lo is the host's loopback",
            ),
        ];
        if kind == "phys" {
            let auto = "lxc.net.0.link = lo0\nlxc.net.0.flags = up\nlxc.net.0.ipv4.gateway = auto";
            let nowhere = "lxc.net.0.link = nothere+";
            let bridge = "lxc.net.0.link = testbr0";
            cases.push((auto, "there is no interface lo0"));
            cases.push((
                nowhere,
                "no interface of this host has a name that begins with nothere",
            ));
            cases.push((bridge, "testbr0 is a bridge, which stays on its host"));
        }
        each_refused(
            Owner::Root,
            &format!("lxc.net.0.type = {kind}\n{vlan}"),
            &cases,
        );
    }
}

#[test]
fn an_interface_of_the_host_has_no_way_out_by_itself() {
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        container.on_host(LOWER);
        container.append(
            "lxc.net.0.type = phys\nlxc.net.0.link = up0\nlxc.net.0.flags = up\n\
             lxc.net.0.ipv4.gateway = auto",
        );
        container.start_is_refused("is for types veth, macvlan and ipvlan; found type phys");
        container.destroy();
    });
}

#[test]
fn a_size_that_the_lower_interface_does_not_take() {
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        container.on_host(LOWER);
        container.append("lxc.net.0.type = macvlan\nlxc.net.0.link = up0\nlxc.net.0.mtu = 9000");
        container.start_is_refused("lxc.net.0.mtu: 9000 is more than up0 takes, 1500 bytes");
        container.destroy();
    });
}

#[test]
fn vlans() {
    let text = "lxc.net.0.vlan.id: the line is missing";
    refused(
        Owner::Root,
        "lxc.net.0.type = vlan\nlxc.net.0.link = lo",
        text,
    );
    let text = "lxc.net.0.vlan.id: expected the number of a VLAN from 0 to 4094";
    refused(Owner::Root, "lxc.net.0.vlan.id = 4095", text);
    let lines = "lxc.net.0.type = vlan\nlxc.net.0.link = up0\nlxc.net.0.vlan.id = 5\n\
                 lxc.net.0.flags = up\nlxc.net.0.ipv4.address = 10.5.0.7/24\n";
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        container.on_host(LOWER);
        container.append(lines);
        let other = "ip link add link up1 name up1.5 type vlan id 5 && ip addr add 10.5.0.1/24 dev \
                     up1.5 && ip link set up1.5 up";
        if has_kind(&container, other) {
            container.start();
            container.sh("ping -c 1 -W 5 10.5.0.1");
            container.stop();
            container.start();
        } else {
            container
                .start_is_refused("this kernel makes no interfaces of type vlan (modprobe 8021q)");
        }
        container.destroy();
    });
}

#[test]
fn ipvlan_in_its_modes() {
    let text = "lxc.net.0.hwaddr: an interface of type ipvlan has its link's address";
    let lines =
        "lxc.net.0.type = ipvlan\nlxc.net.0.link = lo\nlxc.net.0.hwaddr = 10:66:6a:xx:xx:xx";
    refused(Owner::Root, lines, text);
    refused(
        Owner::Root,
        "lxc.net.0.ipvlan.mode = l4",
        "lxc.net.0.ipvlan.mode: expected l3, l3s or l2",
    );
    let text = "lxc.net.0.ipvlan.isolation: expected bridge, private or vepa";
    refused(Owner::Root, "lxc.net.0.ipvlan.isolation = none", text);
    for (mode, isolation) in [("l3", "bridge"), ("l3s", "private"), ("l2", "vepa")] {
        let lines = format!(
            "lxc.net.0.type = ipvlan\nlxc.net.0.link = up0\nlxc.net.0.ipvlan.mode = {mode}\n\
             lxc.net.0.ipvlan.isolation = {isolation}\nlxc.net.0.flags = up\n"
        );
        on_host(|host| {
            let container = Container::create(host, Owner::Root, "web");
            container.on_host(LOWER);
            container.append(&lines);
            if has_kind(
                &container,
                "ip link add link up1 name try0 type ipvlan && ip link del try0",
            ) {
                container.start();
                let pid = container.info("PID");
                let seen =
                    container.on_host(&format!("nsenter -n -t {pid} ip -d link show dev eth0"));
                assert!(
                    seen.contains(&format!("ipvlan mode {mode} {isolation}")),
                    "{seen}"
                );
                container.stop();
                container.start();
            } else {
                container.start_is_refused("this kernel makes no interfaces of type ipvlan");
            }
            container.destroy();
        });
    }
}

#[test]
fn vlans_of_the_bridges_port() {
    let veth = format!(
        "lxc.net.0.type = veth\nlxc.net.0.link = {BRIDGE}\nlxc.net.0.veth.pair = webhost\n"
    );
    let lines = format!(
        "{veth}lxc.net.0.veth.vlan.id = 5\nlxc.net.0.veth.vlan.tagged.id = 6\n\
         lxc.net.0.veth.vlan.tagged.id = 7\n"
    );
    refused(
        Owner::Root,
        &lines,
        "lxc.net.0.veth.vlan.id: the bridge testbr0 does not look at VLANs",
    );
    let unconnected = "lxc.net.0.type = veth\nlxc.net.0.veth.vlan.tagged.id = 6\n";
    refused(
        Owner::Root,
        unconnected,
        "veth.vlan.tagged.id: only a port of a bridge has VLANs",
    );
    let text = "lxc.net.0.veth.vlan.id: expected the number of a VLAN from 1 to 4094, or “none”";
    refused(Owner::Root, "lxc.net.0.veth.vlan.id = 0", text);
    let text = "lxc.net.0.veth.vlan.tagged.id: expected the number of a VLAN from 1 to 4094";
    refused(Owner::Root, "lxc.net.0.veth.vlan.tagged.id = none", text);
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        let filter = format!("ip link set {BRIDGE} type bridge vlan_filtering 1");
        if has_kind(&container, &filter) {
            container.append(&lines);
            container.start();
            let vlans = container.on_host("bridge vlan show dev webhost");
            let vlans: Vec<&str> = vlans.split_whitespace().skip(2).collect();
            assert_eq!(vlans.join(" "), "webhost 5 PVID Egress Untagged 6 7");
            container.stop();
            container.append("lxc.net.0.veth.vlan.id = none\nlxc.net.0.veth.vlan.tagged.id =");
            container.start();
            assert!(!container.on_host("bridge vlan show").contains("webhost 1"));
        }
        container.destroy();
    });
}

#[test]
fn an_interface_of_the_host_comes_back_as_it_was() {
    let lines = "lxc.net.0.type = phys\nlxc.net.0.link = up0\nlxc.net.0.name = wan\n\
                 lxc.net.0.hwaddr = 02:00:00:00:00:99\nlxc.net.0.mtu = 1400\n\
                 lxc.net.0.flags = up\nlxc.net.0.ipv4.address = 10.5.0.7/24\n";
    let host = format!(
        "{LOWER}; ip link set up0 address 02:00:00:00:00:11; ip addr add 10.5.0.1/24 dev up1"
    );
    with_host(&host, lines, |container| {
        let state =
            || container.on_host("cat /sys/class/net/up0/address /sys/class/net/up0/mtu 2>&1 || :");
        let is_home = || state() == "02:00:00:00:00:11\n1500";
        let is_away = || state().contains("No such file");
        assert!(is_away(), "{}", state());
        assert_eq!(
            container.sh("cat /sys/class/net/wan/address"),
            "02:00:00:00:00:99"
        );
        container.sh("ping -c 1 -W 5 10.5.0.1");

        container.stop();
        assert!(is_home(), "{}", state());

        container.start();
        container.reboot();
        assert!(is_away(), "{}", state());
        container.sh("ping -c 1 -W 5 10.5.0.1");

        // What the container did to it does not come along.
        container.sh("ip link set wan down; ip link set wan name other");
        container.kill_monitor();
        eventually("the interface's way home", is_home);
        container.start();
        assert!(is_away(), "{}", state());
    });
}

#[test]
fn an_interface_of_the_host_comes_back_after_a_failed_start() {
    let lines = "lxc.net.0.type = phys\nlxc.net.0.link = up+\nlxc.init.cmd = /no/such/init";
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        container.on_host(LOWER);
        container.append(lines);
        container.start_is_refused("there is no /no/such/init in the container");
        assert!(container.on_host("ls /sys/class/net").contains("up0"));
        container.append("lxc.init.cmd = /sbin/init");
        container.start();
        // The first of that name, by the kernel's numbers: a veth's other end is made first.
        assert_eq!(container.sh("ls /sys/class/net | sort"), "lo\nup1");
        container.destroy();
    });
}
