//! Everything below a cgroup: ending its processes, removing it.

use crate::{CgroupDir, Error, Result};
use berth_kernel::fs::{self, EntryKind};
use berth_kernel::process::PidFd;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// systemd in a container in a container makes some ten levels. Each level costs a descriptor.
const MAX_DEPTH: u32 = 64;
/// How many cgroups a tree may have. A container with thousands of units has thousands.
const MAX_CGROUPS: usize = 100_000;
/// How many processes are signalled at a time where the kernel does not kill by cgroup: each
/// costs a descriptor.
const KILL_BATCH: usize = 128;
/// How often the list is read again there: a program that forks faster than this loop kills is
/// stopped by freezing it before.
const KILL_ROUNDS: u32 = 256;
const SIGKILL: i32 = 9;

impl CgroupDir {
    /// The names of the child cgroups.
    pub fn children(&self) -> Result<Vec<OsString>> {
        self.children_up_to(MAX_CGROUPS)
    }

    /// As [`Self::children`] of a directory of at most `max` entries, files included; more are an
    /// error.
    pub fn children_up_to(&self, max: usize) -> Result<Vec<OsString>> {
        let entries = fs::entries(self.as_fd(), max).map_err(|error| self.error("list", error))?;
        Ok(entries
            .into_iter()
            .filter_map(|(name, kind)| (kind == EntryKind::Dir).then_some(name))
            .collect())
    }

    /// Removes the child `name` with everything below it, deepest first; `Ok(false)` if there is
    /// none. Fails with `EBUSY` as soon as a cgroup holds a living process and leaves what is
    /// above it. What others remove meanwhile is removed too.
    pub fn remove_tree(&self, name: impl AsRef<OsStr>) -> Result<bool> {
        self.remove_tree_while(name, || true)
    }

    /// As [`Self::remove_tree`]; `go_on` is asked before each step, and a no ends with
    /// [`Error::OutOfTime`].
    pub fn remove_tree_while(
        &self,
        name: impl AsRef<OsStr>,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<bool> {
        let mut budget = MAX_CGROUPS;
        self.remove_below(name.as_ref(), MAX_DEPTH, &mut budget, &mut go_on)
    }

    fn remove_below(
        &self,
        name: &OsStr,
        depth: u32,
        budget: &mut usize,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<bool> {
        if !go_on() {
            return Err(Error::OutOfTime {
                path: self.path().join(name),
            });
        }
        // Nearly every cgroup is a leaf: one call instead of four.
        match self.remove_child(name) {
            Err(error) if error.errno() == Some(libc::EBUSY) => {}
            done => return done,
        }
        *budget = budget.saturating_sub(1);
        if depth == 0 || *budget == 0 {
            return Err(Error::TooLarge {
                path: self.path().join(name),
            });
        }
        let child = match self.child(name) {
            Err(error) if error.is_not_found() => return Ok(true),
            other => other?,
        };
        for grandchild in child.children()? {
            child.remove_below(&grandchild, depth - 1, budget, go_on)?;
        }
        drop(child);
        self.remove_child(name).map(|_| true)
    }

    /// Sends SIGKILL to every process here and below, those included that are forked meanwhile.
    /// They are gone when [`Self::wait_unpopulated`] says so.
    pub fn kill(&self) -> Result<()> {
        match self.write("cgroup.kill", "1") {
            // Before 5.14 there is no such file; a threaded cgroup cannot be killed by it.
            Err(error) if matches!(error.errno(), Some(libc::ENOENT | libc::EOPNOTSUPP)) => {
                self.kill_one_by_one()
            }
            other => other,
        }
    }

    /// Kills without the kernel's help, frozen meanwhile so that nothing can fork ahead of the
    /// signals; cgroup v2 delivers SIGKILL to what is frozen. [`Self::kill`] is surer, but leaves
    /// a mark on the cgroup: some kernels (seen on 6.18) kill at once what is born into it later.
    pub fn kill_one_by_one(&self) -> Result<()> {
        // Freezing is best effort: without it the rounds below do.
        let frozen = self.freeze(true).is_ok()
            && self
                .wait_frozen(true, Duration::from_millis(500))
                .unwrap_or(false);
        let result = self.kill_rounds();
        if frozen {
            self.freeze(false)?;
        }
        result
    }

    fn kill_rounds(&self) -> Result<()> {
        const PATIENCE: Duration = Duration::from_secs(10);
        let start = Instant::now();
        for round in 0..KILL_ROUNDS {
            let pids = self.processes_below()?;
            if pids.is_empty() || !self.is_populated()? {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                break;
            }
            if round > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            for batch in pids.chunks(KILL_BATCH) {
                self.kill_batch(batch)?;
            }
        }
        Err(Error::NotDrained {
            path: self.path().to_owned(),
        })
    }

    /// A pid may pass to a process elsewhere between reading it and opening it. One that is
    /// still listed after it was opened is either the process in the descriptor or the
    /// descriptor's process is dead.
    fn kill_batch(&self, pids: &[i32]) -> Result<()> {
        let open: Vec<_> = pids
            .iter()
            .filter_map(|&pid| PidFd::open(pid).ok().map(|fd| (pid, fd)))
            .collect();
        let still: HashSet<_> = self.processes_below()?.into_iter().collect();
        for (pid, fd) in open {
            if !still.contains(&pid) {
                continue;
            }
            match fd.signal(SIGKILL) {
                Err(error) if error.raw_os_error() != Some(libc::ESRCH) => {
                    return Err(self.error("kill the processes of", error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The processes of this cgroup and of all below it.
    pub fn processes_below(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        let mut budget = MAX_CGROUPS;
        self.collect_processes(&mut pids, MAX_DEPTH, &mut budget)?;
        Ok(pids)
    }

    fn collect_processes(&self, pids: &mut Vec<i32>, depth: u32, budget: &mut usize) -> Result<()> {
        *budget = budget.saturating_sub(1);
        if depth == 0 || *budget == 0 {
            return Err(Error::TooLarge {
                path: self.path().to_owned(),
            });
        }
        match self.processes() {
            Ok(here) => pids.extend(here),
            // A threaded cgroup lists its processes in the cgroup above that is not.
            Err(error) if error.errno() == Some(libc::EOPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
        for name in self.children()? {
            match self
                .child(&name)
                .and_then(|c| c.collect_processes(pids, depth - 1, budget))
            {
                Err(error) if error.is_not_found() => {}
                other => other?,
            }
        }
        Ok(())
    }
}
