//! The lasting cgroup of a user and his launch socket: they come with the login, survive
//! crashes, and go as logind says.

use berth_test_harness::{Host, Image, Login, Result};
use std::time::Duration;

const BASE: &str = "/sys/fs/cgroup/user.slice/user-1000.slice/berth-user@1000.service";
const LIMIT: Duration = Duration::from_secs(60);

fn is_active(host: &Host, units: &str) -> Result<String> {
    Ok(host.root(&format!("systemctl is-active {units}"))?.stdout)
}

fn wait_active(host: &Host, unit: &str) -> Result {
    host.wait_until(&format!("systemctl is-active {unit}"), LIMIT)?;
    Ok(())
}

fn nothing_failed(host: &Host) -> Result {
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");
    Ok(())
}

/// Makes and starts a container without a NIC; its init's cgroup.
fn start(alice: &Login, name: &str) -> Result<String> {
    alice
        .run_for(&format!("berth create {name} -t busybox"), LIMIT)?
        .ok()?;
    alice.run_for(&format!("berth start {name}"), LIMIT)?.ok()?;
    init_cgroup(alice, name)
}

fn init_cgroup(alice: &Login, name: &str) -> Result<String> {
    let pid = format!("cat /proc/$(cat {BASE}/{name}/payload/cgroup.procs | head -1)/cgroup");
    alice.run(&pid)?.ok()
}

#[test]
fn comes_with_the_login_and_holds_what_is_launched() -> Result {
    let host = Host::boot(Image::Berth)?;
    let alice = host.login("alice")?;
    wait_active(&host, "berth-user@1000.service")?;
    assert_eq!(
        is_active(&host, "berth-session-helper@1000.socket")?,
        "active\n"
    );
    let socket = host
        .root("stat -c '%a %U %F' /run/berth/launch/1000")?
        .ok()?;
    assert_eq!(socket, "600 alice socket\n");
    assert_eq!(host.root(&format!("cat {BASE}/cgroup.procs"))?.ok()?, "");
    let holder = host.root(&format!(
        "ps -o args= -p $(cat {BASE}/init.scope/cgroup.procs) | grep -v '^(sd-pam)$'"
    ))?;
    assert_eq!(
        holder.ok()?,
        "/usr/libexec/berth/berth-session-helper hold\n"
    );
    let controllers = host
        .root(&format!("cat {BASE}/cgroup.subtree_control"))?
        .ok()?;
    for controller in ["cpu", "memory", "pids"] {
        assert!(controllers.contains(controller), "{controllers}");
    }

    let cgroup = start(&alice, "web")?;
    assert!(
        cgroup.contains("/berth-user@1000.service/web/payload"),
        "{cgroup}"
    );
    let strange = alice.run("cd /tmp && unshare --user --map-current-user berth start web")?;
    assert_ne!(strange.code, 0, "{}", strange.text());

    // Without linger all of it ends with her last session.
    alice.logout()?;
    host.wait_until("! systemctl is-active berth-user@1000.service", LIMIT)?;
    host.wait_until(&format!("! test -e {BASE}"), LIMIT)?;
    host.wait_until("! test -e /run/berth/launch/1000", LIMIT)?;
    nothing_failed(&host)
}

#[test]
fn crashes_and_upgrades_take_no_container_along() -> Result {
    let host = Host::boot(Image::Berth)?;
    let alice = host.login("alice")?;
    let cgroup = start(&alice, "web")?;
    let lives = |after: &str| -> Result {
        assert_eq!(init_cgroup(&alice, "web")?, cgroup, "after {after}");
        let again = alice.run_for("berth stop web && berth start web", LIMIT)?;
        assert_eq!(again.code, 0, "after {after}: {}", again.text());
        assert_eq!(init_cgroup(&alice, "web")?, cgroup, "after {after}");
        nothing_failed(&host)
    };
    let kill = |word: &str| host.root(&format!("pkill -KILL -f 'berth-session-helper {word}$'"));
    for _ in 0..8 {
        kill("serve")?.ok()?;
        host.wait_until("pgrep -f 'berth-session-helper serve$'", LIMIT)?;
    }
    lives("kill -9 of the launch service, eight times")?;
    kill("hold")?.ok()?;
    lives("kill -9 of the holder")?;
    host.root("systemctl restart berth-session-helper@1000.service")?
        .ok()?;
    host.root("systemctl daemon-reload && systemctl daemon-reexec")?
        .ok()?;
    host.root("systemctl isolate multi-user.target")?.ok()?;
    lives("a restart of the launch service, daemon-reexec and isolate")?;
    alice.run_for("berth stop web", LIMIT)?.ok()?;
    host.root("pkill -KILL -f 'berth-session-helper (hold|serve)$'")?
        .ok()?;
    // Nothing holds the cgroup any more: the next request brings it back.
    let revived = alice.run_for("berth start web", LIMIT)?;
    assert_eq!(revived.code, 0, "{}", revived.text());
    assert_eq!(init_cgroup(&alice, "web")?, cgroup);
    nothing_failed(&host)
}

#[test]
fn root_and_system_users_have_none_and_no_unit_fails() -> Result {
    let host = Host::boot(Image::Berth)?;
    let root = host.login("root")?;
    wait_active(&host, "user@0.service")?;
    let skipped = "systemctl show -P Result -P ActiveState berth-user@0.service";
    host.wait_until(&format!("{skipped} | grep -q exec-condition"), LIMIT)?;
    assert_eq!(host.root(skipped)?.ok()?, "exec-condition\ninactive\n");
    nothing_failed(&host)?;
    root.logout()?;
    nothing_failed(&host)
}

#[test]
fn with_linger_it_outlives_logins_and_comes_back_after_a_reboot() -> Result {
    let host = Host::boot(Image::Berth)?;
    let alice = host.login("alice")?;
    let cgroup = start(&alice, "web")?;
    alice.run_for("berth enable web", LIMIT)?.ok()?;
    alice.logout()?;
    // Longer than logind waits before it ends what a user without linger leaves.
    std::thread::sleep(Duration::from_secs(12));
    let running = format!("grep -q 'populated 1' {BASE}/web/payload/cgroup.events");
    host.root(&running)?.ok()?;

    host.reboot()?;
    host.wait_until(&running, LIMIT)?;
    assert_eq!(
        host.root("loginctl list-sessions --no-legend | grep alice")?
            .code,
        1
    );
    let before = "journalctl -b -1 -o cat -u berth-user@1000.service";
    let journal = host.root(before)?.ok()?;
    assert!(journal.contains("Stopped"), "stopped in order: {journal}");
    assert!(!journal.contains("timed out"), "{journal}");
    nothing_failed(&host)?;

    // A base that is brought back after a crash does not start again what she stopped.
    let alice = host.login("alice")?;
    assert_eq!(init_cgroup(&alice, "web")?, cgroup);
    alice.run_for("berth stop web", LIMIT)?.ok()?;
    host.root("pkill -KILL -f 'berth-session-helper (hold|serve)$'; sleep 1")?
        .ok()?;
    alice
        .run_for("berth create db -t busybox && berth start db", LIMIT)?
        .ok()?;
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(host.root(&format!("test -e {BASE}/web/payload"))?.code, 1);
    Ok(())
}
