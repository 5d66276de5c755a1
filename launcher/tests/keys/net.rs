//! What every container's interfaces have, and whose host they are on.

use berth_test_private_host::{BRIDGE, BRIDGE_ADDRESS};

use crate::world::{Owner, each_refused, in_container, refused};

const BOTH: [Owner; 2] = [Owner::User, Owner::Root];

/// An interface on the host's bridge.
fn veth(lines: &str) -> String {
    format!("lxc.net.0.type = veth\nlxc.net.0.link = {BRIDGE}\n{lines}")
}

#[test]
fn an_empty_line_clears_all_interfaces() {
    let lines = veth("lxc.net =\nlxc.net.3.type = empty");
    in_container(Owner::User, &lines, |container| {
        assert_eq!(container.sh("ls /sys/class/net"), "lo");
        assert_eq!(container.sh("cat /sys/class/net/lo/operstate"), "unknown");
    });
    refused(Owner::User, "lxc.net = br0", "lxc.net: expected nothing");
}

#[test]
fn types_without_an_interface_on_the_host() {
    for owner in BOTH {
        in_container(owner, "", |container| {
            assert_eq!(container.sh("ls /sys/class/net"), "lo");
        });
        let lines = "lxc.net.0.type = none";
        in_container(owner, lines, |container| {
            let seen = container.sh("ip -o link | cut -d: -f2");
            assert!(seen.contains(BRIDGE), "{seen}");
        });
    }
    let what = "lxc.net.0.type: expected veth, empty, none, vlan, macvlan, ipvlan or phys";
    refused(Owner::User, "lxc.net.0.type = Veth", what);
}

/// `lxc.net.0.type = empty` is what Debian's default.conf gives every container.
#[test]
fn what_an_empty_interface_does_not_need_is_passed_over() {
    let lines = "lxc.net.0.type = empty\nlxc.net.0.link = lxcbr0\nlxc.net.0.flags = up\n\
                 lxc.net.0.hwaddr = 00:16:3e:xx:xx:xx\nlxc.net.0.veth.mode = router";
    in_container(Owner::User, lines, |container| {
        assert_eq!(container.sh("ls /sys/class/net"), "lo");
    });
}

#[test]
fn a_veth_on_the_bridge() {
    for owner in BOTH {
        in_container(owner, &veth("lxc.net.0.flags = up"), |container| {
            assert_eq!(container.sh("ls /sys/class/net | sort"), "eth0\nlo");
            let port = container.on_host(&format!("ip -o link show master {BRIDGE}"));
            assert!(port.contains("veth") && port.contains("UP"), "{port}");
            container.stop();
            container.wait_for_host(&format!("ip -o link show master {BRIDGE}"), "");
            container.start();
            assert_eq!(container.sh("ls /sys/class/net | sort"), "eth0\nlo");
        });
    }
}

#[test]
fn a_bridge_that_is_missing() {
    for owner in BOTH {
        let missing = (
            "lxc.net.0.link = nobr",
            "lxc.net.0.link: there is no bridge nobr on this host",
        );
        let wrong = (
            "lxc.net.0.link = br 0",
            "is no name for a network interface",
        );
        each_refused(owner, "lxc.net.0.type = veth", &[missing, wrong]);
    }
    let text = "lxc.net.0.link: lo is no bridge";
    refused(
        Owner::Root,
        "lxc.net.0.type = veth\nlxc.net.0.link = lo",
        text,
    );
}

#[test]
fn an_interface_is_set_up_if_its_flags_say_so() {
    for owner in BOTH {
        let flags = "cat /sys/class/net/eth0/flags";
        // The template's init would set it up by itself.
        let sleep = "lxc.init.cmd = /bin/sleep 1000\n";
        in_container(owner, &veth(sleep), |container| {
            assert_eq!(container.sh(flags), "0x1002");
        });
        let up = format!("{sleep}lxc.net.0.flags = up");
        in_container(owner, &veth(&up), |container| {
            assert_eq!(container.sh(flags), "0x1003");
        });
    }
    refused(
        Owner::User,
        &veth("lxc.net.0.flags = down"),
        "lxc.net.0.flags: expected “up”",
    );
}

#[test]
fn name_address_on_the_wire_and_size() {
    let lines = veth(
        "lxc.net.0.name = lan\nlxc.net.0.hwaddr = 10:66:6A:00:xx:07\nlxc.net.0.mtu = 1300\n\
         lxc.net.1.type = veth\nlxc.net.1.link = testbr0\nlxc.net.1.hwaddr = 10:66:6a:00:00:08",
    );
    for owner in BOTH {
        in_container(owner, &lines, |container| {
            let read = |file: &str| container.sh(&format!("cat /sys/class/net/{file}"));
            let mac = read("lan/address");
            assert!(
                mac.starts_with("10:66:6a:00:") && mac.ends_with(":07"),
                "{mac}"
            );
            assert_eq!(read("lan/mtu"), "1300");
            assert_eq!(read("eth0/address"), "10:66:6a:00:00:08");
            assert_eq!(read("eth0/mtu"), "1500");
        });
    }
    each_refused(
        Owner::User,
        &veth(""),
        &[
            ("lxc.net.0.hwaddr = 10:66", "expected a hardware address"),
            (
                "lxc.net.0.mtu = 67",
                "expected a number of bytes from 68 to 65535",
            ),
            ("lxc.net.0.name = a/b", "is no name for a network interface"),
        ],
    );
}

/// Left to the kernel, who is first would depend on which helper is.
#[test]
fn several_interfaces_are_named_in_their_order() {
    let one = |number: u32, rest: &str| {
        format!(
            "lxc.net.{number}.type = veth\nlxc.net.{number}.link = {BRIDGE}\n\
             lxc.net.{number}.hwaddr = 10:66:6a:00:00:{number:02}\n{rest}"
        )
    };
    let lines = [
        one(7, ""),
        one(2, ""),
        one(12, ""),
        one(5, "lxc.net.5.name = eth1\n"),
    ]
    .concat();
    for owner in BOTH {
        in_container(owner, &lines, |container| {
            let macs = container
                .sh("cd /sys/class/net; cat eth0/address eth1/address eth2/address eth3/address");
            let last: Vec<&str> = macs.lines().map(|mac| &mac[15..]).collect();
            assert_eq!(last, ["02", "05", "07", "12"]);
        });
    }
}

#[test]
fn addresses_and_ways_out() {
    let lines = veth(
        "lxc.net.0.flags = up\n\
         lxc.net.0.ipv4.address = 10.233.0.7/24\n\
         lxc.net.0.ipv4.address = 10.9.0.7/16 10.9.0.255\n\
         lxc.net.0.ipv4.gateway = auto\n\
         lxc.net.0.ipv6.address = fd00:9::7/64\n\
         lxc.net.0.ipv6.gateway = fd00:9::1",
    );
    for owner in BOTH {
        in_container(owner, &lines, |container| {
            let has = container.sh("ip addr show dev eth0");
            for part in [
                "inet 10.233.0.7/24 brd 10.233.0.255",
                "inet 10.9.0.7/16 brd 10.9.0.255",
                "inet6 fd00:9::7/64",
            ] {
                assert!(has.contains(part), "no {part} in {has}");
            }
            let routes = container.sh("ip route; ip -6 route");
            assert!(
                routes.contains(&format!("default via {BRIDGE_ADDRESS} dev eth0"))
                    && routes.contains("default via fd00:9::1 dev eth0"),
                "{routes}"
            );
            container.sh(&format!("ping -c 1 -W 5 {BRIDGE_ADDRESS}"));
        });
    }
}

#[test]
fn ways_out_over_the_interface_or_past_its_networks() {
    let dev =
        veth("lxc.net.0.flags = up\nlxc.net.0.ipv4.gateway = dev\nlxc.net.0.ipv6.gateway = dev");
    let far = veth(
        "lxc.net.0.flags = up\nlxc.net.0.ipv4.address = 10.7.7.7/32\n\
         lxc.net.0.ipv4.gateway = 169.254.1.1\nlxc.net.0.ipv6.address = fd00:7::7/128\n\
         lxc.net.0.ipv6.gateway = fe80::1",
    );
    for owner in BOTH {
        in_container(owner, &dev, |container| {
            let routes = container.sh("ip route; ip -6 route");
            assert_eq!(routes.matches("default dev eth0").count(), 2, "{routes}");
        });
        in_container(owner, &far, |container| {
            let routes = container.sh("ip route; ip -6 route");
            assert!(
                routes.contains("169.254.1.1 dev eth0")
                    && routes.contains("default via 169.254.1.1 dev eth0")
                    && routes.contains("default via fe80::1 dev eth0"),
                "{routes}"
            );
        });
    }
}

#[test]
fn addresses_and_ways_out_that_cannot_be() {
    each_refused(
        Owner::User,
        &veth("lxc.net.0.flags = up"),
        &[
            (
                "lxc.net.0.ipv4.address = 10.0.0.7/33",
                "ipv4.address: expected an IPv4 address",
            ),
            (
                "lxc.net.0.ipv6.address = 10.0.0.7/8",
                "ipv6.address: expected an IPv6 address",
            ),
            (
                "lxc.net.0.ipv4.gateway = fd00::1",
                "ipv4.gateway: expected an address of that family",
            ),
            (
                "lxc.net.0.ipv6.gateway = auto",
                "lxc.net.0.ipv6.gateway: auto means the link's own address",
            ),
            (
                "lxc.net.0.ipv4.gateway = 10.233.0.1\nlxc.net.0.flags =",
                "lxc.net.N.flags = up",
            ),
            (
                "lxc.net.0.ipv4.gateway = auto\nlxc.net.0.link =",
                "no link (lxc.net.N.link) has none of that family",
            ),
        ],
    );
}

#[test]
fn lines_for_another_type_are_refused() {
    let lines = veth("lxc.net.0.macvlan.mode = bridge");
    let text = "lxc.net.0.macvlan.mode: expected this only where lxc.net.0.type is macvlan, found \
                type veth";
    refused(Owner::Root, &lines, text);
}
