//! berthd: the lasting cgroup of users whom no login brought one (su, sudo, cron, at), and
//! sessions that were not handed over when they opened.

use berth_test_harness::{Host, Image, Login, Result};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(90);
const ALICE: &str = "/sys/fs/cgroup/user.slice/user-1000.slice/berth-user@1000.service";
const BOB: &str = "/sys/fs/cgroup/user.slice/user-1001.slice/berth-user@1001.service";
const POLICY: &str = "/etc/berth/berthd.toml";
const ASK: &str = "/usr/libexec/berth/berth-session-helper ask";
const LIMITS: &str = "lxc.cgroup2.memory.max = 64M\nlxc.cgroup2.pids.max = 99";

/// A host on which alice may become bob.
fn host() -> Result<Host> {
    let host = Host::boot(Image::Berth)?;
    host.write("/etc/sudoers.d/alice", "alice ALL=(ALL) NOPASSWD: ALL")?;
    Ok(host)
}

fn nothing_failed(host: &Host) -> Result {
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");
    Ok(())
}

/// A container with limits and without a NIC, made as `user` from a service of root's.
fn create(host: &Host, user: &str, name: &str) -> Result {
    let make = format!(
        "setpriv --reuid {user} --regid {user} --init-groups env -i HOME=/home/{user} \
         PATH=/usr/bin:/bin berth create {name} -t busybox && \
         cat >> /home/{user}/.local/share/lxc/{name}/config"
    );
    host.root_with_input(&make, &format!("{LIMITS}\n"))?.ok()?;
    Ok(())
}

/// The limits of the container `name` below `base` are in force, and something runs in it.
fn limits_hold(host: &Host, base: &str, name: &str) -> Result {
    let payload = format!("{base}/{name}/payload");
    let files = format!("cat {payload}/memory.max {payload}/pids.max");
    assert_eq!(host.root(&files)?.ok()?, "67108864\n99\n");
    host.root(&format!("grep -q 'populated 1' {payload}/cgroup.events"))?
        .ok()?;
    Ok(())
}

/// Owners, cgroups and processes of a session's scope; the processes of `marker` alone, since each
/// command of a test is one more.
fn picture(host: &Host, scope: &str, marker: &str) -> Result<String> {
    host.root(&format!(
        "cd {scope} && stat -c '%n %U %a' . init.scope cgroup.procs init.scope/cgroup.procs && \
         cat cgroup.procs && ls -d */ && grep -l '' /proc/{marker}/cgroup && cat /proc/{marker}/cgroup"
    ))?
    .ok()
}

/// The directory of the session's scope.
fn scope_of(login: &Login) -> Result<String> {
    let own = login.run("sed -n 's,^0::,,p' /proc/self/cgroup")?.ok()?;
    let scope = own.trim().trim_end_matches("/init.scope");
    Ok(format!("/sys/fs/cgroup{scope}"))
}

#[test]
fn su_and_sudo_leave_the_session_alone_and_find_the_others_cgroup() -> Result {
    let host = host()?;
    host.root("loginctl enable-linger bob")?.ok()?;
    host.wait_until("systemctl is-active berth-user@1001.service", LIMIT)?;
    let alice = host.login("alice")?;
    let scope = scope_of(&alice)?;
    let marker = alice
        .run("sleep 1000 >/dev/null 2>&1 </dev/null & echo $!")?
        .ok()?;
    let before = picture(&host, &scope, marker.trim())?;
    assert!(before.contains("/init.scope"), "{before}");

    let su = alice.run_for(
        "sudo su -l bob -c 'env | grep XDG_; id -un; berth create web -t busybox && berth start web'",
        LIMIT,
    )?;
    assert_eq!(su.code, 0, "{}", su.text());
    assert!(!su.text().contains("XDG_RUNTIME_DIR"), "{}", su.text());
    host.root(&format!(
        "grep -q 'populated 1' {BOB}/web/payload/cgroup.events"
    ))?
    .ok()?;
    // The same container by each way, with her environment and with his.
    for way in [
        "sudo su -l bob -c",
        "sudo su bob -c",
        "sudo -u bob sh -c",
        "sudo -iu bob sh -c",
        "sudo -u bob env -u HOME -u XDG_RUNTIME_DIR sh -c",
        "sudo -u bob env XDG_RUNTIME_DIR=/run/user/1000 sh -c",
    ] {
        let ls = alice.run_for(&format!("cd / && {way} 'berth ls'"), LIMIT)?;
        assert!(ls.text().contains("running"), "{way}: {}", ls.text());
        let again = alice.run_for(
            &format!("cd / && {way} 'berth stop web && berth start web'"),
            LIMIT,
        )?;
        assert_eq!(again.code, 0, "{way}: {}", again.text());
    }
    host.root(&format!(
        "grep -q 'populated 1' {BOB}/web/payload/cgroup.events"
    ))?
    .ok()?;
    // Her session is not his to have handed over.
    let repair = alice.run_for(&format!("cd / && sudo -u bob {ASK} repair"), LIMIT)?;
    assert_eq!(repair.code, 1, "{}", repair.text());
    assert!(repair.text().contains("alice's"), "{}", repair.text());
    assert_eq!(picture(&host, &scope, marker.trim())?, before);
    nothing_failed(&host)
}

#[test]
fn without_linger_policy_decides_and_what_it_started_ends_again() -> Result {
    let host = host()?;
    create(&host, "bob", "web")?;
    let alice = host.login("alice")?;
    let start = "cd / && sudo su -l bob -c 'berth start web'";
    let refused = alice.run_for(start, LIMIT)?;
    assert_eq!(refused.code, 1, "{}", refused.text());
    for way in [
        "loginctl enable-linger bob",
        "ssh localhost",
        "machinectl shell bob@",
        POLICY,
    ] {
        assert!(refused.text().contains(way), "{way}: {}", refused.text());
    }
    let journal = host.root("journalctl -b -o cat -u berthd")?.ok()?;
    assert!(journal.contains("refused user 1001, process "), "{journal}");

    host.write(POLICY, "start-without-session = \"bob\"")?;
    let wrong = alice.run_for(start, LIMIT)?;
    assert!(
        wrong
            .text()
            .contains(&format!("{POLICY}:1: start-without-session")),
        "{}",
        wrong.text()
    );

    host.write(POLICY, "start-without-session = [\"bob\"]")?;
    let started = alice.run_for(start, LIMIT)?;
    assert_eq!(started.code, 0, "{}", started.text());
    limits_hold(&host, BOB, "web")?;
    // Only what the container needs: no service manager that logind does not know of.
    assert_eq!(host.root("systemctl is-active user@1001.service")?.code, 3);
    let user = "loginctl list-users --no-legend | grep -w bob";
    assert_eq!(host.root(user)?.code, 1);
    let journal = host.root("journalctl -b -o cat -u berthd")?.ok()?;
    assert!(
        journal.contains("berth-user@1001.service is up, since berthd.toml names him"),
        "{journal}"
    );

    // As long as the container runs it stays, also when nobody asks any more.
    std::thread::sleep(Duration::from_secs(50));
    limits_hold(&host, BOB, "web")?;
    let stop = alice.run_for("cd / && sudo su -l bob -c 'berth stop web'", LIMIT)?;
    assert_eq!(stop.code, 0, "{}", stop.text());
    host.wait_until("! systemctl is-active berth-user@1001.service", LIMIT)?;
    host.wait_until(
        &format!("! test -e {BOB} && ! test -e /run/berth/launch/1001 && ! test -e /run/user/1001"),
        LIMIT,
    )?;
    nothing_failed(&host)?;

    // What a login takes over ends with the login.
    alice.run_for(start, LIMIT)?.ok()?;
    let bob = host.login("bob")?;
    let ls = bob.run_for("berth ls", LIMIT)?;
    assert!(ls.text().contains("running"), "{}", ls.text());
    bob.logout()?;
    host.wait_until("! systemctl is-active berth-user@1001.service", LIMIT)?;
    nothing_failed(&host)
}

#[test]
fn a_cron_job_starts_a_container_with_its_limits() -> Result {
    let host = host()?;
    host.root("loginctl enable-linger alice")?.ok()?;
    host.wait_until("systemctl is-active berth-user@1000.service", LIMIT)?;
    host.write(POLICY, "start-without-session = [\"@bob\"]")?;
    for user in ["alice", "bob"] {
        create(&host, user, "web")?;
        let job = "* * * * * berth start web >$HOME/cron.log 2>&1; echo $? >>$HOME/cron.log";
        host.root_with_input(&format!("crontab -u {user} -"), &format!("{job}\n"))?
            .ok()?;
    }
    let done = "test -s /home/alice/cron.log && test -s /home/bob/cron.log";
    host.wait_until(done, Duration::from_secs(150))?;
    host.root("crontab -u alice -r; crontab -u bob -r")?.ok()?;
    let log = "sleep 5; cat /home/alice/cron.log /home/bob/cron.log";
    assert_eq!(host.root(log)?.ok()?, "0\n0\n");
    limits_hold(&host, ALICE, "web")?;
    limits_hold(&host, BOB, "web")?;
    nothing_failed(&host)
}

#[test]
fn a_session_without_our_module_is_handed_over_when_its_user_asks() -> Result {
    let host = host()?;
    create(&host, "alice", "web")?;
    host.root("sed -i.berth '/pam_berth/d' /etc/pam.d/common-session")?
        .ok()?;
    let alice = host.login("alice")?;
    let scope = scope_of(&alice)?;
    let owner = format!("stat -c %U {scope}");
    assert_eq!(host.root(&owner)?.ok()?, "root\n");

    // An administrator who wants none gets none.
    host.write(
        "/etc/pam.d/other-login",
        "session optional pam_berth.so session=none",
    )?;
    let refused = alice.run_for(&format!("{ASK} repair"), LIMIT)?;
    assert!(
        refused
            .text()
            .contains("session=none in /etc/pam.d/other-login"),
        "{}",
        refused.text()
    );
    host.root("rm /etc/pam.d/other-login")?.ok()?;
    host.write(POLICY, "repair-sessions = false")?;
    let refused = alice.run_for(&format!("{ASK} repair"), LIMIT)?;
    assert!(
        refused.text().contains("repair-sessions"),
        "{}",
        refused.text()
    );
    assert_eq!(host.root(&owner)?.ok()?, "root\n");
    host.root(&format!("rm {POLICY}"))?.ok()?;

    let here = alice.run_for("berth start --here web", LIMIT)?;
    assert_eq!(here.code, 0, "{}", here.text());
    limits_hold(&host, &scope, "web")?;
    assert_eq!(host.root(&owner)?.ok()?, "alice\n");
    assert_eq!(host.root(&format!("cat {scope}/cgroup.procs"))?.ok()?, "");
    let own = alice.run("cat /proc/self/cgroup")?.ok()?;
    assert!(own.trim().ends_with("/init.scope"), "{own}");
    let again = alice.run_for(&format!("{ASK} repair"), LIMIT)?.ok()?;
    assert!(again.contains("delegated already"), "{again}");
    let journal = host.root("journalctl -b -o cat -u berthd")?.ok()?;
    assert!(journal.contains("user 1000 (alice), process "), "{journal}");

    // Whoever is in no session has none to hand over, and root none at all.
    let cron = host.root(&format!(
        "setpriv --reuid alice --regid alice --init-groups {ASK} repair"
    ))?;
    assert!(
        cron.text().contains("in no login session"),
        "{}",
        cron.text()
    );
    let root = host.root(&format!("{ASK} repair"))?;
    assert!(
        root.text().contains("root or a system user"),
        "{}",
        root.text()
    );
    nothing_failed(&host)
}

#[test]
fn a_session_older_than_the_installation_is_handed_over() -> Result {
    let host = host()?;
    host.root("mkdir /root/kept && mv /usr/lib/systemd/system/session-.scope.d /usr/lib/systemd/system/user@.service.d /root/kept/ && systemctl daemon-reload && sed -i.berth '/pam_berth/d' /etc/pam.d/common-session")?
        .ok()?;
    let alice = host.login("alice")?;
    let scope = scope_of(&alice)?;
    assert_eq!(
        host.root("systemctl is-active berth-user@1000.service")?
            .code,
        3
    );
    // Installed now, with her logged in.
    host.root("mv /root/kept/* /usr/lib/systemd/system/ && systemctl daemon-reload && mv /etc/pam.d/common-session.berth /etc/pam.d/common-session")?
        .ok()?;
    let start = alice.run_for("berth create web -t busybox && berth start web", LIMIT)?;
    assert_eq!(start.code, 0, "{}", start.text());
    host.root(&format!(
        "grep -q 'populated 1' {ALICE}/web/payload/cgroup.events"
    ))?
    .ok()?;
    let repair = alice.run_for(&format!("{ASK} repair"), LIMIT)?;
    // systemd marks the scope when it reads the drop-in, and then there is nothing in the way.
    assert_eq!(repair.code, 0, "{}", repair.text());
    assert_eq!(host.root(&format!("stat -c %U {scope}"))?.ok()?, "alice\n");
    let here = alice.run_for(
        "berth stop web && berth start --here web && cat /proc/self/cgroup",
        LIMIT,
    )?;
    assert_eq!(here.code, 0, "{}", here.text());
    host.root(&format!(
        "grep -q 'populated 1' {scope}/web/payload/cgroup.events"
    ))?
    .ok()?;
    nothing_failed(&host)
}

#[test]
fn the_service_is_confined_ends_when_idle_and_holds_nobody_up() -> Result {
    let host = host()?;
    let verify =
        host.root("systemd-analyze verify --man=no berthd.service 2>&1 | grep -i berthd")?;
    assert_eq!(verify.stdout, "");
    assert_eq!(
        host.root("systemctl is-active berthd")?.stdout,
        "inactive\n"
    );
    let alice = host.login("alice")?;
    alice.run_for(&format!("{ASK} start"), LIMIT)?.ok()?;
    assert_eq!(host.root("systemctl is-active berthd")?.stdout, "active\n");
    let analysis = host.root("systemd-analyze security --no-pager berthd.service | tail -2")?;
    let text = analysis.ok()?;
    let figure = text
        .split_whitespace()
        .find_map(|word| word.parse::<f64>().ok());
    assert!(figure.is_some_and(|figure| figure <= 3.0), "{text}");
    eprintln!("{text}");
    host.wait_until("! systemctl is-active berthd", LIMIT)?;
    nothing_failed(&host)?;

    // Stopped in the middle of its work, it costs a bounded wait, and a login nothing.
    alice.run_for(&format!("{ASK} start"), LIMIT)?.ok()?;
    host.root("kill -STOP $(systemctl show -P MainPID berthd)")?
        .ok()?;
    host.root("systemctl stop berth-session-helper@1000.socket berth-session-helper@1000.service")?
        .ok()?;
    alice.run_for("berth create web -t busybox", LIMIT)?.ok()?;
    let begin = Instant::now();
    let hung = alice.run_for("berth start web", LIMIT)?;
    assert_eq!(hung.code, 1, "{}", hung.text());
    assert!(hung.text().contains("no answer in time"), "{}", hung.text());
    assert!(
        begin.elapsed() < Duration::from_secs(40),
        "{:?}",
        begin.elapsed()
    );
    let again = host.login("alice")?;
    let cgroup = again.run("cat /proc/self/cgroup")?.ok()?;
    assert!(cgroup.trim().ends_with("/init.scope"), "{cgroup}");
    host.root("systemctl kill -s KILL berthd; systemctl reset-failed berthd")?
        .ok()?;

    // Where there is none, that is said at once.
    host.root("systemctl mask --runtime --now berthd")?.ok()?;
    let missing = alice.run_for("berth start web", LIMIT)?;
    assert_eq!(missing.code, 1, "{}", missing.text());
    assert!(missing.text().contains("berthd"), "{}", missing.text());
    host.root("systemctl unmask --runtime berthd")?.ok()?;
    let started = alice.run_for("berth start web", LIMIT)?;
    assert_eq!(started.code, 0, "{}", started.text());
    Ok(())
}
