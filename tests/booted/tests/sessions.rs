//! Sessions on systemd hosts: every way to open one, and what happens to it afterwards.

use anyhow::Context;
use berth_test_harness::{Host, Image, Login, Result, shared};
use berth_tests_booted::session::{self, CONSOLE, PROBE, Session, in_service, opened_by};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
const ASK: &str = "/usr/libexec/berth/berth-session-helper ask";

/// A host that the tests of this file share, each with a user of its own, one after the other: they
/// restart logind, which whoever logs in at that moment would notice.
fn host(image: Image) -> Result<(&'static Host, MutexGuard<'static, ()>)> {
    static DEBIAN_12: Mutex<()> = Mutex::new(());
    static DEBIAN_13: Mutex<()> = Mutex::new(());
    let turn = match image {
        Image::Trixie => &DEBIAN_13,
        _ => &DEBIAN_12,
    };
    // One that failed leaves the host as good as it was.
    let turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let host = shared(image)?;
    session::install(host)?;
    host.root("id carol >/dev/null 2>&1 || { useradd -m -u 1002 -s /bin/bash carol && cp -a /home/bob/.ssh /home/carol/ && chown -R carol: /home/carol; }")?
        .ok()?;
    Ok((host, turn))
}

fn probe(login: &Login) -> Result<Session> {
    Session::parse(&login.run(PROBE)?.text())
}

/// A PAM service of its own for a class of sessions, as a display manager has it. The caller of
/// PAM is PID 1 (`PAMName=`).
fn display_manager(host: &Host, class: &str) -> Result<String> {
    let stack = format!(
        "auth required pam_permit.so\naccount required pam_permit.so\n\
         session required pam_loginuid.so\nsession optional pam_systemd.so class={class}\n\
         session optional pam_berth.so"
    );
    host.write(&format!("/etc/pam.d/test-{class}"), &stack)?;
    let options = format!("-p PAMName=test-{class} -p User=alice");
    Ok(in_service(&options, PROBE))
}

fn every_way(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    let alice = host.login("alice")?;
    let ssh = probe(&alice)?;
    ssh.is_delegated("alice", 1000)?;
    assert_eq!(ssh.get("class"), "user");

    // Typed ahead it would be thrown away by login(1) of Debian 13.
    let once = format!("[ ! -e ~/once ] || {{ rm ~/once; {PROBE}; exit; }}; . ~/.profile");
    host.write("/home/alice/.bash_profile", &once)?;
    let console = "install -o alice /dev/null /home/alice/once; ".to_owned()
        + &in_service("", &format!("{CONSOLE} login -f alice"));
    // What `machinectl shell alice@.host` and `run0 -u alice` have PID 1 do.
    let shell = in_service("-p PAMName=login -p User=alice", PROBE);
    let su = in_service("", &format!("su -l alice -c {PROBE}"));
    let sudo = in_service("", &format!("sudo -i -u alice {PROBE}"));
    for (way, command) in [
        ("login", &console),
        ("su -l", &su),
        ("sudo -i", &sudo),
        ("a shell", &shell),
    ] {
        let opened = opened_by(host, command)?;
        opened
            .is_delegated("alice", 1000)
            .map_err(|error| error.context(way))?;
        assert_ne!(opened.get("id"), ssh.get("id"), "{way}");
    }

    // Nobody is drawn into a session by su or sudo inside another's.
    let bob = host.login("bob")?;
    let before = probe(&bob)?;
    host.write("/etc/sudoers.d/bob", "bob ALL=(ALL) NOPASSWD: ALL")?;
    for inner in [
        "sudo -n -u alice",
        "sudo -n -i -u alice",
        "sudo -n su -l alice -c",
        "sudo -n runuser -l alice -c",
    ] {
        let inside = Session::parse(&bob.run(&format!("{inner} {PROBE}"))?.text())?;
        assert_eq!(inside.get("user"), "alice");
        assert_eq!(inside.get("cgroup"), before.get("cgroup"), "{inner}");
        assert_eq!(inside.get("owners"), "bob bob bob bob", "{inner}");
    }
    probe(&bob)?.is_delegated("bob", 1001)?;

    for class in ["user", "background"] {
        let opened = opened_by(host, &display_manager(host, class)?)?;
        assert_eq!(opened.get("class"), class);
        opened.is_delegated("alice", 1000)?;
    }
    for class in ["greeter", "lock-screen"] {
        let opened = opened_by(host, &display_manager(host, class)?)?;
        assert_eq!(opened.get("class"), class);
        assert!(opened.base().contains("/session-"), "{opened:#?}");
        opened.is_untouched()?;
    }
    // A class that logind does not know on one version and has no scope for on another.
    let manager = opened_by(host, &display_manager(host, "manager")?)?;
    manager.is_untouched()?;

    // The user's service manager, whose PAM service is of class manager too, sits where it sat.
    let of_manager = host.root("systemctl show -P ControlGroup user@1000.service")?;
    assert_eq!(
        of_manager.ok()?,
        "/user.slice/user-1000.slice/user@1000.service\n"
    );
    probe(&alice)?.is_delegated("alice", 1000)?;
    Ok(())
}

#[test]
fn every_way_to_log_in_is_delegated_on_debian_12() -> Result {
    every_way(Image::Berth)
}

#[test]
fn every_way_to_log_in_is_delegated_on_debian_13() -> Result {
    every_way(Image::Trixie)
}

/// Sessions whose stack lacks the module, however they were opened, are handed over by berthd when
/// their user asks.
fn mended(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    let stack = "/etc/pam.d/common-session";
    host.root(&format!("sed -i.berth /pam_berth/d {stack}"))?
        .ok()?;
    let both = format!("{PROBE}; {ASK} repair && {PROBE}");
    host.write(
        "/usr/local/bin/ask-and-probe",
        &format!("#!/bin/sh\n{both}"),
    )?;
    host.root("chmod 755 /usr/local/bin/ask-and-probe")?.ok()?;
    let once = "[ ! -e ~/once ] || { rm ~/once; ask-and-probe; exit; }; . ~/.profile";
    host.write("/home/alice/.bash_profile", once)?;
    let console = "install -o alice /dev/null /home/alice/once; ".to_owned()
        + &in_service("", &format!("{CONSOLE} login -f alice"));
    let shell = in_service("-p PAMName=login -p User=alice", "ask-and-probe");
    // Debian's stack of runuser -l has pam_systemd and nothing of ours.
    let runuser = in_service("", "runuser -l alice -c ask-and-probe");
    let runuser = host.root(&runuser)?.text();
    let ssh = host.login("alice")?.run("ask-and-probe")?.text();
    let console = host.root(&console)?.text();
    let shell = host.root(&shell)?.text();
    host.root(&format!("mv {stack}.berth {stack}"))?.ok()?;
    for (way, said) in [
        ("ssh", ssh),
        ("login", console),
        ("a shell", shell),
        ("runuser -l", runuser),
    ] {
        let (before, after) = said
            .split_once("delegated")
            .with_context(|| format!("{way}: {said}"))?;
        let context = |error: anyhow::Error| error.context(format!("{way}: {said}"));
        Session::parse(before)?.is_untouched().map_err(context)?;
        let after = Session::parse(after)?;
        after.is_delegated("alice", 1000).map_err(context)?;
    }
    Ok(())
}

#[test]
fn sessions_without_our_module_are_handed_over_on_debian_12() -> Result {
    mended(Image::Berth)
}

#[test]
fn sessions_without_our_module_are_handed_over_on_debian_13() -> Result {
    mended(Image::Trixie)
}

/// The session's and the lasting cgroup of bob's, both usable.
fn both(host: &Host, bob: &Login) -> Result<[Session; 2]> {
    let lasting = "/sys/fs/cgroup/user.slice/user-1001.slice/berth-user@1001.service";
    host.wait_until("systemctl is-active berth-user@1001.service", SOON)?;
    let session = probe(bob)?;
    session.is_delegated("bob", 1001)?;
    let lasting = Session::parse(&bob.run(&format!("{PROBE} {lasting}"))?.text())?;
    lasting.is_usable("bob")?;
    Ok([session, lasting])
}

fn stays(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    let bob = host.login("bob")?;
    let first = both(host, &bob)?;
    let scope = format!("session-{}.scope", first[0].get("id"));
    // What runs in a group of his keeps its limit through all of this.
    let group = format!("{}/work", first[0].base());
    bob.run(&format!(
        "mkdir {group} && echo 32M > {group}/memory.max && \
         {{ sleep 600 & }} >/dev/null 2>&1 && echo $! > {group}/cgroup.procs"
    ))?
    .ok()?;
    for change in [
        "systemctl daemon-reload".to_owned(),
        "systemctl daemon-reexec".to_owned(),
        format!(
            "systemctl set-property --runtime {scope} MemoryHigh=500M TasksMax=2000 CPUWeight=70"
        ),
        "systemctl set-property user-1001.slice CPUWeight=50 TasksMax=3000 MemoryMax=900M"
            .to_owned(),
        "systemctl set-property --runtime berth-user@1001.service MemoryHigh=500M CPUWeight=30"
            .to_owned(),
        "systemctl daemon-reload && systemctl daemon-reexec".to_owned(),
        "systemctl restart systemd-logind".to_owned(),
    ] {
        host.root(&change)?.ok()?;
        let now = both(host, &bob).map_err(|error| error.context(change.clone()))?;
        for (before, now) in first.iter().zip(&now) {
            assert_eq!(now.base(), before.base(), "{change}");
            assert_eq!(now.get("cgroup"), before.get("cgroup"), "{change}");
        }
        let limit = bob.run(&format!(
            "cat {group}/memory.max; grep -c . {group}/cgroup.procs"
        ))?;
        assert_eq!(limit.ok()?, "33554432\n1\n", "{change}");
        let slice = "/sys/fs/cgroup/user.slice/user-1001.slice";
        let given = host.root(&format!("find {slice} -maxdepth 1 -user bob -type f"))?;
        assert_eq!(given.ok()?, format!("{slice}/cgroup.procs\n"), "{change}");
    }
    bob.run(&format!("kill $(cat {group}/cgroup.procs)"))?
        .ok()?;

    // Several at once, and the end of one.
    let others = [host.login("bob")?, host.login("bob")?];
    for login in &others {
        both(host, login)?;
    }
    let [second, third] = others;
    let gone = probe(&second)?.base().to_owned();
    assert_ne!(gone, first[0].base());
    second.logout()?;
    host.wait_until(&format!("! test -e {gone}"), SOON)?;
    both(host, &third)?;
    third.logout()?;
    assert_eq!(both(host, &bob)?[0].base(), first[0].base());

    // Logged out for good, with and without linger, and back.
    for linger in ["enable-linger", "disable-linger"] {
        host.root(&format!("loginctl {linger} bob"))?.ok()?;
        let bob = host.login("bob")?;
        let id = both(host, &bob)?[1].base().to_owned();
        bob.logout()?;
        host.root(&format!("test -e {id}"))?.ok()?;
    }
    let last = probe(&bob)?.base().to_owned();
    bob.logout()?;
    host.wait_until(&format!("! test -e {last}"), SOON)?;
    host.wait_until("! test -e /sys/fs/cgroup/user.slice/user-1001.slice", SOON)?;
    let bob = host.login("bob")?;
    both(host, &bob)?;
    bob.logout()?;
    host.root("systemctl revert user-1001.slice")?.ok()?;
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");
    Ok(())
}

#[test]
fn delegation_outlives_what_administrators_do_on_debian_12() -> Result {
    stays(Image::Berth)
}

#[test]
fn delegation_outlives_what_administrators_do_on_debian_13() -> Result {
    stays(Image::Trixie)
}

/// `io` in the children of carol's session and of her lasting cgroup, at a fresh login.
fn io(host: &Host) -> Result<[bool; 2]> {
    // The slice is made anew, and with it what it hands on.
    host.wait_until("! test -e /sys/fs/cgroup/user.slice/user-1002.slice", SOON)?;
    let carol = host.login("carol")?;
    host.wait_until("systemctl is-active berth-user@1002.service", SOON)?;
    let session = probe(&carol)?;
    session.is_delegated("carol", 1002)?;
    let lasting = "/sys/fs/cgroup/user.slice/user-1002.slice/berth-user@1002.service";
    let lasting = Session::parse(&carol.run(&format!("{PROBE} {lasting}"))?.text())?;
    carol.logout()?;
    Ok([session.has("io"), lasting.has("io")])
}

fn drop_ins(image: Image) -> Result {
    let (host, _turn) = host(image)?;
    let drop_in = |unit: &str, section: &str, controllers: &str| -> Result {
        let dir = format!("/etc/systemd/system/{unit}.d");
        host.root(&format!("mkdir -p {dir}"))?.ok()?;
        let text = format!("[{section}]\nDelegate=\nDelegate={controllers}");
        host.write(&format!("{dir}/60-controllers.conf"), &text)?;
        host.root("systemctl daemon-reload")?.ok()?;
        Ok(())
    };
    // The lasting cgroup has io, unless the administrator takes it away.
    assert!(io(host)?[1]);
    drop_in("berth-user@1002.service", "Service", "cpu memory pids")?;
    assert_eq!(io(host)?, [false, false]);
    // What one of them is given reaches the other too, its neighbour in the user's slice.
    drop_in("session-.scope", "Scope", "cpu io memory pids")?;
    assert_eq!(io(host)?, [true, true]);
    host.root("rm -r /etc/systemd/system/session-.scope.d /etc/systemd/system/berth-user@1002.service.d && systemctl daemon-reload")?
        .ok()?;
    assert!(io(host)?[1]);
    Ok(())
}

#[test]
fn controllers_are_the_administrators_choice_on_debian_12() -> Result {
    drop_ins(Image::Berth)
}

#[test]
fn controllers_are_the_administrators_choice_on_debian_13() -> Result {
    drop_ins(Image::Trixie)
}
