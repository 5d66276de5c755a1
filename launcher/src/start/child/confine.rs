//! What confines init and every command alike.

use berth_container_config::Personality;
use berth_kernel::{cred, process};

use super::super::label::Requests;
use super::super::plan::StartPlan;
use super::beneath::{Failure, because};

/// Takes away what nobody in the container may have; the same for init and for commands.
pub fn confine(plan: &StartPlan, mut requests: Requests) -> Result<(), Failure> {
    let confinement = &plan.confinement;
    requests.for_keyrings(&confinement.labels)?;
    if confinement.session_keyring {
        process::leave_session_keyring().map_err(because("make a session keyring"))?;
    }
    requests.for_exec(&confinement.labels)?;
    cred::drop_from_bounding_set(confinement.dropped_capabilities)
        .map_err(because("drop capabilities"))?;
    if plan.personality == Some(Personality::Linux32) {
        process::set_personality_32_bit().map_err(because("set the architecture"))?;
    }
    if confinement.no_new_privs {
        cred::set_no_new_privs().map_err(because("set no_new_privs"))?;
    }
    Ok(())
}
