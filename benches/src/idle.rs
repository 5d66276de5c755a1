//! Rest before a sample, and whether the machine rested too.

use std::time::Duration;

use anyhow::{Context, Result};

/// Above this share of its processor time a machine does not rest.
const BUSY: f64 = 0.10;

/// Sleeps for `rest`, again and again, at most `patience` times more, until nothing else kept
/// the machine busy meanwhile. Whether that came to pass.
pub fn rest(rest: Duration, patience: u32) -> Result<bool> {
    for _ in 0..=patience {
        let before = Ticks::now()?;
        std::thread::sleep(rest);
        if Ticks::now()?.busy_since(before) <= BUSY {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Processor time since boot, in the kernel's ticks (proc_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    busy: u64,
    idle: u64,
}

impl Ticks {
    fn now() -> Result<Self> {
        let text = std::fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
        Self::parse(&text).context("/proc/stat has no line for all processors")
    }

    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user nice system idle iowait irq softirq steal; guest time is part of user time.
        let fields: Vec<u64> = line
            .split_whitespace()
            .take(8)
            .map_while(|field| field.parse().ok())
            .collect();
        let idle = fields.get(3)? + fields.get(4).unwrap_or(&0);
        Some(Self {
            busy: fields.iter().sum::<u64>() - idle,
            idle,
        })
    }

    /// A share between 0 and 1; a time too short to tell counts as rest.
    fn busy_since(self, before: Self) -> f64 {
        let busy = self.busy.saturating_sub(before.busy);
        let all = busy + self.idle.saturating_sub(before.idle);
        if all == 0 {
            return 0.;
        }
        busy as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_time() {
        let before = Ticks::parse("cpu  10 0 10 100 5 0 0 0 0 0\ncpu0 1 1\n").unwrap();
        assert_eq!(
            before,
            Ticks {
                busy: 20,
                idle: 105
            }
        );
        let after = Ticks::parse("cpu  20 5 20 150 5 1 2 2 9 9\n").unwrap();
        assert_eq!(after.busy_since(before), 30. / 80.);
        assert_eq!(before.busy_since(before), 0.);
        assert_eq!(Ticks::parse("cpu0 1 2 3 4\n"), None);
        assert_eq!(Ticks::parse("cpu  1 2 3\n"), None);
    }
}
