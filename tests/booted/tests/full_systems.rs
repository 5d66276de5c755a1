//! Whole Debian systems in alice's containers, and a container in a container.

use berth_test_harness::{Host, Image, Login, Result};
use berth_tests_booted::debian;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(120);
const CGROUP: &str = "/sys/fs/cgroup/user.slice/user-1000.slice/berth-user@1000.service";

/// What a Debian of its own gets that was the host's: addresses by DHCP, ids for users' containers
/// that exist in it, and a bridge with a network of its own.
const FINISH: &str = r#"
: >etc/machine-id
rm -f etc/systemd/system/*/test-*.service etc/systemd/system/test-*.service \
    etc/systemd/system/systemd-networkd.service etc/systemd/journald.conf.d/test.conf
ln -s /lib/systemd/system/systemd-networkd.service etc/systemd/system/multi-user.target.wants/
printf '[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n' >etc/systemd/network/eth0.network
printf 'alice:10000:50000\n' >etc/subuid
cp etc/subuid etc/subgid
rm -rf var/lib/systemd/linger
printf 'address = "10.99.0.1/24"\n' >etc/berth/net.toml
printf 'alice veth berthbr0 3\n' >etc/lxc/lxc-usernet
mkdir -p etc/systemd/system/berth-net.service.d
printf '[Unit]\nConditionVirtualization=\n' >etc/systemd/system/berth-net.service.d/nested.conf
cat >etc/systemd/system/first.service <<'UNIT'
[Service]
ExecStart=/bin/sleep infinity
ExecStop=/bin/sh -c 'echo first stopped >>/var/log/order'
[Install]
WantedBy=multi-user.target
UNIT
sed -e 's/^\[Service\]/[Unit]\nAfter=first.service\n&/' -e 's/first stopped/second stopped/' \
    etc/systemd/system/first.service >etc/systemd/system/second.service
ln -s ../first.service ../second.service etc/systemd/system/multi-user.target.wants/
"#;

/// systemd inside wants a /sys that is not writable: then it leaves devices to the host. What lies
/// below dev/.lxc is what nesting.conf has.
const CONFIG: &str = "lxc.mount.auto = sys:mixed\n\
                      lxc.include = /usr/share/lxc/config/nesting.conf\n\
                      lxc.cgroup2.memory.max = 400M";

fn wait_until_running(alice: &Login) -> Result {
    let state = alice.run_for(
        "for n in $(seq 300); do \
         state=$(berth exec deb -- systemctl is-system-running --wait 2>&1) && break; sleep 0.3; \
         [ \"$state\" != degraded ] || break; done; echo $state",
        SOON,
    )?;
    if state.stdout != "running\n" {
        let why = alice.run(
            "berth exec deb -- systemctl --failed --no-legend --no-pager; \
             berth exec deb -- journalctl -b --no-pager -p warning | tail -50",
        )?;
        anyhow::bail!("{state}: {why}");
    }
    Ok(())
}

#[test]
fn systemd_in_a_container_is_a_whole_system() -> Result {
    let host = Host::boot(Image::Berth)?;
    host.root("berth grant alice --nics 5")?.ok()?;
    let alice = host.login("alice")?;
    let begun = std::time::Instant::now();
    debian::create(&host, &alice, "deb", FINISH, CONFIG)?;
    println!("furnished in {:?}", begun.elapsed());
    alice.run_for("berth start deb", SOON)?.ok()?;
    wait_until_running(&alice)?;
    println!("running after {:?}", begun.elapsed());

    // Its address, from the bridge; its units in cgroups of their own, with controllers; the limit
    // above is not its own to lift.
    let address = "ip -4 -o addr show eth0 | grep -o 'inet [0-9.]*'";
    let inet = alice
        .run(&format!("berth exec deb -- sh -c \"{address}\""))?
        .ok()?;
    assert!(inet.starts_with("inet 10."), "{inet}");
    let units = format!("{CGROUP}/deb/payload/system.slice");
    let handed_on = host
        .root(&format!("cat {units}/cgroup.subtree_control"))?
        .ok()?;
    for controller in ["memory", "pids"] {
        assert!(
            handed_on.split_whitespace().any(|c| c == controller),
            "{handed_on}"
        );
    }
    let set = "systemctl set-property --runtime first.service MemoryMax=50M && \
               cat /sys/fs/cgroup/system.slice/first.service/memory.max && \
               ! echo max > /sys/fs/cgroup/memory.max";
    assert_eq!(
        alice
            .run(&format!("berth exec deb -- sh -c '{set}'"))?
            .ok()?,
        "52428800\n"
    );
    assert_eq!(
        host.root(&format!("cat {CGROUP}/deb/payload/memory.max"))?
            .ok()?,
        "419430400\n"
    );

    a_container_in_the_container(&host, &alice)?;

    // A reboot, asked for inside; a stop, asked for outside.
    alice.run_for("berth exec deb -- systemctl reboot", SOON)?;
    host.wait_until(
        "grep rebooted /home/alice/.local/share/lxc/deb/deb.log",
        SOON,
    )?;
    wait_until_running(&alice)?;
    alice
        .run_for("berth exec deb -- rm /var/log/order", SOON)?
        .ok()?;
    alice.run_for("berth stop deb", SOON)?.ok()?;
    in_order(&alice)?;
    let log = alice.run("cat ~/.local/share/lxc/deb/deb.log")?.ok()?;
    let asked = log.contains("asked init to stop by signal 37") && log.contains("halted");
    assert!(asked && !log.contains("killed"), "{log}");
    host.root(&format!("test ! -e {CGROUP}/deb"))?.ok()?;

    // The end, asked for inside.
    alice.run_for("berth start deb", SOON)?.ok()?;
    wait_until_running(&alice)?;
    alice.run_for("berth exec deb -- systemctl poweroff", SOON)?;
    host.wait_until(
        "runuser -u alice -- berth ls | grep -E '^deb +stopped'",
        SOON,
    )?;
    host.wait_until(&format!("! test -e {CGROUP}/deb"), SOON)?;

    // Its monitor killed in the middle of a boot: everything goes.
    alice.run_for("berth start deb", SOON)?.ok()?;
    host.wait_until(&format!("ls -d {CGROUP}/deb/payload/system.slice/*"), SOON)?;
    host.root(&format!("kill -9 $(cat {CGROUP}/deb/monitor/cgroup.procs)"))?
        .ok()?;
    host.wait_until(
        "runuser -u alice -- berth ls | grep -E '^deb +aborted'",
        SOON,
    )?;
    alice.run_for("berth destroy --force deb", SOON)?.ok()?;
    host.root(&format!("test ! -e {CGROUP}/deb"))?.ok()?;
    assert_eq!(alice.run("ls -A ~/.local/share/lxc")?.ok()?, "");
    Ok(())
}

/// Units stopped in the reverse of the order in which they started.
fn in_order(alice: &Login) -> Result {
    let order = alice
        .run("cat ~/.local/share/lxc/deb/rootfs/var/log/order")?
        .ok()?;
    assert_eq!(order, "second stopped\nfirst stopped\n");
    Ok(())
}

/// Alice inside is a user with a session, a lasting cgroup and a quota like anybody's.
fn a_container_in_the_container(host: &Host, alice: &Login) -> Result {
    let inside = |command: &str| {
        alice.run_for(
            &format!("berth exec deb -- su -l alice -c '{command}'"),
            SOON,
        )
    };
    let place = inside("sed -n s/^0:://p /proc/self/cgroup")?.ok()?;
    assert!(
        place.starts_with("/user.slice/user-1000.slice/session-")
            && place.trim().ends_with(".scope/init.scope"),
        "{place}"
    );
    inside("berth create in -t busybox && echo lxc.cgroup2.pids.max = 40 >> ~/.local/share/lxc/in/config")?
        .ok()?;
    inside("loginctl enable-linger && berth start in")?.ok()?;
    assert_eq!(inside("berth exec in -- hostname")?.ok()?, "in\n");
    let address = "for n in $(seq 100); do berth exec in -- ip -4 addr show eth0 | \
                   grep -o \"inet 10.99.0.[0-9]*\" && break; sleep 0.3; done";
    assert!(inside(address)?.ok()?.starts_with("inet 10.99.0."));
    let limit = format!(
        "cat {CGROUP}/deb/payload/user.slice/user-1000.slice/berth-user@1000.service/in/payload/pids.max"
    );
    assert_eq!(host.root(&limit)?.ok()?, "40\n");
    Ok(())
}
