//! What a container uses.

use crate::dir::value_of;
use crate::{CgroupDir, Error, Result};
use std::time::Duration;

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
        Ok(Statistics {
            memory: number("memory.current")?,
            memory_peak: number("memory.peak")?,
            cpu: cpu
                .and_then(|text| value_of(&text, "usage_usec"))
                .map(Duration::from_micros),
            tasks: number("pids.current")?,
        })
    }

    fn read_if_there(&self, file: &str) -> Result<Option<String>> {
        match self.read(file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
