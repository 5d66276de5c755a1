//! The whole way on one host: login, start, NIC, logout, reboot, shutdown. Each test boots its
//! own host and is a story with a beginning and an end.

use std::time::Duration;

use berth_test_harness::{Host, Image, Login, Result};

const SOON: Duration = Duration::from_secs(60);

/// A host on which alice may run containers.
fn host_for_alice() -> Result<Host> {
    let host = Host::boot(Image::Berth)?;
    host.root("berth grant alice --nics 5")?.ok()?;
    Ok(host)
}

/// The container's init as the host sees it.
fn init_of(login: &Login, name: &str) -> Result<String> {
    let info = login.run(&format!("berth info {name} --json"))?.ok()?;
    let pid = info
        .split("\"pid\": ")
        .nth(1)
        .and_then(|rest| rest.split([',', '\n']).next());
    Ok(pid.unwrap_or_default().trim().to_owned())
}

/// What its monitor wrote down of alice's container `web`: it was asked, and not killed.
#[track_caller]
fn web_stopped_in_order(host: &Host) -> Result {
    let log = host
        .root("cat /home/alice/.local/share/lxc/web/web.log")?
        .ok()?;
    assert!(
        log.contains("asked init to stop") && log.contains("halted"),
        "{log}"
    );
    assert!(!log.contains("killed"), "{log}");
    Ok(())
}

#[test]
fn a_login_has_its_cgroup_and_root_keeps_its_own() -> Result {
    let host = host_for_alice()?;
    let alice = host.login("alice")?;
    let cgroup = alice.run("cat /proc/self/cgroup")?.ok()?;
    let scope = cgroup.trim().strip_prefix("0::").unwrap_or_default();
    assert!(
        scope.starts_with("/user.slice/user-1000.slice/session-"),
        "{cgroup}"
    );
    assert!(scope.ends_with(".scope/init.scope"), "{cgroup}");

    // Hers are the scope and the files that delegate them, and nothing else of it.
    let base = format!("/sys/fs/cgroup{}", scope.trim_end_matches("/init.scope"));
    let owners = alice
        .run(&format!("cd {base} && stat -c '%U %n' . cgroup.procs cgroup.subtree_control memory.max cgroup.kill init.scope init.scope/cgroup.procs"))?
        .ok()?;
    let expected = "alice .\nalice cgroup.procs\nalice cgroup.subtree_control\nroot memory.max\n\
                    root cgroup.kill\nroot init.scope\nalice init.scope/cgroup.procs\n";
    assert_eq!(owners, expected);
    let controllers = alice
        .run(&format!("cat {base}/cgroup.subtree_control"))?
        .ok()?;
    for controller in ["cpu", "memory", "pids"] {
        assert!(
            controllers.split_whitespace().any(|c| c == controller),
            "{controllers}"
        );
    }
    alice
        .run(&format!(
            "mkdir {base}/mine && cat {base}/mine/memory.max && rmdir {base}/mine"
        ))?
        .ok()?;

    assert_eq!(
        alice
            .run("systemctl is-active berth-user@1000.service")?
            .ok()?,
        "active\n"
    );
    let holder = host
        .root("systemctl show -p ControlGroup --value berth-user@1000.service")?
        .ok()?;
    assert_eq!(
        holder,
        "/user.slice/user-1000.slice/berth-user@1000.service\n"
    );

    // logind and the user's own manager see what they saw before.
    alice
        .run("loginctl show-session $XDG_SESSION_ID -p Name | grep -x Name=alice")?
        .ok()?;
    alice.run("systemd-run --user --scope --quiet true")?.ok()?;

    let root = host.login("root")?;
    let cgroup = root.run("cat /proc/self/cgroup")?.ok()?;
    let scope = cgroup.trim().trim_start_matches("0::").to_owned();
    assert!(!scope.ends_with("/init.scope"), "{cgroup}");
    assert_eq!(
        root.run(&format!("stat -c %U /sys/fs/cgroup{scope}"))?
            .ok()?,
        "root\n"
    );
    host.root("runuser -l -c 'id -un' daemon -s /bin/sh")?
        .ok()?;
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");
    Ok(())
}

#[test]
fn a_container_runs_on_the_bridge_without_sudo() -> Result {
    let host = host_for_alice()?;
    let alice = host.login("alice")?;
    assert_eq!(
        alice.run("stat -c %a ~")?.ok()?,
        "700\n",
        "the story is about a private home"
    );
    alice.run("berth create web -t busybox")?.ok()?;
    alice.run("berth start web")?.ok()?;
    let list = alice.run("berth ls")?.ok()?;
    assert!(
        list.lines()
            .any(|line| line.starts_with("web") && line.contains("running")),
        "{list}"
    );

    // It runs in the lasting cgroup, not in her session.
    let init = init_of(&alice, "web")?;
    let cgroup = host.root(&format!("cat /proc/{init}/cgroup"))?.ok()?;
    assert_eq!(
        cgroup,
        "0::/user.slice/user-1000.slice/berth-user@1000.service/web/payload\n"
    );
    // Her subordinate ids, all namespaces, no rights outside.
    let status = host
        .root(&format!("grep ^Uid: /proc/{init}/status"))?
        .ok()?;
    let uid: u32 = status.split_whitespace().nth(1).unwrap_or("0").parse()?;
    assert!(uid >= 100_000, "{status}");
    for namespace in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let differs = format!(
            "test $(readlink /proc/1/ns/{namespace}) != $(readlink /proc/{init}/ns/{namespace})"
        );
        host.root(&differs)?.ok()?;
    }
    let bounding = host
        .root(&format!("grep ^CapBnd: /proc/{init}/status"))?
        .ok()?;
    let bits = u64::from_str_radix(bounding.trim_start_matches("CapBnd:").trim(), 16)?;
    for dropped in [16, 17, 25, 32, 33] {
        assert_eq!(bits >> dropped & 1, 0, "capability {dropped} in {bounding}");
    }

    // DHCP, the bridge, DNS of the bridge, another container of hers.
    host.wait_until(
        "runuser -u alice -- berth exec web -- ip addr show eth0 | grep 'inet '",
        SOON,
    )?;
    let bridge = host
        .root("ip -4 -o addr show berthbr0 | awk '{print $4}' | cut -d/ -f1")?
        .ok()?;
    alice
        .run(&format!("berth exec web -- ping -c1 -W5 {}", bridge.trim()))?
        .ok()?;
    alice
        .run("berth create db -t busybox && berth start db")?
        .ok()?;
    host.wait_until(
        "runuser -u alice -- berth exec db -- ip addr show eth0 | grep 'inet '",
        SOON,
    )?;
    let list = alice.run("berth ls --json")?.ok()?;
    let address = list
        .split('"')
        .find(|word| word.parse::<std::net::Ipv4Addr>().is_ok())
        .unwrap_or_default()
        .to_owned();
    alice
        .run(&format!("berth exec web -- ping -c1 -W5 {address}"))?
        .ok()?;
    let nics = host
        .root("ip -o link show master berthbr0 | grep -c veth1000_")?
        .ok()?;
    assert_eq!(nics, "2\n");

    // Commands inside: streams, codes, signals.
    assert_eq!(alice.run("echo in | berth exec web -- cat")?.ok()?, "in\n");
    alice.run("berth exec web -- sh -c 'exit 7'")?.fails(7)?;
    alice.run("berth exec web -- no-such-program")?.fails(127)?;
    alice.run("berth exec web -- /etc/passwd")?.fails(126)?;
    alice
        .run("berth exec web -- sh -c 'kill -TERM $$'")?
        .fails(143)?;
    alice
        .run("berth exec no-such-container -- true")?
        .fails(125)?;
    assert_eq!(alice.run("berth exec web -- hostname")?.ok()?, "web\n");

    alice.run("berth stop web")?.ok()?;
    alice.run("berth exec web -- true")?.fails(125)?;
    alice.run("berth destroy --force db")?.ok()?;
    alice.run("berth destroy --force web")?.ok()?;
    assert_eq!(alice.run("ls -A ~/.local/share/lxc")?.ok()?, "");
    host.wait_until("! ip link | grep veth1000_", SOON)?;
    let left = host
        .root("ls -d /sys/fs/cgroup/user.slice/user-1000.slice/berth-user@1000.service/*/")?
        .ok()?;
    assert_eq!(left.lines().count(), 1, "only the leaf is left: {left}");
    Ok(())
}

#[test]
fn roots_own_containers_need_no_quota() -> Result {
    let host = Host::boot(Image::Berth)?;
    let root = host.login("root")?;
    root.run("berth create web && berth start web")?.ok()?;
    host.wait_until("berth exec web -- ip addr show eth0 | grep 'inet '", SOON)?;
    let init = init_of(&root, "web")?;
    let own = "test $(readlink /proc/1/ns/mnt) != $(readlink /proc/$0/ns/mnt)";
    host.root(&format!("sh -c '{own}' {init}"))?.ok()?;
    // Without an id map root inside is root outside; the switches of the host are out of reach.
    root.run("berth exec web -- sh -c 'echo 1 > /proc/sys/kernel/panic'")?
        .fails(1)?;
    root.run("berth exec web -- sh -c 'echo b > /proc/sysrq-trigger'")?
        .fails(1)?;
    root.run("berth stop web && berth destroy --force web")?
        .ok()?;
    host.wait_until("! ip -o link show master berthbr0 | grep veth", SOON)?;
    assert_eq!(root.run("ls -A /var/lib/lxc")?.ok()?, "");
    Ok(())
}

#[test]
fn a_shell_inside_has_a_terminal() -> Result {
    let host = host_for_alice()?;
    let alice = host.login("alice")?;
    alice.run("berth create web && berth start web")?.ok()?;
    let mut shell = alice.pty("berth attach web")?;
    shell.expect("# ", SOON)?;
    shell.send("stty size; tty\n")?;
    shell.expect("24 80", SOON)?;
    shell.expect("/dev/pts/", SOON)?;
    shell.resize(120, 40)?;
    shell.send("sleep 0.3; stty size\n")?;
    shell.expect("40 120", SOON)?;
    shell.send("sleep 1000\n")?;
    std::thread::sleep(Duration::from_millis(500));
    shell.send("\x03")?;
    shell.send("echo code=$?\n")?;
    shell.expect("code=130", SOON)?;
    shell.send("sleep 1000\n")?;
    std::thread::sleep(Duration::from_millis(500));
    shell.send("\x1a")?;
    shell.expect("Stopped", SOON)?;
    shell.send("kill -9 %1; fg; exit 9\n")?;
    assert_eq!(shell.finish(SOON)?.code, 9);
    Ok(())
}

#[test]
fn limits_and_mounts_of_the_configuration_hold() -> Result {
    let host = host_for_alice()?;
    let alice = host.login("alice")?;
    alice
        .run("berth create web && mkdir -p ~/data && echo mine > ~/data/file")?
        .ok()?;
    alice
        .run(
            "cat >> ~/.local/share/lxc/web/config <<E\n\
             lxc.cgroup2.memory.max = 64M\n\
             lxc.cgroup2.pids.max = 50\n\
             lxc.mount.entry = $HOME/data srv/data none bind,ro,create=dir 0 0\n\
             lxc.uts.name = other\n\
             E",
        )?
        .ok()?;
    alice.run("berth start web")?.ok()?;
    let payload = "/sys/fs/cgroup/user.slice/user-1000.slice/berth-user@1000.service/web/payload";
    assert_eq!(
        host.root(&format!("cat {payload}/memory.max"))?.ok()?,
        "67108864\n"
    );
    assert_eq!(host.root(&format!("cat {payload}/pids.max"))?.ok()?, "50\n");
    assert_eq!(alice.run("berth exec web -- hostname")?.ok()?, "other\n");
    assert_eq!(
        alice.run("berth exec web -- cat /srv/data/file")?.ok()?,
        "mine\n"
    );
    alice
        .run("berth exec web -- touch /srv/data/new")?
        .fails(1)?;
    // A device of the host's, given while it runs.
    alice
        .run("berth device add web /dev/full /srv/full && ! berth device add web /dev/mem")?
        .ok()?;
    let full = "berth exec web -- sh -c '! echo > /srv/full && head -c 1 /srv/full | od -An -tx1'";
    assert_eq!(alice.run(full)?.ok()?.trim(), "00");
    alice
        .run("berth device remove web /srv/full && ! berth exec web -- test -e /srv/full")?
        .ok()?;
    // 100 MiB do not fit: the kernel ends who wants them, and the container lives on.
    alice.run("berth exec web -- sh -c 'head -c 100m /dev/zero | tail > /dev/null'")?;
    let events = host
        .root(&format!("grep ^oom_kill {payload}/memory.events"))?
        .ok()?;
    assert_ne!(events, "oom_kill 0\n", "the limit is in force");
    alice.run("berth exec web -- true")?.ok()?;
    // From inside the limit cannot be lifted.
    alice
        .run("berth exec web -- sh -c 'echo max > /sys/fs/cgroup/memory.max'")?
        .fails(1)?;
    assert_eq!(
        host.root(&format!("cat {payload}/memory.max"))?.ok()?,
        "67108864\n"
    );
    Ok(())
}

#[test]
fn quotas_are_kept() -> Result {
    let host = host_for_alice()?;
    host.root("berth grant alice --nics 1")?.ok()?;
    let alice = host.login("alice")?;
    alice
        .run("berth create a && berth create b && berth start a")?
        .ok()?;
    let refused = alice.run("berth start b")?;
    assert_eq!(refused.code, 1, "{}", refused.text());
    assert!(
        refused.stderr.contains("berthbr0") && refused.stderr.contains('1'),
        "{}",
        refused.text()
    );
    let list = alice.run("berth ls")?.ok()?;
    assert!(
        list.lines()
            .any(|line| line.starts_with('b') && line.contains("stopped")),
        "{list}"
    );
    assert_eq!(
        host.root("ip -o link show master berthbr0 | grep -c veth1000_")?
            .ok()?,
        "1\n"
    );
    // The freed place is there at once.
    alice.run("berth stop --kill a && berth start b")?.ok()?;
    // bob has nothing, and is told what to ask for.
    let bob = host.login("bob")?;
    let refused = bob.run("/usr/libexec/berth/berth-usernic create x x $$ veth berthbr0 eth0")?;
    assert!(!refused.success(), "{}", refused.text());
    assert_eq!(
        host.root("ip -o link show master berthbr0 | grep -c veth1001_; true")?
            .ok()?,
        "0\n"
    );
    host.root("berth revoke alice")?.ok()?;
    assert_eq!(host.root("grep -c ^alice /etc/lxc/lxc-usernet")?.code, 1);
    Ok(())
}

#[test]
fn containers_outlive_the_session_of_a_lingering_user_only() -> Result {
    let host = host_for_alice()?;
    let alice = host.login("alice")?;
    alice.run("berth create web && berth start web")?.ok()?;
    alice.run("berth enable web")?.ok()?;
    let init = init_of(&alice, "web")?;
    alice.logout()?;
    host.wait_until("! loginctl list-sessions --no-legend | grep alice", SOON)?;
    std::thread::sleep(Duration::from_secs(12)); // logind's UserStopDelaySec is 10 s
    let cgroup = host.root(&format!("cat /proc/{init}/cgroup"))?.ok()?;
    assert!(cgroup.contains("berth-user@1000.service"), "{cgroup}");

    let alice = host.login("alice")?;
    assert_eq!(init_of(&alice, "web")?, init, "the same one still runs");
    alice.run("loginctl disable-linger")?.ok()?;
    alice.logout()?;
    host.wait_until(
        "systemctl is-active berth-user@1000.service | grep -x inactive",
        SOON,
    )?;
    host.root(&format!("test ! -e /proc/{init}"))?.ok()?;
    web_stopped_in_order(&host)?;
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");
    Ok(())
}

#[test]
fn a_reboot_brings_enabled_containers_back_and_stops_them_in_order() -> Result {
    let host = host_for_alice()?;
    let alice = host.login("alice")?;
    alice
        .run("berth create web && berth create other && berth start web")?
        .ok()?;
    alice.run("berth enable web")?.ok()?;
    alice.logout()?;
    host.reboot()?;
    assert_eq!(host.root("loginctl list-sessions --no-legend")?.ok()?, "");
    host.wait_until(
        "runuser -u alice -- berth ls | grep -E '^web +running'",
        SOON,
    )?;
    let list = host.root("runuser -u alice -- berth ls")?.ok()?;
    assert!(
        list.lines()
            .any(|line| line.starts_with("other") && line.contains("stopped")),
        "{list}"
    );
    host.wait_until(
        "runuser -u alice -- berth exec web -- ip addr show eth0 | grep 'inet '",
        SOON,
    )?;
    web_stopped_in_order(&host)?;
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");
    Ok(())
}

#[test]
fn a_power_cut_leaves_a_clean_next_boot() -> Result {
    let host = host_for_alice()?;
    let alice = host.login("alice")?;
    alice
        .run("berth create web && berth start web && berth enable web && berth create idle")?
        .ok()?;
    host.root("sync")?.ok()?;
    host.power_cut()?;
    host.boot_again()?;
    host.wait_until(
        "runuser -u alice -- berth ls | grep -E '^web +running'",
        SOON,
    )?;
    let alice = host.login("alice")?;
    let list = alice.run("berth ls")?.ok()?;
    assert!(
        list.lines()
            .any(|line| line.starts_with("idle") && line.contains("stopped")),
        "{list}"
    );
    alice
        .run("berth stop web && berth start web && berth exec web -- true")?
        .ok()?;
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");
    Ok(())
}
