//! What was done, written down before it is done, so that it can be undone whatever happens in
//! between.

use crate::Error;
use crate::config::is_name;
use crate::firewall::{Backend, Family};
use crate::openings::Chain;
use crate::{forwarding, forwarding_six};
use berth_common::path::{NET_RUN_DIR, RUN_DIR};
use berth_kernel::fs::{
    Durability, TEMPORARY_PREFIX, entries, flock_exclusive, open_dir, open_lock_file, unlink_at,
    write_atomically,
};
use berth_kernel::process::keep_across_exec;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LOCK: &str = ".lock";
/// Longer than a start or stop takes whose tools all hang once.
const PATIENCE: Duration = Duration::from_secs(60);

/// One act that can be undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Act {
    /// This bridge was created.
    Bridge {
        /// Its name.
        name: String,
    },
    /// This address was given to the bridge.
    Address {
        /// The bridge.
        bridge: String,
        /// The address with its prefix.
        address: String,
    },
    /// Rules were installed.
    Firewall {
        /// Where.
        backend: Backend,
        /// Of which protocol.
        #[serde(default)]
        family: Family,
    },
    /// A chain of somebody else's was opened.
    Opening {
        /// Which.
        chain: Chain,
    },
    /// Users' containers were kept apart.
    Neighbours,
    /// Forwarding was switched on.
    Forwarding {
        /// What was there.
        before: forwarding::Before,
    },
    /// Forwarding of IPv6 was switched on.
    ForwardingSix {
        /// What was there.
        before: forwarding_six::Before,
    },
    /// dnsmasq was started.
    Dnsmasq,
}

/// The state file's content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// For which configuration.
    pub settings: String,
    /// Acts in the order in which they were done; the last may not have been.
    pub acts: Vec<Act>,
}

impl State {
    /// Reads the state; nothing if there is none.
    pub fn read(name: &str) -> Result<Option<Self>, Error> {
        let path = path(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::file("read", path)(source)),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            Error::Refused(format!(
                "{} is damaged ({error}): it says what berth-net changed; remove it only if the \
                 bridge, the rules and dnsmasq are gone",
                path.display()
            ))
        })
    }
}

fn file(name: &str) -> String {
    match name {
        "" => "state.json".to_owned(),
        name => format!("state-{name}.json"),
    }
}

fn path(name: &str) -> PathBuf {
    Path::new(NET_RUN_DIR).join(file(name))
}

/// The networks of which something is written down, the main one last: what others found there when
/// they were set up is put back last.
pub fn recorded() -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(NET_RUN_DIR) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::file("list", NET_RUN_DIR)(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let found = entry.map_err(Error::file("list", NET_RUN_DIR))?.file_name();
        let text = found.to_string_lossy();
        match text
            .strip_prefix("state")
            .and_then(|rest| rest.strip_suffix(".json"))
        {
            Some("") => names.push(String::new()),
            Some(rest) => names.extend(
                rest.strip_prefix('-')
                    .filter(|name| is_name(name))
                    .map(str::to_owned),
            ),
            None => {}
        }
    }
    names.sort();
    names.reverse();
    Ok(names)
}

/// The state, held by one process at a time.
pub struct Journal {
    /// Which network's.
    pub name: String,
    dir: OwnedFd,
    /// What nobody else holds as long as it is open.
    _lock: OwnedFd,
    /// What is written there.
    pub state: State,
}

impl Journal {
    /// Waits for its turn and reads what is there.
    pub fn open(name: &str) -> Result<Self, Error> {
        for dir in [RUN_DIR, NET_RUN_DIR] {
            make_dir(Path::new(dir))?;
        }
        let run = Path::new(NET_RUN_DIR);
        let dir = open_dir(run).map_err(Error::file("open", run))?;
        // Others can open the directory, and what can be opened can be locked for ever.
        let lock_path = run.join(LOCK);
        let lock = open_lock_file(dir.as_fd(), OsStr::new(LOCK))
            .map_err(Error::file("open", &lock_path))?;
        if !flock_exclusive(lock.as_fd(), PATIENCE).map_err(Error::file("lock", &lock_path))? {
            return Err(Error::Refused(format!(
                "another berth-net has been at work for {} s: see who holds the lock on {}",
                PATIENCE.as_secs(),
                lock_path.display()
            )));
        }
        // The tools that this process runs inherit the lock: whoever comes after it was killed
        // waits until they have done what they were about to do. (dnsmasq closes it at once.)
        keep_across_exec(lock.as_fd()).map_err(Error::file("share", &lock_path))?;
        remove_leftovers(&dir).map_err(Error::file("tidy", run))?;
        Ok(Self {
            name: name.to_owned(),
            dir,
            _lock: lock,
            state: State::read(name)?.unwrap_or_default(),
        })
    }

    /// Writes an act down. It must be done after that, or [`Journal::forget`] be called.
    pub fn record(&mut self, act: Act) -> Result<(), Error> {
        if self.state.acts.contains(&act) {
            return Ok(());
        }
        self.state.acts.push(act);
        self.save().inspect_err(|_| {
            self.state.acts.pop();
        })
    }

    /// Strikes an act out: it was undone, or not done.
    pub fn forget(&mut self, act: &Act) -> Result<(), Error> {
        self.state.acts.retain(|other| other != act);
        self.save()
    }

    /// Writes the state, or removes the file when there is nothing left to undo.
    pub fn save(&self) -> Result<(), Error> {
        let (path, name) = (path(&self.name), file(&self.name));
        let name = OsStr::new(&name);
        if self.state.acts.is_empty() {
            return match unlink_at(self.dir.as_fd(), name) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    Err(Error::file("remove", path)(error))
                }
                _ => Ok(()),
            };
        }
        let text = serde_json::to_string(&self.state)
            .map_err(|error| Error::file("write", path.clone())(io::Error::other(error)))?;
        write_atomically(
            self.dir.as_fd(),
            name,
            text.as_bytes(),
            0o644,
            Durability::Memory,
        )
        .map_err(Error::file("write", path))
    }
}

/// Removes what a process that was killed while writing the state left. Nobody writes now.
fn remove_leftovers(dir: &OwnedFd) -> io::Result<()> {
    /// Far more than the few files that there are.
    const MOST: usize = 1000;
    for (name, _) in entries(dir.as_fd(), MOST)? {
        if name
            .as_encoded_bytes()
            .starts_with(TEMPORARY_PREFIX.as_bytes())
        {
            unlink_at(dir.as_fd(), &name)?;
        }
    }
    Ok(())
}

/// A directory of mode 0755 whatever the umask is; its parent must be there.
pub fn make_dir(dir: &Path) -> Result<(), Error> {
    match fs::DirBuilder::new().mode(0o755).create(dir) {
        Ok(()) => fs::set_permissions(dir, fs::Permissions::from_mode(0o755))
            .map_err(Error::file("set the mode of", dir)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(Error::file("make", dir)(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_reads_as_it_was_written() {
        let state = State {
            settings: "x".to_owned(),
            acts: vec![
                Act::Bridge {
                    name: "br".to_owned(),
                },
                Act::Firewall {
                    backend: Backend::Iptables {
                        program: "/sbin/iptables".into(),
                    },
                    family: Family::Four,
                },
                Act::Firewall {
                    backend: Backend::Nft,
                    family: Family::Six,
                },
                Act::Dnsmasq,
            ],
        };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
    }
}
