//! Boots, stops and reboots under init systems other than systemd, with containers of root and of
//! users.

use berth_test_harness::{Cgroups, Host, HostOptions, Image, Result};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(180);
const BASE: &str = "/sys/fs/cgroup/berth/user-1000";

/// How an init system is spoken to.
struct Words {
    /// What holds containers.
    boot: &'static str,
    service: fn(&str, &str) -> String,
    /// `status` of what is stopped.
    stopped: i32,
}

const SYSV: Words = Words {
    boot: "berth",
    service: |name, verb| format!("service {name} {verb}"),
    stopped: 3,
};

const OPENRC: Words = Words {
    boot: "berth-boot",
    service: |name, verb| format!("rc-service {name} {verb}"),
    stopped: 3,
};

/// Root's container and alice's are enabled, bob's too; of users alice alone is listed. The entry of
/// somebody who does not exist is in the way.
fn prepare(host: &Host) -> Result {
    host.write("/etc/default/berth", "BERTH_STOP_SECONDS=40")?;
    host.root_for("berth create sys -t busybox && berth enable sys", LIMIT)?
        .ok()?;
    host.root("touch /etc/berth/boot.d/alice /etc/berth/boot.d/nobody-here")?
        .ok()?;
    for name in ["alice", "bob"] {
        let user = host.login(name)?;
        user.run_for("berth create web -t busybox", LIMIT)?.ok()?;
        let said = user.run_for("berth enable web", LIMIT)?;
        // Who is not listed hears what is missing.
        assert_eq!(said.code == 0, name == "alice", "{said}");
        assert_eq!(
            said.stderr.contains("touch /etc/berth/boot.d/bob"),
            name == "bob",
            "{said}"
        );
        user.logout()?;
    }
    Ok(())
}

/// A container's first process as root sees it, in the cgroup that it must be in.
fn running(host: &Host, payload: &str) -> Result<String> {
    let first = format!("pid=$(head -n 1 {payload}/cgroup.procs) && test -n \"$pid\" && echo $pid");
    Ok(host.wait_until(&first, LIMIT)?.stdout.trim().to_owned())
}

/// After a boot with nobody logged in: the bridge, root's container, alice's in her lasting cgroup as
/// she, and nothing of bob's.
fn is_up(host: &Host) -> Result {
    host.wait_until("ip link show berthbr0", LIMIT)?;
    running(host, "/sys/fs/cgroup/berth/user-0/sys/payload")?;
    running(host, &format!("{BASE}/web/payload"))?;
    // Beside the monitor there may be helpers of a start, which end while one looks.
    let monitor = format!(
        "for pid in $(cat {BASE}/web/monitor/cgroup.procs); do
           stat -c %U /proc/$pid 2>/dev/null || :; done | sort -u"
    );
    assert_eq!(host.root(&monitor)?.ok()?, "alice\n");
    let owners = format!("stat -c %U {BASE} {BASE}/web/payload/cgroup.procs");
    let owners = host.root(&owners)?.ok()?;
    assert!(owners.starts_with("alice\n"), "{owners}");
    let sessions = host.root("loginctl list-sessions --no-legend || :")?.ok()?;
    assert!(!sessions.contains("alice"), "{sessions}");
    assert_ne!(host.root("pgrep -u bob")?.code, 0, "bob is not listed");
    Ok(())
}

/// With her containers from the boot she logs in: she sees them, starts another beside them from her
/// session, and both outlive it.
fn she_comes_and_goes(host: &Host) -> Result {
    let alice = host.login("alice")?;
    let list = alice.run_for("berth ls", LIMIT)?.ok()?;
    assert!(list.to_lowercase().contains("running"), "{list}");
    alice
        .run_for("berth create late -t busybox && berth start late", LIMIT)?
        .ok()?;
    alice.logout()?;
    running(host, &format!("{BASE}/late/payload"))?;
    let again = host.login("alice")?;
    again
        .run_for("berth exec web -- true && berth exec late -- true", LIMIT)?
        .ok()?;
    again.logout()
}

/// A second start changes nothing. A holder that is killed takes no container along, and who takes
/// over starts none that was stopped meanwhile.
fn started_twice_and_killed(host: &Host, words: &Words) -> Result {
    let listed = host.root("/usr/libexec/berth/berth-boot users")?;
    assert_eq!(listed.stdout, "alice\n");
    assert!(
        listed.stderr.contains("there is no user nobody-here"),
        "{listed}"
    );
    host.root("rm /etc/berth/boot.d/nobody-here")?.ok()?;
    let before = running(host, &format!("{BASE}/web/payload"))?;
    host.root_for(&(words.service)(words.boot, "start"), LIMIT)?
        .ok()?;
    assert_eq!(running(host, &format!("{BASE}/web/payload"))?, before);
    host.wait_until("test -e /run/berth/boot/1000.started", LIMIT)?;
    let alice = host.login("alice")?;
    alice.run_for("berth stop late", LIMIT)?.ok()?;
    alice.run_for("berth enable late", LIMIT)?.ok()?;
    alice.logout()?;
    let holder = "pid=$(/usr/libexec/berth/berth-boot status alice | sed -n 's/.*process \\([0-9]*\\)).*/\\1/p') && kill -9 $pid";
    host.root(holder)?.ok()?;
    assert_eq!(running(host, &format!("{BASE}/web/payload"))?, before);
    let status = host.root("/usr/libexec/berth/berth-boot status alice")?;
    assert_eq!(status.code, 1, "{status}");
    host.root_for("/usr/libexec/berth/berth-boot start alice", LIMIT)?
        .ok()?;
    assert_eq!(running(host, &format!("{BASE}/web/payload"))?, before);
    assert!(
        !host
            .root(&format!("test -d {BASE}/late/payload"))?
            .success()
    );
    let alice = host.login("alice")?;
    alice.run_for("berth disable late", LIMIT)?.ok()?;
    alice.logout()
}

/// Stop, status, start again, by the init system's own words.
fn by_its_words(host: &Host, words: &Words) -> Result {
    assert_eq!(
        host.root_for(&(words.service)(words.boot, "status"), LIMIT)?
            .code,
        0
    );
    host.root_for(&(words.service)(words.boot, "stop"), LIMIT)?
        .ok()?;
    assert!(!host.root(&format!("test -d {BASE}/web/payload"))?.success());
    assert!(
        !host
            .root("test -d /sys/fs/cgroup/berth/user-0/sys/payload")?
            .success()
    );
    assert!(!host.root("test -e /run/berth/launch/1000")?.success());
    let status = host.root_for(&(words.service)(words.boot, "status"), LIMIT)?;
    assert_eq!(status.code, words.stopped, "{status}");
    host.root_for(&(words.service)(words.boot, "start"), LIMIT)?
        .ok()?;
    is_up(host)
}

/// What is in nobody's way: a container that does not stop, a bridge that cannot be made, a user whose
/// configuration is broken. The shutdown comes to its end, and the next boot says what happened.
fn in_nobodys_way(host: &Host, words: &Words) -> Result {
    // The first process of a pid namespace does not hear a signal that it has no handler for.
    let stuck = "berth create stuck -t busybox && \
                 echo 'lxc.init.cmd = /bin/busybox sleep 100000' >> ~/.local/share/lxc/stuck/config && \
                 printf '[stop]\\ntimeout = \"5s\"\\n' > ~/.local/share/lxc/stuck/berth.toml && \
                 berth enable stuck && berth start stuck";
    let alice = host.login("alice")?;
    alice.run_for(stuck, LIMIT)?.ok()?;
    alice.logout()?;
    host.root("touch /etc/berth/boot.d/bob; echo 'bridge = \"no/bridge\"' > /etc/berth/net.toml; \
               su bob -c 'echo lxc.rootfs.path = dir:/no/such/dir >> ~/.local/share/lxc/web/config'; : > /var/log/berth/boot-alice.log")?
        .ok()?;
    host.reboot()?;
    let said = host.root("cat /var/log/berth/boot-alice.log")?.ok()?;
    assert!(said.contains("stuck: killed"), "{said}");
    assert!(said.contains("web: stopped"), "{said}");
    assert!(!host.root("ip link show berthbr0")?.success());
    assert_ne!(host.root(&(words.service)("berth-net", "status"))?.code, 0);
    running(host, &format!("{BASE}/web/payload"))?;
    host.wait_until("grep -q 'web: failed' /var/log/berth/boot-bob.log", LIMIT)?;
    Ok(())
}

/// With what was said in the background, when it fails.
fn whole_story(host: &Host, words: &Words) -> Result {
    story(host, words).inspect_err(|_| {
        let logs = "head -n 50 /var/log/berth/*.log; ls -la /run/berth/* /etc/berth/boot.d; \
                    cat /proc/mounts | grep cgroup; find /sys/fs/cgroup/berth -maxdepth 3 -type d";
        if let Ok(said) = host.root(logs) {
            eprintln!("{said}");
        }
    })
}

fn story(host: &Host, words: &Words) -> Result {
    prepare(host)?;
    host.reboot()?;
    is_up(host)?;
    she_comes_and_goes(host)?;
    started_twice_and_killed(host, words)?;
    by_its_words(host, words)?;
    in_nobodys_way(host, words)
}

#[test]
fn sysvinit_boots_stops_and_boots_again_with_containers() -> Result {
    let host = Host::boot(Image::Sysvinit)?;
    // Headers that insserv can order, and an order in which containers stop before what they need.
    let insserv = host.root("insserv --dryrun 2>&1; ls /etc/rc2.d /etc/rc6.d")?;
    assert!(
        !insserv.stdout.contains("warning") && !insserv.stdout.contains("loop"),
        "{insserv}"
    );
    let order = host
        .root("cd /etc/rc6.d && ls | grep -E 'berth|sendsigs|umountfs' | sed 's/^K//'")?
        .ok()?;
    let place = |name: &str| order.lines().position(|line| line[2..] == *name);
    assert!(
        place("berth") < place("berth-net") && place("berth-net") < place("sendsigs"),
        "{order}"
    );
    for (verb, code) in [("nonsense", 2), ("status", 0)] {
        let said = host.root_for(&format!("/etc/init.d/berth {verb}"), LIMIT)?;
        assert_eq!(said.code, code, "{said}");
    }
    whole_story(&host, &SYSV)
}

#[test]
fn openrc_boots_stops_and_boots_again_with_containers() -> Result {
    let host = Host::boot(Image::Openrc)?;
    whole_story(&host, &OPENRC)?;
    // A service of her own.
    host.root("ln -s berth-boot /etc/init.d/berth-boot.alice && rc-service berth-boot stop")?
        .ok()?;
    host.root_for("rc-service berth-boot.alice start", LIMIT)?
        .ok()?;
    running(&host, &format!("{BASE}/web/payload"))?;
    let status = host.root("rc-status --servicelist")?.ok()?;
    assert!(status.contains("berth-boot.alice"), "{status}");
    host.root_for("rc-service berth-boot.alice stop", LIMIT)?
        .ok()?;
    assert!(!host.root(&format!("test -d {BASE}/web/payload"))?.success());
    Ok(())
}

/// On version 1 there is no lasting cgroup: containers start all the same, without limits.
#[test]
fn sysvinit_boots_with_containers_on_version_1() -> Result {
    let options = HostOptions {
        cgroups: Cgroups::V1,
        ..HostOptions::default()
    };
    let host = Host::boot_with(Image::Sysvinit, options)?;
    prepare(&host)?;
    host.reboot()?;
    host.wait_until("berth ls | grep -i 'sys.*running'", LIMIT)?;
    host.wait_until("su alice -c 'berth ls' | grep -i 'web.*running'", LIMIT)?;
    host.root_for("service berth stop", LIMIT)?.ok()?;
    let list = host.root("su alice -c 'berth ls'; berth ls")?.ok()?;
    assert!(!list.to_lowercase().contains("running"), "{list}");
    Ok(())
}
