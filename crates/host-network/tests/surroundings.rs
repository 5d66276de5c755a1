//! A host that changes around the bridge: uplinks come and go, other programs manage interfaces, file
//! systems are full, the kernel lacks something.

#[allow(dead_code, reason = "shared with other programs of tests")]
mod isolated;

use isolated::*;
use std::fs;
use std::path::{Path, PathBuf};

/// Where both outsides are one place.
const FAR: &str = "192.0.2.1";

/// A second network beyond the host, 203.0.113.0/24, over `up1`; both outsides have [`FAR`] and a name
/// server that calls itself by another name.
fn make_two_outsides() {
    make_outside();
    sh("ip netns add outside2 && ip -n outside2 link set lo up");
    plug_in_second();
    sh("for name in outside outside2; do
          ip -n $name addr add 192.0.2.1/32 dev lo
          ip netns exec $name dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --user=nobody \
            --address=/$name.example/192.0.2.7 --pid-file=/run/$name.pid
        done");
}

fn plug_in_second() {
    sh("ip link add up1 type veth peer name eth0 netns outside2
        ip addr add 203.0.113.1/24 dev up1 && ip link set up1 up
        ip -n outside2 addr add 203.0.113.2/24 dev eth0 && ip -n outside2 link set eth0 up");
}

/// The way out leads there, and the host asks that name server.
fn go_by(gateway: &str) {
    sh(&format!(
        "ip route replace default via {gateway}
         echo nameserver {gateway} > /etc/resolv.new; mv /etc/resolv.new /etc/resolv.conf"
    ));
}

/// Answers that the ping of a container, which goes on all the time, gets from now on.
fn answers_go_on() {
    let count = || {
        fs::read_to_string("/run/pings")
            .unwrap()
            .matches("seq=")
            .count()
    };
    let before = count();
    sh(&format!(
        "timeout 20 sh -c 'until [ $(grep -c seq= /run/pings) -ge {} ]; do sleep 0.1; done'",
        before + 3
    ));
}

fn finds(name: &str) {
    sh(&format!(
        "timeout 20 sh -c 'until ip netns exec web busybox nslookup -type=a {name} 10.209.0.1 |
           grep -q 192.0.2.7; do sleep 0.2; done'"
    ));
}

#[test]
fn the_way_out_may_change_under_running_containers() {
    isolated("the_way_out_may_change_under_running_containers", || {
        make_two_outsides();
        go_by("198.51.100.2");
        ok("start");
        attach("web", "berthbr0");
        dhcp("web");
        // Without looking at the far address each time anew: one and the same exchange.
        sh(&format!(
            "ip netns exec web busybox ping -i 0.2 {FAR} > /run/pings 2>/dev/null &"
        ));
        let whole = || {
            assert!(pings("web", FAR), "another exchange");
            assert_eq!(berth_net(&["status"]).code, Some(0));
            assert_eq!(ok("start").stdout, "berthbr0 is up already\n");
        };
        answers_go_on();
        finds("outside.example");

        go_by("203.0.113.2");
        answers_go_on();
        finds("outside2.example");
        whole();

        // The uplink that is in use goes away, and there is none for a moment.
        sh("ip link del up1");
        assert!(!pings("web", FAR));
        assert!(pings("web", "10.209.0.1"));
        go_by("198.51.100.2");
        answers_go_on();
        finds("outside.example");
        whole();

        // One comes that was not there when the network was set up.
        sh("ip link set up0 down");
        plug_in_second();
        go_by("203.0.113.2");
        answers_go_on();
        finds("outside2.example");
        whole();
    });
}

/// An uplink that comes later has its way out from a router, though the host forwards by then.
#[test]
fn an_uplink_that_comes_later_listens_to_routers() {
    isolated("an_uplink_that_comes_later_listens_to_routers", || {
        sh("ip netns add outside2 && ip -n outside2 link set lo up");
        config("ipv6 = \"fd12:3456:789a::1/64\"\n");
        ok("start");
        plug_in_second();
        sh("ip -n outside2 addr add 2001:db8:2::1/64 dev eth0 nodad
            ip netns exec outside2 sh -c 'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'
            ip -n outside2 addr add 2001:db8:f::1/128 dev lo
            ip netns exec outside2 dnsmasq --conf-file=/dev/null --port=0 --user=nobody --enable-ra \
              --dhcp-range=2001:db8:2::,ra-only,64 --ra-param=eth0,4 --pid-file=/run/router.pid \
              --dhcp-leasefile=/run/router.leases
            timeout 60 sh -c 'until ip -6 route show default dev up1 | grep -q via &&
              ip -6 addr show dev up1 scope global -tentative | grep -q 2001:db8:2:; do sleep 0.1; done'");
        attach("web", "berthbr0");
        sh(
            "timeout 60 sh -c 'until ip -n web -6 addr show dev eth0 scope global -tentative |
              grep -q fd12:; do sleep 0.1; done'
            ip netns exec web busybox ping6 -c 1 -W 10 2001:db8:f::1",
        );
    });
}

#[test]
fn a_full_file_system_of_leases_is_told() {
    isolated("a_full_file_system_of_leases_is_told", || {
        sh("mkdir -p /var/lib/berth/net && mount -t tmpfs -o size=16k,nr_inodes=3 none /var/lib/berth/net
            : > /var/lib/berth/net/other; : > /var/lib/berth/net/another");
        let before = snapshot();
        // Not even an empty file finds room: it has no address for anybody.
        let failed = berth_net(&["start"]);
        assert_eq!(failed.code, Some(1), "{failed:?}");
        assert!(
            failed.stderr.contains("/var/lib/berth/net/berthbr0.leases")
                && failed.stderr.contains("No space left"),
            "{failed:?}"
        );
        assert_same(&before);

        // A file does, its content does not: addresses are given all the same.
        sh("rm /var/lib/berth/net/other
            dd if=/dev/zero of=/var/lib/berth/net/another bs=4k >/dev/null 2>&1 || :");
        let started = ok("start");
        let told = |text: &str| {
            text.contains("/var/lib/berth/net") && text.contains("full") && text.contains("address")
        };
        assert!(told(&started.stderr), "{started:?}");
        attach("web", "berthbr0");
        dhcp("web");
        assert!(pings("web", "10.209.0.1"));
        let status = berth_net(&["status"]);
        assert_eq!(status.code, Some(3), "{status:?}");
        let line = |text: &str| {
            let found = text.lines().find(|line| line.trim().starts_with("leases"));
            found.unwrap_or_default().to_owned()
        };
        assert!(line(&status.stdout).contains("missing"), "{status:?}");
        assert!(line(&status.stdout).contains("full"), "{status:?}");
        let pid = dnsmasq_pid();
        sh("rm /var/lib/berth/net/another");
        let status = berth_net(&["status"]);
        assert_eq!(status.code, Some(0), "{status:?}");
        let started = ok("start");
        assert_eq!(started.stderr, "");
        assert_eq!(dnsmasq_pid(), pid, "it lived through that");
        // And it goes on writing.
        attach("db", "berthbr0");
        let lease = dhcp("db");
        let leases = berth_net(&["leases"]).stdout;
        assert!(leases.contains(value(&lease, "ip")), "{leases}");
        assert!(
            leases.lines().any(|line| line.starts_with("web ")),
            "{leases}"
        );
    });
}

#[test]
fn a_full_file_system_of_notes_is_told() {
    isolated("a_full_file_system_of_notes_is_told", || {
        sh(
            "mkdir -p /run/berth/net && mount -t tmpfs -o size=4k none /run/berth/net
            dd if=/dev/zero of=/run/berth/net/other bs=4k >/dev/null 2>&1 || :",
        );
        let before = snapshot();
        let failed = berth_net(&["start"]);
        assert_eq!(failed.code, Some(1), "{failed:?}");
        assert!(
            failed.stderr.contains("/run/berth/net/") && failed.stderr.contains("No space left"),
            "{failed:?}"
        );
        assert_same(&before);
    });
}

/// As the kernel and the tools speak where a part of the kernel is missing.
#[test]
fn what_the_kernel_lacks_is_named() {
    isolated("what_the_kernel_lacks_is_named", || {
        sh("mount -t tmpfs none /mnt && mkdir /mnt/up /mnt/work
            mount -t overlay -o lowerdir=/usr/sbin,upperdir=/mnt/up,workdir=/mnt/work none /usr/sbin
            cat > /mnt/nft <<'END'
#!/bin/sh
echo '/dev/stdin:3:1-20: Error: Could not process rule: No such file or directory' >&2
exit 1
END
            cat > /mnt/iptables <<'END'
#!/bin/sh
echo \"iptables v1.8.9 (legacy): can't initialize iptables table \\`nat': Table does not exist (do you need to insmod?)\" >&2
exit 3
END
            chmod +x /mnt/nft /mnt/iptables
            for tool in nft iptables iptables-legacy iptables-nft; do
              rm -f /usr/sbin/$tool; cp /mnt/$( [ $tool = nft ] && echo nft || echo iptables) /usr/sbin/$tool
            done");
        let failed = berth_net(&["start"]);
        assert_eq!(failed.code, Some(1), "{failed:?}");
        for word in ["nft_masq", "iptable_nat", "modprobe"] {
            assert!(failed.stderr.contains(word), "{word}: {failed:?}");
        }
        assert!(!succeeds("ip link show berthbr0"), "nothing is left");
        assert_eq!(sh("cat /proc/sys/net/ipv4/ip_forward"), "0\n");
    });
}

fn packaged(name: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/network");
    fs::read_to_string(dir.join(name)).unwrap()
}

/// Ports as they are named: of a user's container and of root's; and an interface of somebody else's.
fn make_ports() {
    sh("for port in veth1000_Ab3x vethq1W2e3; do
          ip link add $port type veth peer name p_$port
          ip link set $port master berthbr0 up
          ip link set p_$port netns outside; ip -n outside link set p_$port up
        done
        ip link add other0 type veth peer name other1 && ip link set other0 up && ip link set other1 up");
}

/// Bridge and ports are as `berth-net` and a start made them.
fn are_untouched() {
    assert_eq!(berth_net(&["status"]).code, Some(0));
    for port in ["veth1000_Ab3x", "vethq1W2e3"] {
        let link = sh(&format!("ip -o link show {port}"));
        assert!(
            link.contains("master berthbr0") && link.contains(",UP,"),
            "{link}"
        );
        assert_eq!(sh(&format!("ip -o -4 addr show dev {port}")), "");
    }
    let addresses = sh("ip -o -4 addr show dev berthbr0 | awk '{ print $4 }'");
    assert_eq!(addresses, "10.209.0.1/24\n");
    sh("ip netns add web
        ip link add veth1000_web1 type veth peer name eth0 netns web
        ip link set veth1000_web1 master berthbr0 up
        ip -n web link set lo up && ip -n web link set eth0 up");
    dhcp("web");
    assert!(pings("web", "10.209.0.1"));
    sh("ip link del veth1000_web1; ip netns del web");
}

#[test]
fn networkd_that_takes_everything_leaves_ours_alone() {
    isolated("networkd_that_takes_everything_leaves_ours_alone", || {
        sh("ip netns add outside");
        ok("start");
        make_ports();
        let everything = "[Match]\nName=berthbr* veth* other0\n[Network]\nAddress=192.0.2.9/24\n\
             LinkLocalAddressing=no\nIPv6AcceptRA=no\n";
        networkd(
            "",
            &[
                ("10-berth.network", &packaged("10-berth.network")),
                ("99-all.network", everything),
            ],
        );
        let settles = |name: &str, state: &str| {
            let index = sh(&format!("ip -o link show {name} | cut -d: -f1"));
            sh(&format!(
                "timeout 30 sh -c 'until grep -q ADMIN_STATE={state} /run/networkd/links/{}
                   do sleep 0.1; done' || {{ cat /run/networkd.log >&2; false; }}",
                index.trim()
            ));
        };
        settles("other0", "configured");
        for name in ["berthbr0", "veth1000_Ab3x", "vethq1W2e3"] {
            settles(name, "unmanaged");
        }
        assert!(succeeds("ip addr show dev other0 | grep -q 192.0.2.9"));
        are_untouched();
        // Made anew while it looks on.
        sh("ip link del veth1000_Ab3x; ip link del vethq1W2e3; ip link del other0");
        ok("stop");
        ok("start");
        make_ports();
        settles("other0", "configured");
        settles("berthbr0", "unmanaged");
        settles("veth1000_Ab3x", "unmanaged");
        are_untouched();
    });
}

/// It is not installed: it would take the machine's own network.
fn network_manager() -> Option<PathBuf> {
    let originals = Path::new(PROGRAM).ancestors().nth(2)?.join("originals");
    let is_there = ["network-manager", "libnm0", "libndp0"]
        .iter()
        .all(|package| originals.join(package).exists());
    if is_there {
        return Some(originals);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no NetworkManager below {}: `cargo xtask test` unpacks it",
        originals.display()
    );
    eprintln!("cannot try: run by `cargo xtask test`, this has NetworkManager");
    None
}

const BUS: &str = r#"<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
<auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/>
<allow send_type="method_call"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>
"#;

#[test]
fn network_manager_that_takes_everything_leaves_ours_alone() {
    let Some(originals) = network_manager() else {
        return;
    };
    isolated(
        "network_manager_that_takes_everything_leaves_ours_alone",
        || {
            sh(
                "ip netns add outside; mkdir -p /run/dbus /run/nm.d /run/NetworkManager /var/lib/NetworkManager",
            );
            ok("start");
            make_ports();
            fs::write("/run/bus.conf", BUS).unwrap();
            fs::write("/run/nm.d/berth.conf", packaged("NetworkManager.conf")).unwrap();
            fs::write("/run/nm.conf", "[main]\nplugins=keyfile\n").unwrap();
            let originals = originals.display();
            fs::write(
            "/run/environment",
            format!(
                "PATH=$PATH:{originals}/network-manager/usr/sbin:{originals}/network-manager/usr/bin
                 for dir in {originals}/libn*/usr/lib/*-linux-gnu; do libraries=$libraries:$dir; done
                 export LD_LIBRARY_PATH=$libraries\n"
            ),
        )
        .unwrap();
            sh("dbus-daemon --config-file=/run/bus.conf --fork --nopidfile
            . /run/environment
            unshare --mount sh -c 'mount -t sysfs -o ro sysfs /sys
              exec NetworkManager --debug --config=/run/nm.conf --config-dir=/run/nm.d \
                --system-config-dir=/run/none --state-file=/run/nm.state' >/run/nm.log 2>&1 &");
            let settles = |name: &str, state: &str| {
                sh(&format!(
                ". /run/environment; timeout 30 sh -c 'until nmcli -t -f DEVICE,STATE device |
                   grep -q \"^{name}:{state}\"; do sleep 0.2; done' || {{ cat /run/nm.log >&2; false; }}"
            ));
            };
            settles("other0", "connect");
            for name in ["berthbr0", "veth1000_Ab3x", "vethq1W2e3"] {
                settles(name, "unmanaged");
            }
            are_untouched();
            sh("ip link del veth1000_Ab3x; ip link del vethq1W2e3; ip link del other0");
            ok("stop");
            ok("start");
            make_ports();
            settles("other0", "connect");
            for name in ["berthbr0", "veth1000_Ab3x", "vethq1W2e3"] {
                settles(name, "unmanaged");
            }
            are_untouched();
        },
    );
}
