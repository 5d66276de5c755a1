//! A user who owns his session's and his lasting cgroup, and wants more.

use anyhow::Context;
use berth_test_harness::{Host, Image, Login, Result, shared};
use berth_tests_booted::attempt;
use berth_tests_booted::session::{self, PROBE, Session};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

const SLICE: &str = "/sys/fs/cgroup/user.slice/user-1000.slice";
const LASTING: &str = "/sys/fs/cgroup/user.slice/user-1000.slice/berth-user@1000.service";
const SOON: Duration = Duration::from_secs(60);
/// No login takes as long, attacked or not, on a host that has other things to do.
const PROMPT: Duration = Duration::from_secs(60);

/// One host for all of these tests, one after the other: alice is the attacker in each.
fn host() -> Result<(&'static Host, MutexGuard<'static, ()>)> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed has left something behind, but nothing that another relies on.
    let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let host = shared(Image::Berth)?;
    session::install(host)?;
    attempt::install(host)?;
    Ok((host, turn))
}

fn log_in(host: &Host) -> Result<(Login, String)> {
    let alice = host.login("alice")?;
    let session = Session::parse(&alice.run(PROBE)?.text())?;
    session.is_delegated("alice", 1000)?;
    // That of an earlier login may be ending just now, with what was frozen in it.
    host.wait_until("systemctl is-active berth-user@1000.service", 4 * SOON)?;
    let base = session.base().to_owned();
    Ok((alice, base))
}

fn lines(text: &[&str]) -> Vec<String> {
    text.iter().map(|&line| line.to_owned()).collect()
}

#[test]
fn the_kernel_answers_as_delegation_relies_on() -> Result {
    let (host, _turn) = host()?;
    let (alice, base) = log_in(host)?;
    let other = host.login("alice")?;
    let other_base = Session::parse(&other.run(PROBE)?.text())?.base().to_owned();
    let d = format!("{base}/kernel");
    attempt::all(
        &alice,
        &[
            format!("ok mkdir {d}"),
            format!("ok mkdir {d}/in"),
            // Controllers: only those of the parent, all of a write or none, none beside processes.
            format!("ENOENT write {d}/in/cgroup.subtree_control +memory"),
            format!("EINVAL write {d}/cgroup.subtree_control +memory +nonsense"),
            format!("ENOENT write {d}/in/cgroup.subtree_control +memory"),
            format!("ok write {d}/in/cgroup.procs SELF"),
            format!("ok write {d}/cgroup.subtree_control +memory +pids"),
            format!("EBUSY write {d}/in/cgroup.subtree_control +memory"),
            format!("EBUSY write {d}/cgroup.procs SELF"),
            format!("EBUSY write {base}/cgroup.procs SELF"),
            format!("EBUSY rmdir {d}/in"),
            format!("EBUSY rmdir {d}"),
            // Processes: only within what is his, whosever they are; not from outside.
            format!("ok write {base}/init.scope/cgroup.procs SELF"),
            format!("EACCES write {d}/in/cgroup.procs 1"),
            format!("ESRCH write {d}/in/cgroup.procs 4194000"),
            // Between her sessions and services, and not into what is above them: there the
            // slice's controllers keep everybody out, pids alone as well.
            format!("ok write {other_base}/init.scope/cgroup.procs SELF"),
            format!("ok write {LASTING}/init.scope/cgroup.procs SELF"),
            format!("EBUSY write {SLICE}/cgroup.procs SELF"),
            format!("ok write {base}/init.scope/cgroup.procs SELF"),
            "EACCES write /sys/fs/cgroup/cgroup.procs SELF".into(),
            // The limits of the top are not his, those of his groups are.
            format!("EACCES write {base}/memory.max max"),
            format!("EACCES write {base}/pids.max max"),
            format!("EACCES write {base}/cgroup.kill 1"),
            format!("EACCES write {base}/cgroup.freeze 0"),
            format!("EACCES write {base}/cgroup.max.depth 2"),
            format!("EACCES write {base}/cgroup.type threaded"),
            format!("ok write {d}/in/pids.max 10"),
            format!("EAGAIN fork {d}/in 20"),
            format!("ok write {d}/cgroup.max.descendants 1"),
            format!("EAGAIN mkdir {d}/second"),
            format!("ok write {d}/cgroup.max.descendants max"),
            format!("ok write {d}/cgroup.max.depth 1"),
            format!("EAGAIN mkdir {d}/in/deep"),
            // A threaded group takes no domain, and its parent no process.
            format!("ok write {d}/cgroup.subtree_control -memory -pids"),
            format!("ok write {d}/in/cgroup.type threaded"),
            format!("ok mkdir {d}/domain"),
            format!("EOPNOTSUPP write {d}/domain/cgroup.procs SELF"),
            format!("ok rmdir {d}/domain"),
            format!("ok rmdir {d}/in"),
            format!("ok rmdir {d}"),
        ],
    )?;
    // A cgroup namespace's root is a border.
    alice
        .run(&format!(
            "mkdir {base}/ns && sh -c 'echo $$ > {base}/ns/cgroup.procs && exec unshare -UrC \
             attempt' <<'E'\nENOENT write {base}/init.scope/cgroup.procs SELF\n\
             EPERM write {base}/ns/memory.max 1000000\nE"
        ))?
        .ok()?;
    alice.run(&format!("rmdir {base}/ns"))?.ok()?;
    Ok(())
}

#[test]
fn limits_above_hold_for_containers_and_are_not_the_users() -> Result {
    let (host, _turn) = host()?;
    let (alice, base) = log_in(host)?;
    alice
        .run_for("berth create web -t busybox && berth start web", SOON)?
        .ok()?;
    host.root("systemctl set-property user-1000.slice MemoryMax=300M TasksMax=120")?
        .ok()?;
    host.root("systemctl set-property --runtime berth-user@1000.service MemoryMax=200M")?
        .ok()?;

    // Her own limits are hers to lift, in her groups only.
    let mut attempts = Vec::new();
    for dir in [SLICE, LASTING, &base] {
        for file in [
            "memory.max",
            "memory.high",
            "memory.swap.max",
            "pids.max",
            "cpu.weight",
        ] {
            attempts.push(format!("EACCES write {dir}/{file} 1000"));
            attempts.push(format!("EPERM chown {dir}/{file}"));
            attempts.push(format!("EPERM chmod {dir}/{file}"));
        }
    }
    for dir in [SLICE, "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup"] {
        attempts.push(format!("EACCES write {dir}/cgroup.subtree_control -memory"));
        let answer = if dir == SLICE { "EBUSY" } else { "EACCES" };
        attempts.push(format!("{answer} write {dir}/cgroup.procs SELF"));
        attempts.push(format!("EACCES mkdir {dir}/elsewhere"));
    }
    attempts.push(format!("EACCES rmdir {LASTING}"));
    attempts.push(format!("EACCES rename {LASTING} {SLICE}/elsewhere"));
    attempt::all(&alice, &attempts)?;
    for asked in [
        "systemctl --no-ask-password set-property user-1000.slice MemoryMax=infinity",
        "systemctl --no-ask-password set-property berth-user@1000.service MemoryMax=infinity",
        "systemctl --no-ask-password revert user-1000.slice",
        "unshare -Ur sh -c 'echo max > /sys/fs/cgroup/user.slice/user-1000.slice/memory.max'",
        "unshare -UrmC sh -c 'mount -t cgroup2 none /mnt && echo max > /mnt/memory.max'",
    ] {
        let output = alice.run(asked)?;
        assert_ne!(output.code, 0, "{output}");
    }

    // Memory: the greedy process dies, and nothing outside of what is limited.
    let greedy = "awk 'BEGIN { s = \"0123456789abcdef\"; while (1) s = s s }'";
    let before = host
        .root(&format!("grep ^oom_kill {LASTING}/memory.events"))?
        .ok()?;
    alice
        .run("berth events web >events 2>&1 & echo $! >events.pid")?
        .ok()?;
    host.wait_until(
        "grep -q inotify /proc/$(cat /home/alice/events.pid)/fdinfo/*",
        SOON,
    )?;
    let output = alice.run_for(&format!("berth exec web -- {greedy}"), SOON)?;
    assert_eq!(output.code, 137, "{output}");
    host.wait_until("grep -q '  web  oom$' /home/alice/events", SOON)?;
    alice.run("kill $(cat events.pid)")?.ok()?;
    let after = host
        .root(&format!("grep ^oom_kill {LASTING}/memory.events"))?
        .ok()?;
    assert_ne!(before, after);
    // Also with the controller off below.
    alice
        .run(&format!(
            "mkdir {base}/x && echo -memory > {base}/cgroup.subtree_control"
        ))?
        .ok()?;
    host.root(&format!("echo 64M > {base}/memory.max"))?.ok()?;
    let quoted = greedy.replace('\'', "'\\''");
    let below = format!("sh -c 'echo $$ > {base}/x/cgroup.procs; exec busybox {quoted}'");
    let output = alice.run_for(&format!("{below}; echo code=$?"), SOON)?;
    assert!(output.stdout.contains("code=137"), "{output}");

    // Processes: both containers and sessions end at the slice's.
    let tasks = "berth exec web -- sh -c 'i=0; while [ $i -lt 200 ]; do sleep 60 >/dev/null 2>&1 & i=$((i+1)); done' 2>&1";
    let output = alice.run_for(tasks, SOON)?;
    assert!(output.text().contains("can't fork"), "{output}");
    let current = host.root(&format!("cat {SLICE}/pids.current"))?.ok()?;
    let current: u32 = current.trim().parse()?;
    assert!((60..=120).contains(&current), "{current}");
    let limits = host.root(&format!(
        "cat {SLICE}/memory.max {SLICE}/pids.max {LASTING}/memory.max"
    ))?;
    assert_eq!(limits.ok()?, "314572800\n120\n209715200\n");
    // While they last she can do nothing more; the administrator can.
    host.root("systemctl set-property user-1000.slice TasksMax=infinity")?
        .ok()?;
    alice
        .run_for(
            "berth exec web -- true && berth stop -k web && berth destroy -f web",
            SOON,
        )?
        .ok()?;
    host.root("systemctl revert user-1000.slice berth-user@1000.service")?
        .ok()?;
    Ok(())
}

#[test]
fn nobody_elses_processes_can_be_pulled_in() -> Result {
    let (host, _turn) = host()?;
    let (alice, base) = log_in(host)?;
    let bob = host.login("bob")?;
    let bobs = bob.run("echo $PPID")?.ok()?.trim().to_owned();
    let service = |unit: &str| -> Result<String> {
        Ok(host
            .root(&format!("systemctl show -P MainPID {unit}"))?
            .ok()?
            .trim()
            .to_owned())
    };
    let pids = [
        "1",
        &bobs,
        &service("ssh")?,
        &service("user@1001")?,
        &service("cron")?,
    ];
    let cgroups = format!(
        "cat {}",
        pids.map(|pid| format!("/proc/{pid}/cgroup")).join(" ")
    );
    let before = host.root(&cgroups)?.ok()?;
    alice.run(&format!("mkdir {base}/mine"))?.ok()?;
    let mut attempts = Vec::new();
    for pid in pids {
        attempts.push(format!("EACCES write {base}/mine/cgroup.procs {pid}"));
    }
    attempt::all(&alice, &attempts)?;
    // Root's programs write with the rights of whoever opened the file.
    host.write(
        "/etc/sudoers.d/alice",
        "alice ALL=(root) NOPASSWD: /bin/echo",
    )?;
    for pid in pids {
        alice
            .run(&format!(
                "sudo -n /bin/echo {pid} > {base}/mine/cgroup.procs"
            ))?
            .fails(1)?;
    }
    host.root("rm /etc/sudoers.d/alice")?.ok()?;
    // Nor does systemd do it for her.
    for pid in [&pids[..2], &pids[3..]].concat() {
        let attach = format!(
            "busctl --no-pager call org.freedesktop.systemd1 /org/freedesktop/systemd1 \
             org.freedesktop.systemd1.Manager AttachProcessesToUnit ssau berth-user@1000.service /init.scope 1 {pid}"
        );
        assert_ne!(alice.run(&attach)?.code, 0, "{pid}");
    }
    assert_eq!(host.root(&cgroups)?.ok()?, before);
    // Launch sockets of others are closed to her, and hers is nobody else's to replace.
    attempt::all(
        &alice,
        &lines(&[
            "EACCES connect /run/berth/launch/1001",
            "ok connect /run/berth/launch/1000",
            "EACCES unlink /run/berth/launch/1000",
            "EACCES rename /run/berth/launch/1000 /run/berth/launch/1",
            "EACCES symlink /tmp/x /run/berth/launch/1003",
            "EACCES create /run/berth/launch/1003",
            "EACCES mkdir /run/berth/launch/1003",
        ]),
    )?;
    Ok(())
}

/// One file of her slice is alice's. It moves what is in the slice to what is hers, and that is
/// all: not into the slice, nothing into it from elsewhere, nothing of it away.
#[test]
fn the_slices_one_file_moves_what_is_hers_and_nothing_else() -> Result {
    let (host, _turn) = host()?;
    let (alice, base) = log_in(host)?;
    let bob = host.login("bob")?;
    let bobs = bob.run("echo $PPID")?.ok()?.trim().to_owned();
    let bobs_base = Session::parse(&bob.run(PROBE)?.text())?.base().to_owned();
    let given = host.root(&format!("find {SLICE} -maxdepth 1 -user alice -type f"))?;
    assert_eq!(given.ok()?, format!("{SLICE}/cgroup.procs\n"));
    let given =
        host.root("find /sys/fs/cgroup /sys/fs/cgroup/user.slice -maxdepth 1 ! -user root")?;
    assert_eq!(given.ok()?, "");
    assert_eq!(host.root(&format!("stat -c %U {SLICE}"))?.ok()?, "root\n");

    let sshd = host.root("systemctl show -P MainPID ssh")?.ok()?;
    let sshd = sshd.trim();
    let mut attempts = vec![format!("ok mkdir {base}/mine")];
    for pid in ["1", sshd, &bobs] {
        for to in [
            SLICE,
            &format!("{base}/mine"),
            &format!("{LASTING}/init.scope"),
        ] {
            attempts.push(format!("EACCES write {to}/cgroup.procs {pid}"));
        }
    }
    for to in [
        &format!("{bobs_base}/init.scope"),
        "/sys/fs/cgroup/user.slice/user-1001.slice",
        "/sys/fs/cgroup/system.slice/ssh.service",
        "/sys/fs/cgroup/user.slice",
        "/sys/fs/cgroup",
    ] {
        attempts.push(format!("EACCES write {to}/cgroup.procs SELF"));
    }
    for file in [
        "cgroup.threads",
        "cgroup.subtree_control",
        "cgroup.freeze",
        "cgroup.kill",
    ] {
        attempts.push(format!("EACCES write {SLICE}/{file} 1"));
        attempts.push(format!("EPERM chmod {SLICE}/{file}"));
    }
    attempts.push(format!("EACCES write {SLICE}/memory.max max"));
    attempts.push(format!("EACCES write {SLICE}/pids.max max"));
    // Opening it to everybody opens nobody else's cgroup to her, and hers to nobody who may not
    // write to them.
    attempts.push(format!("ok chmod {SLICE}/cgroup.procs"));
    attempt::all(&alice, &attempts)?;
    let shell = alice.run("echo $PPID")?.ok()?;
    let shell = shell.trim();
    attempt::all(
        &bob,
        &[
            format!("EACCES write {SLICE}/cgroup.procs SELF"),
            format!("EBUSY write {SLICE}/cgroup.procs {shell}"),
            format!("EACCES write {base}/mine/cgroup.procs {shell}"),
            format!("EACCES write {bobs_base}/init.scope/cgroup.procs {shell}"),
        ],
    )?;
    // With pids alone, which threads could share, the kernel keeps processes out as well.
    let sleeper = alice
        .run("{ sleep 600 & } >/dev/null 2>&1; echo $!")?
        .ok()?;
    let sleeper = sleeper.trim();
    let top = "/sys/fs/cgroup/alike";
    host.root(&format!(
        "mkdir {top} && echo +pids > {top}/cgroup.subtree_control && mkdir {top}/a {top}/b && \
         chown alice {top}/cgroup.procs {top}/b/cgroup.procs && echo {sleeper} > {top}/a/cgroup.procs"
    ))?
    .ok()?;
    attempt::all(
        &alice,
        &[
            format!("EBUSY write {top}/cgroup.procs {sleeper}"),
            format!("ok write {top}/b/cgroup.procs {sleeper}"),
            format!("EBUSY write {top}/cgroup.procs {sleeper}"),
        ],
    )?;
    host.root(&format!("kill {sleeper}"))?.ok()?;
    host.wait_until(
        &format!("rmdir {top}/a {top}/b {top} 2>/dev/null || ! test -e {top}"),
        SOON,
    )?;
    host.root(
        "systemctl daemon-reload && systemctl set-property --runtime user-1000.slice CPUWeight=90",
    )?
    .ok()?;
    assert_eq!(
        host.root(&format!("stat -c %U {SLICE}/cgroup.procs"))?
            .ok()?,
        "alice\n"
    );
    alice.logout()?;
    host.wait_until(&format!("! test -e {SLICE}"), 4 * SOON)?;
    host.root("systemctl revert user-1000.slice")?.ok()?;
    // A new one is root's with all that is in it, until a session is hers.
    let (alice, _) = log_in(host)?;
    assert_eq!(
        host.root(&format!("stat -c '%U %a' {SLICE}/cgroup.procs"))?
            .ok()?,
        "alice 644\n"
    );
    drop(alice);
    Ok(())
}

/// What alice does all the time in the background of one login, as shell loops.
fn attack(alice: &Login, base: &str) -> Result {
    let loops = [
        // Her other session's groups come, freeze, thaw and go.
        format!(
            "while :; do mkdir {base}/r && echo 1 > {base}/r/cgroup.freeze; mkdir {base}/r/init.scope; echo 0 > {base}/r/cgroup.freeze; rmdir {base}/r/init.scope {base}/r; done"
        ),
        // So do those of the lasting cgroup.
        format!(
            "while :; do mkdir {LASTING}/r {LASTING}/session-9.scope; echo +memory +pids > {LASTING}/r/cgroup.subtree_control; rmdir {LASTING}/r {LASTING}/session-9.scope; done"
        ),
        // A session that is being opened: before it is hers nothing of it is.
        format!(
            "while :; do for s in {SLICE}/session-*.scope; do [ $s = {base} ] || [ -O $s ] || {{ mkdir $s/init.scope && echo PLANTED $s; echo $$ > $s/cgroup.procs && echo JOINED $s; echo 1 > $s/cgroup.freeze && echo FROZEN $s; }}; done; done"
        ),
        // And controllers come and go beside it.
        format!(
            "while :; do echo -cpu -pids > {base}/cgroup.subtree_control; echo +cpu +pids > {base}/cgroup.subtree_control; done"
        ),
    ];
    for each in loops {
        alice
            .run(&format!(
                "{{ setsid sh -c '{each}' 2>/dev/null >> ~/attack.log & }}; exit 0"
            ))?
            .ok()?;
    }
    Ok(())
}

#[test]
fn no_race_is_won_against_session_opening() -> Result {
    let (host, _turn) = host()?;
    let (alice, base) = log_in(host)?;
    attempt::all(
        &alice,
        &[
            format!("EACCES mkdir {SLICE}/session-99.scope"),
            format!("EACCES symlink {base} {SLICE}/session-99.scope"),
            format!("EPERM symlink /etc {base}/init.scope2"),
            format!("EACCES create {base}/file"),
            format!("EBUSY rmdir {base}/init.scope"),
        ],
    )?;
    attack(&alice, &base)?;
    for round in 0..8 {
        for (name, uid) in [("alice", 1000), ("bob", 1001)] {
            let begun = Instant::now();
            let login = host.login(name)?;
            let session = Session::parse(&login.run(PROBE)?.text())?;
            let took = begun.elapsed();
            session
                .is_delegated(name, uid)
                .with_context(|| format!("round {round}"))?;
            assert!(took < PROMPT, "{name} waited {took:?}");
            login.logout()?;
        }
    }
    host.root("pkill -KILL -u alice -f 'while :'")?.ok()?;
    assert_eq!(alice.run("cat ~/attack.log; rm ~/attack.log")?.ok()?, "");
    Ok(())
}

#[test]
fn what_a_user_freezes_holds_up_nobody_else() -> Result {
    let (host, _turn) = host()?;
    let (alice, base) = log_in(host)?;
    // The programs that look after her lasting cgroup, and her whole session but this command.
    let frozen = host
        .root(&format!("grep -c . {LASTING}/init.scope/cgroup.procs"))?
        .ok()?;
    assert!(frozen.trim().parse::<u32>()? >= 1);
    alice
        .run(&format!(
            "echo 1 > {LASTING}/init.scope/cgroup.freeze; mkdir -p {base}/cold; \
             for p in $(cat {base}/init.scope/cgroup.procs); do [ $p = $$ ] || echo $p; done > ~/pids; \
             setsid sh -c 'sleep 1; while read p; do echo $p > {base}/cold/cgroup.procs; done < ~/pids; \
             echo 1 > {base}/cold/cgroup.freeze' > /dev/null 2>&1 & exit 0"
        ))?
        .ok()?;
    host.wait_until(
        &format!("grep -q 'frozen 1' {base}/cold/cgroup.events"),
        SOON,
    )?;
    host.root(&format!(
        "grep -q sshd $(sed 's#.*#/proc/&/comm#' {base}/cold/cgroup.procs)"
    ))?
    .ok()?;
    for (name, uid) in [("bob", 1001), ("alice", 1000)] {
        let begun = Instant::now();
        let login = host.login(name)?;
        Session::parse(&login.run(PROBE)?.text())?.is_delegated(name, uid)?;
        let took = begun.elapsed();
        assert!(took < PROMPT, "{name} waited {took:?}");
    }
    // Whoever is asked to end her has the means.
    host.root("loginctl terminate-user alice")?.ok()?;
    host.wait_until(&format!("! test -e {base}"), Duration::from_secs(180))?;
    drop(alice);
    Ok(())
}
