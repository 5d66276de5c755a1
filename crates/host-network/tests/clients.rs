//! What containers are given, by real clients of DHCP and many at once.

#[allow(dead_code, reason = "shared with other programs of tests")]
mod isolated;

use isolated::*;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

const MANY: usize = 200;
const USERS: [u32; 4] = [0, 1000, 1001, 1002];

/// Namespaces `c0` and so on, each of one of [`USERS`], with a port on the bridge.
fn attach_many() {
    let mut batch = String::new();
    for at in 0..MANY {
        let group = USERS[at % USERS.len()];
        let _ = writeln!(
            batch,
            "netns add c{at}\n\
             link add veth_{at} group {group} type veth peer name eth0 netns c{at}\n\
             link set veth_{at} master berthbr0 up"
        );
    }
    fs::write("/run/batch", batch).unwrap();
    sh("ip -batch /run/batch");
}

/// The one address of a name, as the bridge's dnsmasq knows it.
fn look_up(name: &str) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    // One question, recursion desired; type A, class IN.
    let mut question = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    question.push(u8::try_from(name.len()).unwrap());
    question.extend(name.bytes());
    question.extend([0, 0, 1, 0, 1]);
    socket.send_to(&question, ("10.209.0.1", 53)).unwrap();
    let mut answer = [0; 512];
    let size = socket.recv(&mut answer).expect("an answer");
    let answers = [answer[6], answer[7]];
    let address: [u8; 4] = answer[..size].last_chunk().copied()?;
    (answers == [0, 1]).then(|| address.into())
}

/// Two may be offered one address before either takes it: dnsmasq does not remember offers that it
/// has not looked for doubles of. Who comes second asks again, as clients in containers go on doing.
#[test]
fn two_hundred_that_ask_at_once_are_all_served() {
    isolated("two_hundred_that_ask_at_once_are_all_served", || {
        ok("start");
        attach_many();
        fs::write(
            "/run/bound.sh",
            "#!/bin/sh\n[ \"$1\" != bound ] || echo \"$ip\" > /run/got/$hostname\n",
        )
        .unwrap();
        // All wait for one lock, then ask.
        sh(
            "chmod +x /run/bound.sh; mkdir /run/got /run/ready /run/said; : > /run/gate
            exec 9>/run/gate; flock -x 9
            for at in $(seq 0 199); do
              hostname=c$at ip netns exec c$at sh -c \"ip link set eth0 up; : > /run/ready/$at
                flock -s /run/gate timeout 60 busybox udhcpc -i eth0 -q -f -A 1 -t 20 -T 1 \
                  -x hostname:c$at -s /run/bound.sh; echo ended \\$?\" 9>&- > /run/said/c$at 2>&1 &
            done
            timeout 60 sh -c 'until [ $(ls /run/ready | wc -l) = 200 ]; do sleep 0.1; done'
            flock -u 9; wait",
        );
        let got: Vec<Ipv4Addr> = (0..MANY)
            .map(|at| {
                fs::read_to_string(format!("/run/got/c{at}")).unwrap_or_else(|_| {
                    let said = fs::read_to_string(format!("/run/said/c{at}"));
                    panic!("c{at} has none: {said:?}")
                })
            })
            .map(|address| address.trim().parse().unwrap())
            .collect();
        let different: BTreeSet<_> = got.iter().collect();
        assert_eq!(different.len(), MANY, "each has its own");
        for address in &got {
            let [10, 209, 0, 2..=254] = address.octets() else {
                panic!("{address} is not of the range");
            };
        }
        let listed = || {
            let leases = berth_net(&["leases", "--json"]).stdout;
            leases.matches("\"address\":").count()
        };
        assert_eq!(listed(), MANY);
        for (at, address) in got.iter().enumerate() {
            assert_eq!(look_up(&format!("c{at}")), Some(*address), "c{at}");
        }
        ok("restart");
        assert_eq!(listed(), MANY, "none is lost");
        assert_eq!(look_up("c0"), Some(got[0]));
    });
}

/// As on Debian before networkd, with its own script.
#[test]
fn dhclient_gets_address_route_and_servers() {
    isolated("dhclient_gets_address_route_and_servers", || {
        config("mtu = 1400\ndomain = \"c.example\"\n");
        ok("start");
        attach("web", "berthbr0");
        // What is bound there is the container's own.
        sh("mkdir -p /etc/netns/web; : > /etc/netns/web/resolv.conf");
        fs::write(
            "/run/dhclient.conf",
            "send host-name \"web\";\n\
             request subnet-mask, routers, domain-name-servers, domain-name, interface-mtu;\n",
        )
        .unwrap();
        let dhclient = |what: &str| {
            sh(&format!(
                "ip netns exec web dhclient {what} -cf /run/dhclient.conf -pf /run/dhclient.pid \
                   -lf /run/dhclient.leases eth0 >/dev/null 2>&1"
            ));
        };
        dhclient("-1");
        let shown = sh("ip -n web -o -4 addr show dev eth0");
        let address = sh("ip -n web -o -4 addr show dev eth0 | awk '{ print $4 }'");
        let address = address.trim().strip_suffix("/24").expect(&shown);
        assert!(address.starts_with("10.209.0."), "{shown}");
        let route = sh("ip -n web route show default");
        assert!(route.contains("via 10.209.0.1"), "{route}");
        let servers = fs::read_to_string("/etc/netns/web/resolv.conf").unwrap();
        assert!(servers.contains("nameserver 10.209.0.1"), "{servers}");
        assert!(servers.contains("search c.example"), "{servers}");
        let link = sh("ip -n web link show eth0");
        assert!(link.contains("mtu 1400"), "it is told the MTU: {link}");
        let found = sh("ip netns exec web busybox nslookup web.c.example 10.209.0.1");
        assert!(found.contains(address), "{found}");
        assert!(pings("web", "10.209.0.1"));
        // Given back, it is nobody's.
        dhclient("-r");
        let leases = berth_net(&["leases"]).stdout;
        assert!(!leases.contains(address), "{leases}");
    });
}

/// As in a container that systemd runs in.
#[test]
fn networkd_gets_addresses_of_both_protocols() {
    isolated("networkd_gets_addresses_of_both_protocols", || {
        config("ipv6 = \"fd12:3456:789a::1/64\"\n");
        ok("start");
        attach("web", "berthbr0");
        networkd(
            "ip netns exec web",
            &[(
                "eth0.network",
                "[Match]\nName=eth0\n[Network]\nDHCP=yes\n[DHCPv4]\nHostname=web\n",
            )],
        );
        sh(
            "timeout 60 sh -c 'until ip -n web -4 addr show dev eth0 | grep -q 10.209.0. &&
               ip -n web -6 addr show dev eth0 -tentative | grep -q fd12:3456:789a: &&
               ip -n web route show default | grep -q \"via 10.209.0.1\" &&
               ip -n web -6 route show default | grep -q via; do sleep 0.1; done'",
        );
        let address = sh("ip -n web -o -4 addr show dev eth0 | awk '{ print $4 }'");
        let address: Ipv4Addr = address.trim().trim_end_matches("/24").parse().unwrap();
        assert_eq!(look_up("web"), Some(address));
        assert!(pings("web", "10.209.0.1"));
        assert!(succeeds(
            "ip netns exec web busybox ping6 -c 1 -W 2 fd12:3456:789a::1"
        ));
    });
}

/// How many pieces of packets of IPv4 were made there.
fn fragments(prefix: &str) -> u64 {
    let counters = sh(&format!("{prefix}grep ^Ip: /proc/net/snmp"));
    let (names, values) = counters.trim().split_once('\n').unwrap();
    let mut pairs = names.split(' ').zip(values.split(' '));
    let found = pairs.find(|(name, _)| *name == "FragCreates");
    found.unwrap().1.parse().unwrap()
}

#[test]
fn packets_are_as_large_as_the_bridge_says() {
    isolated("packets_are_as_large_as_the_bridge_says", || {
        for mtu in [9000_u32, 1400] {
            config(&format!("mtu = {mtu}\nipv6 = \"fd12:3456:789a::1/64\"\n"));
            ok("start");
            // As Berth makes a container's interface: both ends with the bridge's MTU.
            for name in ["web", "db"] {
                sh(&format!(
                    "ip netns add {name}
                     ip link add veth_{name} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {name}
                     ip link set veth_{name} master berthbr0 up
                     ip -n {name} link set lo up; ip -n {name} link set eth0 up"
                ));
                dhcp(name);
            }
            let db = sh("ip -n db -o -4 addr show dev eth0 | awk '{ print $4 }'");
            let db = db.trim().trim_end_matches("/24").to_owned();
            let web = sh("ip -n web -o -4 addr show dev eth0 | awk '{ print $4 }'");
            let web = web.trim().trim_end_matches("/24").to_owned();
            // 20 bytes of IPv4 and 8 of ICMP go along; what is larger goes in pieces.
            for (size, pieces) in [(mtu - 28, 0), (mtu - 27, 2)] {
                for (prefix, to) in [
                    ("ip netns exec web ", "10.209.0.1"),
                    ("ip netns exec web ", db.as_str()),
                    ("", web.as_str()),
                ] {
                    let before = fragments(prefix);
                    sh(&format!("{prefix}busybox ping -c 1 -W 10 -s {size} {to}"));
                    assert_eq!(
                        fragments(prefix) - before,
                        pieces,
                        "{size} of {mtu}: {prefix}{to}"
                    );
                }
            }
            sh("timeout 30 sh -c 'until ip -n web -6 addr show dev eth0 scope global -tentative | grep -q fd12:
                  do sleep 0.1; done'");
            let told = sh("ip netns exec web cat /proc/sys/net/ipv6/conf/eth0/mtu");
            assert_eq!(told.trim(), mtu.to_string());
            sh(&format!(
                "ip netns exec web busybox ping6 -c 1 -W 10 -s {} fd12:3456:789a::1",
                mtu - 48
            ));
            detach("web");
            detach("db");
        }
    });
}
