//! What the caller left behind in this process is put in order before anything is read.

use crate::Refusal;
use berth_common::Uid;
use berth_kernel::cred::{self, CapabilitySet};
use berth_kernel::limits;
use std::io;

/// Puts in order what a hostile caller can set: signals and timers, limits, scheduling, umask,
/// working directory, descriptors, environment. Then takes root's uids in all three places, since
/// a process that shares the caller's real uid may be signalled by him, and keeps of root's
/// capabilities only what the request needs: CAP_NET_ADMIN, and CAP_SYS_PTRACE for looking at
/// namespaces of processes (proc(5)).
pub fn neutralise() -> Result<(), Refusal> {
    let act = || -> io::Result<()> {
        limits::block_signals()?;
        limits::close_inherited(3)?;
        limits::set_umask(0o077);
        cred::set_all_uids(Uid::ROOT)?;
        limits::lift_resource_limits()?;
        limits::schedule_normally()?;
        std::env::set_current_dir("/")?;
        limits::clear_environment()?;
        let needed = CapabilitySet::of(
            ["net_admin", "sys_ptrace"]
                .into_iter()
                .filter_map(cred::capability_number),
        );
        cred::set_capabilities(needed, needed, CapabilitySet::EMPTY)?;
        cred::set_no_new_privs()
    };
    act().map_err(|source| Refusal::System {
        operation: "prepare the process".to_owned(),
        source,
    })
}
