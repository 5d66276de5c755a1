//! What the caller left behind in this process is put in order before anything is read.

use crate::caller::{self, Rights};
use crate::{Refusal, confine};
use berth_common::Uid;
use berth_kernel::cred::{self, CapabilitySet};
use berth_kernel::limits;
use std::io;

/// Puts in order what a hostile caller can set: signals and timers, limits, scheduling, umask,
/// working directory, descriptors, environment. Then takes root's uids in all three places, since
/// a process that shares the caller's real uid may be signalled by him, keeps of root's
/// capabilities only what the request needs, and gives up system calls that no request needs.
pub fn neutralise(rights: Rights) -> Result<(), Refusal> {
    let act = || -> io::Result<()> {
        limits::block_signals()?;
        limits::close_inherited(3)?;
        limits::set_umask(0o077);
        if rights == Rights::Root {
            cred::set_all_uids(Uid::ROOT)?;
        }
        limits::lift_resource_limits()?;
        limits::schedule_normally()?;
        std::env::set_current_dir("/")?;
        limits::clear_environment()?;
        let mut needed = caller::NEEDED.to_vec();
        if rights == Rights::Capabilities {
            needed.push("dac_override");
        }
        let needed = caller::capabilities(&needed);
        cred::set_capabilities(needed, needed, CapabilitySet::EMPTY)?;
        cred::set_no_new_privs()?;
        confine::for_look_ups()
    };
    act().map_err(|source| Refusal::System {
        operation: "prepare the process".to_owned(),
        source,
    })
}
