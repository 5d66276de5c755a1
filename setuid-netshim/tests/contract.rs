//! The same requests to LXC's own helper and to ours. Where LXC has a defect, the test shows it
//! on the original, so that it is known to be one, and its absence here.
//!
//! Needs Debian's `lxc` (5.0.2). Without it each test says so; where `CI` is set it fails.

mod world;

use std::process::Output;
use world::{ALICE, BOB, World, stdout};

const ORIGINAL: &str = "/usr/libexec/lxc/lxc-user-nic";

/// Runs `check` on a fresh host for the original and one for ours.
fn both(usernet: &str, check: impl Fn(&World, &Helper)) {
    for name in ["original", "ours"] {
        if let Some((world, helper)) = host(usernet, name) {
            check(&world, &helper);
        }
    }
}

struct Helper {
    name: &'static str,
    program: String,
}

impl Helper {
    fn is_ours(&self) -> bool {
        self.name == "ours"
    }

    /// LXC has one code for all refusals and its callers only look at zero; ours differ.
    fn is_refusal(&self, output: &Output) -> bool {
        match output.status.code() {
            Some(1) => true,
            Some(2..=12) => self.is_ours(),
            _ => false,
        }
    }

    fn create(&self, world: &World, uid: u32, pid: &str, bridge: &str, name: &str) -> Output {
        let request = [
            &self.program,
            "create",
            "/p",
            "web",
            pid,
            "veth",
            bridge,
            name,
        ];
        world.run_as(uid, &request)
    }
}

fn host(usernet: &str, name: &'static str) -> Option<(World, Helper)> {
    let is_setuid = |path: &str| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).is_ok_and(|status| status.mode() & 0o4000 != 0)
    };
    if name == "original" && !is_setuid(ORIGINAL) {
        assert!(
            std::env::var_os("CI").is_none(),
            "{ORIGINAL} is missing: install lxc"
        );
        eprintln!("cannot compare: {ORIGINAL} is missing (install lxc)");
        return None;
    }
    let world = World::new(usernet);
    let program = if name == "ours" {
        world.helper()
    } else {
        ORIGINAL.to_owned()
    };
    Some((world, Helper { name, program }))
}

#[test]
fn success_looks_the_same() {
    both("alice veth br0 2\n", |world, helper| {
        let web = world.container(ALICE);
        for (wanted, expected) in [("eth5", "eth5"), ("eth%d", "eth0")] {
            let output = helper.create(world, ALICE, &web.pid, "br0", wanted);
            let [inside, inside_index, host, host_index] = world::answer(&output);
            assert_eq!(inside, expected, "{}", helper.name);
            assert!(host.starts_with("veth1000_") && host.len() == 13, "{host}");
            let link = world.inside(&web, &["ip", "-o", "link", "show", &inside]);
            assert!(link.starts_with(&format!("{inside_index}: ")), "{link}");
            assert!(link.contains("mtu 1400") && !link.contains(",UP"), "{link}");
            let index = world.must(&["cat", &format!("/sys/class/net/{host}/ifindex")]);
            assert_eq!(index.trim(), host_index);
            let mac = world.must(&["cat", &format!("/sys/class/net/{host}/address")]);
            assert!(mac.starts_with("fe:"), "{mac}");
            assert!(world.ports("br0").contains(&host));
        }
    });
}

#[test]
fn refusals_have_the_same_status() {
    both(
        "alice veth br0 1\nalice veth br7 1\nbob veth br0 1\n",
        |world, helper| {
            let (hers, his) = (world.container(ALICE), world.container(BOB));
            world::answer(&helper.create(world, ALICE, &hers.pid, "br0", "eth0"));
            for (pid, bridge) in [
                (hers.pid.as_str(), "br0"),
                (&hers.pid, "br1"),
                (&hers.pid, "br7"),
                (&hers.pid, "none"),
                (&his.pid, "br0"),
                ("4000000", "br0"),
                ("1x", "br0"),
            ] {
                let output = helper.create(world, ALICE, pid, bridge, "eth1");
                assert!(helper.is_refusal(&output), "{} {pid} {bridge}", helper.name);
                assert_eq!(stdout(&output), "");
            }
            for words in [
                &["--help"][..],
                &[],
                &["create"],
                &["destroy", "p", "n", "1", "veth", "br0"],
            ] {
                let output = world.run_as(ALICE, &[&[helper.program.as_str()], words].concat());
                assert!(helper.is_refusal(&output), "{} {words:?}", helper.name);
            }
            assert_eq!(world.ports("br0").len(), 1, "{}", helper.name);
        },
    );
}

/// Defect: NICs on one bridge use up the quota of another.
#[test]
fn each_bridge_has_its_own_quota() {
    both("alice veth br0 1\nalice veth br1 1\n", |world, helper| {
        let web = world.container(ALICE);
        world::answer(&helper.create(world, ALICE, &web.pid, "br0", "eth0"));
        let second = helper.create(world, ALICE, &web.pid, "br1", "eth1");
        assert_eq!(
            second.status.success(),
            helper.is_ours(),
            "{}: {second:?}",
            helper.name
        );
    });
}

/// Defect: of several lines for one bridge the largest counts, not their sum.
#[test]
fn lines_add_up() {
    both("alice veth br0 1\nalice veth br0 1\n", |world, helper| {
        let web = world.container(ALICE);
        world::answer(&helper.create(world, ALICE, &web.pid, "br0", "eth0"));
        let second = helper.create(world, ALICE, &web.pid, "br0", "eth1");
        assert_eq!(
            second.status.success(),
            helper.is_ours(),
            "{}: {second:?}",
            helper.name
        );
    });
}

/// Defect: a file size limit kills the helper between creating and counting.
#[test]
fn a_file_size_limit_is_no_way_around_the_quota() {
    both("alice veth br0 1\n", |world, helper| {
        let web = world.container(ALICE);
        for number in 0..3 {
            let script = format!(
                "ulimit -f 0; exec {} create /p web {} veth br0 eth{number}",
                helper.program, web.pid
            );
            // Piped, so that the limit hits nobody's output.
            world.run_as(ALICE, &["sh", "-c", &script]);
        }
        let ports = world.ports("br0").len();
        assert_eq!(
            ports,
            if helper.is_ours() { 1 } else { 3 },
            "{}",
            helper.name
        );
    });
}

/// Defect: the NIC exists before the right to the namespace is proven, and stays.
#[test]
fn nothing_is_created_in_a_namespace_that_is_not_hers() {
    both("alice veth br0 5\n", |world, helper| {
        // Her process, in a network namespace that root made.
        let lent = world.spawn(world.command(&[
            "unshare",
            "-n",
            "setpriv",
            "--reuid",
            "1000",
            "--regid",
            "1000",
            "--clear-groups",
            "sh",
            "-c",
            "echo $$; exec sleep 600",
        ]));
        let output = helper.create(world, ALICE, &lent.pid, "br0", "eth0");
        assert!(helper.is_refusal(&output), "{}: {output:?}", helper.name);
        let left = world.ports("br0").len();
        assert_eq!(left, usize::from(!helper.is_ours()), "{}", helper.name);
    });
}

/// Defect: dropping what is stale from its ledger, LXC forgets what is live.
#[test]
fn an_ended_container_makes_room_for_one_and_no_more() {
    both("alice veth br0 2\n", |world, helper| {
        let (first, second) = (world.container(ALICE), world.container(ALICE));
        world::answer(&helper.create(world, ALICE, &first.pid, "br0", "eth0"));
        world::answer(&helper.create(world, ALICE, &second.pid, "br0", "eth0"));
        first.end();
        world.wait_for_ports("br0", 1);
        for number in 1..4 {
            helper.create(world, ALICE, &second.pid, "br0", &format!("eth{number}"));
        }
        let ports = world.ports("br0").len();
        assert_eq!(
            ports,
            if helper.is_ours() { 2 } else { 4 },
            "{}",
            helper.name
        );
    });
}

/// A database of Open vSwitch in a file, in the words of ovs-vsctl(8). With -p, since LXC runs it
/// with two different uids.
const OVS_VSCTL: &str = r#"#!/bin/sh -p
echo "$@" >>/run/ovs.log
while :; do case $1 in -*) shift ;; *) break ;; esac; done
case $1 in
br-exists) [ "$2" = ovs0 ] || exit 2 ;;
list-ports) cat /run/ovs-ports ;;
add-port) echo "$3" >>/run/ovs-ports ;;
del-port) grep -vx "$3" /run/ovs-ports >/run/ovs-rest; cat /run/ovs-rest >/run/ovs-ports ;;
*) exit 1 ;;
esac
"#;

fn install_ovs(world: &World) {
    use std::os::unix::fs::PermissionsExt;
    let bin = world.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let program = format!("{bin}/ovs-vsctl");
    std::fs::write(&program, OVS_VSCTL).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = "mount --bind \"$1\" /usr/local/sbin && touch /run/ovs-ports /run/ovs.log &&
        ip link add ovs0 type veth peer name ovs0p";
    world.must(&["sh", "-c", script, "sh", &bin]);
}

#[test]
fn open_vswitch_ports_are_added_and_deleted() {
    both("alice veth ovs0 1\nbob veth ovs0 1\n", |world, helper| {
        install_ovs(world);
        let ports = || world.must(&["cat", "/run/ovs-ports"]);
        let (hers, his) = (world.container(ALICE), world.container(BOB));
        let [_, _, host, _] =
            world::answer(&helper.create(world, ALICE, &hers.pid, "ovs0", "eth0"));
        assert_eq!(ports(), format!("{host}\n"), "{}", helper.name);
        let [_, _, other, _] = world::answer(&helper.create(world, BOB, &his.pid, "ovs0", "eth0"));
        let second = helper.create(world, ALICE, &hers.pid, "ovs0", "eth1");
        assert!(helper.is_refusal(&second), "{}: {second:?}", helper.name);
        let delete = |pid: &str, host: &str| {
            let place = format!("/proc/{pid}/ns/net");
            let words = [
                &helper.program,
                "delete",
                "/p",
                "web",
                &place,
                "veth",
                "ovs0",
                host,
            ];
            world.run_as(ALICE, &words)
        };
        // CVE-2026-39402: somebody else's port.
        assert!(
            helper.is_refusal(&delete(&hers.pid, &other)),
            "{}",
            helper.name
        );
        // Her own port, by a namespace that is not hers.
        assert!(
            helper.is_refusal(&delete(&his.pid, &host)),
            "{}",
            helper.name
        );
        assert_eq!(ports(), format!("{host}\n{other}\n"), "{}", helper.name);
        let deleted = delete(&hers.pid, &host);
        assert!(deleted.status.success(), "{}: {deleted:?}", helper.name);
        assert_eq!(ports(), format!("{other}\n"), "{}", helper.name);
    });
}

#[test]
fn nothing_is_deleted_from_a_linux_bridge() {
    both("alice veth br0 1\n", |world, helper| {
        let web = world.container(ALICE);
        let [_, _, host, _] = world::answer(&helper.create(world, ALICE, &web.pid, "br0", "eth0"));
        let place = format!("/proc/{}/ns/net", web.pid);
        let words = [
            &helper.program,
            "delete",
            "/p",
            "web",
            &place,
            "veth",
            "br0",
            &host,
        ];
        assert!(
            helper.is_refusal(&world.run_as(ALICE, &words)),
            "{}",
            helper.name
        );
        assert_eq!(world.ports("br0"), [host], "{}", helper.name);
    });
}
