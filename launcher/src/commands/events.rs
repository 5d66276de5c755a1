//! `berth events`: what happens to containers, as it happens.

mod between;

use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use berth_cgroups::MEMORY_EVENTS;
use berth_common::ContainerName;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, Inotify, WatchDescriptor};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::place::Place;
use crate::state::{Record, Runtime, State};
use crate::time;
use crate::watch;
use between::{Seen, between};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When it was seen (RFC 3339, milliseconds).
    pub time: String,
    /// To which container.
    pub container: String,
    /// What: `created`, `starting`, `running`, `ready`, `frozen`, `thawed`, `exited`, `restarting`,
    /// `restarted`, `oom`, `stopping`, `stopped`, `aborted`, `destroyed`.
    pub event: &'static str,
    /// How its init ended, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<String>,
}

/// Follows containers.
pub struct Events<'p> {
    place: &'p Place,
    /// Those that are meant; empty: all, new ones too.
    names: Vec<ContainerName>,
    inotify: Inotify,
    watched: HashMap<WatchDescriptor, ContainerName>,
    seen: BTreeMap<ContainerName, Seen>,
}

impl<'p> Events<'p> {
    /// From now on. What lasts is not missed; what passes faster than it can be looked at may be.
    pub fn new(place: &'p Place, names: Vec<ContainerName>) -> Result<Self> {
        for name in &names {
            place.require(name)?;
        }
        let mut events = Self {
            place,
            names,
            inotify: watch::inotify()?,
            watched: HashMap::new(),
            seen: BTreeMap::new(),
        };
        events.look_everywhere()?;
        Ok(events)
    }

    /// Waits for the next ones; `None` when nobody reads standard output any more.
    pub fn wait(&mut self) -> Result<Option<Vec<Event>>> {
        loop {
            let stdout = std::io::stdout();
            let mut fds = [
                PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN),
                // Only that it has been closed.
                PollFd::new(stdout.as_fd(), PollFlags::empty()),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::os("watch files", errno)),
            }
            if fds[1].revents().is_some_and(|events| !events.is_empty()) {
                return Ok(None);
            }
            let events = self.look_where_told()?;
            if !events.is_empty() {
                return Ok(Some(events));
            }
        }
    }

    /// Looks at containers that inotify names, or at all of them.
    fn look_where_told(&mut self) -> Result<Vec<Event>> {
        let mut told: Vec<ContainerName> = Vec::new();
        let mut everywhere = false;
        loop {
            match self.inotify.read_events() {
                Ok(events) => {
                    for event in events {
                        match self.watched.get(&event.wd) {
                            Some(name) if !told.contains(name) => told.push(name.clone()),
                            Some(_) => {}
                            None => everywhere = true,
                        }
                        let gone = AddWatchFlags::IN_IGNORED
                            | AddWatchFlags::IN_MOVE_SELF
                            | AddWatchFlags::IN_Q_OVERFLOW;
                        everywhere |= event.mask.intersects(gone);
                    }
                }
                Err(Errno::EAGAIN) => break,
                Err(errno) => return Err(Error::os("watch files", errno)),
            }
        }
        if everywhere {
            return self.look_everywhere();
        }
        let mut events = Vec::new();
        for name in told {
            events.extend(self.look(&name)?);
        }
        Ok(events)
    }

    fn look_everywhere(&mut self) -> Result<Vec<Event>> {
        let is_first = self.watched.is_empty() && self.seen.is_empty();
        self.watch_parents()?;
        let mut names = self.place.names()?;
        if !self.names.is_empty() {
            names.retain(|name| self.names.contains(name));
        }
        let mut events = Vec::new();
        let gone: Vec<ContainerName> = self.seen.keys().cloned().collect();
        for name in gone.iter().filter(|name| !names.contains(name)) {
            events.extend(self.look(name)?);
            self.seen.remove(name);
            events.push(event(name, "destroyed", None));
        }
        for name in &names {
            if !is_first && !self.seen.contains_key(name) {
                events.push(event(name, "created", None));
            }
            events.extend(self.look(name)?);
        }
        Ok(match is_first {
            true => Vec::new(),
            false => events,
        })
    }

    /// Where new containers and their runtime directories appear.
    fn watch_parents(&self) -> Result<()> {
        let what = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ONLYDIR;
        for dir in self.parents()? {
            watch::add(&self.inotify, &dir, what)?;
        }
        Ok(())
    }

    fn parents(&self) -> Result<Vec<PathBuf>> {
        let mut parents = self.place.runtime_parents();
        if let Some(first) = parents.first() {
            Runtime::new(first.clone()).make_dir()?;
        }
        parents.push(self.place.lxcpath.clone());
        parents.retain(|dir| dir.is_dir());
        Ok(parents)
    }

    /// What has happened to a container since it was looked at last.
    fn look(&mut self, name: &ContainerName) -> Result<Vec<Event>> {
        let runtime = Runtime::new(self.place.runtime_dir(name));
        // Before looking: what happens in between is told then.
        let dir = runtime.dir();
        match self.inotify.add_watch(dir, watch::what_tells()) {
            Ok(descriptor) => {
                self.watched.insert(descriptor, name.clone());
            }
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(Error::file("watch", dir, errno.into())),
        }
        let (state, record) = runtime.state()?;
        let mut new = Seen::of(state, record.as_ref());
        if let Some(kills) = self.oom_kills(name, state, record.as_ref()) {
            new.count_oom_kills(kills);
        }
        let old = self.seen.insert(name.clone(), new.clone());
        let old = old.unwrap_or_default();
        let told = between(&old, &new);
        Ok(told
            .into_iter()
            .map(|(what, exit)| event(name, what, exit))
            .collect())
    }
}

impl Events<'_> {
    /// What the kernel counts of a container that has an init, and tells of from now on.
    fn oom_kills(
        &mut self,
        name: &ContainerName,
        state: State,
        record: Option<&Record>,
    ) -> Option<u64> {
        let record = record.filter(|_| state.has_init())?;
        let payload = record.cgroup.as_ref()?.payload().ok()?;
        let file = payload.path().join(MEMORY_EVENTS);
        // Before it is read: what happens in between is told then. It may be gone, or not be there.
        if let Ok(descriptor) = self.inotify.add_watch(&file, AddWatchFlags::IN_MODIFY) {
            self.watched.insert(descriptor, name.clone());
        }
        payload.oom_kills()
    }
}

fn event(name: &ContainerName, event: &'static str, exit: Option<String>) -> Event {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = time::utc(now.as_secs());
    Event {
        time: format!(
            "{}.{:03}Z",
            seconds.trim_end_matches('Z'),
            now.subsec_millis()
        ),
        container: name.to_string(),
        event,
        exit,
    }
}
