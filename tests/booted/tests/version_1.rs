//! Logins on booted hosts with cgroup v1, as systemd mounts it and as cgroupfs-mount does.

use berth_test_harness::{Cgroups, Host, HostOptions, Image, Result};
use std::time::Duration;

fn boot(image: Image, controllers: &[&str]) -> Result<Host> {
    let options = HostOptions {
        cgroups: Cgroups::V1,
        ..HostOptions::default()
    };
    let host = Host::boot_with(image, options)?;
    let line = format!(
        "sed -i 's/pam_berth.so.*/pam_berth.so deadline=10000 -c {}/' /etc/pam.d/common-session && \
         grep 'pam_berth.so deadline' /etc/pam.d/common-session",
        controllers.join(",")
    );
    host.root(&line)?.ok()?;
    Ok(host)
}

/// `berth doctor cgroups` names the layout, what is the session's own there, and what mends it.
fn doctor(host: &Host, controllers: &[&str], init: &str, remedy: &str) -> Result {
    let alice = host.login("alice")?;
    let said = alice.run("berth doctor cgroups")?;
    assert_eq!(said.code, 1, "{said}");
    for part in ["cgroup v1", init, remedy, "version 1 that are yours:"] {
        assert!(said.stdout.contains(part), "no “{part}” in {said}");
    }
    for controller in controllers {
        assert!(said.stdout.contains(controller), "{controller}: {said}");
    }
    alice.logout()?;
    Ok(())
}

/// A login has places of its own, where it can make limited cgroups and go into them; nothing of
/// what is root's is its user's, and after the last logout nothing is left.
fn places(host: &Host, controllers: &[&str]) -> Result {
    let (first, second) = (host.login("alice")?, host.login("alice")?);
    let bob = host.login("bob")?;
    for controller in controllers {
        let find = format!("sed -n 's/^[0-9]*:{controller}://p' /proc/self/cgroup");
        let place = first.run(&find)?.ok()?;
        assert!(place.ends_with("/user/alice/0\n"), "{controller}: {place}");
        assert_eq!(second.run(&find)?.ok()?, place, "{controller}");
        let dir = format!("/sys/fs/cgroup/{controller}{}", place.trim());
        let owners = "stat -c '%U %a' . cgroup.procs notify_on_release";
        assert_eq!(
            first.run(&format!("cd {dir} && {owners}"))?.ok()?,
            "alice 755\nalice 644\nroot 644\n",
            "{controller}"
        );
        let enter = format!(
            "mkdir {dir}/work && sh -c 'echo $$ >{dir}/work/cgroup.procs && {find}' && \
             rmdir {dir}/work"
        );
        assert_eq!(
            first.run(&enter)?.ok()?,
            format!("{}/work\n", place.trim()),
            "{controller}"
        );
        let of_bob = bob.run(&find)?.ok()?;
        assert!(of_bob.ends_with("/user/bob/0\n"), "{controller}: {of_bob}");
        bob.run(&format!("echo $$ >{dir}/cgroup.procs"))?.fails(1)?;
    }
    let limit = "d=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)/work; \
        mkdir $d && echo 48M >$d/memory.limit_in_bytes && cat $d/memory.limit_in_bytes; rmdir $d";
    if controllers.contains(&"memory") {
        assert_eq!(second.run(limit)?.ok()?, "50331648\n");
    }
    first.logout()?;
    second
        .run("test -w /sys/fs/cgroup/freezer/$(sed -n 's/^[0-9]*:freezer://p' /proc/self/cgroup)")?
        .ok()?;
    second.logout()?;
    bob.logout()?;
    // sshd closes a session while its own process of the user is about to end; whoever leaves next
    // clears up, if nobody can be about to use it.
    host.root("cd /sys/fs/cgroup && touch -cd '2 minutes ago' */user/alice/0 */user/alice 2>/dev/null; true")?
        .ok()?;
    host.login("bob")?.logout()?;
    host.wait_until(
        "! find /sys/fs/cgroup/*/ -type d -path '*/user/alice/*' 2>/dev/null | grep .",
        Duration::from_secs(60),
    )?;
    Ok(())
}

/// systemd has memory and pids of sessions in units of its own, which are not delegated in version 1.
#[test]
fn sessions_have_their_places_on_systemd() -> Result {
    let controllers = ["freezer"];
    let host = boot(Image::Berth, &controllers)?;
    let remedy = "systemd.unified_cgroup_hierarchy=1";
    doctor(&host, &controllers, "process 1 is systemd 252", remedy)?;
    places(&host, &controllers)
}

#[test]
fn sessions_have_their_places_without_systemd() -> Result {
    let controllers = ["freezer", "memory", "pids"];
    let host = boot(Image::Sysvinit, &controllers)?;
    doctor(&host, &controllers, "process 1 is init", "mount -t cgroup2")?;
    places(&host, &controllers)
}
