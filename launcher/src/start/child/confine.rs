//! What confines init and every command alike.

use std::os::fd::OwnedFd;

use berth_container_config::Personality;
use berth_kernel::cred::{self, CapabilitySet};
use berth_kernel::process;

use super::super::label::Requests;
use super::super::plan::StartPlan;
use super::beneath::{Failure, because};
use crate::monitor::protocol::Spared;

const CAP_SYS_ADMIN: u8 = 21; // linux/capability.h

/// Puts the process under the container's filter of system calls: the last thing before exec,
/// since what comes after needs the filter's leave. `supervise` hands on where system calls wait
/// for their supervisor, if the filter has them do that.
pub fn filter(
    plan: &StartPlan,
    supervise: impl FnOnce(OwnedFd) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let filter = &plan.confinement.filter;
    match &filter.program {
        None => Ok(()),
        Some(program) => {
            let mine = cred::capabilities().map_err(because("look at capabilities"))?;
            let with = mine.effective.with(CAP_SYS_ADMIN);
            if with != mine.effective && mine.permitted.contains(CAP_SYS_ADMIN) {
                cred::set_capabilities(with, mine.permitted, CapabilitySet::EMPTY)
                    .map_err(because("use capabilities"))?;
            }
            let failed = because("install the filter of lxc.seccomp.profile");
            if filter.supervisor.is_none() {
                return program.install().map_err(failed);
            }
            let supervised =
                program
                    .install_with_supervisor()
                    .map_err(|error| match error.raw_os_error() {
                        Some(nix::libc::EBUSY) => {
                            "lxc.seccomp.profile: notify: the start is under a \
                         filter with a supervisor itself, and the kernel lets there be one only"
                                .to_owned()
                        }
                        _ => failed(error),
                    })?;
            supervise(supervised)
        }
    }
}

/// Takes away what nobody in the container may have; the same for init and for commands but those
/// that are spared some of it.
pub fn confine(plan: &StartPlan, mut requests: Requests, spared: Spared) -> Result<(), Failure> {
    let confinement = &plan.confinement;
    if !spared.profiles {
        requests.for_keyrings(&confinement.labels)?;
    }
    if confinement.session_keyring {
        process::leave_session_keyring().map_err(because("make a session keyring"))?;
    }
    if !spared.profiles {
        requests.for_exec(&confinement.labels)?;
    }
    if !spared.capabilities {
        cred::drop_from_bounding_set(confinement.dropped_capabilities)
            .map_err(because("drop capabilities"))?;
    }
    if confinement.filter.program.is_some() && !spared.profiles {
        // Installing it is CAP_SYS_ADMIN's, which who is not to be root would lose before. Exec
        // takes it from him.
        cred::keep_capabilities().map_err(because("keep capabilities"))?;
    }
    if plan.personality == Some(Personality::Linux32) {
        process::set_personality_32_bit().map_err(because("set the architecture"))?;
    }
    if confinement.no_new_privs && !spared.profiles {
        cred::set_no_new_privs().map_err(because("set no_new_privs"))?;
    }
    Ok(())
}
