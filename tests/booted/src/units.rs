//! Berth's units, as the host's systemd judges them.

use berth_test_harness::{Host, Result};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

/// Nothing in them is wrong or unknown, and those that stay as root are shut in.
pub fn are_sound(host: &Host) -> Result {
    let verify = "systemd-analyze verify --man=no berth-autostart.service berth@web.service \
        berth-net.service berthd.service berth-nics.service berth-nics.path \
        berth-user@1000.service berth-session-helper@1000.service \
        berth-session-helper@1000.socket 2>&1 | grep -i berth";
    assert_eq!(host.root_for(verify, LIMIT)?.stdout, "");
    let alice = host.login("alice")?;
    let verify = "systemd-analyze --user verify --man=no berth@web.service \
        2>&1 | grep -i berth";
    assert_eq!(alice.run_for(verify, LIMIT)?.stdout, "");
    alice.logout()?;
    // 3.0 of 10 at most.
    let judge =
        "systemd-analyze security --no-pager --threshold=30 berthd.service berth-net.service";
    host.root_for(judge, LIMIT)?.ok()?;
    Ok(())
}
