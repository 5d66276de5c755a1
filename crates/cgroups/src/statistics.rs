//! What a container uses.

use crate::dir::value_of;
use crate::{CgroupDir, Error, Result};
use std::time::Duration;

/// The file in which the kernel counts what happened for want of memory; it tells inotify(7).
pub const MEMORY_EVENTS: &str = "memory.events";

/// Use of resources by a cgroup and everything below it. `None` where the controller does not
/// reach the cgroup or the kernel is too old (`memory.peak`: 5.19).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Memory in bytes, page cache included.
    pub memory: Option<u64>,
    /// The most it ever was, in bytes.
    pub memory_peak: Option<u64>,
    /// CPU time. The kernel accounts it for every cgroup, with or without the controller.
    pub cpu: Option<Duration>,
    /// Tasks: processes and threads.
    pub tasks: Option<u64>,
    /// Of [`Self::memory`], what no file is behind (`anon` of `memory.stat`), in bytes: it cannot
    /// be given back without swapping.
    pub anonymous: Option<u64>,
    /// Of [`Self::memory`], the page cache (`file` of `memory.stat`), in bytes, which the kernel
    /// gives back when it needs to.
    pub cache: Option<u64>,
    /// Bytes read from block devices, all of them together (`rbytes` of `io.stat`).
    pub read: Option<u64>,
    /// Bytes written to block devices (`wbytes`).
    pub written: Option<u64>,
}

impl CgroupDir {
    /// Reads the statistics.
    pub fn statistics(&self) -> Result<Statistics> {
        let number = |file: &str| -> Result<Option<u64>> {
            match self.read_if_there(file)? {
                Some(text) => text
                    .trim()
                    .parse()
                    .map(Some)
                    .map_err(|_| Error::Unreadable {
                        path: self.path().join(file),
                    }),
                None => Ok(None),
            }
        };
        let cpu = self.read_if_there("cpu.stat")?;
        let of_memory = self.read_if_there("memory.stat")?;
        let of_memory = |key| value_of(of_memory.as_deref()?, key);
        let io = self.read_if_there("io.stat")?;
        let of_io = |key| Some(sum_of_devices(io.as_deref()?, key));
        Ok(Statistics {
            memory: number("memory.current")?,
            memory_peak: number("memory.peak")?,
            cpu: cpu
                .and_then(|text| value_of(&text, "usage_usec"))
                .map(Duration::from_micros),
            tasks: number("pids.current")?,
            anonymous: of_memory("anon"),
            cache: of_memory("file"),
            read: of_io("rbytes"),
            written: of_io("wbytes"),
        })
    }

    /// How many processes the kernel has killed for want of memory, here and below (`oom_kill` of
    /// `memory.events`); `None` where the controller does not reach.
    pub fn oom_kills(&self) -> Option<u64> {
        value_of(&self.read(MEMORY_EVENTS).ok()?, "oom_kill")
    }

    fn read_if_there(&self, file: &str) -> Result<Option<String>> {
        match self.read(file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A figure of `io.stat`, which has a line for each device: `8:0 rbytes=4096 wbytes=0 …`.
fn sum_of_devices(io_stat: &str, key: &str) -> u64 {
    let figures = io_stat.split_whitespace().filter_map(|word| {
        let (name, value) = word.split_once('=')?;
        (name == key).then(|| value.parse::<u64>().ok())?
    });
    figures.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_devices_count() {
        let text = "8:16 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n\
                    8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252\n253:0 \n";
        assert_eq!(sum_of_devices(text, "rbytes"), 4096 + 90_430_464);
        assert_eq!(sum_of_devices(text, "wbytes"), 299_008_000);
        assert_eq!(sum_of_devices("", "rbytes"), 0);
    }
}
