//! `berth info`: everything about one container.

use std::path::PathBuf;

use berth_common::ContainerName;
use serde::Serialize;

use super::list::{self, Line};
use crate::error::Result;
use crate::place::Place;
use crate::state::{LastExit, Nic, Runtime};

/// What there is to know.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// As in the list.
    #[serde(flatten)]
    pub line: Line,
    /// Its directory.
    pub directory: PathBuf,
    /// Its monitor.
    pub monitor: Option<i32>,
    /// Its cgroup, absolute in the hierarchy.
    pub cgroup: Option<String>,
    /// When init was started, in seconds since 1970.
    pub since: Option<u64>,
    /// Its interfaces.
    pub nics: Vec<Nic>,
    /// Memory in use, in bytes; `None` where the controller does not reach.
    pub memory: Option<u64>,
    /// The most memory that was in use, in bytes.
    pub memory_peak: Option<u64>,
    /// Of the memory in use, what no file is behind, in bytes.
    pub memory_anonymous: Option<u64>,
    /// Of the memory in use, the page cache, in bytes.
    pub memory_cache: Option<u64>,
    /// Bytes read from block devices; `None` where the controller does not reach.
    pub io_read: Option<u64>,
    /// Bytes written to block devices.
    pub io_written: Option<u64>,
    /// Processor time used, in microseconds.
    pub cpu_usec: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// How often its init was started again by `restart.policy` since it was started.
    pub restarts: u32,
    /// Why it is not ready in its time, or was not started again.
    pub note: Option<String>,
    /// What its init says of itself.
    pub status: Option<String>,
    /// How it last ended.
    pub last_exit: Option<LastExit>,
}

/// Collects it.
pub fn info(place: &Place, name: &ContainerName) -> Result<Info> {
    place.require(name)?;
    let line = list::line(place, name);
    let runtime = Runtime::new(place.runtime_dir(name));
    let (state, record) = runtime.state()?;
    let record = record.filter(|_| state.is_active());
    let last = runtime.record()?;
    let last_exit = last.as_ref().and_then(|record| record.last_exit.clone());
    let note = last.as_ref().and_then(|record| record.note.clone());
    let cgroup = record.as_ref().and_then(|record| record.cgroup.clone());
    let statistics = cgroup
        .as_ref()
        .and_then(|place| place.payload().ok())
        .and_then(|payload| payload.statistics().ok());
    Ok(Info {
        line,
        directory: place.container_dir(name),
        monitor: record.as_ref().map(|record| record.monitor),
        restarts: last.as_ref().map_or(0, |record| record.restarts),
        note,
        status: record.as_ref().and_then(|record| record.status.clone()),
        since: record.as_ref().and_then(|record| record.since),
        nics: record.map(|record| record.nics).unwrap_or_default(),
        memory: statistics.as_ref().and_then(|found| found.memory),
        memory_peak: statistics.as_ref().and_then(|found| found.memory_peak),
        memory_anonymous: statistics.as_ref().and_then(|found| found.anonymous),
        memory_cache: statistics.as_ref().and_then(|found| found.cache),
        io_read: statistics.as_ref().and_then(|found| found.read),
        io_written: statistics.as_ref().and_then(|found| found.written),
        cpu_usec: statistics
            .as_ref()
            .and_then(|found| found.cpu.map(|cpu| cpu.as_micros() as u64)),
        processes: statistics.as_ref().and_then(|found| found.tasks),
        cgroup: cgroup.map(|place| place.path().to_owned()),
        last_exit,
    })
}
