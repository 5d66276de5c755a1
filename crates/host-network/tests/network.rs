//! `berth-net` with the real kernel, dnsmasq, nft, iptables and DHCP clients.

#[allow(dead_code, reason = "shared with other programs of tests")]
mod isolated;

use isolated::*;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

#[test]
fn the_whole_way_with_nftables() {
    isolated("the_whole_way_with_nftables", || {
        make_outside();
        config("domain = \"c.example\"\n");
        let before = snapshot();

        let started = ok("start");
        assert!(
            started.stdout.contains("created the bridge berthbr0"),
            "{started:?}"
        );
        let rules = sh("nft list table ip berth-net");
        assert!(
            rules.contains("masquerade comment \"berth-net\""),
            "{rules}"
        );
        assert_eq!(
            fs::read_to_string("/proc/sys/net/ipv4/ip_forward")
                .unwrap()
                .trim(),
            "1"
        );
        let status = berth_net(&["status", "--json"]);
        assert_eq!(status.code, Some(0), "{status:?}");
        assert!(status.stdout.contains("\"state\":\"up\""), "{status:?}");

        attach("web", "berthbr0");
        attach("db", "berthbr0");
        sh("ip link set veth_db mtu 1400");
        assert!(
            succeeds("ip link show berthbr0 | grep -q 'mtu 1500'"),
            "a port does not change it"
        );
        let web = dhcp("web");
        let db = dhcp("db");
        assert!(value(&web, "ip").starts_with("10.209.0."), "{web}");
        assert_ne!(value(&web, "ip"), value(&db, "ip"));
        assert_eq!(value(&web, "router"), "10.209.0.1");
        assert_eq!(value(&web, "dns"), "10.209.0.1");
        assert_eq!(value(&web, "domain"), "c.example");
        assert!(pings("web", "10.209.0.1"), "the bridge");
        assert!(pings("web", value(&db, "ip")), "another container");
        assert!(
            pings("web", "198.51.100.2"),
            "the outside, which knows no way back"
        );
        let answer = sh("ip netns exec web busybox nslookup db.c.example 10.209.0.1");
        assert!(answer.contains(value(&db, "ip")), "{answer}");

        let pid = dnsmasq_pid();
        let owner = sh(&format!("stat -c %U /proc/{pid}"));
        assert!(
            ["dnsmasq", "nobody"].contains(&owner.trim()),
            "dnsmasq runs as {owner}"
        );
        let again = ok("start");
        assert_eq!(again.stdout, "berthbr0 is up already\n");
        assert_eq!(dnsmasq_pid(), pid, "an idle start does not touch what runs");

        // A stop under running containers leaves them what they stand on.
        let stopped = ok("stop");
        assert!(stopped.stderr.contains("berthbr0 stays"), "{stopped:?}");
        assert!(stopped.stderr.contains("veth_web"), "{stopped:?}");
        assert!(pings("web", "10.209.0.1") && pings("web", value(&db, "ip")));
        assert_eq!(berth_net(&["status"]).code, Some(3));
        ok("start");
        assert!(
            pings("web", "198.51.100.2"),
            "and a start serves them again"
        );
        assert_eq!(berth_net(&["status"]).code, Some(0));
        ok("stop");

        detach("web");
        detach("db");
        let stopped = ok("stop");
        assert!(
            stopped.stdout.contains("removed the bridge berthbr0"),
            "{stopped:?}"
        );
        assert_same(&before);
        assert_eq!(ok("stop").stdout, "nothing is up\n");
        let status = berth_net(&["status"]);
        assert_eq!(status.code, Some(3));
        assert!(status.stdout.starts_with("berthbr0: down\n"), "{status:?}");
    });
}

#[test]
fn a_container_lives_by_ipv6_alone() {
    isolated("a_container_lives_by_ipv6_alone", || {
        make_outside();
        sh("ip addr add 2001:db8:1::1/64 dev up0 nodad
            ip -n outside addr add 2001:db8:1::2/64 dev eth0 nodad");
        let routers = || sh("cat /proc/sys/net/ipv6/conf/up0/accept_ra");
        assert_eq!(routers(), "1\n");
        config("ipv6 = \"fd12:3456:789a::1/64\"\n");
        let before = snapshot();
        ok("start");
        assert_eq!(
            routers(),
            "2\n",
            "the host still takes its own way out from a router"
        );
        attach("web", "berthbr0");
        attach("db", "berthbr0");
        // One that has both is found by name at both.
        let lease = dhcp("db");
        let inside = |script: &str| sh(&format!("ip netns exec web sh -c \"{script}\""));
        inside(
            "timeout 30 sh -c 'until ip -6 route show default | grep -q via &&
               ! ip -6 addr show tentative | grep -q inet6; do sleep 0.1; done'",
        );
        let shown = inside("ip -o addr show dev eth0 scope global");
        assert!(
            shown.contains("inet6 fd12:3456:789a:0:") && !shown.contains("inet "),
            "{shown}"
        );
        assert!(succeeds(
            "ip netns exec web busybox ping6 -c 2 -W 2 fd12:3456:789a::1"
        ));
        assert!(
            succeeds("ip netns exec web busybox ping6 -c 2 -W 2 2001:db8:1::2"),
            "the outside, which knows no way back"
        );
        let four = value(&lease, "ip");
        let six = sh("ip -n db -o -6 addr show dev eth0 scope global | awk '{ print $4 }'");
        let six = six.trim().trim_end_matches("/64");
        let found = sh(&format!(
            "timeout 30 sh -c 'until ip netns exec web busybox nslookup db fd12:3456:789a::1 |
               grep -q {six}; do sleep 0.5; done'; ip netns exec web busybox nslookup db fd12:3456:789a::1"
        ));
        assert!(found.contains(four), "{found}");

        sh("nft flush table ip6 berth-net; echo 0 > /proc/sys/net/ipv6/conf/all/forwarding");
        let status = berth_net(&["status"]);
        assert_eq!(status.code, Some(3), "{status:?}");
        assert!(
            status.stdout.contains("forwarding  missing  IPv6"),
            "{status:?}"
        );
        ok("start");
        assert!(succeeds(
            "ip netns exec web busybox ping6 -c 2 -W 2 2001:db8:1::2"
        ));
        detach("web");
        detach("db");
        ok("stop");
        assert_same(&before);

        // Not where the administrator has none.
        sh("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
        let started = ok("start");
        assert!(!started.stdout.contains("IPv6"), "{started:?}");
        assert_eq!(
            sh("cat /proc/sys/net/ipv6/conf/berthbr0/disable_ipv6"),
            "1\n"
        );
        assert_eq!(berth_net(&["status"]).code, Some(0));
    });
}

#[test]
fn without_a_firewall_for_ipv6_there_is_ipv4() {
    isolated("without_a_firewall_for_ipv6_there_is_ipv4", || {
        make_outside();
        sh(
            "printf '#!/bin/sh\\necho no such table >&2; exit 1\\n' > /run/no && chmod +x /run/no
            ln -sf /usr/sbin/xtables-legacy-multi /etc/alternatives/iptables
            mount -t tmpfs none /mnt && mkdir /mnt/up /mnt/work
            mount -t overlay -o lowerdir=/usr/sbin,upperdir=/mnt/up,workdir=/mnt/work none /usr/sbin
            for tool in nft ip6tables ip6tables-legacy ip6tables-nft; do
              rm -f /usr/sbin/$tool; cp /run/no /usr/sbin/$tool; done",
        );
        config("firewall = \"iptables\"\n");
        let started = ok("start");
        assert!(
            started.stderr.contains("nothing outside over IPv6")
                && started.stderr.contains("ipv6 = \"off\""),
            "{started:?}"
        );
        assert_eq!(sh("cat /proc/sys/net/ipv6/conf/all/forwarding"), "0\n");
        attach("web", "berthbr0");
        dhcp("web");
        assert!(pings("web", "198.51.100.2"));
    });
}

/// Everybody can open the directory, and thus lock it.
#[test]
fn a_lock_on_the_directory_keeps_nobody_waiting() {
    isolated("a_lock_on_the_directory_keeps_nobody_waiting", || {
        ok("start");
        let mode = sh("stat -c %a /run/berth/net/.lock");
        assert_eq!(mode.trim(), "600");
        let mut stranger = Command::new("flock")
            .args(["-F", "/run/berth/net", "sleep", "100"])
            .spawn()
            .unwrap();
        while succeeds("flock -n /run/berth/net true") {
            thread::sleep(Duration::from_millis(10));
        }
        let start = std::time::Instant::now();
        ok("stop");
        let took = start.elapsed();
        let _ = stranger.kill();
        stranger.wait().unwrap();
        assert!(took < Duration::from_secs(20), "{took:?}");
    });
}

#[test]
fn what_is_missing_is_mended() {
    isolated("what_is_missing_is_mended", || {
        let before = snapshot();
        ok("start");
        for (damage, piece) in [
            (format!("kill -9 {}", dnsmasq_pid()), "dnsmasq"),
            ("nft flush table ip berth-net".to_owned(), "firewall"),
            ("ip addr flush dev berthbr0".to_owned(), "address"),
            ("ip link set berthbr0 down".to_owned(), "bridge"),
            (
                "echo 0 > /proc/sys/net/ipv4/ip_forward".to_owned(),
                "forwarding",
            ),
        ] {
            sh(&damage);
            thread::sleep(Duration::from_millis(50));
            let status = berth_net(&["status"]);
            assert_eq!(status.code, Some(3), "{status:?}");
            let line = status
                .stdout
                .lines()
                .find(|line| line.trim().starts_with(piece));
            assert!(
                line.is_some_and(|line| line.contains("missing")),
                "{piece}: {status:?}"
            );
            let mended = ok("start");
            assert_ne!(mended.stdout, "berthbr0 is up already\n", "{damage}");
            let status = berth_net(&["status"]);
            assert_eq!(status.code, Some(0), "after {damage}: {status:?}");
        }
        ok("stop");
        assert_same(&before);
    });
}

/// As on a host that comes from there.
#[test]
fn what_lxc_net_was_told_is_honoured() {
    isolated("what_lxc_net_was_told_is_honoured", || {
        let before = snapshot();
        fs::create_dir_all("/etc/default").unwrap();
        let told = |text: &str| fs::write("/etc/default/lxc-net", text).unwrap();
        told(
            "USE_LXC_BRIDGE=\"true\"\nLXC_BRIDGE=\"lxcbr0\"\nLXC_BRIDGE_MAC=\"00:16:3e:00:00:00\"\n\
             LXC_ADDR=\"10.0.3.1\"\nLXC_NETMASK=\"255.255.255.0\"\nLXC_NETWORK=\"10.0.3.0/24\"\n\
             LXC_DHCP_RANGE=\"10.0.3.50,10.0.3.60\"\nLXC_DHCP_MAX=\"11\"\nLXC_DOMAIN=\"lxc\"\n\
             LXC_DHCP_CONFILE=/etc/lxc-dnsmasq.conf\nLXC_IPV6_ENABLE=\"false\"\n",
        );
        fs::write("/etc/lxc-dnsmasq.conf", "dhcp-host=db,10.0.3.99\n").unwrap();
        ok("start");
        let link = sh("ip -o link show lxcbr0");
        assert!(link.contains("00:16:3e:00:00:00"), "{link}");
        assert!(!succeeds("ip link show berthbr0"));
        attach("web", "lxcbr0");
        attach("db", "lxcbr0");
        let lease = dhcp("web");
        assert!(
            ["10.0.3.5", "10.0.3.60"]
                .iter()
                .any(|start| value(&lease, "ip").starts_with(start)),
            "{lease}"
        );
        assert_eq!(value(&lease, "domain"), "lxc");
        assert_eq!(value(&dhcp("db"), "ip"), "10.0.3.99");
        assert_eq!(sh("ip -o -6 addr show dev lxcbr0"), "");
        detach("web");
        detach("db");
        ok("stop");
        assert_same(&before);

        // What Berth itself is told goes before.
        config("bridge = \"br7\"\naddress = \"10.77.0.1/24\"\n");
        ok("start");
        attach("web", "br7");
        assert!(value(&dhcp("web"), "ip").starts_with("10.77.0."));
        detach("web");
        ok("stop");
        config("");

        told("LXC_ADDR=\"10.0.3.0\"\n");
        let wrong = berth_net(&["start"]);
        assert_eq!(wrong.code, Some(1));
        assert!(
            wrong.stderr.contains("/etc/default/lxc-net:1: LXC_ADDR"),
            "{wrong:?}"
        );

        // LXC's own bridge stands already.
        fs::create_dir_all("/run/lxc").unwrap();
        fs::write("/run/lxc/network_up", "").unwrap();
        ok("start");
        assert!(succeeds("ip link show berthbr0"));
        ok("stop");
        fs::remove_file("/run/lxc/network_up").unwrap();
        fs::remove_file("/etc/default/lxc-net").unwrap();
        assert_same(&before);
    });
}

#[test]
fn reserved_addresses_are_given_to_whom_they_are_reserved() {
    isolated(
        "reserved_addresses_are_given_to_whom_they_are_reserved",
        || {
            config("[reservations]\nweb = \"10.209.0.80\"\n");
            ok("start");
            for name in ["db", "web"] {
                attach(name, "berthbr0");
            }
            assert_ne!(value(&dhcp("db"), "ip"), "10.209.0.80");
            assert_eq!(value(&dhcp("web"), "ip"), "10.209.0.80");
            let found = sh("ip netns exec db busybox nslookup web 10.209.0.1");
            assert!(found.contains("10.209.0.80"), "{found}");
            let leases = berth_net(&["leases"]).stdout;
            assert!(
                leases.starts_with("NAME") && leases.contains("web   10.209.0.80"),
                "{leases}"
            );
            let leases = berth_net(&["leases", "--json"]).stdout;
            assert!(
                leases.contains("\"name\":\"web\",\"address\":\"10.209.0.80\""),
                "{leases}"
            );
            let list = berth_net(&["list"]).stdout;
            assert!(
                list.lines()
                    .nth(1)
                    .unwrap()
                    .starts_with("berthbr0  up     10.209.0.1/24"),
                "{list}"
            );
            assert!(berth_net(&["ls", "--json"]).stdout.contains("\"ports\":2"));
            // Leases outlive a restart.
            let before = dhcp("db");
            ok("restart");
            assert_eq!(value(&dhcp("db"), "ip"), value(&before, "ip"));
            detach("db");
            detach("web");
        },
    );
}

/// As a firewall does that is loaded anew.
#[test]
fn a_restart_mends_what_others_took_away_under_running_containers() {
    isolated(
        "a_restart_mends_what_others_took_away_under_running_containers",
        || {
            make_outside();
            let before = snapshot();
            ok("start");
            attach("web", "berthbr0");
            let lease = dhcp("web");
            assert!(pings("web", "198.51.100.2"));
            sh("nft flush ruleset");
            assert!(!pings("web", "198.51.100.2"));
            let status = berth_net(&["status"]);
            assert_eq!(status.code, Some(3));
            for piece in ["firewall", "neighbours"] {
                let missing = |line: &str| line.contains(piece) && line.contains("missing");
                assert!(status.stdout.lines().any(missing), "{status:?}");
            }
            let restarted = ok("restart");
            assert!(
                restarted.stdout.contains("installed the rules"),
                "{restarted:?}"
            );
            assert_eq!(berth_net(&["status"]).code, Some(0));
            assert!(pings("web", "198.51.100.2") && pings("web", "10.209.0.1"));
            // Its address is still its own.
            assert_eq!(value(&dhcp("web"), "ip"), value(&lease, "ip"));

            // A configuration that is wrong takes nothing down.
            config("nat = \"perhaps\"\n");
            assert_eq!(berth_net(&["restart"]).code, Some(1));
            assert!(pings("web", "198.51.100.2"));
            config("");
            detach("web");
            ok("stop");
            assert_same(&before);
        },
    );
}

#[test]
fn forwarding_is_put_back_with_all_that_hangs_on_it() {
    isolated("forwarding_is_put_back_with_all_that_hangs_on_it", || {
        // Settings that switching forwarding off would overwrite.
        make_outside();
        sh("cd /proc/sys/net/ipv4/conf
            echo 0 > all/accept_redirects; echo 1 > up0/forwarding; echo 1 > default/forwarding");
        let before = snapshot();
        ok("start");
        ok("stop");
        assert_same(&before);

        // A host that forwards already goes on.
        sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
        let before = snapshot();
        ok("start");
        ok("stop");
        assert_same(&before);

        // What somebody else has changed since is his.
        sh("echo 0 > /proc/sys/net/ipv4/ip_forward");
        ok("start");
        sh(
            "echo 0 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv4/conf/up0/forwarding",
        );
        let theirs = snapshot();
        ok("stop");
        assert_eq!(
            fs::read_to_string("/proc/sys/net/ipv4/conf/up0/forwarding").unwrap(),
            "1\n"
        );
        assert!(theirs.contains("sysctl: ipv4/ip_forward:0"));
        assert_eq!(
            fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(),
            "0\n"
        );
    });
}

/// With rules of somebody else that drop everything, as Docker and ufw make them.
fn with_iptables(program: &str, chosen_by: &str) {
    make_outside();
    sh(&format!(
        "{program} -P FORWARD DROP; {program} -P INPUT DROP
         {program} -A INPUT -p icmp -m comment --comment 'not berth-net' -j ACCEPT
         {program} -t nat -A POSTROUTING -s 203.0.113.0/24 -j MASQUERADE"
    ));
    config(chosen_by);
    let before = snapshot();
    ok("start");
    let rules = sh(&format!("{program} -S; {program} -t nat -S"));
    assert_eq!(rules.matches("--comment berth-net ").count(), 6, "{rules}");
    assert!(
        !succeeds("nft list table ip berth-net"),
        "one firewall is enough"
    );
    assert_eq!(ok("start").stdout, "berthbr0 is up already\n");

    attach("web", "berthbr0");
    let web = dhcp("web");
    assert!(pings("web", "198.51.100.2"), "{rules}");
    let name = sh("ip netns exec web busybox nslookup web 10.209.0.1");
    assert!(name.contains(value(&web, "ip")), "{name}");
    detach("web");
    ok("stop");
    assert_same(&before);
}

/// One with NAT, one routed, one with nothing beyond the host.
#[test]
fn several_bridges_each_in_its_own_way() {
    isolated("several_bridges_each_in_its_own_way", || {
        make_outside();
        sh("ip -n outside route add 10.50.0.0/24 via 198.51.100.1");
        fs::create_dir_all("/etc/berth/net.d").unwrap();
        let more = |name: &str, text: &str| {
            fs::write(format!("/etc/berth/net.d/{name}"), text).unwrap();
        };
        more(
            "lab.toml",
            "bridge = \"br-lab\"\naddress = \"10.50.0.1/24\"\nrouted = true\n",
        );
        more(
            "shut.toml",
            "bridge = \"br-shut\"\naddress = \"10.60.0.1/24\"\nnat = false\n",
        );
        more("notes.txt", "no network\n");
        for iptables in [false, true] {
            if iptables {
                // The kernel makes a table when it is named first.
                sh("iptables-legacy -P FORWARD DROP; iptables-legacy -t nat -S");
            }
            let before = snapshot();
            ok("start");
            assert_eq!(berth_net(&["status"]).code, Some(0));
            let list = berth_net(&["list"]).stdout;
            for line in ["berthbr0  up ", "br-lab    up ", "br-shut   up "] {
                assert!(list.lines().any(|one| one.starts_with(line)), "{list}");
            }
            attach("web", "berthbr0");
            attach("lab", "br-lab");
            attach("shut", "br-shut");
            let lab = dhcp("lab");
            assert!(value(&lab, "ip").starts_with("10.50.0."));
            dhcp("web");
            assert!(pings("web", "198.51.100.2") && pings("lab", "198.51.100.2"));
            assert!(pings("outside", value(&lab, "ip")), "under its own address");
            assert_eq!(value(&dhcp("shut"), "router"), "");
            assert!(pings("shut", "10.60.0.1"));
            sh("ip -n shut route add default via 10.60.0.1");
            assert!(!pings("shut", "198.51.100.2"), "nowhere beyond the host");
            assert_eq!(ok("start").stdout.matches("is up already").count(), 3);
            let leases = berth_net(&["leases"]).stdout;
            assert!(
                leases.contains("br-lab") && leases.contains("br-shut"),
                "{leases}"
            );
            for name in ["web", "lab", "shut"] {
                detach(name);
            }
            ok("stop");
            assert_same(&before);
        }

        // Of two networks with one subnet the second is refused, the others stand.
        sh("iptables-legacy -P FORWARD ACCEPT");
        config("");
        more(
            "twice.toml",
            "bridge = \"br-twice\"\naddress = \"10.50.0.129/25\"\n",
        );
        let refused = berth_net(&["start"]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        for word in [
            "10.50.0.128/25",
            "br-lab",
            "is free: say so",
            "/etc/berth/net.d/twice.toml",
        ] {
            assert!(refused.stderr.contains(word), "{word}: {refused:?}");
        }
        assert!(
            succeeds("ip link show br-lab && ip link show br-shut")
                && !succeeds("ip link show br-twice")
        );
        // Nor two with one bridge; and what is wrong is named, and nobody else's.
        for (text, why) in [
            (
                "bridge = \"br-lab\"\naddress = \"10.70.0.1/24\"\n",
                "the bridge br-lab is that of /etc/berth/net.d/lab.toml",
            ),
            (
                "address = \"10.70.0.1/24\"\n",
                "expected a bridge of its own, as in: bridge = \"br-twice\"",
            ),
            (
                "bridge = \"br-x\"\nmtu = 3\n",
                "/etc/berth/net.d/twice.toml:2: ",
            ),
        ] {
            more("twice.toml", text);
            let refused = berth_net(&["start"]);
            assert_eq!(refused.code, Some(1), "{refused:?}");
            assert!(refused.stderr.contains(why), "{why}: {refused:?}");
            assert!(
                !refused.stdout.contains("removed the bridge"),
                "{refused:?}"
            );
        }
        // One that is gone from the configuration is taken down.
        fs::remove_file("/etc/berth/net.d/twice.toml").unwrap();
        fs::remove_file("/etc/berth/net.d/lab.toml").unwrap();
        let changed = ok("start");
        assert!(
            changed.stdout.contains("removed the bridge br-lab"),
            "{changed:?}"
        );
        ok("stop");
        assert!(!succeeds("ip link show br-shut"));
    });
}

/// As firewalld has it, and /etc/nftables.conf of many a host.
#[test]
fn other_tables_of_nftables_that_drop_are_opened() {
    isolated("other_tables_of_nftables_that_drop_are_opened", || {
        let rules = "table inet firewalld {
               chain filter_INPUT { type filter hook input priority 10; policy accept;
                 ct state established,related accept
                 iifname \"lo\" accept
                 icmp type echo-request accept
                 reject with icmpx admin-prohibited
               }
               chain filter_FORWARD { type filter hook forward priority 10; policy accept;
                 ct state established,related accept
                 reject with icmpx admin-prohibited
               }
             }
             table inet filter {
               chain input { type filter hook input priority 0; policy drop;
                 ct state established accept
                 ip protocol icmp accept
               }
               chain forward { type filter hook forward priority 0; policy drop; }
             }";
        let load = || {
            fs::write("/run/rules.nft", rules).unwrap();
            sh("nft -f /run/rules.nft; rm /run/rules.nft");
        };
        make_outside();
        load();
        let before = snapshot();
        let started = ok("start");
        for chain in ["inet firewalld filter_INPUT", "inet filter forward"] {
            let line = format!("let containers through the chain {chain} of nftables");
            assert!(started.stdout.contains(&line), "{started:?}");
        }
        assert_eq!(started.stderr, "");
        attach("web", "berthbr0");
        let works = || {
            let lease = dhcp("web");
            assert!(pings("web", "198.51.100.2"), "{}", sh("nft list ruleset"));
            let name = sh("ip netns exec web busybox nslookup web 10.209.0.1");
            assert!(name.contains(value(&lease, "ip")), "{name}");
        };
        works();
        assert_eq!(ok("start").stdout, "berthbr0 is up already\n");
        // What is not theirs is still dropped.
        let other = "timeout 2 ip netns exec web busybox nc -w 1 10.209.0.1 22";
        assert!(!succeeds(other));

        // Another program loads its rules anew.
        sh("nft delete table inet firewalld; nft delete table inet filter");
        load();
        let status = berth_net(&["status"]);
        assert_eq!(status.code, Some(3), "{status:?}");
        assert!(
            status
                .stdout
                .contains("opening     missing  inet filter input"),
            "{status:?}"
        );
        ok("restart");
        assert_eq!(berth_net(&["status"]).code, Some(0));
        works();
        detach("web");
        ok("stop");
        assert_same(&before);
    });
}

#[test]
fn the_hosts_iptables_legacy_is_found_and_used() {
    isolated("the_hosts_iptables_legacy_is_found_and_used", || {
        with_iptables("iptables-legacy", "")
    });
}

#[test]
fn the_hosts_iptables_nft_is_found_and_used() {
    isolated("the_hosts_iptables_nft_is_found_and_used", || {
        with_iptables("iptables-nft", "")
    });
}

#[test]
fn iptables_is_used_where_nft_does_not_work() {
    isolated("iptables_is_used_where_nft_does_not_work", || {
        // As on a kernel without the ip family of nf_tables: both tools that speak it fail.
        fs::write(
            "/run/broken",
            "#!/bin/sh\necho 'Error: Could not process rule' >&2\nexit 1\n",
        )
        .unwrap();
        sh("chmod +x /run/broken
            ln -sf /usr/sbin/xtables-legacy-multi /etc/alternatives/iptables
            mount --bind /run/broken /usr/sbin/nft
            mount --bind /run/broken /usr/sbin/xtables-nft-multi");
        make_outside();
        ok("start");
        attach("web", "berthbr0");
        dhcp("web");
        assert!(pings("web", "198.51.100.2"));
        let state = fs::read_to_string("/run/berth/net/state.json").unwrap();
        assert!(
            !state.contains("\"nft\""),
            "what did not work is not written down: {state}"
        );
        detach("web");
        ok("stop");
        let rules = sh("iptables-legacy -S; iptables-legacy -t nat -S");
        assert!(!rules.contains("berth"), "{rules}");
    });
}

#[test]
fn killed_at_any_moment_a_stop_leaves_nothing() {
    isolated("killed_at_any_moment_a_stop_leaves_nothing", || {
        for firewall in ["nft", "iptables"] {
            config(&format!("firewall = \"{firewall}\"\n"));
            ok("start");
            ok("stop");
            let before = snapshot();
            let mut written = 0;
            for millis in (0..120).step_by(3) {
                let mut child = Command::new(PROGRAM)
                    .arg("start")
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .expect("berth-net runs");
                thread::sleep(Duration::from_millis(millis));
                child.kill().expect("it can be killed");
                child.wait().expect("it ends");
                written += u32::from(fs::exists("/run/berth/net/state.json").unwrap());
                ok("stop");
                assert_same(&before);
            }
            assert!(
                written > 5,
                "hardly any of the kills hit it in its middle ({written})"
            );
        }
    });
}

#[test]
fn killed_at_any_moment_a_start_completes() {
    isolated("killed_at_any_moment_a_start_completes", || {
        let before = snapshot();
        for millis in (0..90).step_by(9) {
            for command in ["start", "stop"] {
                let mut child = Command::new(PROGRAM)
                    .arg(command)
                    .stdout(Stdio::null())
                    .spawn()
                    .expect("berth-net runs");
                thread::sleep(Duration::from_millis(millis));
                child.kill().expect("it can be killed");
                child.wait().expect("it ends");
                ok("start");
                let status = berth_net(&["status"]);
                assert_eq!(
                    status.code,
                    Some(0),
                    "{command} killed after {millis} ms: {status:?}"
                );
            }
        }
        ok("stop");
        assert_same(&before);
    });
}

#[test]
fn a_failure_in_the_middle_undoes_what_was_done() {
    isolated("a_failure_in_the_middle_undoes_what_was_done", || {
        fs::write(
            "/run/broken",
            "#!/bin/sh\necho 'dnsmasq: no luck' >&2\nexit 2\n",
        )
        .unwrap();
        sh("chmod +x /run/broken && mount --bind /run/broken /usr/sbin/dnsmasq");
        let before = snapshot();
        let failed = berth_net(&["start"]);
        assert_eq!(failed.code, Some(1), "{failed:?}");
        assert!(failed.stderr.contains("dnsmasq: no luck"), "{failed:?}");
        assert_same(&before);
    });
}

#[test]
fn a_failed_mending_leaves_what_was_up() {
    isolated("a_failed_mending_leaves_what_was_up", || {
        ok("start");
        fs::write("/run/broken", "#!/bin/sh\nexit 2\n").unwrap();
        sh("chmod +x /run/broken && mount --bind /run/broken /usr/sbin/dnsmasq");
        sh(&format!("kill -9 {}", dnsmasq_pid()));
        assert_eq!(berth_net(&["start"]).code, Some(1));
        assert!(succeeds(
            "ip addr show dev berthbr0 | grep -q 10.209.0.1/24"
        ));
        assert!(succeeds("nft list table ip berth-net"));
    });
}

#[test]
fn missing_tools_are_named_before_anything_is_made() {
    isolated("missing_tools_are_named_before_anything_is_made", || {
        sh(": > /run/nothing");
        let hide = |path: &str| sh(&format!("mount --bind /run/nothing {path}"));
        let before = snapshot();
        hide("/usr/sbin/dnsmasq");
        let failed = berth_net(&["start"]);
        assert_eq!(failed.code, Some(1));
        assert!(failed.stderr.contains("install dnsmasq-base"), "{failed:?}");
        assert_same(&before);
        sh("umount /usr/sbin/dnsmasq");

        for tool in ["nft", "xtables-nft-multi", "xtables-legacy-multi"] {
            hide(&format!("/usr/sbin/{tool}"));
        }
        let failed = berth_net(&["start"]);
        assert_eq!(failed.code, Some(1));
        assert!(
            failed.stderr.contains("install nftables or iptables"),
            "{failed:?}"
        );
        assert!(!succeeds("ip link show berthbr0"));
        // Without NAT no rules are needed where nobody drops.
        config("nat = false\n");
        ok("start");
        assert_eq!(
            fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(),
            "0\n"
        );
        attach("web", "berthbr0");
        assert_eq!(value(&dhcp("web"), "router"), "");
    });
}

#[test]
fn without_nat_only_the_hosts_own_chains_are_opened() {
    isolated("without_nat_only_the_hosts_own_chains_are_opened", || {
        config("nat = false\n");
        let before = snapshot();
        let started = ok("start");
        assert!(!started.stdout.contains("rules"), "{started:?}");
        assert_eq!(berth_net(&["status"]).code, Some(0));
        ok("stop");
        assert_same(&before);

        sh("iptables-nft -P INPUT DROP");
        let before = snapshot();
        ok("start");
        attach("web", "berthbr0");
        dhcp("web");
        assert_eq!(sh("iptables-nft -S FORWARD"), "-P FORWARD ACCEPT\n");
        detach("web");
        ok("stop");
        assert_same(&before);
    });
}

#[test]
fn a_taken_network_is_refused_and_the_proposal_works() {
    isolated("a_taken_network_is_refused_and_the_proposal_works", || {
        make_outside();
        sh("ip route add 10.0.0.0/8 via 198.51.100.2");
        let before = snapshot();
        let refused = berth_net(&["start"]);
        assert_eq!(refused.code, Some(1));
        for word in ["10.209.0.0/24", "10.0.0.0/8", "up0", "/etc/berth/net.toml"] {
            assert!(refused.stderr.contains(word), "{word}: {refused:?}");
        }
        assert_same(&before);
        let from = refused.stderr.find("address = ").expect("a proposal");
        let proposal: String = refused.stderr[from..]
            .split(' ')
            .take(3)
            .collect::<Vec<_>>()
            .join(" ");
        config(&proposal);
        ok("start");
        ok("stop");
        assert_same(&before);

        // An address alone is taken, too.
        config("");
        sh("ip route del 10.0.0.0/8; ip addr add 10.209.0.9/32 dev up0");
        assert_eq!(berth_net(&["start"]).code, Some(1));
    });
}

#[test]
fn another_name_server_is_lived_with() {
    isolated("another_name_server_is_lived_with", || {
        sh("dnsmasq --conf-file=/dev/null --pid-file=/run/other.pid --user=nobody");
        let other = fs::read_to_string("/run/other.pid").unwrap();
        let before = snapshot();
        let started = ok("start");
        assert!(
            started.stderr.contains("another name server"),
            "{started:?}"
        );
        attach("web", "berthbr0");
        let lease = dhcp("web");
        assert_eq!(value(&lease, "dns"), "10.209.0.1");
        assert!(pings("web", "10.209.0.1"));
        detach("web");
        assert_eq!(ok("start").stdout, "berthbr0 is up already\n");
        ok("stop");
        assert_same(&before);
        assert!(
            fs::exists(format!("/proc/{}", other.trim())).unwrap(),
            "the other one lives"
        );
    });
}

#[test]
fn without_dns_containers_get_the_hosts_servers() {
    isolated("without_dns_containers_get_the_hosts_servers", || {
        sh("printf 'nameserver 127.0.0.1\\nnameserver 192.0.2.53\\n' > /etc/resolv.conf");
        config("dns = false\n");
        ok("start");
        attach("web", "berthbr0");
        assert_eq!(value(&dhcp("web"), "dns"), "192.0.2.53");
    });
}

#[test]
fn a_bridge_of_somebody_else_is_used_and_left() {
    isolated("a_bridge_of_somebody_else_is_used_and_left", || {
        // With a port of its owner's, from which it has its address and carrier.
        sh("ip link add br7 type bridge && ip link set br7 up
            ip link add port7 type ifb && ip link set port7 master br7 up
            timeout 20 sh -c 'until ip link show br7 | grep -q \"state UP\" &&
                ! ip -6 addr show tentative | grep -q inet6; do sleep 0.05; done'");
        config("bridge = \"br7\"\n");
        let before = snapshot();
        ok("start");
        attach("web", "br7");
        dhcp("web");
        assert!(pings("web", "10.209.0.1"));
        detach("web");
        ok("stop");
        assert_same(&before);

        sh("ip link add plain0 type ifb");
        config("bridge = \"plain0\"\n");
        let refused = berth_net(&["start"]);
        assert_eq!(refused.code, Some(1));
        assert!(
            refused.stderr.contains("plain0 is no bridge"),
            "{refused:?}"
        );
    });
}

#[test]
fn a_changed_configuration_replaces_the_network() {
    isolated("a_changed_configuration_replaces_the_network", || {
        let before = snapshot();
        ok("start");
        config("bridge = \"br9\"\naddress = \"10.77.0.1/24\"\nmtu = 1400\n");
        ok("start");
        assert!(!succeeds("ip link show berthbr0"));
        assert!(succeeds("ip link show br9 | grep -q 'mtu 1400'"));
        attach("web", "br9");
        assert!(value(&dhcp("web"), "ip").starts_with("10.77.0."));
        assert!(
            succeeds("ip link show br9 | grep -q 'mtu 1400'"),
            "a port does not change it"
        );
        detach("web");
        ok("stop");
        assert_same(&before);
    });
}

#[test]
fn containers_cannot_misguide_the_host() {
    isolated("containers_cannot_misguide_the_host", || {
        ok("start");
        let mac = fs::read_to_string("/sys/class/net/berthbr0/address").ok();
        for (key, wanted) in [
            ("ipv6/conf/berthbr0/accept_ra", "0\n"),
            ("ipv6/conf/berthbr0/accept_redirects", "0\n"),
            ("ipv4/conf/berthbr0/accept_redirects", "0\n"),
            ("ipv4/conf/berthbr0/rp_filter", "1\n"),
        ] {
            assert_eq!(
                fs::read_to_string(format!("/proc/sys/net/{key}")).unwrap(),
                wanted,
                "{key}"
            );
        }
        let address = || sh("ip -o link show berthbr0 | grep -o 'link/ether [^ ]*'");
        let own = address();
        attach("web", "berthbr0");
        sh("ip link set veth_web down; ip link set veth_web address 02:00:00:00:00:01 up");
        assert_eq!(
            address(),
            own,
            "a port's address does not become the bridge's ({mac:?})"
        );
    });
}

#[test]
fn wrong_use_is_told() {
    isolated("wrong_use_is_told", || {
        let before = snapshot();
        assert_eq!(berth_net(&[]).code, Some(2));
        assert_eq!(berth_net(&["reload"]).code, Some(2));
        assert_eq!(berth_net(&["start", "--json"]).code, Some(2));
        config("nat = true\nbrige = \"x\"\n");
        let wrong = berth_net(&["start"]);
        assert_eq!(wrong.code, Some(1));
        assert!(
            wrong.stderr.contains("/etc/berth/net.toml:2: "),
            "{wrong:?}"
        );
        assert!(wrong.stderr.contains("brige"), "{wrong:?}");
        ok("stop");
        config("");
        let user = [
            "--reuid",
            "65534",
            "--clear-groups",
            "--regid",
            "65534",
            "--",
        ];
        sh(&format!(
            "cp {PROGRAM} /run/berth-net && chmod 755 /run/berth-net /run"
        ));
        for command in ["start", "stop"] {
            let refused = run(
                "setpriv",
                &[&user[..], &["/run/berth-net", command]].concat(),
            );
            assert_eq!(refused.code, Some(1), "{refused:?}");
            assert!(
                refused.stderr.contains("must be run by root"),
                "{refused:?}"
            );
        }
        let status = run(
            "setpriv",
            &[&user[..], &["/run/berth-net", "status"]].concat(),
        );
        assert_eq!(status.code, Some(3), "anybody may look: {status:?}");
        sh("rm /run/berth-net");
        assert_same(&before);
    });
}
