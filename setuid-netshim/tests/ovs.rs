//! The helper on a bridge of the real Open vSwitch (Debian's package, unpacked by
//! `cargo xtask test`), beside LXC's own. Its switch runs in user space, in the test's namespaces.

mod world;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use world::{ALICE, BOB, World};

const ORIGINAL: &str = "/usr/libexec/lxc/lxc-user-nic";

/// Database, switch, and the bridge `ovs0`; the programs end with the world.
const SWITCH: &str = r#"set -e
# Open vSwitch waits for a log that nobody reads.
rm -f /dev/log
mkdir -p /run/openvswitch /dev/net
test -e /dev/net/tun || mknod /dev/net/tun c 10 200
mount --bind "$1/usr/bin" /usr/local/sbin
ovsdb-tool create /run/conf.db "$1/usr/share/openvswitch/vswitch.ovsschema"
start() { name=$1; shift; "$@" --pidfile=/run/openvswitch/$name.pid --detach --no-chdir \
    --log-file=/run/$name.log --unixctl=/run/openvswitch/$name.ctl; }
start ovsdb-server ovsdb-server /run/conf.db --remote=punix:/run/openvswitch/db.sock
ovs-vsctl --no-wait init
start switch "$1/usr/lib/openvswitch-switch/ovs-vswitchd" unix:/run/openvswitch/db.sock
ovs-vsctl --timeout=20 -- add-br ovs0 -- set bridge ovs0 datapath_type=netdev
ip link set ovs0 up"#;

fn open_vswitch() -> Option<PathBuf> {
    let helper = Path::new(env!("CARGO_BIN_EXE_berth-usernic"));
    let unpacked = helper
        .ancestors()
        .nth(2)?
        .join("originals/openvswitch-switch");
    let is_there = unpacked.join("usr/bin/ovs-vsctl").exists()
        && Path::new("/usr/sbin/ovsdb-server").exists()
            | unpacked.join("usr/sbin/ovsdb-server").exists();
    if is_there && Path::new(ORIGINAL).exists() {
        return Some(unpacked);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no {}, or no {ORIGINAL}: `cargo xtask test` makes both",
        unpacked.display()
    );
    eprintln!("cannot try: run by `cargo xtask test`, this has Open vSwitch and LXC");
    None
}

fn world(unpacked: &Path) -> World {
    let world = World::new("alice veth ovs0 1\nbob veth ovs0 1\n");
    let mut start = world.command(&["sh", "-c", SWITCH, "sh"]);
    // Daemons keep what they are given.
    let done = start.arg(unpacked).stdout(Stdio::null()).status().unwrap();
    assert!(
        done.success(),
        "{}",
        std::fs::read_to_string(world.inner("/run/switch.log")).unwrap_or_default()
    );
    world
}

fn ports(world: &World) -> Vec<String> {
    let listed = world.must(&["ovs-vsctl", "--timeout=20", "list-ports", "ovs0"]);
    listed.lines().map(Into::into).collect()
}

#[test]
fn ports_of_the_real_switch_come_and_go() {
    let Some(unpacked) = open_vswitch() else {
        return;
    };
    for ours in [false, true] {
        let world = world(&unpacked);
        let program = if ours {
            world.helper()
        } else {
            ORIGINAL.to_owned()
        };
        let call = |uid: u32, words: &[&str]| -> Output {
            world.run_as(uid, &[&[program.as_str()], words].concat())
        };
        let (hers, his) = (world.container(ALICE), world.container(BOB));
        let create = |uid, pid: &str, inside| {
            call(uid, &["create", "/p", "web", pid, "veth", "ovs0", inside])
        };
        let [inside, _, host, _] = world::answer(&create(ALICE, &hers.pid, "eth0"));
        let [_, _, other, _] = world::answer(&create(BOB, &his.pid, "eth0"));
        assert_eq!(inside, "eth0");
        let mut both = vec![host.clone(), other.clone()];
        both.sort();
        assert_eq!(ports(&world), both, "ours: {ours}");
        // The switch has taken the interface, and frames pass from port to port.
        let interface = world.must(&["ovs-vsctl", "get", "interface", &host, "error"]);
        assert_eq!(interface.trim(), "[]", "ours: {ours}");
        for (container, address) in [(&hers, "192.0.2.1/24"), (&his, "192.0.2.2/24")] {
            let script = format!("ip address add {address} dev eth0; ip link set eth0 up");
            world.inside(container, &["sh", "-c", &script]);
        }
        world.inside(
            &hers,
            &["busybox", "ping", "-c", "1", "-w", "10", "192.0.2.2"],
        );
        let second = create(ALICE, &hers.pid, "eth1");
        assert!(!second.status.success(), "ours: {ours}: {second:?}");
        let place = format!("/proc/{}/ns/net", hers.pid);
        let delete = |port: &str| {
            call(
                ALICE,
                &["delete", "/p", "web", &place, "veth", "ovs0", port],
            )
        };
        assert!(!delete(&other).status.success(), "ours: {ours}");
        assert_eq!(ports(&world), both, "ours: {ours}");
        let deleted = delete(&host);
        assert!(deleted.status.success(), "ours: {ours}: {deleted:?}");
        assert_eq!(ports(&world), [other], "ours: {ours}");
        // The record is gone, and with it what counted.
        hers.end();
        let again = world.container(ALICE);
        let third = create(ALICE, &again.pid, "eth0");
        assert!(third.status.success(), "ours: {ours}: {third:?}");
    }
}
