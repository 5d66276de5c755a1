//! Profiles of AppArmor, on a kernel that has it.

use berth_test_harness::{Host, Image, Result};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const PROFILES: &str = "cat /sys/kernel/security/apparmor/profiles";

#[test]
fn init_and_commands_are_under_the_profile_that_is_named_or_generated() -> Result {
    let host = Host::boot(Image::Berth)?;
    host.root("berth grant alice --nics 5")?.ok()?;

    // Root's is made for the container, with a rule of its own, and gone afterwards.
    let config = "/var/lib/lxc/web/config";
    host.root(&format!(
        "berth create web && cp {config} /root/good && printf 'lxc.net =\\n\
         lxc.apparmor.profile = generated\\nlxc.apparmor.allow_nesting = 0\\n\
         lxc.apparmor.raw = deny /srv/secret rw,\\n' >> {config} && berth start web"
    ))?
    .ok()?;
    let label = "lxc-web_</var/lib/lxc> (enforce)\n";
    for process in ["self", "1"] {
        let asked = format!("berth exec web -- cat /proc/{process}/attr/current");
        assert_eq!(host.root(&asked)?.ok()?, label, "{process}");
    }
    host.root("berth exec web -- sh -c 'mkdir -p /srv; echo x > /srv/open'")?
        .ok()?;
    host.root("berth exec web -- sh -c 'echo x > /srv/secret'")?
        .fails(1)?;
    host.root("berth exec web -- sh -c 'mount -t proc proc /mnt'")?
        .fails(255)?;
    host.root("berth stop -k web")?.ok()?;
    let left = host.root(PROFILES)?.ok()?;
    assert!(!left.contains("lxc-web"), "{left}");

    // Also when nobody was there to remove it, and when it is destroyed then.
    host.root(
        "berth create gone && printf 'lxc.net =\\nlxc.apparmor.profile = generated\\n' \
         >> /var/lib/lxc/gone/config && berth start gone",
    )?
    .ok()?;
    host.root("kill -9 $(berth info gone | sed -n 's/^Monitor[: ]*//p')")?
        .ok()?;
    host.wait_until("berth info gone | grep -q aborted", LIMIT)?;
    assert!(host.root(PROFILES)?.ok()?.contains("lxc-gone"));
    host.root("berth destroy --force gone")?.ok()?;
    let left = host.root(PROFILES)?.ok()?;
    assert!(!left.contains("lxc-gone"), "{left}");

    // A rule that is none is refused before anything is made.
    host.root(&format!(
        "echo 'lxc.apparmor.raw = frobnicate the mounts,' >> {config}"
    ))?
    .ok()?;
    let refused = host.root("berth start web")?;
    assert_eq!(refused.code, 1, "{}", refused.text());
    assert!(
        refused.stderr.contains("cannot be loaded"),
        "{}",
        refused.text()
    );

    // A user's is one that root has loaded.
    host.root(
        "apparmor_parser -r <<'E'\n\
         profile berth-test flags=(attach_disconnected,mediate_deleted) {\n\
         file, network, capability, mount, umount, pivot_root, signal, ptrace, unix, dbus,\n\
         deny /etc/forbidden w,\n}\nE",
    )?
    .ok()?;
    let alice = host.login("alice")?;
    let config = "~/.local/share/lxc/web/config";
    alice
        .run(&format!(
            "berth create web && cp {config} ~/good && \
             echo 'lxc.apparmor.profile = berth-test' >> {config} && berth start web"
        ))?
        .ok()?;
    for process in ["self", "1"] {
        let asked = format!("berth exec web -- cat /proc/{process}/attr/current");
        assert_eq!(alice.run(&asked)?.ok()?, "berth-test (enforce)\n");
    }
    alice
        .run("berth exec web -- sh -c 'echo x > /etc/forbidden'")?
        .fails(1)?;
    alice.run("berth stop -k web")?.ok()?;
    for (profile, says) in [
        ("no-such-profile", "the kernel has no profile of this name"),
        ("generated", "the kernel has no profile of this name"),
        (
            "generated\\nlxc.apparmor.raw = deny /x w,",
            "root alone may load one",
        ),
    ] {
        let refused = alice.run(&format!(
            "cp ~/good {config}; printf 'lxc.apparmor.profile = {profile}\\n' >> {config}; \
             berth start web"
        ))?;
        assert_eq!(refused.code, 1, "{}", refused.text());
        assert!(
            refused.stderr.contains(says),
            "{profile}: {}",
            refused.text()
        );
    }
    Ok(())
}
