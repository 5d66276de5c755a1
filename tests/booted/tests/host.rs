//! The test host itself: what every other booted test relies on.

use berth_test_harness::{Host, Image, Result, target_dir};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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
    // The sum is not in the command's echo.
    shell.send("(echo on $((40 + 2)); sleep 1000)\n")?;
    shell.expect("on 42", limit)?;
    shell.send("\x1a")?;
    shell.expect("Stopped", limit)?;
    // Without the first, the job may still count as stopped when the shell wants to wait.
    shell.send("kill -CONT %1; kill -KILL %1; wait; exit 5\n")?;
    assert_eq!(shell.finish(limit)?.code, 5);
    Ok(())
}

/// Set for a second run of this program, which boots a host and waits to be killed.
const VICTIM: &str = "BERTH_TEST_VICTIM";

#[test]
fn a_guest_ends_with_its_test_process() -> Result {
    if std::env::var_os(VICTIM).is_some() {
        let host = Host::boot(Image::Stock)?;
        let _login = host.login("alice")?;
        std::fs::write(host.dir().join("up"), "")?;
        std::thread::sleep(Duration::from_secs(600));
        return Ok(());
    }
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["--exact", "a_guest_ends_with_its_test_process"])
        .env(VICTIM, "1")
        .stdout(Stdio::null())
        .spawn()?;
    let dir = target_dir()?.join("booted/host-a-guest-ends-with-its-test-process");
    let up = dir.join("up");
    // What an earlier run left is gone once the guest's own log is there. The victim waits for a
    // place among the guests, too, which its own limits bound.
    let begin = Instant::now();
    while !up.exists() || at_home(&dir).is_empty() {
        assert!(
            begin.elapsed() < Duration::from_secs(1700),
            "the victim did not boot"
        );
        assert!(victim.try_wait()?.is_none(), "the victim ended early");
        std::thread::sleep(Duration::from_millis(100));
    }
    victim.kill()?;
    victim.wait()?;
    let killed = Instant::now();
    while !at_home(&dir).is_empty() {
        let left = at_home(&dir);
        assert!(
            killed.elapsed() < Duration::from_secs(20),
            "still there: {left:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Processes that work in `dir`: kernel, ssh, supervisor.
fn at_home(dir: &Path) -> Vec<PathBuf> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let paths = processes.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| std::fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd == dir))
        .collect()
}
