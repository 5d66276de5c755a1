//! A container whose root is the attacker, and an owner who uses it all the same.

use std::time::{Duration, Instant};

use berth_test_harness::{Host, Image, Result};

/// Says whether the working directory's file system is the container's.
const WHERE: &str =
    "cd ../../../../../../../..; test -e ./inside && echo contained || echo escaped";

#[test]
fn a_container_leads_nobody_to_the_host() -> Result {
    let host = Host::boot(Image::Berth)?;
    host.root("berth grant alice --nics 5")?.ok()?;
    let alice = host.login("alice")?;
    alice
        .run("berth create web && berth start web && berth exec web -- touch /inside")?
        .ok()?;

    // Links to whatever its owner's programs may have open (CVE-2024-21626), as home, as working
    // directory, as init's.
    for number in 3..=16 {
        let link = format!("/proc/self/fd/{number}");
        alice
            .run(&format!(
                "berth exec web -- sh -c \"sed -i 's#^root:.*#root:x:0:0::{link}:/bin/sh#' /etc/passwd; \
                 ln -sfn {link} /srv/app\""
            ))?
            .ok()?;
        let home = alice.run(&format!("echo '{WHERE}' | berth attach web"))?;
        assert!(
            !home.stdout.contains("escaped"),
            "{number}: {}",
            home.text()
        );
        let cwd = alice.run(&format!("berth exec -w /srv/app web -- sh -c '{WHERE}'"))?;
        assert!(!cwd.stdout.contains("escaped"), "{number}: {}", cwd.text());
    }
    let refused = alice.run("berth exec web -- true < /tmp")?;
    assert_eq!(refused.code, 125, "{}", refused.text());
    alice.run("berth stop -k web")?.ok()?;
    let init = "~/.local/share/lxc/web/rootfs/inside-init";
    host.root(&format!(
        "install -m 755 /dev/stdin /home/alice/.local/share/lxc/web/rootfs/inside-init <<'E'\n\
         #!/bin/sh\n({WHERE}) > /result\nexec sleep 1000\nE\n\
         chown 100000:100000 /home/alice/.local/share/lxc/web/rootfs/inside-init"
    ))?
    .ok()?;
    let config = "~/.local/share/lxc/web/config";
    alice.run(&format!("cp {config} ~/good; ls -l {init} >/dev/null"))?;
    for number in 3..=16 {
        alice
            .run(&format!(
                "cp ~/good {config}; printf 'lxc.init.cmd = /inside-init\\nlxc.init.cwd = \
                 /proc/self/fd/{number}\\n' >> {config}"
            ))?
            .ok()?;
        if alice.run("berth start web")?.success() {
            let result =
                alice.run("sleep 0.3; berth exec web -- cat /result; berth stop -k web")?;
            assert!(
                !result.stdout.contains("escaped"),
                "{number}: {}",
                result.text()
            );
        }
    }

    // A source inside is the container's to misguide, so it is looked up inside.
    alice
        .run(&format!(
            "cp ~/good {config}; mkdir -p ~/private; echo secret > ~/private/file; \
             echo 'lxc.mount.entry = mnt/a mnt/b none bind,relative,optional,create=dir 0 0' >> {config}; \
             berth start web; berth exec web -- sh -c 'rmdir /mnt/a; ln -sfn /home/alice/private /mnt/a'; \
             berth stop -k web; berth start web"
        ))?
        .ok()?;
    alice.run("berth exec web -- cat /mnt/b/file")?.fails(1)?;
    alice
        .run(&format!("berth stop -k web; cp ~/good {config}"))?
        .ok()?;
    Ok(())
}

#[test]
fn a_container_holds_nobody_up() -> Result {
    let host = Host::boot(Image::Berth)?;
    host.root("berth grant alice --nics 5")?.ok()?;
    let alice = host.login("alice")?;
    alice
        .run("berth create web && cp ~/.local/share/lxc/web/config ~/good")?
        .ok()?;

    // An init that leaves its console, reads no signal and never ends.
    host.root(
        "install -m 755 /dev/stdin /home/alice/.local/share/lxc/web/rootfs/deaf <<'E'\n\
         #!/bin/sh\ntrap '' USR1 PWR TERM INT\nexec < /dev/null > /dev/null 2>&1\nwhile :; do sleep 1000; done\nE",
    )?
    .ok()?;
    alice
        .run("echo 'lxc.init.cmd = /deaf' >> ~/.local/share/lxc/web/config; berth start web")?
        .ok()?;
    let ticks = "awk '{print $14 + $15}' /proc/$(berth info web --json | grep '\"monitor\"' | tr -dc 0-9)/stat";
    let before: u64 = alice.run(ticks)?.ok()?.trim().parse()?;
    std::thread::sleep(Duration::from_secs(4));
    let after: u64 = alice.run(ticks)?.ok()?.trim().parse()?;
    assert!(
        after - before < 40,
        "the monitor used {} ticks in 4 s",
        after - before
    );

    // Killing does not wait for somebody who asks politely.
    alice
        .run("berth stop web --timeout 100 > /dev/null 2>&1 & sleep 2")?
        .ok()?;
    let begun = Instant::now();
    alice.run("berth stop --kill web")?.ok()?;
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    alice.run("berth ls | grep -E '^web +stopped'")?.ok()?;

    // Nobody waits for the starter's descriptors.
    alice.run("cp ~/good ~/.local/share/lxc/web/config; x=$(berth start --here web 9>&1); test -z \"$x\"")?.ok()?;

    // A frozen container cannot hold a caller: he is refused, or ends at his signal.
    let freeze = "for d in /sys/fs/cgroup/user.slice/user-1000.slice/session-*.scope/web/payload; do \
                  echo $0 > $d/cgroup.freeze; done";
    alice.run(&format!("sh -c '{freeze}' 1"))?.ok()?;
    let held = alice
        .run("timeout -s TERM 2 berth exec web -- true; echo code=$?")?
        .ok()?;
    assert!(
        ["124", "125", "143"]
            .iter()
            .any(|code| held.contains(&format!("code={code}"))),
        "{held}"
    );
    alice.run(&format!("sh -c '{freeze}' 0"))?.ok()?;
    let thawed = "for n in $(seq 20); do berth exec web -- true && exit; sleep 0.2; done; exit 1";
    alice.run(thawed)?.ok()?;

    // From a sandbox nobody reaches the container's monitor.
    alice
        .run("unshare -U --map-current-user berth exec web -- true")?
        .fails(125)?;
    alice.run("berth stop -k web")?.ok()?;
    Ok(())
}
