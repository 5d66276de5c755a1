//! What comes out of the launch socket: a login's limits, and containers that outlive all that
//! stands between them and their owner.

use std::time::{Duration, Instant};

use berth_test_harness::{Host, Image, Login, Result};

const LIMIT: Duration = Duration::from_secs(90);
const BASE: &str = "/sys/fs/cgroup/user.slice/user-1000.slice/berth-user@1000.service";

/// Limits as the kernel tells them, without the names of units.
fn limits_of(login: &Login, pid: &str) -> Result<String> {
    login.run(&format!("cat /proc/{pid}/limits"))?.ok()
}

#[test]
fn what_is_launched_has_the_limits_of_a_login_and_nothing_of_its_caller() -> Result {
    let host = Host::boot(Image::Berth)?;
    let conf = "alice soft nofile 4711\\nalice hard nofile 5813\\nalice hard core 1\\n\
                alice - nproc 2999\\nalice - memlock 333\\nalice - nice 3\\n";
    host.root(&format!(
        "printf '{conf}' > /etc/security/limits.d/test.conf"
    ))?
    .ok()?;
    let alice = host.login("alice")?;
    let of_login = limits_of(&alice, "self")?;
    for text in ["4711", "5813", "2999"] {
        assert!(of_login.contains(text), "{of_login}");
    }
    // A caller with leftovers of all kinds.
    let caller = "berth create web && cd /tmp && ulimit -n 99 -c 0 -u 500 && umask 077 && \
                  export LD_BIND_NOW=1 SECRET=x && trap '' HUP TERM && \
                  echo 500 > /proc/self/oom_score_adj && nice -n 15 berth start web";
    alice.run_for(caller, LIMIT)?.ok()?;
    let init = alice
        .run(&format!("head -1 {BASE}/web/payload/cgroup.procs"))?
        .ok()?;
    let monitor = alice
        .run(&format!("head -1 {BASE}/web/monitor/cgroup.procs"))?
        .ok()?;
    for pid in [init.trim(), monitor.trim()] {
        assert_eq!(limits_of(&alice, pid)?, of_login);
        let seen = host
            .root(&format!(
                "grep -E '^(SigBlk|SigIgn|NoNewPrivs|Umask)' /proc/{pid}/status; \
             cat /proc/{pid}/oom_score_adj; cut -d' ' -f19 /proc/{pid}/stat; \
             tr '\\0' '\\n' < /proc/{pid}/environ | grep -cE '^(LD_|SECRET)'; true"
            ))?
            .ok()?;
        assert!(
            seen.ends_with("\n0\n0\n0\n"),
            "oom, nice, environment: {seen}"
        );
    }
    let monitor = monitor.trim();
    let status = host.root(&format!("cat /proc/{monitor}/status"))?.ok()?;
    assert!(status.contains("NoNewPrivs:\t0"), "{status}");
    // The launch service itself, as the service manager shows it.
    let shown = host
        .root("systemctl show -P Slice -P NoNewPrivileges -P StatusText berth-session-helper@1000")?
        .ok()?;
    assert!(
        shown.contains("user-1000.slice") && shown.contains("no\n"),
        "{shown}"
    );
    assert!(
        shown.contains("Answering the launch socket; what it starts is in"),
        "{shown}"
    );
    let shown = host
        .root("systemctl show -P Slice -P Delegate -P StatusText berth-user@1000.service")?
        .ok()?;
    assert!(shown.contains("user-1000.slice\nyes\n"), "{shown}");
    assert!(shown.contains("controllers: cpu io memory pids"), "{shown}");

    // The same at boot, where nobody has logged in.
    alice.run_for("berth enable web", LIMIT)?.ok()?;
    alice.logout()?;
    host.reboot()?;
    host.wait_until(
        &format!("grep -q 'populated 1' {BASE}/web/payload/cgroup.events"),
        LIMIT,
    )?;
    let at_boot = host
        .root(&format!(
            "cat /proc/$(head -1 {BASE}/web/payload/cgroup.procs)/limits"
        ))?
        .ok()?;
    // Some of the kernel's own are of each boot's memory.
    let alice = host.login("alice")?;
    assert_eq!(at_boot, limits_of(&alice, "self")?);
    let journal = host.journal()?;
    for odd in ["left-over process", "reception only permitted"] {
        assert!(!journal.contains(odd), "{odd}: {journal}");
    }
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");
    Ok(())
}

/// Three hundred connections that say nothing, made anew when they are closed, for 6 seconds.
const FLOOD: &str = "perl -MSocket -e '\
    my ($end, %open) = (time + 6); \
    while (time < $end) { \
        while (keys %open < 300) { \
            socket(my $s, AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0) or last; \
            connect($s, pack_sockaddr_un(\"/run/berth/launch/$<\")) or last; \
            $open{fileno $s} = $s; \
        } \
        for my $fd (keys %open) { \
            my $got = sysread $open{$fd}, my $text, 1000; \
            delete $open{$fd} if defined $got && !$got; \
        } \
        select undef, undef, undef, 0.05; \
    }'";

/// Whoever floods his own launch socket hears why nothing happens and holds up nobody else;
/// afterwards all is as before.
fn a_flood_is_the_flooders_alone(host: &Host, alice: &Login) -> Result {
    let bob = host.login("bob")?;
    let launched = "berth cgroup exec -- true; berth start no-such-container";
    alice
        .run(&format!("({FLOOD}) >/dev/null 2>&1 & sleep 2"))?
        .ok()?;
    let begun = Instant::now();
    let said = alice.run_for("berth cgroup exec -- true", LIMIT)?;
    let told = said.success() || said.stderr.contains("try again later");
    assert!(told && begun.elapsed() < Duration::from_secs(60), "{said}");
    let begun = Instant::now();
    bob.run_for("berth cgroup exec -- true", LIMIT)?.ok()?;
    assert!(begun.elapsed() < Duration::from_secs(30));
    host.wait_until("! pgrep -u alice perl", LIMIT)?;
    let after = alice.run_for(launched, LIMIT)?;
    assert!(after.stderr.contains("there is no container"), "{after}");
    bob.logout()?;
    Ok(())
}

#[test]
fn limited_containers_outlive_the_launch_service_and_a_reinstallation() -> Result {
    let host = Host::boot(Image::Berth)?;
    let alice = host.login("alice")?;
    a_flood_is_the_flooders_alone(&host, &alice)?;
    for (name, memory, order) in [("one", "48M", 1), ("two", "64M", 2)] {
        alice
            .run_for(
                &format!(
                    "berth create {name} && printf 'lxc.cgroup2.memory.max = {memory}\\n\
                     lxc.cgroup2.pids.max = 30\\nlxc.start.order = {order}\\n' >> \
                     ~/.local/share/lxc/{name}/config && berth start {name}"
                ),
                LIMIT,
            )?
            .ok()?;
    }
    // Of each the first process, which stays; what the init starts comes and goes.
    let inits =
        format!("head -qn 1 {BASE}/one/payload/cgroup.procs {BASE}/two/payload/cgroup.procs");
    let before = alice.run(&inits)?.ok()?;
    let held = |after: &str| -> Result {
        assert_eq!(alice.run(&inits)?.ok()?, before, "after {after}");
        let limits = format!("cat {BASE}/one/payload/memory.max {BASE}/two/payload/memory.max");
        assert_eq!(
            alice.run(&limits)?.ok()?,
            "50331648\n67108864\n",
            "after {after}"
        );
        // Thirty tasks are all that it gets.
        let many = "berth exec one -- sh -c 'i=0; while [ $i -lt 60 ]; do sleep 30 & \
                    i=$((i+1)); done' 2>&1; cat";
        alice
            .run_for(&format!("{many} {BASE}/one/payload/pids.events"), LIMIT)?
            .ok()?;
        let events = alice
            .run(&format!("cat {BASE}/one/payload/pids.events"))?
            .ok()?;
        assert_ne!(events.trim(), "max 0", "after {after}");
        alice
            .run_for("berth exec one -- killall sleep; true", LIMIT)?
            .ok()?;
        let next = "berth create --template busybox three && berth start three && \
                    berth destroy --force three";
        alice.run_for(next, LIMIT)?.ok()?;
        Ok(())
    };
    host.root("kill -9 $(systemctl show -P MainPID berth-session-helper@1000.service)")?
        .ok()?;
    held("kill -9 of the launch service")?;
    // What a package's upgrade does: files are replaced whole, units read again, the launch
    // service taken over.
    let upgrade = "for f in /usr/bin/berth /usr/libexec/berth/*; do cp -p $f $f.new; \
                   mv $f.new $f; done; systemctl daemon-reload; \
                   systemctl try-restart 'berth-session-helper@*.service'";
    host.root(upgrade)?.ok()?;
    held("a reinstallation")?;

    // And an ordered end, the last first.
    let start = std::time::Instant::now();
    host.root_for(
        "systemctl stop berth-user@1000.service",
        Duration::from_secs(150),
    )?
    .ok()?;
    assert!(
        start.elapsed() < Duration::from_secs(120),
        "{:?}",
        start.elapsed()
    );
    let journal = host
        .root("journalctl -b -o cat -u berth-user@1000.service")?
        .ok()?;
    let at = |text: &str| {
        journal
            .find(text)
            .unwrap_or_else(|| panic!("no {text}: {journal}"))
    };
    assert!(
        at("two: stopped") < at("one: asked init to stop"),
        "{journal}"
    );
    assert!(
        !journal.contains("timed out") && !journal.contains("killed"),
        "{journal}"
    );
    host.root(&format!("test ! -e {BASE}"))?.ok()?;
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");
    Ok(())
}
