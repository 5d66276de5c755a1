//! LXC's own tools in alice's hands.

use berth_test_harness::{Host, Result};

/// What her containers have in common: no NIC, ids of hers, and limits of 48 MiB and 30 processes.
const CONFIGURATION: &str = "lxc.include = /etc/lxc/default.conf\nlxc.net.0.type = empty\n\
    lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n\
    lxc.apparmor.profile = unconfined\n\
    lxc.cgroup2.memory.max = 48M\nlxc.cgroup2.pids.max = 30";

/// Writes her default configuration, once. The root of a container has to reach its files.
pub fn prepare(host: &Host) -> Result<()> {
    host.write("/home/alice/.config-lxc", CONFIGURATION)?;
    host.root(
        "cd /home/alice && install -d -o alice -g alice -m 711 .config .config/lxc .local \
         .local/share && mv .config-lxc .config/lxc/default.conf && chmod 711 .",
    )?
    .ok()?;
    Ok(())
}
