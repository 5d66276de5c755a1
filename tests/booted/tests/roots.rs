//! Root's containers with LXC's default rules for devices, wherever root calls from, and root in place
//! of a user.

use berth_test_harness::{Host, Image, Result};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

/// The cgroup that the container's init is in.
fn runs_confined(host: &Host) -> Result<String> {
    host.root_for("berth exec web -- true", LIMIT)?.ok()?;
    let cgroup = "cat /proc/$(berth info web | sed -n 's/^PID[: ]*//p')/cgroup";
    let cgroup = host.root(cgroup)?.ok()?;
    host.root_for("berth stop -k web", LIMIT)?.ok()?;
    Ok(cgroup)
}

#[test]
fn root_starts_them_from_services_and_from_sessions() -> Result {
    let host = Host::boot(Image::Berth)?;
    let include = "echo lxc.include = /usr/share/lxc/config/common.conf >> /var/lib/lxc/web/config";
    host.root_for(&format!("berth create web -t busybox && {include}"), LIMIT)?
        .ok()?;

    // As cron does: in a service that is not delegated.
    let service = "systemd-run --wait --pipe --quiet berth start web";
    host.root_for(service, LIMIT)?.ok()?;
    let cgroup = runs_confined(&host)?;
    assert!(cgroup.contains("/machine.slice/berth-root-"), "{cgroup}");

    // As sudo does: in the session of another user.
    let alice = host.login("alice")?;
    let session = alice.run("sed -n s/^0:://p /proc/self/cgroup")?.ok()?;
    let join = format!(
        "echo $$ > /sys/fs/cgroup{}/cgroup.procs && berth start web",
        session.trim()
    );
    host.root_for(&join, LIMIT)?.ok()?;
    alice.logout()?;
    let cgroup = runs_confined(&host)?;
    assert!(cgroup.contains("/machine.slice/berth-root-"), "{cgroup}");

    // In a session of its own, which is delegated, but does not last.
    let root = host.login("root")?;
    root.run_for("berth start web", LIMIT)?.ok()?;
    let cgroup = runs_confined(&host)?;
    assert!(cgroup.contains("/machine.slice/berth-root-"), "{cgroup}");
    root.run_for("berth start --here web", LIMIT)?.ok()?;
    let cgroup = runs_confined(&host)?;
    assert!(cgroup.contains("/user-0.slice/session-"), "{cgroup}");

    // Nothing is left of the scopes, and a code of exit is the command's.
    let scopes = "! systemctl list-units --all --no-legend 'berth-root-*' | grep .";
    host.wait_until(scopes, LIMIT)?;
    let missing = "systemd-run --wait --pipe --quiet berth start none";
    let output = host.root_for(missing, LIMIT)?;
    assert_eq!(output.code, 1, "{}", output.text());
    assert!(output.stderr.contains("none"), "{}", output.text());
    host.root_for("berth destroy --force web", LIMIT)?.ok()?;
    in_place_of_a_user(&host)
}

/// By the user's own launch service, into his own lasting cgroup.
fn in_place_of_a_user(host: &Host) -> Result {
    let alice = host.login("alice")?;
    let for_alice = |words: &str| {
        host.root_for(&format!("berth --user alice {words}"), LIMIT)?
            .ok()
    };
    for_alice("create hers -t busybox")?;
    for_alice("start hers")?;
    assert_eq!(for_alice("exec hers -- id -u")?, "0\n");
    let init = "cat /proc/$(berth info hers | sed -n 's/^PID[: ]*//p')/cgroup";
    let cgroup = alice.run(init)?.ok()?;
    assert!(cgroup.contains("/berth-user@1000.service/hers"), "{cgroup}");
    for_alice("stop -k hers")?;
    for_alice("destroy --force hers")?;
    alice.logout()?;
    Ok(())
}
