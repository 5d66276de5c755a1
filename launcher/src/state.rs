//! What a container is doing, told from the kernel and from one small file.
//!
//! The file says what its monitor last knew; whether the monitor lives is told by a record lock
//! that the kernel lets go with the process. So whatever was killed, the answer is true: a file
//! that says `running` without a living monitor means `aborted`.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use berth_container_config::IdMapping;
use berth_container_config::value::id_mapping;
use berth_kernel::fs as kernel_fs;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::start::cgroup::CgroupPlace;
use crate::start::nic::Undo;

/// The state file's name in the runtime directory.
pub const STATE_FILE: &str = "state.json";
/// Locked by a living monitor.
pub const MONITOR_LOCK: &str = "monitor.lock";
const VERB_LOCK: &str = "verb.lock";
/// The monitor's command socket in the runtime directory.
pub const SOCKET: &str = "monitor.sock";

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does not run.
    Stopped,
    /// It is being started.
    Starting,
    /// Its init runs.
    Running,
    /// Its processes stand still until they are thawed.
    Frozen,
    /// Its init has ended, and is started again in a moment.
    Restarting,
    /// Its init was asked to stop, or its remains are being removed.
    Stopping,
    /// Its monitor was killed: the container ended with it and its remains are still to be
    /// removed, which the next `start`, `stop` or `destroy` does.
    Aborted,
    /// What it is doing cannot be told. Nobody writes that down.
    #[serde(skip_deserializing)]
    Unknown,
}

impl State {
    /// The word that people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Frozen => "frozen",
            Self::Restarting => "restarting",
            Self::Stopping => "stopping",
            Self::Aborted => "aborted",
            Self::Unknown => "unknown",
        }
    }

    /// Whether processes of the container may exist with a monitor that looks after them.
    pub const fn is_active(self) -> bool {
        match self {
            Self::Starting | Self::Running | Self::Frozen | Self::Restarting | Self::Stopping => {
                true
            }
            Self::Stopped | Self::Aborted | Self::Unknown => false,
        }
    }

    /// Whether its init lives.
    pub const fn has_init(self) -> bool {
        matches!(self, Self::Running | Self::Frozen | Self::Stopping)
    }
}

/// One network interface of a running container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Name inside.
    pub name: String,
    /// Name on the host; empty if nothing of it is there.
    pub host: String,
    /// The bridge it is a port of, or the interface that it stands on or is; empty for none.
    pub bridge: String,
    /// LXC's word for what it is; empty for a veth.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What outlives the container.
    #[serde(default, skip_serializing_if = "Undo::is_empty")]
    pub undo: Undo,
}

/// How the last run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastExit {
    /// In words: `exit code 0`, `signal SIGKILL`, `halted`, `rebooted`.
    pub how: String,
    /// When, in seconds since 1970.
    pub at: u64,
}

/// What the monitor writes down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it last knew.
    pub state: State,
    /// The monitor's process number.
    pub monitor: i32,
    /// The container's init as the host sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<i32>,
    /// Where its cgroups are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<CgroupPlace>,
    /// The container's ids, as `lxc.idmap` writes them: its configuration may say others by now,
    /// and what it made in its cgroup is theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idmap: Vec<String>,
    /// The profile that was loaded into the kernel for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// When init was started, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Its NICs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nics: Vec<Nic>,
    /// Whether it is ready, as its `berth.toml` has it; without that, whether init runs.
    #[serde(default)]
    pub ready: bool,
    /// How often this monitor started init again by `restart.policy`.
    #[serde(default)]
    pub restarts: u32,
    /// What its owner should know: why it is not ready in its time, or not started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What init says of itself (sd_notify(3), `STATUS=`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// How many of its processes the kernel had killed for want of memory when a life ended.
    #[serde(default)]
    pub oom_kills: u64,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<LastExit>,
}

impl Record {
    /// What the calling monitor knows at its beginning.
    pub fn new(state: State) -> Self {
        Self {
            state,
            monitor: std::process::id() as i32,
            init: None,
            cgroup: None,
            idmap: Vec::new(),
            profile: None,
            since: None,
            nics: Vec::new(),
            ready: false,
            restarts: 0,
            note: None,
            status: None,
            oom_kills: 0,
            last_exit: None,
        }
    }

    /// Writes the container's ids down.
    pub fn set_ids(&mut self, ids: &[IdMapping]) {
        self.idmap = ids.iter().map(ToString::to_string).collect();
    }

    /// The container's ids.
    pub fn ids(&self) -> Vec<IdMapping> {
        let parsed = self.idmap.iter().map(|text| id_mapping(text));
        parsed.filter_map(std::result::Result::ok).collect()
    }
}

/// A container's runtime directory.
#[derive(Clone, Debug)]
pub struct Runtime {
    dir: PathBuf,
}

/// Held while a verb changes a container; goes with the process.
#[derive(Debug)]
pub struct VerbLock(#[allow(dead_code, reason = "held, not read")] File);

/// Held by a monitor for its life. Record locks are not inherited, so it means this process and
/// no child of it.
#[derive(Debug)]
pub struct MonitorLock(#[allow(dead_code, reason = "held, not read")] File);

impl Runtime {
    /// The runtime files in `dir`, which need not exist.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The monitor's command socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join(SOCKET)
    }

    /// What the container is doing, with what its monitor wrote down.
    ///
    /// The lock is asked before and after the file is read, so a monitor that ends in between
    /// is not taken for a dead one.
    pub fn state(&self) -> Result<(State, Option<Record>)> {
        for _ in 0..8 {
            let before = self.monitor_pid()?;
            let record = self.record()?;
            let after = self.monitor_pid()?;
            if before != after {
                continue;
            }
            let state = match (&record, after) {
                (Some(record), Some(_)) => record.state,
                (None, Some(_)) => State::Starting,
                (Some(record), None) if record.state.is_active() => State::Aborted,
                (Some(record), None) => record.state,
                (None, None) => State::Stopped,
            };
            return Ok((state, record));
        }
        Ok((State::Stopping, self.record()?))
    }

    /// The process number of a living monitor, 0 if this pid namespace does not see it.
    ///
    /// Never asked by the monitor itself: closing any descriptor of the file lets its lock go. Only
    /// the monitor opens it for writing: the end of that is what others watch for.
    pub fn monitor_pid(&self) -> Result<Option<i32>> {
        let path = self.dir.join(MONITOR_LOCK);
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| Error::file("open", &path, error))?,
        };
        let holder = kernel_fs::lock_holder(file.as_fd())
            .map_err(|error| Error::file("ask", &path, error))?;
        Ok(holder.map(|holder| match holder {
            kernel_fs::LockHolder::Process(pid) => pid,
            // A monitor in a pid namespace that this one does not see into.
            kernel_fs::LockHolder::Unseen => 0,
        }))
    }

    /// Takes the monitor's lock; `None` while another monitor holds it.
    pub fn lock_as_monitor(&self) -> Result<Option<MonitorLock>> {
        let (path, file) = self.lock_file(MONITOR_LOCK)?;
        let locked = kernel_fs::try_lock_exclusive(file.as_fd())
            .map_err(|error| Error::file("lock", &path, error))?;
        Ok(locked.then_some(MonitorLock(file)))
    }

    /// Waits until no other command changes the container, at most `limit`. Makes the directory
    /// if it is not there, for nobody but the caller.
    ///
    /// Who holds the lock may be removing it with the container ([`Runtime::remove`]): what was
    /// waited for counts only while its name still means it.
    pub fn lock_for_verb(&self, limit: std::time::Duration) -> Result<VerbLock> {
        let deadline = std::time::Instant::now() + limit;
        let mut opened = None;
        loop {
            let (path, file) = match opened.take() {
                Some(opened) => opened,
                None => match self.make_dir().and_then(|()| self.lock_file(VERB_LOCK)) {
                    // It was removed between two system calls.
                    Err(Error::File { source, .. })
                        if source.kind() == std::io::ErrorKind::NotFound
                            && std::time::Instant::now() < deadline =>
                    {
                        continue;
                    }
                    other => other?,
                },
            };
            let locked = kernel_fs::try_lock_exclusive(file.as_fd())
                .map_err(|error| Error::file("lock", &path, error))?;
            if locked && is_at(&file, &path)? {
                return Ok(VerbLock(file));
            }
            if !locked {
                opened = Some((path, file));
            }
            if std::time::Instant::now() >= deadline {
                return Err(Error::other(format!(
                    "another berth command has been at work on this container for {} s; \
                     try again when it is done",
                    limit.as_secs()
                )));
            }
            if opened.is_some() {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }

    /// Makes the directory if it is not there, for nobody but the caller.
    pub fn make_dir(&self) -> Result<()> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(|error| Error::file("make directory", &self.dir, error))
    }

    fn lock_file(&self, name: &str) -> Result<(PathBuf, File)> {
        let path = self.dir.join(name);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Error::file("open", &path, error))?;
        Ok((path, file))
    }

    /// What the monitor wrote down; `None` if nothing is there. A file that cannot be read as
    /// ours (cut short by a full disk of former days, edited) counts as nothing.
    pub fn record(&self) -> Result<Option<Record>> {
        let path = self.dir.join(STATE_FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file("read", &path, error)),
        }
    }

    /// Writes the record; readers see the old one or the new one.
    pub fn write(&self, record: &Record) -> Result<()> {
        let mut bytes = serde_json::to_vec(record)
            .map_err(|error| Error::other(format!("cannot write the state down: {error}")))?;
        bytes.push(b'\n');
        let dir = File::open(&self.dir).map_err(|error| Error::file("open", &self.dir, error))?;
        let name = OsStr::new(STATE_FILE);
        // The directory does not outlive a power cut, and need not.
        let durability = kernel_fs::Durability::Memory;
        kernel_fs::write_atomically(dir.as_fd(), name, &bytes, 0o600, durability)
            .map_err(|error| Error::file("write", &self.dir.join(STATE_FILE), error))
    }

    /// Removes what a process that was killed while it wrote the record left of it. For a caller who
    /// holds the verb's lock while no monitor lives.
    pub fn remove_unfinished(&self) {
        // What cannot be removed does no harm, and goes with the container.
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let is_unfinished = |name: &str| name.starts_with(kernel_fs::TEMPORARY_PREFIX);
            if entry.file_name().to_str().is_some_and(is_unfinished) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Removes the runtime files of a container that is destroyed, all at one moment: who comes
    /// for the lock while they are being removed finds a new directory, or makes one.
    pub fn remove(&self, _lock: VerbLock) {
        let Some(name) = self.dir.file_name() else {
            return;
        };
        // No container's name begins with a dot.
        let mut aside = std::ffi::OsString::from(format!(".{}-", std::process::id()));
        aside.push(name);
        let aside = self.dir.with_file_name(aside);
        // What is left in a runtime directory does no harm and goes with the session.
        let _ = std::fs::rename(&self.dir, &aside);
        let _ = std::fs::remove_dir_all(&aside);
    }
}

/// Whether a path still means an open file.
fn is_at(file: &File, path: &Path) -> Result<bool> {
    let failed = |error| Error::file("look at", path, error);
    let open = file.metadata().map_err(failed)?;
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// Seconds since 1970; 0 for a clock before that.
pub fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(tag: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("berth-state-{tag}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn a_record_without_a_monitor_means_aborted() {
        let dir = scratch("aborted");
        let runtime = Runtime::new(dir.clone());
        assert_eq!(runtime.state().unwrap().0, State::Stopped);
        let mut record = Record::new(State::Running);
        record.monitor = 1;
        record.init = Some(2);
        runtime.write(&record).unwrap();
        assert_eq!(
            runtime.state().unwrap(),
            (State::Aborted, Some(record.clone()))
        );
        record.state = State::Stopped;
        runtime.write(&record).unwrap();
        assert_eq!(runtime.state().unwrap().0, State::Stopped);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_monitors_lock_goes_with_its_process() {
        let dir = scratch("lock");
        let runtime = Runtime::new(dir.clone());
        let child = berth_kernel::process::fork(|| {
            let Ok(Some(_lock)) = Runtime::new(dir.clone()).lock_as_monitor() else {
                return 1;
            };
            std::fs::write(dir.join("ready"), "").ok();
            loop {
                std::thread::park();
            }
        })
        .unwrap();
        while !dir.join("ready").exists() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert_eq!(runtime.monitor_pid().unwrap(), Some(child.pid));
        assert_eq!(runtime.state().unwrap().0, State::Starting);
        child.pidfd.signal(9).unwrap();
        child.pidfd.wait().unwrap();
        assert_eq!(runtime.monitor_pid().unwrap(), None);
        std::fs::remove_dir_all(dir).unwrap();
    }

    /// Each holder of the lock sees whether another one holds it, too; every third one removes
    /// the directory, as `destroy` does.
    #[test]
    fn one_holds_the_lock_though_the_directory_goes() {
        let dir = scratch("removed");
        let runtime = Runtime::new(dir.join("web"));
        let holder = dir.join("holder");
        let work = |number: u32| {
            for round in 0..60 {
                let Ok(lock) = runtime.lock_for_verb(std::time::Duration::from_secs(60)) else {
                    return 1;
                };
                let mine = File::options().write(true).create_new(true).open(&holder);
                std::thread::sleep(std::time::Duration::from_micros(200));
                if mine.and_then(|_| std::fs::remove_file(&holder)).is_err() {
                    return 2;
                }
                if (round + number).is_multiple_of(3) {
                    runtime.remove(lock);
                }
            }
            0
        };
        let children: Vec<_> = (0..4)
            .map(|number| berth_kernel::process::fork(|| work(number)).unwrap())
            .collect();
        for child in children {
            let exit = child.pidfd.wait().unwrap();
            assert_eq!(exit, berth_kernel::process::Exit::Code(0));
        }
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_broken_record_counts_as_none() {
        let dir = scratch("broken");
        std::fs::write(dir.join(STATE_FILE), "{\"state\": \"runn").unwrap();
        assert_eq!(Runtime::new(dir.clone()).state().unwrap().0, State::Stopped);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
