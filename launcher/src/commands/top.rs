//! `berth top`: what running containers use, now and between two looks.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use berth_cgroups::Statistics;
use berth_common::ContainerName;
use serde::Serialize;

use crate::error::Result;
use crate::place::Place;
use crate::state::{Runtime, State};

/// What a container uses. `None` where a controller does not reach its cgroup.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Usage {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// Processor time since the look before, in percent of one processor; `None` at the first
    /// look at it.
    pub cpu_percent: Option<f64>,
    /// Processor time since its start, in microseconds.
    pub cpu_usec: Option<u64>,
    /// Memory in use, in bytes, page cache included.
    pub memory: Option<u64>,
    /// Of it, what no file is behind, in bytes.
    pub memory_anonymous: Option<u64>,
    /// Of it, the page cache, in bytes.
    pub memory_cache: Option<u64>,
    /// Bytes read from block devices since its start.
    pub io_read: Option<u64>,
    /// Bytes written to block devices since its start.
    pub io_written: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
}

/// By what containers are sorted, the greatest first; by name the other way round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Order {
    #[default]
    Cpu,
    Memory,
    Io,
    Processes,
    Name,
}

/// A container and its init: after a restart it begins anew.
type Life = (ContainerName, Option<i32>);

/// Who looks again and again.
#[derive(Debug, Default)]
pub struct Observer {
    /// Processor time of each at the look before.
    before: HashMap<Life, (Duration, Instant)>,
}

impl Observer {
    /// Looks at the running ones of these containers, all of them if there are none.
    pub fn look(&mut self, place: &Place, names: &[ContainerName]) -> Result<Vec<Usage>> {
        let all;
        let names = match names.is_empty() {
            true => {
                all = place.names()?;
                &all
            }
            false => names,
        };
        let mut seen = HashMap::new();
        let found = names
            .iter()
            .filter_map(|name| self.look_at(place, name, &mut seen));
        let found = found.collect();
        self.before = seen;
        Ok(found)
    }

    fn look_at(
        &self,
        place: &Place,
        name: &ContainerName,
        seen: &mut HashMap<Life, (Duration, Instant)>,
    ) -> Option<Usage> {
        // One that cannot be judged, or ends at this moment, is none that runs.
        let (state, record) = Runtime::new(place.runtime_dir(name)).state().ok()?;
        let record = record.filter(|_| state.has_init())?;
        let payload = record.cgroup.as_ref().map(|cgroup| cgroup.payload());
        let statistics = payload
            .and_then(|payload| payload.ok()?.statistics().ok())
            .unwrap_or_default();
        let life = (name.clone(), record.init);
        let now = Instant::now();
        let cpu_percent = statistics
            .cpu
            .and_then(|cpu| percent(self.before.get(&life)?, cpu, now));
        if let Some(cpu) = statistics.cpu {
            seen.insert(life, (cpu, now));
        }
        Some(usage(name, state, &statistics, cpu_percent))
    }
}

fn percent((before, at): &(Duration, Instant), cpu: Duration, now: Instant) -> Option<f64> {
    let time = now.saturating_duration_since(*at);
    let used = cpu.saturating_sub(*before);
    (!time.is_zero()).then(|| 100.0 * used.as_secs_f64() / time.as_secs_f64())
}

fn usage(
    name: &ContainerName,
    state: State,
    statistics: &Statistics,
    cpu_percent: Option<f64>,
) -> Usage {
    let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Usage {
        name: name.to_string(),
        state,
        cpu_percent,
        cpu_usec: statistics.cpu.map(microseconds),
        memory: statistics.memory,
        memory_anonymous: statistics.anonymous,
        memory_cache: statistics.cache,
        io_read: statistics.read,
        io_written: statistics.written,
        processes: statistics.tasks,
    }
}

/// Sorts for people; equal ones by name.
pub fn sort(found: &mut [Usage], order: Order, reverse: bool) {
    let io = |usage: &Usage| {
        let sum = usage.io_read?.saturating_add(usage.io_written?);
        Some(sum)
    };
    found.sort_by(|a, b| {
        let by_order = match order {
            Order::Cpu => b
                .cpu_percent
                .partial_cmp(&a.cpu_percent)
                .unwrap_or(Ordering::Equal)
                .then(b.cpu_usec.cmp(&a.cpu_usec)),
            Order::Memory => b.memory.cmp(&a.memory),
            Order::Io => io(b).cmp(&io(a)),
            Order::Processes => b.processes.cmp(&a.processes),
            Order::Name => Ordering::Equal,
        };
        by_order.then_with(|| a.name.cmp(&b.name))
    });
    if reverse {
        found.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, cpu: f64, memory: Option<u64>) -> Usage {
        let statistics = Statistics {
            memory,
            ..Statistics::default()
        };
        usage(
            &name.parse().unwrap(),
            State::Running,
            &statistics,
            Some(cpu),
        )
    }

    fn names(found: &[Usage]) -> Vec<&str> {
        found.iter().map(|usage| usage.name.as_str()).collect()
    }

    #[test]
    fn the_greatest_comes_first_and_equal_ones_by_name() {
        let mut found = [
            one("c", 1.0, Some(1)),
            one("b", 50.0, None),
            one("a", 1.0, Some(9)),
        ];
        sort(&mut found, Order::Cpu, false);
        assert_eq!(names(&found), ["b", "a", "c"]);
        sort(&mut found, Order::Memory, false);
        assert_eq!(names(&found), ["a", "c", "b"]);
        sort(&mut found, Order::Io, false);
        assert_eq!(names(&found), ["a", "b", "c"]);
        sort(&mut found, Order::Name, true);
        assert_eq!(names(&found), ["c", "b", "a"]);
    }

    #[test]
    fn a_processor_that_is_always_busy_is_a_hundred() {
        let at = Instant::now();
        let before = (Duration::from_secs(3), at);
        let now = at + Duration::from_millis(500);
        let used = percent(&before, Duration::from_millis(4000), now).unwrap();
        assert!((used - 200.0).abs() < 1e-6, "{used}");
        assert_eq!(percent(&before, Duration::from_secs(2), now), Some(0.0));
        assert_eq!(percent(&before, Duration::from_secs(9), at), None);
    }
}
