//! `berth cgroup`: commands in the lasting cgroup and in the session's.

use std::time::Duration;

use berth_test_harness::{Host, Image, Login, Result};

const LIMIT: Duration = Duration::from_secs(60);
const LASTING: &str = "0::/user.slice/user-1000.slice/berth-user@1000.service/init.scope\n";

#[test]
fn a_command_runs_in_the_lasting_cgroup_and_stays_the_callers() -> Result {
    let host = Host::boot(Image::Berth)?;
    let alice = host.login("alice")?;
    let run = |command: &str| alice.run_for(command, LIMIT);

    let seen = run("berth cgroup exec -- cat /proc/self/cgroup")?.ok()?;
    assert_eq!(seen, LASTING);
    // The process that was started is the one that runs: number, parent, session, descriptors.
    let same = "sh -c 'echo $$ $PPID; exec berth cgroup exec -- sh -c \"echo \\$\\$ \\$PPID >&7; \
                read -r word; echo \\$word\"' 7>&1 <<<in";
    let told = run(same)?.ok()?;
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines[0], lines[1], "{told}");
    assert_eq!(lines[2], "in", "{told}");
    // The whole environment, limits and mask; nothing else ignored or blocked.
    let surroundings = "env | grep -v ^_=; ulimit -a; umask; grep ^Sig /proc/self/status; pwd";
    let compared = format!(
        "cd /tmp; export ODD='two\nlines' LD_BIND_NOW=1; unset XDG_RUNTIME_DIR; \
         ulimit -n 77; umask 027; bash -c '{surroundings}' > /tmp/plain; \
         berth cgroup exec -- bash -c '{surroundings}' > /tmp/moved; diff /tmp/plain /tmp/moved"
    );
    run(&compared)?.ok()?;
    // Ends are the command's.
    run("berth cgroup exec -- sh -c 'exit 7'")?.exits(7)?;
    run("berth cgroup exec -- sh -c 'kill -9 $$'; exit $?")?.exits(137)?;
    run("berth cgroup exec -- /no/such/program")?.fails(127)?;
    run("berth cgroup exec -- no-such-program")?.fails(127)?;
    run("berth cgroup exec -- /etc/passwd")?.fails(126)?;
    run("berth cgroup exec --")?.fails(2)?;
    run("berth cgroup exec -- sh -c 'berth cgroup exec -- sh -c \"exit 5\"'")?.exits(5)?;

    // The session's.
    let session = run("cat /proc/self/cgroup")?.ok()?;
    let there = run("berth cgroup exec --session -- cat /proc/self/cgroup")?.ok()?;
    assert_eq!(there, session);
    let nested = "berth cgroup exec -- berth cgroup exec --session -- true";
    let why = run(nested)?.fails(125)?;
    assert!(why.contains("lasting"), "{why}");

    // It is a place to start containers from, and nothing of it needs a launch service.
    run("berth create web")?.ok()?;
    run("berth cgroup exec -- berth start web && berth exec web -- true")?.ok()?;
    what_it_uses_is_what_the_kernel_counts(&alice)?;
    run("berth stop -k web")?.ok()?;

    // Who has none, and who may not come here.
    let sandboxed = run("unshare --user --map-current-user berth cgroup exec -- true")?;
    let why = sandboxed.fails(125)?;
    assert!(why.contains("another user namespace"), "{why}");
    let why = host.root("berth cgroup exec -- true")?.fails(125)?;
    assert!(why.contains("systemd-run"), "{why}");
    let why = host
        .root("runuser -u bob -- berth cgroup exec -- true")?
        .fails(125)?;
    assert!(why.contains("enable-linger"), "{why}");
    // From a place that is no session of hers, without a runtime directory.
    let elsewhere = "cd /; env -i su alice -s /bin/sh -c \
                     'berth cgroup exec -- cat /proc/self/cgroup'";
    assert_eq!(host.root(elsewhere)?.ok()?, LASTING);

    // Where nothing is left of it, it comes back.
    host.root("pkill -KILL -f 'berth-session-helper (hold|serve)$'")?
        .ok()?;
    let seen = run("berth cgroup exec -- cat /proc/self/cgroup")?.ok()?;
    assert_eq!(seen, LASTING);

    // It outlives the session, as a command in the session does not.
    host.root("loginctl enable-linger alice")?.ok()?;
    run("setsid berth cgroup exec -- sleep 4711 > /dev/null 2>&1 < /dev/null & sleep 1")?.ok()?;
    alice.logout()?;
    host.wait_until("! loginctl --no-legend list-sessions | grep alice", LIMIT)?;
    host.root("pgrep -f 'sleep 4711'")?.ok()?;
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");
    Ok(())
}

#[test]
fn a_command_on_a_terminal_keeps_it() -> Result {
    let host = Host::boot(Image::Berth)?;
    let alice = host.login("alice")?;
    let mut shell = alice.pty("")?;
    shell.expect("$ ", LIMIT)?;
    shell.send("berth cgroup exec -- bash --norc\n")?;
    shell.expect("$ ", LIMIT)?;
    shell.send("tty; cat /proc/self/cgroup; stty size\n")?;
    shell.expect("/dev/pts/", LIMIT)?;
    shell.expect("berth-user@1000.service/init.scope", LIMIT)?;
    shell.expect("24 80", LIMIT)?;
    shell.resize(101, 31)?;
    shell.send("sleep 0.2; stty size; echo /dev/tty is $(wc -c < /dev/tty | cat)\n")?;
    shell.expect("31 101", LIMIT)?;
    shell.send("typed\n\x04")?;
    shell.expect("/dev/tty is 6", LIMIT)?;
    // Job control inside and outside of it.
    for end in ["exit 3\n", ""] {
        shell.send("sleep 1000\n")?;
        shell.expect("sleep 1000", LIMIT)?;
        std::thread::sleep(Duration::from_millis(500));
        shell.send("\x1a")?;
        shell.expect("Stopped", LIMIT)?;
        shell.send("fg\n")?;
        shell.expect("sleep 1000", LIMIT)?;
        std::thread::sleep(Duration::from_millis(500));
        shell.send("\x03")?;
        shell.send("echo code $?\n")?;
        shell.expect("code 130", LIMIT)?;
        shell.send(end)?;
    }
    shell.send("berth cgroup exec -- sleep 2000\n")?;
    shell.expect("sleep 2000", LIMIT)?;
    host.wait_until("pgrep -f '^sleep 2000'", LIMIT)?;
    shell.send("\x1a")?;
    shell.expect("Stopped", LIMIT)?;
    shell.send("bg; sleep 0.2; kill -INT %1; wait %1; echo ended $?\n")?;
    shell.expect("ended 130", LIMIT)?;
    shell.send("exit\n")?;
    shell.finish(LIMIT)?;
    Ok(())
}

#[test]
fn what_is_there_is_shown_with_owners_limits_and_processes() -> Result {
    let host = Host::boot(Image::Berth)?;
    let alice = host.login("alice")?;
    let run = |command: &str| alice.run_for(command, LIMIT);
    run("berth create web")?.ok()?;
    run(
        "printf 'lxc.cgroup2.memory.max = 64M\nlxc.cgroup2.pids.max = 40\n' >> \
         ~/.local/share/lxc/web/config; berth start web",
    )?
    .ok()?;
    host.root("systemctl set-property --runtime user-1000.slice MemoryMax=900M")?
        .ok()?;
    // A name and a command that would command a terminal.
    run(
        "c=/sys/fs$(sed s/^0::// /proc/self/cgroup | sed s,^,/cgroup,)/../odd; mkdir \
         $c$'\\e[2J'; bash -c \"exec -a $'evil\\e[2J' sleep 1234\" > /dev/null 2>&1 & sleep 1",
    )?
    .ok()?;
    let drawn = run("LANG=C.UTF-8 berth cgroup show")?.ok()?;
    let has = |text: &str| assert!(drawn.contains(text), "no {text} in\n{drawn}");
    has("lasting cgroup\n");
    has("a login session's cgroup, you are in it\n");
    has("limited by /user.slice/user-1000.slice: memory.max 900.0 MiB, pids.max ");
    has("/user.slice/user-1000.slice/berth-user@1000.service: owner alice, controllers cpu");
    has("├─ init.scope: owner alice");
    has("/usr/libexec/berth/berth-session-helper hold");
    has("limits memory.max 64.0 MiB, pids.max 40");
    has("evil\\u{1b}[2J 1234");
    has("odd\\u{1b}[2J: owner alice");
    assert!(!drawn.contains('\u{1b}'), "{drawn}");
    let plain = run("LC_ALL=C berth cgroup show")?.ok()?;
    assert!(
        plain.is_ascii() && plain.contains("|- init.scope"),
        "{plain}"
    );

    // Programs get it as JSON, root everybody's, others nobody's but their own.
    let json = host.root("berth cgroup show --user alice --json")?.ok()?;
    for text in [
        "\"kind\": \"lasting\"",
        "\"memory.max\": \"67108864\"",
        "\"caller\": null",
    ] {
        assert!(json.contains(text), "no {text} in {json}");
    }
    let bob = host.login("bob")?;
    let why = bob.run("berth cgroup show --user alice")?.fails(1)?;
    assert!(why.contains("only root"), "{why}");
    assert!(
        bob.run("berth cgroup show")?
            .ok()?
            .contains("berth-user@1001")
    );

    // However much comes and goes meanwhile.
    run(
        "( for i in $(seq 400); do berth cgroup exec -- true; done ) > /dev/null 2>&1 & \
         for i in 1 2 3 4 5 6; do berth cgroup show > /dev/null || exit 1; done",
    )?
    .ok()?;
    let many = "cd /sys/fs/cgroup/$(sed s,^0::/,, /proc/self/cgroup)/..; \
                mkdir -p many/$(seq -s / 70) many/b{1..2500}; cd; berth cgroup show | tail -1";
    let shown = run(many)?.ok()?;
    assert!(shown.contains("cgroups more"), "{shown}");
    Ok(())
}

/// A file of 30 MB that was just written is in the page cache, and that is the container's.
fn what_it_uses_is_what_the_kernel_counts(alice: &Login) -> Result {
    let write = "berth exec web -- dd if=/dev/zero of=/file bs=1000000 count=30";
    alice.run_for(write, LIMIT)?.ok()?;
    let figure = |key: &str| -> Result<u64> {
        let get = format!("berth top web --json | grep -o '\"{key}\":[0-9]*' | cut -d: -f2");
        Ok(alice.run(&get)?.ok()?.trim().parse()?)
    };
    let (all, cache) = (figure("memory")?, figure("memory_cache")?);
    assert!((30_000_000..100_000_000).contains(&all), "{all}");
    assert!((30_000_000..=all).contains(&cache), "{cache} of {all}");
    assert!(figure("memory_anonymous")? < 30_000_000);
    assert!((1..100).contains(&figure("processes")?));
    assert!(figure("cpu_usec")? > 0);
    Ok(())
}
