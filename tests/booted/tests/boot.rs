//! From boot to shutdown: root's containers, users', and those with a unit of their own.

use berth_test_harness::{Host, Image, Result};
use berth_tests_booted::units;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(180);
/// The inits' services take a while to stop, so that the order of stops is not one of luck.
const SLOW: &str = "sed -i 's/^note down/sleep 2; note down/' rootfs/etc/init.d/rcK";

fn root(host: &Host, command: &str) -> Result<String> {
    host.root_for(command, LIMIT)?.ok()
}

/// What monitors wrote into the journal, in its order; `boot` as journalctl(1) has it.
fn told(host: &Host, boot: &str) -> Result<Vec<String>> {
    let lines = format!("journalctl -b {boot} --no-pager -o cat SYSLOG_IDENTIFIER=berth-monitor");
    Ok(root(host, &lines)?.lines().map(str::to_owned).collect())
}

/// That one line came before another.
#[track_caller]
fn in_order(lines: &[String], first: &str, then: &str) {
    let at = |wanted: &str| lines.iter().rposition(|line| line.starts_with(wanted));
    let (Some(first_at), Some(then_at)) = (at(first), at(then)) else {
        panic!("“{first}” or “{then}” is missing: {lines:#?}");
    };
    assert!(first_at < then_at, "“{then}” before “{first}”: {lines:#?}");
}

fn is_well(host: &Host, unit: &str) -> Result {
    let state = root(
        host,
        &format!("systemctl show -P Result -P ActiveState {unit}"),
    )?;
    let status = host.root(&format!("systemctl status --no-pager -l {unit}"))?;
    assert_eq!(state, "success\nactive\n", "{}", status.stdout);
    assert_eq!(root(host, "systemctl --failed --no-legend")?, "");
    Ok(())
}

/// The cgroup of the container's init.
fn cgroup(host: &Host, options: &str, name: &str) -> Result<String> {
    let pid = format!("berth {options} info {name} | sed -n 's/^PID[: ]*//p'");
    root(host, &format!("cat /proc/$({pid})/cgroup"))
}

#[test]
fn roots_and_users_containers_from_boot_to_shutdown() -> Result {
    let host = Host::boot(Image::Berth)?;
    // Of root's, web waits for db; broken has no root, and extra nobody starts at boot.
    let ready = "[ready]\ncommand = [\"/bin/true\"]\n";
    root(
        &host,
        &format!(
            "mkdir -p /var/lib/lxc && cd /var/lib/lxc || exit 1
             for name in db web extra; do
                 berth create $name -t busybox && (cd $name && {SLOW}) || exit 1
             done
             printf '[start]\\nafter = [\"db\"]\\n' > web/berth.toml
             printf '{}' > db/berth.toml
             echo lxc.start.order = 5 >> db/config
             mkdir broken && echo lxc.start.auto = 1 > broken/config
             echo lxc.rootfs.path = dir:/nowhere >> broken/config
             berth enable db && berth enable web",
            ready.replace('\n', "\\n")
        ),
    )?;
    // alice's is fine; bob's can never start and is tried for longer than any boot.
    root(
        &host,
        "berth grant alice --boot && berth grant bob --boot
         berth --user alice create hers -t busybox && berth --user alice enable hers || exit 1
         cd ~bob && install -d -o bob -g bob .local .local/share .local/share/lxc || exit 1
         cd .local/share/lxc && install -d -o bob -g bob his
         printf 'lxc.start.auto = 1\\nlxc.rootfs.path = dir:/nowhere\\n' > his/config
         printf '[start]\\nretries = 100\\nretry-delay = \"30s\"\\n' > his/berth.toml",
    )?;
    host.reboot()?;

    // The boot is over, and bob's goes on.
    let bob = "berth --user bob autostart status --json";
    host.wait_until(&format!("{bob} | grep '\"run\": \"start\"'"), LIMIT)?;
    let status = root(&host, bob)?;
    assert!(status.contains("\"state\": \"running\""), "{status}");
    host.wait_until(
        "berth autostart status --json | grep -q '\"exit_code\": 2'",
        LIMIT,
    )?;
    host.wait_until(
        "berth --user alice autostart status --json | grep '\"exit_code\": 0'",
        LIMIT,
    )?;
    is_well(&host, "berth-autostart.service")?;
    for (options, name, unit) in [
        ("", "db", "/system.slice/berth-autostart.service/db/payload"),
        (
            "",
            "web",
            "/system.slice/berth-autostart.service/web/payload",
        ),
        (
            "--user alice",
            "hers",
            "/berth-user@1000.service/hers/payload",
        ),
    ] {
        let cgroup = cgroup(&host, options, name)?;
        assert!(cgroup.contains(unit), "{name}: {cgroup}");
    }
    host.root("berth autostart status")?.fails(2)?;
    let unit = root(
        &host,
        "systemctl status berth-autostart --no-pager -l | grep Status:",
    )?;
    assert!(unit.contains("not well: broken"), "{unit}");
    let journal = root(&host, "journalctl -b --no-pager -o cat -u berth-autostart")?;
    assert!(journal.contains("broken: failed: "), "{journal}");
    in_order(&told(&host, "0")?, "db: ready", "web: running");

    // The administrator sees all of them.
    root(&host, "pkill -u bob -TERM -f 'berth autostart'")?;
    let all = root(&host, "berth autostart status --all-users")?;
    for line in ["alice  start", "bob    start (interrupted)", "root   start"] {
        assert!(all.contains(line), "“{line}”: {all}");
    }
    let unit = "systemctl status berth-user@1001 --no-pager -l | grep Status:";
    host.wait_until(&format!("{unit} | grep 'not all'"), LIMIT)?;

    // Fields of the journal, which are the same for a user and root.
    let lines = "journalctl -b --no-pager -o cat BERTH_CONTAINER=hers BERTH_OWNER=alice";
    let lines = root(&host, lines)?;
    assert!(lines.contains("hers: running"), "{lines}");

    // One that was started by hand, in a scope, is stopped like the others; and alice's are
    // forbidden.
    let session = host.login("root")?;
    session.run_for("berth start extra", LIMIT)?.ok()?;
    session.logout()?;
    let cgroup = cgroup(&host, "", "extra")?;
    assert!(cgroup.contains("/machine.slice/berth-root-"), "{cgroup}");
    root(&host, "touch /etc/berth/no-boot.d/alice")?;
    host.reboot()?;
    let lines = told(&host, "-1")?;
    in_order(&lines, "web: stopped", "db: asked init to stop");
    for name in ["db", "web", "extra", "hers"] {
        in_order(
            &lines,
            &format!("{name}: asked init"),
            &format!("{name}: init ended: halted"),
        );
        assert!(!lines.contains(&format!("{name}: killed")), "{lines:#?}");
    }
    let last = root(&host, "berth autostart status; true")?;
    assert!(
        last.contains("last stop") && last.contains("in an earlier boot"),
        "{last}"
    );
    host.wait_until("systemctl is-active berth-user@1000", LIMIT)?;
    let journal = "journalctl -b --no-pager -o cat -u berth-user@1000 | grep no-boot.d/alice";
    host.wait_until(journal, LIMIT)?;
    assert!(root(&host, "berth --user alice info hers")?.contains("stopped"));
    root(&host, "rm /etc/berth/no-boot.d/alice")?;
    cut_off(&host)
}

/// The power is cut during a shutdown, and then during a boot: the next boot is like any other.
fn cut_off(host: &Host) -> Result {
    root(host, "systemctl --no-block reboot")?;
    // The way in may be closed before that is seen.
    drop(host.wait_until("berth info web | grep -e stopping -e stopped", LIMIT));
    host.power_cut()?;
    host.boot_and_cut_at("Starting berth-autostart.service")?;
    host.boot_again()?;
    for (options, name) in [("", "db"), ("", "web"), ("--user alice", "hers")] {
        let is_up = format!("berth {options} info {name} | grep 'State: *running'");
        host.wait_until(&is_up, LIMIT)?;
        assert!(root(host, &format!("berth {options} exec {name} -- echo up"))?.contains("up"));
    }
    is_well(host, "berth-autostart.service")?;
    let told = told(host, "0")?;
    in_order(&told, "db: ready", "web: running");
    Ok(())
}

#[test]
fn a_user_s_containers_stop_in_order_with_his_units() -> Result {
    let host = Host::boot(Image::Berth)?;
    root(&host, "berth grant alice --boot")?;
    let alice = host.login("alice")?;
    let dir = "/home/alice/.local/share/lxc";
    let create = "berth create db -t busybox && berth create web -t busybox";
    alice.run_for(create, LIMIT)?.ok()?;
    // The files inside are her container's ids'.
    root(
        &host,
        &format!("for name in db web; do (cd {dir}/$name && {SLOW}) || exit 1; done"),
    )?;
    let after = format!("printf '[start]\\nafter = [\"db\"]\\n' > {dir}/web/berth.toml");
    alice.run(&after)?.ok()?;
    for unit in ["berth-user@1000.service", "user@1000.service"] {
        alice.run_for("berth start web", LIMIT)?.ok()?;
        // Frozen ones are thawed to hear it.
        alice.run_for("berth freeze web", LIMIT)?.ok()?;
        root(
            &host,
            &format!("journalctl --rotate; systemctl stop {unit}"),
        )?;
        let lines = told(&host, "0")?;
        in_order(&lines, "web: stopped", "db: asked init to stop");
        in_order(&lines, "web: asked init", "web: init ended: halted");
        assert!(
            !lines.iter().any(|line| line.ends_with(": killed")),
            "{lines:#?}"
        );
        root(
            &host,
            "systemctl start user@1000.service berth-user@1000.service",
        )?;
    }
    Ok(())
}

#[test]
fn a_container_can_have_a_unit_of_its_own() -> Result {
    let host = Host::boot(Image::Berth)?;
    root(
        &host,
        "berth create web -t busybox && berth enable web && systemctl enable --now berth@web",
    )?;
    is_well(&host, "berth@web.service")?;
    let place = cgroup(&host, "", "web")?;
    assert!(place.contains("/berth@web.service/web/payload"), "{place}");
    let journal = "journalctl -b --no-pager -o cat -u berth@web BERTH_CONTAINER=web";
    let journal = root(&host, journal)?;
    assert!(journal.contains("web: running"), "{journal}");

    // It is nobody's but its unit's.
    assert_eq!(
        root(&host, "berth autostart --list --all --ignore-auto")?,
        ""
    );
    root(&host, "berth autostart --shutdown --all --ignore-auto")?;
    assert!(root(&host, "berth info web")?.contains("running"));
    // Whoever dies is started again.
    root(&host, "pkill -KILL -x berth-monitor")?;
    let again = "systemctl is-active berth@web && berth info web | grep -q running";
    host.wait_until(again, LIMIT)?;
    // At boot, too, and it stops in order.
    host.reboot()?;
    is_well(&host, "berth@web.service")?;
    in_order(
        &told(&host, "-1")?,
        "web: asked init",
        "web: init ended: halted",
    );
    root(&host, "systemctl stop berth@web")?;
    let state = root(&host, "systemctl show -P Result -P ActiveState berth@web")?;
    assert_eq!(state, "success\ninactive\n");
    root(
        &host,
        "systemctl disable berth@web && berth destroy --force web",
    )?;

    // The same in a user's own service manager.
    let alice = host.login("alice")?;
    alice
        .run_for(
            "berth create hers -t busybox && systemctl --user enable --now berth@hers",
            LIMIT,
        )?
        .ok()?;
    let place = alice.run("cat /proc/$(berth info hers | sed -n 's/^PID[: ]*//p')/cgroup")?;
    let place = place.ok()?;
    assert!(place.contains("/user@1000.service/"), "{place}");
    assert!(
        place.contains("/berth@hers.service/hers/payload"),
        "{place}"
    );
    let listed = alice
        .run("berth autostart --list --all --ignore-auto")?
        .ok()?;
    assert_eq!(listed, "");
    alice
        .run_for("systemctl --user stop berth@hers", LIMIT)?
        .ok()?;
    let state = alice.run("systemctl --user show -P Result -P ActiveState berth@hers")?;
    assert_eq!(state.ok()?, "success\ninactive\n");
    Ok(())
}

#[test]
fn units_are_sound_and_shut_in() -> Result {
    let host = Host::boot(Image::Berth)?;
    units::are_sound(&host)?;
    for unit in [
        "berth-net.service",
        "berth-nics.path",
        "berth-autostart.service",
    ] {
        assert_eq!(
            root(&host, &format!("systemctl is-enabled {unit}"))?,
            "enabled\n"
        );
        is_well(&host, unit)?;
    }
    // With nothing to start or to stop, neither takes anything.
    assert_eq!(root(&host, "berth autostart --groups onboot,")?, "");
    Ok(())
}
