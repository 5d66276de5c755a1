//! Ports of the host that lead into the container.

use std::time::{Duration, Instant};

use berth_common::exit;
use berth_container_config::berth_toml::{self, Publish};
use berth_session_protocol::Connection;

use super::super::forward::Forwarder;
use super::Run;
use crate::monitor::log;
use crate::monitor::protocol::Answer;
use crate::ports::{self, Listening};

/// A forwarder that ended by itself is started again after this time, then after twice that.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The sockets, over all lives of the container, and who serves them in this one.
pub(super) struct Ports {
    list: Vec<(u32, Listening)>,
    next: u32,
    pub(super) forwarder: Option<Forwarder>,
    again_at: Option<Instant>,
    pause: Duration,
}

impl Ports {
    pub(super) fn new(sockets: Vec<Listening>) -> Self {
        let mut ports = Self {
            list: Vec::new(),
            next: 0,
            forwarder: None,
            again_at: None,
            pause: PAUSE,
        };
        for socket in sockets {
            ports.add(socket);
        }
        ports
    }

    fn add(&mut self, socket: Listening) {
        self.list.push((self.next, socket));
        self.next = self.next.wrapping_add(1);
    }

    /// When a forwarder is started again.
    pub(super) fn next_moment(&self) -> Option<Instant> {
        self.again_at
    }

    /// The container's life is over: nobody carries anything, and who connects waits for the next.
    pub(super) fn end_life(&mut self) {
        self.forwarder = None;
        self.again_at = None;
        self.pause = PAUSE;
    }
}

impl Run<'_> {
    /// Init runs: from now on its ports lead to it.
    pub(super) fn begin_forwarding(&mut self) {
        let Some(init) = &self.init else { return };
        if self.ports.list.is_empty() {
            return;
        }
        match Forwarder::start(self.plan, init, &self.ports.list) {
            Ok(forwarder) => self.ports.forwarder = Some(forwarder),
            Err(error) => {
                log::failure(&self.plan.log, &error.to_string());
                self.forward_later();
            }
        }
    }

    fn forward_later(&mut self) {
        let ports = &mut self.ports;
        ports.forwarder = None;
        ports.again_at = Some(Instant::now() + ports.pause);
        ports.pause = (ports.pause * 2).min(LONGEST_PAUSE);
    }

    /// Looks whether it still works.
    pub(super) fn advance_ports(&mut self) {
        if self
            .ports
            .forwarder
            .as_ref()
            .is_some_and(Forwarder::has_ended)
        {
            log::failure(
                &self.plan.log,
                "the forwarder of ports has ended; it is started again",
            );
            self.forward_later();
        }
        if self
            .ports
            .again_at
            .is_some_and(|moment| moment <= Instant::now())
        {
            self.ports.again_at = None;
            self.begin_forwarding();
        }
    }

    /// Reads the `berth.toml` again, and has its ports lead to the container: all of them, or it
    /// stays as it was.
    pub(super) fn change_ports(&mut self, connection: &Connection) {
        let answer = match self.try_change_ports() {
            Ok(()) => Answer::Asked,
            Err(why) => Answer::Refused(exit::FAILED, why),
        };
        let _ = connection.send(&answer.frame(), &[]);
    }

    fn try_change_ports(&mut self) -> Result<(), String> {
        let dir = self.plan.lxcpath.join(&self.plan.name);
        let settings = berth_toml::read(&dir.join(berth_toml::FILE));
        let settings = settings.map_err(|error| error.to_string())?;
        let wanted: Vec<Publish> = settings.publish.iter().map(|one| one.value).collect();
        if self.plan.host_network && !wanted.is_empty() {
            return Err(super::super::HOST_NETWORK.to_owned());
        }
        let is_there = |publish: &Publish| {
            let mut list = self.ports.list.iter();
            list.any(|(_, socket)| socket.publish == *publish)
        };
        // What goes makes no place for what comes: the other way round, a refusal would have
        // taken something.
        let new = ports::bind_all(wanted.iter().filter(|publish| !is_there(publish)));
        let new = new.map_err(|error| {
            let what = error.errno.desc();
            format!("{} {}: {what}", error.protocol, error.address)
        })?;
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.ports.list)
            .into_iter()
            .partition(|(_, socket)| wanted.contains(&socket.publish));
        self.ports.list = kept;
        let first_new = self.ports.list.len();
        for socket in new {
            self.ports.add(socket);
        }
        self.tell_forwarder(first_new, &gone);
        Ok(())
    }

    fn tell_forwarder(&mut self, first_new: usize, gone: &[(u32, Listening)]) {
        let told = match &self.ports.forwarder {
            None => return self.begin_forwarding(),
            Some(forwarder) => {
                let removed = gone
                    .iter()
                    .try_for_each(|(number, _)| forwarder.remove(*number));
                let new = &self.ports.list[first_new..];
                removed.and_then(|()| {
                    new.iter()
                        .try_for_each(|(number, socket)| forwarder.add(*number, socket))
                })
            }
        };
        if let Err(error) = told {
            // A new one has them all.
            log::failure(&self.plan.log, &error.to_string());
            self.forward_later();
        }
    }
}
