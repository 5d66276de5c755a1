//! A test in network, mount and process namespaces of its own: `/run`, `/var/lib` and `/etc` are
//! private, everything in them ends with the test.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const INSIDE: &str = "BERTH_TEST_INSIDE";

/// Runs `body` isolated, by executing this test alone once more in new namespaces.
pub fn isolated(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        prepare();
        body();
        return;
    }
    let uid = run("id", &["-u"]);
    assert_eq!(
        uid.stdout.trim(),
        "0",
        "these tests make namespaces: they must be run by root"
    );
    let exe = std::env::current_exe().expect("the test's own program");
    let output = Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args(["--propagation", "private", "--"])
        .arg(exe)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare runs");
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("1 passed"),
        "the test did not run inside:\n{text}"
    );
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn prepare() {
    sh(
        "mount -t tmpfs none /run && mkdir /run/netns /run/o /run/o/up /run/o/work
        mount -t overlay -o lowerdir=/etc,upperdir=/run/o/up,workdir=/run/o/work none /etc
        mount -t tmpfs none /var/lib
        mkdir -p /etc/berth
        rm -f /etc/berth/net.toml /etc/default/lxc-net
        : > /etc/resolv.conf
        ip link set lo up",
    );
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

pub fn run(program: &str, arguments: &[&str]) -> Ran {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect(program);
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a script that must succeed; its output.
pub fn sh(script: &str) -> String {
    let ran = run("sh", &["-ec", script]);
    assert_eq!(ran.code, Some(0), "{script}: {ran:?}");
    ran.stdout
}

/// Whether a script succeeds.
pub fn succeeds(script: &str) -> bool {
    run("sh", &["-ec", script]).code == Some(0)
}

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_berth-net");

pub fn berth_net(arguments: &[&str]) -> Ran {
    run(PROGRAM, arguments)
}

/// `berth-net`, which must succeed.
pub fn ok(command: &str) -> Ran {
    let ran = berth_net(&[command]);
    assert_eq!(ran.code, Some(0), "berth-net {command}: {ran:?}");
    ran
}

pub fn config(text: &str) {
    fs::write("/etc/berth/net.toml", text).expect("the configuration is written");
}

/// A network beyond the host, 198.51.100.0/24, which knows no way back to the containers.
pub fn make_outside() {
    sh("ip netns add outside
        ip link add up0 type veth peer name eth0 netns outside
        ip addr add 198.51.100.1/24 dev up0 && ip link set up0 up
        ip -n outside addr add 198.51.100.2/24 dev eth0
        ip -n outside link set eth0 up && ip -n outside link set lo up");
}

/// A network namespace with a veth on the bridge, as a container has; no address yet.
pub fn attach(name: &str, bridge: &str) {
    sh(&format!(
        "ip netns add {name}
         ip link add veth_{name} type veth peer name eth0 netns {name}
         ip link set veth_{name} master {bridge} up
         ip -n {name} link set lo up && ip -n {name} link set eth0 up"
    ));
}

/// The same for a user's container: its port has the label that the set-uid helper gives it.
pub fn attach_of(user: u32, name: &str, bridge: &str) {
    attach(name, bridge);
    sh(&format!("ip link set veth_{name} group {user}"));
}

/// Asks for an address with busybox's DHCP client; what it was given, one `name=value` a line.
pub fn dhcp(name: &str) -> String {
    let script = format!("/run/udhcpc-{name}.sh");
    let result = format!("/run/lease-{name}");
    fs::write(
        &script,
        format!(
            "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\n\
             ip addr add $ip/$mask dev $interface\n\
             [ -z \"$router\" ] || ip route add default via $router\n\
             printf 'ip=%s\\nrouter=%s\\ndns=%s\\ndomain=%s\\n' \
             \"$ip\" \"$router\" \"$dns\" \"$domain\" > {result}\n"
        ),
    )
    .expect("the script is written");
    sh(&format!(
        "chmod +x {script}
         ip netns exec {name} busybox udhcpc -i eth0 -n -q -f -t 10 -T 1 -x hostname:{name} \
           -s {script} >/dev/null 2>&1"
    ));
    fs::read_to_string(&result).expect("a lease")
}

pub fn value<'a>(lease: &'a str, name: &str) -> &'a str {
    let prefix = format!("{name}=");
    lease
        .lines()
        .find_map(|line| line.strip_prefix(&prefix))
        .expect("a value")
}

pub fn pings(name: &str, to: &str) -> bool {
    succeeds(&format!("ip netns exec {name} busybox ping -c 1 -W 2 {to}"))
}

pub fn detach(name: &str) {
    sh(&format!("ip link del veth_{name}; ip netns del {name}"));
}

/// Everything that a network program could leave behind: interfaces, addresses, routes, kernel
/// settings, rules of every kind, processes, files.
pub fn snapshot() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut add = |what: &str, text: &str| {
        all.extend(text.lines().map(|line| format!("{what}: {}", line.trim())));
    };
    add("link", &sh("ip -o link | sed 's/^[0-9]*: //'"));
    // Whether the kernel is through with looking for an address's double is no matter here.
    add(
        "addr",
        &sh("ip -o addr | sed 's/^[0-9]*: //; s/ tentative//; s/valid_lft.*//'"),
    );
    add(
        "route",
        &sh("{ ip route show table all; ip -6 route show table all; } | grep -v '^local fe80:'"),
    );
    add("nft", &sh("nft list ruleset"));
    // Naming a table of legacy iptables creates it: only those that are there.
    for table in fs::read_to_string("/proc/net/ip_tables_names")
        .unwrap_or_default()
        .lines()
    {
        let rules = sh(&format!("iptables-legacy -t {table} -S"));
        add("iptables", &rules.replace("-A ", &format!("{table} -A ")));
    }
    // The kernel makes that key up when the first TCP socket listens.
    add(
        "sysctl",
        &sh("cd /proc/sys/net && grep -r . ipv4 ipv6/conf 2>/dev/null | grep -v tcp_fastopen_key"),
    );
    // The first process here is a test and reaps nobody: zombies do not count.
    add(
        "process",
        &sh(
            "sed -n 's/^Name:[[:space:]]*//p; /^State:.*zombie/s/.*/zombie/p' /proc/[0-9]*/status |
             sed 'N;/\\nzombie$/d;P;D' | grep -vE '^(sed|sh|grep)$'",
        ),
    );
    // The lock stays as its directory does.
    add(
        "file",
        &sh(
            "find /run /var/lib -xdev ! -type d ! -path '/run/o/*' ! -name '*.leases' \
                     ! -path '/run/netns/*' ! -name 'lease-*' ! -name 'udhcpc-*' \
                     ! -path /run/berth/net/.lock",
        ),
    );
    all
}

/// Compares with an earlier snapshot, naming just the differences.
pub fn assert_same(before: &BTreeSet<String>) {
    let after = snapshot();
    let lost: Vec<_> = before.difference(&after).collect();
    let left: Vec<_> = after.difference(before).collect();
    assert!(
        lost.is_empty() && left.is_empty(),
        "lost: {lost:#?}\nleft behind: {left:#?}"
    );
}

pub fn dnsmasq_pid() -> String {
    fs::read_to_string(Path::new("/run/berth/net/dnsmasq.pid"))
        .expect("the pid file")
        .trim()
        .to_owned()
}

/// Starts systemd-networkd with these files and no others, by way of `prefix`; it ends with the test.
/// What it says is in `/run/networkd.log`, what it knows in `/run/networkd`.
pub fn networkd(prefix: &str, files: &[(&str, &str)]) {
    fs::create_dir_all("/run/networkd.files").expect("a directory");
    for (name, text) in files {
        fs::write(format!("/run/networkd.files/{name}"), text).expect("a file is written");
    }
    // It waits for udev unless /sys is read-only, as in a container, and gives up root.
    fs::write(
        "/run/networkd.sh",
        "mkdir -p /run/systemd/network /run/networkd/links /run/networkd/leases /run/systemd/netif
         mkdir -p /etc/systemd/network
         chown -R systemd-network /run/networkd
         mount --bind /run/networkd /run/systemd/netif
         mount --bind /run/networkd.files /run/systemd/network
         mount -t tmpfs none /etc/systemd/network
         # There is one already where `ip netns exec` leads.
         mount -t sysfs sysfs /sys 2>/dev/null || :; mount -o remount,bind,ro /sys
         for program in /lib/systemd/systemd-networkd /usr/lib/systemd/systemd-networkd; do
           [ ! -x $program ] || exec $program
         done\n",
    )
    .expect("the script is written");
    sh(&format!(
        "{prefix} unshare --mount sh -e /run/networkd.sh > /run/networkd.log 2>&1 &"
    ));
}
