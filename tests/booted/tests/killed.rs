//! Any part may be killed at any time: containers live on where they can, and the next command
//! tells the truth.

use std::time::Duration;

use berth_test_harness::{Host, Image, Result};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn whatever_is_killed_the_next_command_tells_the_truth() -> Result {
    let host = Host::boot(Image::Berth)?;
    host.root("berth grant alice --nics 5")?.ok()?;
    let alice = host.login("alice")?;
    alice
        .run("berth create web && berth create other && berth start web && berth start other")?
        .ok()?;

    // The launch service: containers do not notice, the next start works.
    let main = "systemctl show -p MainPID --value";
    alice
        .run("berth stop -k other && berth start other")?
        .ok()?;
    host.root(&format!(
        "kill -9 $({main} berth-session-helper@1000.service)"
    ))?
    .ok()?;
    alice.run("berth exec web -- true")?.ok()?;
    alice
        .run("berth stop -k other && berth start other")?
        .ok()?;
    // The holder of the lasting cgroup.
    host.root(&format!("kill -9 $({main} berth-user@1000.service)"))?
        .ok()?;
    std::thread::sleep(Duration::from_secs(1));
    alice
        .run("berth exec web -- true && berth exec other -- true")?
        .ok()?;

    // A monitor: its container ends with it.
    let monitor = "berth info web --json | grep '\"monitor\"' | tr -dc 0-9";
    let init = alice
        .run("berth info web --json | grep '\"pid\"' | tr -dc 0-9")?
        .ok()?;
    alice.run(&format!("kill -9 $({monitor})"))?.ok()?;
    host.wait_until(&format!("test ! -e /proc/{init}"), SOON)?;
    let list = alice.run("berth ls")?.ok()?;
    assert!(
        list.lines()
            .any(|line| line.starts_with("web") && line.contains("aborted")),
        "{list}"
    );
    alice.run("berth exec web -- true")?.fails(125)?;
    alice.run("berth start web")?.ok()?;
    alice.run(&format!("kill -9 $({monitor})"))?.ok()?;
    let stopped = alice.run("berth stop web")?;
    assert_eq!(stopped.code, 0, "{}", stopped.text());
    assert!(stopped.stderr.contains("aborted"), "{}", stopped.text());
    alice.run("berth destroy --force web")?.ok()?;
    host.wait_until(
        "test $(ip -o link show master berthbr0 | grep -c veth1000_) = 1",
        SOON,
    )?;

    // The command itself, at many moments.
    alice.run("berth create web")?.ok()?;
    let sweep = "for t in 0.00 0.02 0.04 0.06 0.08 0.10 0.15 0.20 0.30 0.50; do \
                 timeout -s KILL $t berth start web; \
                 sleep 1; \
                 berth ls | grep -E '^web +(running|stopped|aborted)' || exit 3; \
                 berth stop -k web 2>&1; \
                 berth ls | grep -E '^web +stopped' || exit 4; \
                 done; true";
    alice.run_for(sweep, Duration::from_secs(240))?.ok()?;
    alice
        .run("berth start web && berth exec web -- true && berth stop -k web")?
        .ok()?;
    let left = host.root(
        "ls -d /sys/fs/cgroup/user.slice/user-1000.slice/berth-user@1000.service/*/ | xargs -n1 basename",
    )?
    .ok()?;
    assert_eq!(left, "init.scope\nother\n");
    Ok(())
}
