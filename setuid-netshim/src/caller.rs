//! Who called, and which rights this process was installed with.

use berth_common::Uid;
use berth_kernel::cred::{self, CapabilitySet};
use std::os::unix::fs::MetadataExt;

/// What a request needs of root's capabilities: CAP_NET_ADMIN for the NIC, CAP_SYS_PTRACE for
/// looking at the namespaces of processes (proc(5)).
pub const NEEDED: [&str; 2] = ["net_admin", "sys_ptrace"];

/// How the process got its rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// It may become root in all three uids (setuid bit, or file capabilities with CAP_SETUID),
    /// so that the caller cannot signal it.
    Root,
    /// File capabilities with CAP_DAC_OVERRIDE for the lock instead: it keeps the caller's uid,
    /// who may therefore stop or kill it at any time.
    Capabilities,
}

/// The set of these capabilities.
pub fn capabilities(names: &[&str]) -> CapabilitySet {
    CapabilitySet::of(
        names
            .iter()
            .filter_map(|name| cred::capability_number(name)),
    )
}

/// The rights of this process, or why it has none, in words for whoever installed it.
pub fn rights() -> Result<Rights, String> {
    if cred::effective_uid().is_root() {
        return Ok(Rights::Root);
    }
    let permitted = cred::permitted_capabilities().unwrap_or(CapabilitySet::EMPTY);
    let has = |name| capabilities(&[name]).bits() & permitted.bits() != 0;
    if NEEDED.into_iter().all(has) {
        if has("setuid") {
            return Ok(Rights::Root);
        }
        if has("dac_override") {
            return Ok(Rights::Capabilities);
        }
    }
    Err(missing())
}

fn missing() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| berth_common::path::USERNIC.into());
    let setuid_root = std::fs::metadata(&program)
        .is_ok_and(|status| status.mode() & 0o4000 != 0 && status.uid() == 0);
    let program = program.display();
    if cred::has_no_new_privs() {
        "the calling process runs with no_new_privs, under which setuid programs have no rights \
         (NoNewPrivileges= in a unit, or a sandbox)"
            .to_owned()
    } else if !setuid_root {
        format!(
            "{program} is not setuid root (ask an administrator to run: \
             chown root:root {program} && chmod 4755 {program}) and has no file capabilities \
             instead (setcap cap_net_admin,cap_sys_ptrace,cap_setuid+ep {program})"
        )
    } else {
        format!(
            "{program} is setuid root but got no rights: its file system is mounted nosuid, the \
             caller is traced, or he is in a user namespace of his own"
        )
    }
}

/// The real uid: setuid programs keep it.
pub fn uid() -> Uid {
    cred::real_uid()
}
