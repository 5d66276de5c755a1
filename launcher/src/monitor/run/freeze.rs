//! Processes that stand still.

use berth_common::exit;
use berth_session_protocol::Connection;

use super::Run;
use super::clients::refuse;
use crate::error::Error;
use crate::monitor::log;
use crate::monitor::protocol::Answer;
use crate::state::State;

impl Run<'_> {
    /// Asks the kernel to freeze or thaw the container; it tells when that is done.
    pub(super) fn freeze(&mut self, connection: &Connection, on: bool) {
        if self.stopping || self.init.is_none() {
            return refuse(connection, "the container is stopping");
        }
        let answer = match self.set_frozen(on) {
            Ok(()) => Answer::Asked,
            Err(error) => Answer::Refused(exit::FAILED, error.to_string()),
        };
        let _ = connection.send(&answer.frame(), &[]);
        self.note_frozen();
    }

    fn set_frozen(&self, on: bool) -> Result<(), Error> {
        let Some(cgroup) = self.cgroup else {
            return Err(Error::other(
                "it cannot be frozen: it has no control group of its own (start it from a login, or \
                 in a unit with Delegate=yes)",
            ));
        };
        let written = cgroup.payload.freeze(on);
        written.map_err(|error| Error::other(error.to_string()))
    }

    /// Lets it go on, if it stands still.
    pub(super) fn thaw(&mut self) {
        if self.cgroup.is_some()
            && let Err(error) = self.set_frozen(false)
        {
            log::failure(&self.plan.log, &error.to_string());
        }
    }

    /// Writes down whether it is frozen now: the kernel counts, not who asked.
    pub(super) fn note_frozen(&mut self) {
        let Some(events) = &self.cgroup_events else {
            return;
        };
        let frozen = match events.is_frozen() {
            Ok(frozen) => frozen,
            Err(error) => {
                // It would be ready to be read for ever.
                log::failure(&self.plan.log, &error.to_string());
                self.cgroup_events = None;
                return;
            }
        };
        let (next, word) = match (self.record.state, frozen) {
            (State::Running, true) => (State::Frozen, "frozen"),
            (State::Frozen, false) => (State::Running, "thawed"),
            _ => return,
        };
        self.record.state = next;
        log::event(&self.plan.log, word);
        self.write_record();
    }
}
