//! Who called, and whether this process has the rights to serve him.

use berth_common::Uid;
use berth_kernel::cred;
use std::os::unix::fs::MetadataExt;

/// Why the setuid bit gave no rights, in words for whoever installed the program.
pub fn missing_rights() -> Option<String> {
    if cred::effective_uid().is_root() {
        return None;
    }
    let program = std::env::current_exe().unwrap_or_else(|_| berth_common::path::USERNIC.into());
    let setuid_root = std::fs::metadata(&program)
        .is_ok_and(|status| status.mode() & 0o4000 != 0 && status.uid() == 0);
    let program = program.display();
    Some(if !setuid_root {
        format!(
            "{program} is not setuid root (ask an administrator to run: \
             chown root:root {program} && chmod 4755 {program})"
        )
    } else if cred::has_no_new_privs() {
        "the calling process runs with no_new_privs, under which setuid programs have no rights \
         (NoNewPrivileges= in a unit, or a sandbox)"
            .to_owned()
    } else {
        format!(
            "{program} is setuid root but got no rights: its file system is mounted nosuid, the \
             caller is traced, or he is in a user namespace of his own"
        )
    })
}

/// The real uid: setuid programs keep it.
pub fn uid() -> Uid {
    cred::real_uid()
}
