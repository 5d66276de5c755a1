//! Containers of different users on one bridge, with real frames.

#[allow(dead_code, reason = "shared with other programs of tests")]
mod isolated;

use isolated::*;
use std::net::Ipv6Addr;

const ALICE: u32 = 1000;
/// Differs from alice's uid in one high bit only (ip-link(8) takes no higher one).
const BOB: u32 = 1000 | 1 << 30;

fn inside(name: &str, script: &str) -> String {
    sh(&format!("ip netns exec {name} sh -ec '{script}'"))
}

fn mac(name: &str) -> String {
    hardware(&format!("ip -n {name} -o link show eth0"))
}

fn hardware(show: &str) -> String {
    let shown = sh(show);
    let mut words = shown.split_whitespace();
    words.find(|word| *word == "link/ether");
    words.next().unwrap().to_owned()
}

/// Sends a frame with nothing in it that anybody understands, as raw as it can be.
fn send_raw(from: &str, to: &str) {
    let octal = |mac: &str| -> String {
        mac.split(':')
            .map(|byte| format!("\\{:03o}", u8::from_str_radix(byte, 16).unwrap()))
            .collect()
    };
    let (to, own) = (octal(to), octal(&mac(from)));
    sh(&format!(
        "printf '{to}{own}\\210\\265nobody understands this' > /run/frame
         ip netns exec {from} socat -u FILE:/run/frame INTERFACE:eth0
         rm /run/frame"
    ));
}

/// Two containers of alice's, one of bob's, one of root's; the addresses that they were given.
fn four() -> [String; 4] {
    let owners = [("a1", ALICE), ("a2", ALICE), ("b1", BOB), ("r1", 0)];
    owners.map(|(name, owner)| {
        // Frames are counted below, and the kernel sends some of its own accord.
        attach_of(owner, name, "berthbr0");
        inside(name, "echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6");
        value(&dhcp(name), "ip").to_owned()
    })
}

/// How many frames of one container came to another while something was done.
fn frames(from: &str, to: &str, act: impl FnOnce()) -> u64 {
    let counter = format!(
        "table netdev seen {{ chain seen {{ type filter hook ingress device eth0 priority 0;
         ether saddr {} counter; }}; }}",
        mac(from)
    );
    sh(&format!("ip netns exec {to} nft '{counter}'"));
    act();
    let count = format!(
        "ip netns exec {to} nft list table netdev seen | sed -n 's/.*packets \\([0-9]*\\).*/\\1/p'
         ip netns exec {to} nft delete table netdev seen"
    );
    sh(&count).trim().parse().unwrap()
}

/// What the host takes for the hardware address of a container's address.
fn host_knows(ip: &str) -> String {
    sh(&format!(
        "ip neigh show {ip} dev berthbr0 | grep -o 'lladdr [^ ]*' || true"
    ))
}

#[test]
fn one_users_reach_each_other_and_different_users_do_not() {
    isolated(
        "one_users_reach_each_other_and_different_users_do_not",
        || {
            let before = snapshot();
            let started = ok("start");
            assert!(
                started.stdout.contains("different users are kept apart"),
                "{started:?}"
            );
            let [a1, a2, b1, r1] = four();
            for (from, to, reaches) in [
                ("a1", &a2, true),
                ("a2", &a1, true),
                ("a1", &b1, false),
                ("b1", &a2, false),
                ("r1", &a1, true),
                ("b1", &r1, true),
                ("a1", &"10.209.0.1".to_owned(), true),
                ("b1", &"10.209.0.1".to_owned(), true),
            ] {
                assert_eq!(pings(from, to), reaches, "{from} to {to}");
            }

            // Frames, whatever is in them and however they are addressed.
            let send = |from: &str, to: &str, ip: &str| {
                let mac = mac(to);
                inside(
                    from,
                    &format!("ip neigh replace {ip} lladdr {mac} dev eth0"),
                );
                for to in [mac.as_str(), "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"] {
                    send_raw(from, to);
                }
                for script in [
                    format!("busybox ping -c 1 -W 1 {ip} || true"),
                    format!("busybox arping -c 1 -w 1 -I eth0 {ip} || true"),
                    "busybox arping -U -c 1 -w 1 -I eth0 10.209.0.99 || true".to_owned(),
                ] {
                    inside(from, &format!("{{ {script}; }} >/dev/null 2>&1"));
                }
            };
            assert_eq!(frames("a1", "b1", || send("a1", "b1", &b1)), 0);
            assert_eq!(frames("b1", "a1", || send("b1", "a1", &a1)), 0);
            assert!(frames("a1", "a2", || send("a1", "a2", &a2)) >= 5);

            // By way of the host.
            inside(
                "a1",
                &format!("ip neigh del {b1} dev eth0; ip route add {b1} via 10.209.0.1"),
            );
            assert!(!pings("a1", &b1));

            // Names are everybody's.
            let name = sh("ip netns exec b1 busybox nslookup a1 10.209.0.1");
            assert!(name.contains(&a1), "{name}");

            sh("nft flush chain bridge berth-net differ");
            let status = berth_net(&["status"]);
            assert_eq!(status.code, Some(3), "{status:?}");
            assert!(status.stdout.contains("neighbours  missing"), "{status:?}");
            assert!(ok("start").stdout.contains("kept apart"));
            assert!(!pings("a2", &b1) && pings("a2", &a1));

            // As the administrator likes it.
            config("isolate-users = false\n");
            let changed = ok("start");
            assert!(
                changed.stdout.contains("no longer kept apart"),
                "{changed:?}"
            );
            // Who was not found a moment ago is not looked for at once.
            let reach = |from: &str, to: &str| {
                succeeds(&format!("ip netns exec {from} busybox ping -c 3 -W 2 {to}"))
            };
            assert!(reach("a2", &b1) && reach("b1", &a2));
            for name in ["a1", "a2", "b1", "r1"] {
                detach(name);
            }
            ok("stop");
            assert_same(&before);
        },
    );
}

#[test]
fn nobody_poses_as_the_gateway_or_as_another_users_container() {
    isolated(
        "nobody_poses_as_the_gateway_or_as_another_users_container",
        || {
            ok("start");
            let [a1, _, b1, _] = four();
            assert!(pings("a1", "10.209.0.1") && pings("b1", "10.209.0.1"));
            let (victim, own) = (host_knows(&a1), host_knows(&b1));
            assert_eq!(victim, format!("lladdr {}\n", mac("a1")));

            // Bob says that alice's address is his.
            inside(
                "b1",
                &format!("busybox arping -U -c 2 -w 1 -s {a1} -I eth0 {a1} || true"),
            );
            inside(
                "b1",
                &format!("busybox arping -A -c 2 -w 1 -s {a1} -I eth0 {a1} || true"),
            );
            assert_eq!(host_knows(&a1), victim);
            // And that the gateway's is.
            inside(
                "b1",
                "busybox arping -U -c 2 -w 1 -s 10.209.0.1 -I eth0 10.209.0.1 || true",
            );
            let gateway = hardware("ip -o link show berthbr0");
            let seen = inside("a1", "ip neigh show 10.209.0.1");
            assert!(seen.contains(&gateway), "{seen}");

            // He takes the address, and sends from it.
            inside(
                "b1",
                &format!("ip addr add {a1}/32 dev eth0; ip neigh flush dev eth0"),
            );
            let answered = inside(
                "b1",
                &format!(
                    "busybox ping -c 1 -W 1 -I {a1} 10.209.0.1 >/dev/null && echo yes || echo no"
                ),
            );
            assert_eq!(answered, "no\n");
            inside("b1", &format!("ip addr del {a1}/32 dev eth0"));
            assert_eq!(host_knows(&a1), victim);
            assert!(pings("a1", "10.209.0.1"), "alice is still there");
            assert!(pings("b1", "10.209.0.1"), "and bob, as himself");
            assert_eq!(host_knows(&b1), own);

            // He takes alice's hardware address, or the bridge's.
            for stolen in [mac("a1"), gateway.clone()] {
                let honest = mac("b1");
                inside("b1", &format!("ip link set eth0 address {stolen}"));
                assert!(!pings("b1", "10.209.0.1"), "{stolen}");
                send_raw("b1", "ff:ff:ff:ff:ff:ff");
                let table = sh(&format!(
                    "bridge fdb show br berthbr0 | grep '^{stolen} dev '"
                ));
                assert!(!table.contains("veth_b1"), "{table}");
                assert!(pings("a1", "10.209.0.1"));
                inside(
                    "b1",
                    &format!(
                        "ip link set eth0 address {honest}; ip route add default via 10.209.0.1 || true"
                    ),
                );
            }

            // Under a tag that the host takes off.
            inside(
            "b1",
            &format!(
                "ip link add link eth0 name outer type vlan id 0 2>/dev/null || exit 0
                 ip link add link outer name tagged type vlan id 0 && ip link set outer up &&
                 ip link set tagged up && busybox arping -U -c 2 -w 1 -s {a1} -I tagged {a1} || true"
            ),
        );
            assert_eq!(host_knows(&a1), victim);

            // Alice's other container may take over what is alice's.
            inside("a1", &format!("ip addr del {a1}/24 dev eth0"));
            inside(
                "a2",
                &format!(
                    "ip addr add {a1}/24 dev eth0; busybox arping -A -c 1 -w 1 -s {a1} -I eth0 {a1} || true"
                ),
            );
            assert_eq!(host_knows(&a1), format!("lladdr {}\n", mac("a2")));
        },
    );
}

/// A neighbour advertisement (RFC 4861, 4.4): the target is at this hardware address, whatever was
/// known before. It says to come from another address of the sender's.
fn advertisement(from: &str, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let own: Vec<u8> = mac(from)
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect();
    let all: Ipv6Addr = "ff02::1".parse().unwrap();
    let mut body = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    body.extend(target.octets());
    body.extend([2, 1]);
    body.extend(&own);
    let mut summed = [source.octets(), all.octets()].concat();
    summed.extend((body.len() as u32).to_be_bytes());
    summed.extend([0, 0, 0, 58]);
    summed.extend(&body);
    let mut sum: u32 = summed
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    body[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    let mut frame = vec![0x33, 0x33, 0, 0, 0, 1];
    frame.extend(&own);
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend((body.len() as u16).to_be_bytes());
    frame.extend([58, 255]);
    frame.extend(source.octets());
    frame.extend(all.octets());
    frame.extend(body);
    frame
}

/// The address that a container made itself in the bridge's network, when it has it.
fn address_of_six(name: &str) -> Ipv6Addr {
    let show = format!(
        "timeout 30 sh -c \"until ip -n {name} -o -6 addr show dev eth0 scope global | grep -v tentative |
           grep inet6; do sleep 0.1; done\" | awk '{{ print $4 }}'"
    );
    let shown = sh(&show);
    let (address, _) = shown.trim().split_once('/').unwrap();
    address.parse().unwrap()
}

#[test]
fn nobody_poses_as_another_users_container_over_ipv6() {
    isolated("nobody_poses_as_another_users_container_over_ipv6", || {
        config("ipv6 = \"fd12:3456:789a::1/64\"\n");
        ok("start");
        for (name, owner) in [("a1", ALICE), ("a2", ALICE), ("b1", BOB)] {
            attach_of(owner, name, "berthbr0");
        }
        let [a1, a2, b1] = ["a1", "a2", "b1"].map(address_of_six);
        let reaches = |from: &str, to: &str| {
            succeeds(&format!(
                "ip netns exec {from} busybox ping6 -c 2 -W 1 {to}"
            ))
        };
        let gateway = "fd12:3456:789a::1";
        for name in ["a1", "a2", "b1"] {
            assert!(reaches(name, gateway), "{name}");
        }
        assert!(reaches("a1", &a2.to_string()));
        assert!(!reaches("a1", &b1.to_string()));
        // By way of the host, too.
        inside("a1", &format!("ip route add {b1} via {gateway} dev eth0"));
        assert!(!reaches("a1", &b1.to_string()));

        let victim = host_knows(&a1.to_string());
        assert!(victim.contains(&mac("a1")), "{victim}");
        let send = |from: &str, frame: &[u8]| {
            std::fs::write("/run/frame", frame).unwrap();
            sh(&format!(
                "ip netns exec {from} socat -u FILE:/run/frame INTERFACE:eth0; rm /run/frame"
            ));
        };
        send("b1", &advertisement("b1", b1, a1));
        send("b1", &advertisement("b1", a1, a1));
        assert_eq!(host_knows(&a1.to_string()), victim);
        // The same from alice's own is heard: the frame is one that the host understands.
        send("a2", &advertisement("a2", a2, a1));
        let heard = host_knows(&a1.to_string());
        assert!(heard.contains(&mac("a2")), "{heard}");
    });
}

/// An address that was somebody's a moment ago is whose the host gives it to.
#[test]
fn what_the_host_gives_is_whose_it_gives_it_to() {
    isolated("what_the_host_gives_is_whose_it_gives_it_to", || {
        ok("start");
        attach_of(ALICE, "a1", "berthbr0");
        attach_of(BOB, "b1", "berthbr0");
        inside("a1", "ip addr add 10.209.0.77/24 dev eth0");
        assert!(pings("a1", "10.209.0.1"));
        inside("a1", "ip addr flush dev eth0");
        inside("b1", "ip addr add 10.209.0.77/24 dev eth0");
        assert!(!pings("b1", "10.209.0.1"), "not by taking it");
        inside("b1", "ip addr flush dev eth0");
        sh("ip neigh flush dev berthbr0");
        inside(
            "b1",
            "printf \"#!/bin/sh\\n[ \\$1 = bound ] && ip addr add \\$ip/24 dev eth0\\n\" > /run/take
             chmod +x /run/take
             busybox udhcpc -i eth0 -n -q -f -t 5 -T 1 -r 10.209.0.77 -s /run/take >/dev/null 2>&1",
        );
        let address = inside("b1", "ip -o addr show eth0");
        assert!(address.contains("10.209.0.77/24"), "{address}");
        assert!(pings("b1", "10.209.0.1"));
    });
}

/// Nor does it help to be on another bridge.
#[test]
fn users_on_different_bridges_do_not_reach_each_other_by_way_of_the_host() {
    isolated(
        "users_on_different_bridges_do_not_reach_each_other_by_way_of_the_host",
        || {
            std::fs::create_dir_all("/etc/berth/net.d").unwrap();
            let more = "bridge = \"br-more\"\naddress = \"10.50.0.1/24\"\n";
            std::fs::write("/etc/berth/net.d/more.toml", more).unwrap();
            ok("start");
            attach_of(ALICE, "a1", "berthbr0");
            attach_of(BOB, "b1", "br-more");
            attach_of(0, "r1", "br-more");
            let [_, b1, r1] = ["a1", "b1", "r1"].map(|name| value(&dhcp(name), "ip").to_owned());
            assert!(!pings("a1", &b1) && !pings("a1", &r1));
            assert!(pings("a1", "10.209.0.1") && pings("b1", "10.50.0.1"));
            assert!(pings("b1", &r1));
            let [_, b1] = ["a1", "b1"].map(address_of_six);
            inside(
                "a1",
                "timeout 30 sh -c \"until ip -6 route show default | grep -q via; do sleep 0.1; done\"",
            );
            let reaches =
                |to: &str| succeeds(&format!("ip netns exec a1 busybox ping6 -c 2 -W 1 {to}"));
            assert!(!reaches(&b1.to_string()));
            let gateway = sh("ip -o -6 addr show berthbr0 scope global | awk '{ print $4 }'");
            assert!(reaches(gateway.trim().trim_end_matches("/64")));
        },
    );
}

/// The rules are written once: whoever starts a container changes nothing in the firewall.
#[test]
fn users_and_ports_come_and_go_without_a_change_of_the_rules() {
    isolated(
        "users_and_ports_come_and_go_without_a_change_of_the_rules",
        || {
            ok("start");
            let rules = || sh("nft -s list table bridge berth-net | grep comment");
            let before = rules();
            for user in [1, 2, 65_536, i32::MAX as u32] {
                let name = format!("c{}", user % 1000);
                attach_of(user, &name, "berthbr0");
                dhcp(&name);
                assert!(pings(&name, "10.209.0.1"), "{user}");
            }
            assert!(!pings("c1", "10.209.0.2"));
            assert_eq!(rules(), before);
        },
    );
}

#[test]
fn without_the_firewall_of_bridges_a_start_says_what_that_means() {
    isolated(
        "without_the_firewall_of_bridges_a_start_says_what_that_means",
        || {
            sh("printf '#!/bin/sh\\necho no such family >&2; exit 1\\n' > /run/nft && chmod +x /run/nft &&
            mount --bind /run/nft /usr/sbin/nft");
            config("firewall = \"iptables\"\n");
            let started = ok("start");
            for words in [
                "different users reach each other",
                "no such family",
                "isolate-users = false",
            ] {
                assert!(started.stderr.contains(words), "{started:?}");
            }
            let status = berth_net(&["status"]);
            assert_eq!(status.code, Some(3), "{status:?}");
            config("firewall = \"iptables\"\nisolate-users = false\n");
            let started = ok("start");
            assert_eq!(started.stderr, "", "{started:?}");
            assert_eq!(berth_net(&["status"]).code, Some(0));
        },
    );
}
