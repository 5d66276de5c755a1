//! System calls of the container's that wait for a supervisor.

use std::os::fd::{AsFd, OwnedFd};

use super::super::log;
use super::super::session::Session;
use super::super::supervisor::{Supervisee, Supervisor};
use super::Run;
use crate::error::Result;

impl Run<'_> {
    /// Has them carried to the program that decides about them.
    pub(super) fn supervise(&mut self, listener: OwnedFd) -> Result<()> {
        let plan = self.plan;
        if let (Some(proxy), Some(init)) = (&plan.confinement.filter.supervisor, &self.init) {
            let of = Supervisee {
                init: init.pid,
                namespace: self.namespace.as_ref().map(AsFd::as_fd),
            };
            let supervisor = Supervisor::start(proxy, &plan.log, listener, of)?;
            self.supervisors.push(supervisor);
        }
        Ok(())
    }

    /// Those of commands that have just begun; forgets who has nobody left.
    pub(super) fn supervise_commands(&mut self) {
        self.supervisors
            .retain(|supervisor| !supervisor.has_ended());
        let new: Vec<OwnedFd> = self
            .sessions
            .iter_mut()
            .filter_map(Session::take_supervised)
            .collect();
        for listener in new {
            self.supervise_command(listener);
        }
    }

    /// Where it cannot be done, the command's calls get `ENOSYS`, as nobody has the listener.
    pub(super) fn supervise_command(&mut self, listener: OwnedFd) {
        if let Err(error) = self.supervise(listener) {
            log::failure(&self.plan.log, &error.to_string());
        }
    }
}
