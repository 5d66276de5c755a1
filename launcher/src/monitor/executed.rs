//! Whether init was executed, where the end of the child's stream does not tell.

use berth_kernel::process::{self, Child};

use crate::error::{Error, Result};

/// A filter of system calls may end the first process in place of exec, or refuse exec and every
/// way to say so; the stream ends either way. What was executed has another name than the monitor,
/// whose copy the first process was.
pub fn under_filter(first: &Child) -> Result<()> {
    let (_, own) = process::parent_and_name(std::process::id() as i32)
        .map_err(|error| Error::os("read /proc/self/stat", error))?;
    loop {
        // Exec closes the stream first and changes the name then.
        match process::parent_and_name(first.pid) {
            Ok((_, name)) if name == own => {}
            _ => return Ok(()),
        }
        if first.pidfd.has_ended().unwrap_or(true) {
            return Err(Error::other(
                "lxc.seccomp.profile: the policy did not let init be executed: the container's \
                 first process was ended by it, or could neither execute init (execve) nor say \
                 why (sendmsg)",
            ));
        }
        std::thread::yield_now();
    }
}
