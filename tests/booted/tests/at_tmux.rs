//! Containers started by at jobs and from tmux.

use berth_test_harness::{Host, Image, Result};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(90);
const BASE: &str = "/sys/fs/cgroup/user.slice/user-1000.slice/berth-user@1000.service";

#[test]
fn at_jobs_and_tmux_start_containers_with_their_limits() -> Result {
    let host = Host::boot(Image::Tools)?;
    host.write(
        "/etc/berth/berthd.toml",
        "start-without-session = [\"alice\"]",
    )?;
    let as_alice = "setpriv --reuid alice --regid alice --init-groups env -i HOME=/home/alice \
                    USER=alice LOGNAME=alice SHELL=/bin/sh PATH=/usr/bin:/bin";
    for name in ["web", "db"] {
        let make = format!(
            "cd / && {as_alice} berth create {name} -t busybox && \
             cat >> /home/alice/.local/share/lxc/{name}/config"
        );
        host.root_with_input(&make, "lxc.cgroup2.pids.max = 99\n")?
            .ok()?;
    }
    let limit_holds = |name: &str| -> Result {
        let payload = format!("{BASE}/{name}/payload");
        let populated = format!("grep -q 'populated 1' {payload}/cgroup.events");
        host.wait_until(&populated, LIMIT)?;
        assert_eq!(host.root(&format!("cat {payload}/pids.max"))?.ok()?, "99\n");
        Ok(())
    };
    // She is not logged in, and at runs its jobs in its own service.
    host.root("systemctl start atd")?.ok()?;
    host.root_with_input(
        &format!("cd / && {as_alice} at now"),
        "berth start web >$HOME/at.log 2>&1\n",
    )?
    .ok()?;
    limit_holds("web")?;

    let alice = host.login("alice")?;
    alice
        .run_for(
            "tmux new-session -d 'berth start db >$HOME/tmux.log 2>&1; sleep 1000'",
            LIMIT,
        )?
        .ok()?;
    limit_holds("db")?;
    let listed = alice.run_for("berth ls", LIMIT)?.ok()?;
    assert_eq!(listed.matches("running").count(), 2, "{listed}");
    assert_eq!(host.root("systemctl --failed --no-legend")?.ok()?, "");
    Ok(())
}
