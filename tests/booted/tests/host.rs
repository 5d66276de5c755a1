//! The test host itself: what every other booted test relies on.

use berth_test_harness::{Host, Image, Result};
use std::time::Duration;

#[test]
fn logins_reboots_and_power_cuts() -> Result {
    let host = Host::boot(Image::Stock)?;
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");

    let alice = host.login("alice")?;
    let bob = host.login("bob")?;
    let session = alice.run("cat /proc/self/cgroup")?.ok()?;
    assert!(
        session.starts_with("0::/user.slice/user-1000.slice/session-"),
        "{session}"
    );
    assert_eq!(
        alice.run("cat /proc/self/cgroup")?.ok()?,
        session,
        "one login is one session"
    );
    assert_ne!(
        host.login("alice")?.run("cat /proc/self/cgroup")?.ok()?,
        session
    );
    assert_eq!(
        bob.run("id -un; stat -c %a ~; exit 7")?.exits(7)?,
        "bob\n700\n"
    );
    let root = host.root("cat /proc/self/cgroup")?.ok()?;
    assert_eq!(
        root, "0::/system.slice/test-root.service\n",
        "root's commands are no login"
    );
    alice.logout()?;
    host.wait_until(
        "! loginctl --no-legend | grep alice",
        Duration::from_secs(20),
    )?;

    let boot = "cat /proc/sys/kernel/random/boot_id";
    let first = host.root(boot)?.ok()?;
    host.root("echo one > /root/file")?.ok()?;
    host.reboot()?;
    assert_ne!(host.root(boot)?.ok()?, first);
    assert_eq!(host.root("cat /root/file")?.ok()?, "one\n");

    host.root("echo two > /root/file; sync /root/file; echo three > /root/file")?
        .ok()?;
    host.power_cut()?;
    assert!(host.root("true").is_err());
    host.boot_again()?;
    let file = host.root("cat /root/file")?.ok()?;
    assert!(
        ["two\n", ""].contains(&&*file),
        "what was not synced is lost: {file}"
    );
    host.poweroff()
}

#[test]
fn a_terminal_with_job_control_and_a_size() -> Result {
    let host = Host::boot(Image::Stock)?;
    let limit = Duration::from_secs(20);
    let alice = host.login("alice")?;
    let mut shell = alice.pty("")?;
    shell.expect("$ ", limit)?;
    shell.send("stty size\n")?;
    shell.expect("24 80", limit)?;
    shell.resize(101, 31)?;
    shell.send("sleep 0.2; stty size\n")?;
    shell.expect("31 101", limit)?;
    shell.send("sleep 1000\n")?;
    shell.expect("sleep 1000", limit)?;
    std::thread::sleep(Duration::from_millis(300));
    shell.send("\x1a")?;
    shell.expect("Stopped", limit)?;
    shell.send("kill %1; exit 5\n")?;
    assert_eq!(shell.finish(limit)?.code, 5);
    Ok(())
}
