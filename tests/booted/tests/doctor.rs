//! `berth doctor cgroups` on real logins and where there is none.

use std::time::Duration;

use berth_test_harness::{Host, Image, Login, Output, Result};

const LIMIT: Duration = Duration::from_secs(60);

fn doctor(login: &Login) -> Result<Output> {
    login.run_for("berth doctor cgroups", LIMIT)
}

/// The output of a doctor who found what has these words, and nothing else to be mended.
fn finds(output: Output, text: &str, remedy: &str) -> Result {
    let shown = output.to_string();
    let told = output.exits(1)?;
    assert_eq!(told.matches("PROBLEM").count(), 1, "{shown}");
    let problem = told
        .lines()
        .skip_while(|line| !line.contains("PROBLEM"))
        .take(2)
        .collect::<Vec<_>>()
        .join(" ");
    assert!(problem.contains(text), "no “{text}”: {shown}");
    assert!(problem.contains(remedy), "no “{remedy}”: {shown}");
    Ok(())
}

#[test]
fn it_says_why_a_session_is_not_delegated_and_what_mends_it() -> Result {
    let host = Host::boot(Image::Berth)?;
    let alice = host.login("alice")?;
    let fine = doctor(&alice)?.ok()?;
    for text in [
        "cgroup v2, process 1 is systemd 252",
        "delegated to you",
        "memory pids reach /user.slice/user-1000.slice/session-",
        "your lasting cgroup is /user.slice/user-1000.slice/berth-user@1000.service",
        "the launch socket answers",
    ] {
        assert!(fine.contains(text), "no {text} in {fine}");
    }
    let json = alice.run_for("berth doctor --json", LIMIT)?.ok()?;
    assert!(json.contains("\"fine\": true"), "{json}");
    let lasting = alice
        .run_for("berth cgroup exec -- berth doctor", LIMIT)?
        .ok()?;
    assert!(
        lasting.contains("you are in your lasting cgroup"),
        "{lasting}"
    );

    // The module not in the stack, then switched off.
    host.root("pam-auth-update --package --remove cgroup-berth")?
        .ok()?;
    let bob = host.login("bob")?;
    finds(
        doctor(&bob)?,
        "not in the PAM stack of sshd",
        "pam-auth-update --enable cgroup-berth",
    )?;
    bob.logout()?;
    host.root("pam-auth-update --enable cgroup-berth")?.ok()?;
    let bob = host.login("bob")?;
    assert!(doctor(&bob)?.ok()?.contains("is delegated to you"));
    bob.logout()?;
    let slice = "/sys/fs/cgroup/user.slice/user-1001.slice/cgroup.procs";
    let owner = || host.root(&format!("stat -c '%U %a' {slice}"))?.ok();
    let delegated = host.login("bob")?;
    assert_eq!(owner()?, "bob 644\n");
    delegated.run(&format!("chmod 666 {slice}"))?.ok()?;
    host.root("sed -i 's/pam_berth.so.*/pam_berth.so session=none/' /etc/pam.d/common-session")?
        .ok()?;
    let bob = host.login("bob")?;
    // From a session of his that is delegated, root's processes in this one are out of reach.
    assert_eq!(owner()?, "root 644\n");
    let sshd = bob.run("ps -o ppid= -p $PPID | tr -d ' '")?.ok()?;
    let pull = format!(
        "own=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup); echo {} > $own/cgroup.procs",
        sshd.trim()
    );
    delegated.run(&pull)?.fails(1)?;
    let none = doctor(&bob)?.ok()?;
    assert!(
        none.contains("session=none in /etc/pam.d/common-session"),
        "{none}"
    );
    host.root("sed -i 's/ session=none//' /etc/pam.d/common-session")?
        .ok()?;
    host.login("bob")?.logout()?;
    assert_eq!(owner()?, "root 644\n", "as long as that session is there");
    let scope = bob.run("sed 's#.*/##' /proc/self/cgroup")?.ok()?;
    bob.logout()?;
    let ended = format!("! test -e $(dirname {slice})/{}", scope.trim());
    host.wait_until(&ended, LIMIT)?;
    let bob = host.login("bob")?;
    assert_eq!(owner()?, "bob 644\n");
    bob.logout()?;
    delegated.logout()?;

    // The drop-in missing; a session that is older than it; not read yet.
    let dropin = "/usr/lib/systemd/system/session-.scope.d/50-berth.conf";
    host.root(&format!("mv {dropin} /root/ && systemctl daemon-reload"))?
        .ok()?;
    let bob = host.login("bob")?;
    finds(
        doctor(&bob)?,
        "session-.scope.d/50-berth.conf is missing",
        "xtask install",
    )?;
    host.root(&format!("mv /root/50-berth.conf {dropin}"))?
        .ok()?;
    finds(
        doctor(&bob)?,
        "older than Berth's installation",
        "log out and in again",
    )?;
    bob.logout()?;
    host.root("systemctl daemon-reload")?.ok()?;

    // In somebody else's session, in none, as root.
    let bob = host.login("bob")?;
    let su = host.root("usermod -p '' bob; usermod -p '' alice")?;
    su.ok()?;
    let elsewhere = host
        .root("env -i /usr/sbin/runuser -u bob -- berth doctor cgroups")?
        .ok()?;
    assert!(
        elsewhere.contains("you are in no login session (/system.slice/"),
        "{elsewhere}"
    );
    let scope = bob
        .run("sed 's,^0::,/sys/fs/cgroup,' /proc/self/cgroup")?
        .ok()?;
    let in_bobs = format!(
        "echo $$ > {}/cgroup.procs; runuser -u alice -- berth doctor cgroups",
        scope.trim()
    );
    let told = host.root(&in_bobs)?.ok()?;
    assert!(told.contains("of user 1001 (su or sudo)"), "{told}");
    bob.logout()?;
    host.wait_until("! test -e /run/user/1001", LIMIT)?;
    let gone = host.root("runuser -u bob -- berth doctor cgroups")?;
    finds(
        gone,
        "not logged in and do not linger",
        "sudo loginctl enable-linger bob",
    )?;
    let root = host.root("berth doctor")?.ok()?;
    assert!(root.contains("root and system users"), "{root}");

    // Controllers that end on the way, and the launch service's ground.
    host.root("systemctl stop berth-session-helper@1000.socket berth-session-helper@1000.service")?
        .ok()?;
    finds(
        doctor(&alice)?,
        "there is no launch socket",
        "sudo systemctl start berth-session-helper@1000.socket",
    )?;
    host.root("systemctl start berth-session-helper@1000.socket")?
        .ok()?;
    host.root("systemctl stop berth-user@1000.service berth-session-helper@1000.socket")?
        .ok()?;
    let mended = "systemctl start berth-user@1000.service berth-session-helper@1000.socket";
    finds(doctor(&alice)?, "you have no lasting cgroup", mended)?;
    host.root(mended)?.ok()?;
    doctor(&alice)?.ok()?;
    Ok(())
}

#[test]
fn a_controller_that_ends_on_the_way_is_named_with_the_cgroup_where_it_does() -> Result {
    let host = Host::boot(Image::Berth)?;
    let alice = host.login("alice")?;
    doctor(&alice)?.ok()?;
    // As an administrator's own hand would do it: from the leaves up.
    let off = "for c in $(find /sys/fs/cgroup/user.slice -name cgroup.subtree_control | \
               awk -F/ '{print NF, $0}' | sort -rn | cut -d' ' -f2); do echo -memory > $c; done";
    host.root(off)?.ok()?;
    let told = doctor(&alice)?.exits(1)?;
    assert!(
        told.contains("memory does not: cgroup.subtree_control of /user.slice lacks it"),
        "{told}"
    );
    // One link of the chain after the other.
    for _ in 0..3 {
        let told = doctor(&alice)?;
        let remedy = told
            .stdout
            .lines()
            .find_map(|line| line.split_once("what mends it: sudo "));
        let Some((_, remedy)) = remedy else { break };
        assert!(
            remedy.starts_with("systemctl set-property -- user"),
            "{remedy}"
        );
        host.root(remedy)?.ok()?;
    }
    doctor(&alice)?.ok()?;
    Ok(())
}
