//! Removing a tree that nobody lives in, on either version.

use crate::{CgroupDir, Error, Result};
use berth_common::cgroup;
use berth_kernel::fs;
use std::ffi::OsStr;
use std::os::fd::AsFd;

/// Users may nest as they like; each level costs a descriptor.
const MAX_DEPTH: u32 = 64;
/// How many cgroups are looked at before a tree counts as too large.
const MAX_CGROUPS: usize = 20_000;

/// What became of a tree that was to be removed if nothing lives in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone, or was not there.
    Gone,
    /// Something lives in it; all of it is still there.
    InUse,
    /// The caller's time was over.
    OutOfTime,
}

impl CgroupDir {
    /// Whether it holds neither processes nor cgroups.
    pub fn is_bare(&self) -> Result<bool> {
        Ok(self.processes()?.is_empty() && self.children()?.is_empty())
    }

    /// Opens the directory to everybody's eyes if it is not: one that another program made under
    /// a narrow umask would keep its user out.
    pub fn let_in(&self) -> Result<()> {
        const LOOK_AND_ENTER: u32 = 0o055;
        let status = fs::status(self.as_fd()).map_err(|error| self.error("examine", error))?;
        if status.permissions() & LOOK_AND_ENTER == LOOK_AND_ENTER {
            return Ok(());
        }
        fs::chmod(self.as_fd(), cgroup::DIR_MODE)
            .map_err(|error| self.error("change the mode of", error))
    }

    /// Removes the child `name` and everything below it, if no process lives in any of it.
    /// `go_on` is asked before each step.
    ///
    /// Version 1 does not tell whether a tree is populated, so it is walked first. Whoever
    /// enters it while it is being removed enters its top, where he is seen before the next
    /// step; the kernel refuses to remove what somebody is in.
    pub fn remove_unpopulated(
        &self,
        name: impl AsRef<OsStr>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Removal> {
        let name = name.as_ref();
        let top = match self.child(name) {
            Err(error) if error.is_not_found() => return Ok(Removal::Gone),
            other => other?,
        };
        let mut walk = Walk {
            top: &top,
            budget: MAX_CGROUPS,
            go_on,
        };
        let result = match walk.look_into(&top, MAX_DEPTH) {
            Ok(Removal::Gone) => walk.clear(&top, MAX_DEPTH),
            other => other,
        };
        match result {
            Ok(Removal::Gone) => remove(self, name),
            Err(error) if error.is_not_found() => Ok(Removal::Gone),
            other => other,
        }
    }
}

fn remove(parent: &CgroupDir, name: &OsStr) -> Result<Removal> {
    match parent.remove_child(name) {
        Ok(_) => Ok(Removal::Gone),
        Err(error) if error.errno() == Some(libc::EBUSY) => Ok(Removal::InUse),
        Err(error) => Err(error),
    }
}

/// A tree that is being looked through and removed.
struct Walk<'a> {
    top: &'a CgroupDir,
    budget: usize,
    go_on: &'a mut dyn FnMut() -> bool,
}

impl Walk<'_> {
    /// `Gone` if nothing lives in `dir` or below.
    fn look_into(&mut self, dir: &CgroupDir, depth: u32) -> Result<Removal> {
        self.budget = self.budget.saturating_sub(1);
        if depth == 0 || self.budget == 0 {
            return Err(Error::TooLarge {
                path: self.top.path().to_owned(),
            });
        }
        if !(self.go_on)() {
            return Ok(Removal::OutOfTime);
        }
        if !dir.processes()?.is_empty() {
            return Ok(Removal::InUse);
        }
        for name in dir.children()? {
            match dir
                .child(&name)
                .and_then(|child| self.look_into(&child, depth - 1))
            {
                Ok(Removal::Gone) => {}
                Err(error) if error.is_not_found() => {}
                other => return other,
            }
        }
        Ok(Removal::Gone)
    }

    /// Removes everything below `dir`, deepest first.
    fn clear(&mut self, dir: &CgroupDir, depth: u32) -> Result<Removal> {
        if depth == 0 {
            return Err(Error::TooLarge {
                path: self.top.path().to_owned(),
            });
        }
        for name in dir.children()? {
            let child = match dir.child(&name) {
                Err(error) if error.is_not_found() => continue,
                other => other?,
            };
            match self.clear(&child, depth - 1)? {
                Removal::Gone => {}
                other => return Ok(other),
            }
            if !(self.go_on)() {
                return Ok(Removal::OutOfTime);
            }
            if !self.top.processes()?.is_empty() {
                return Ok(Removal::InUse);
            }
            match remove(dir, &name)? {
                Removal::Gone => {}
                other => return Ok(other),
            }
        }
        Ok(Removal::Gone)
    }
}
