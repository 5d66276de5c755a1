//! `/user/NAME/INDEX` in one hierarchy of either version.

use super::{MAX_INDEX, TOP};
use crate::own_tree::IDLE;
use crate::session::{Clock, Failure, Host, Person};
use berth_cgroups::legacy::{LegacyHierarchy, Removal};
use berth_cgroups::{CgroupDir, CgroupPath, DelegationSet, Error, Hierarchy};
use berth_common::{Uid, cgroup};
use berth_kernel::fs;
use std::ffi::OsStr;
use std::fmt;
use std::os::fd::AsFd;

/// Where more users than this have cgroups, each looks after his own.
const MAX_NAMES: usize = 256;

/// The hierarchy, where its users' cgroups begin, and where the login sits.
pub(super) struct Tree<'a> {
    kind: Kind<'a>,
    init: CgroupPath,
    own: CgroupPath,
}

enum Kind<'a> {
    Legacy(&'a LegacyHierarchy),
    Unified(Hierarchy),
}

impl<'a> Tree<'a> {
    pub fn legacy(hierarchy: &'a LegacyHierarchy) -> Self {
        Self {
            kind: Kind::Legacy(hierarchy),
            init: hierarchy.init().clone(),
            own: hierarchy.own().clone(),
        }
    }

    pub fn unified(hierarchy: Hierarchy, own: CgroupPath) -> Self {
        Self {
            init: hierarchy.init_root(),
            kind: Kind::Unified(hierarchy),
            own,
        }
    }

    fn open(&self, path: &CgroupPath) -> Result<CgroupDir, Error> {
        match &self.kind {
            Kind::Legacy(hierarchy) => hierarchy.open(path),
            Kind::Unified(hierarchy) => hierarchy.open(path),
        }
    }

    fn path(&self, user: &Person) -> Result<CgroupPath, Error> {
        self.init.child(TOP)?.child(&user.name)
    }

    /// Whether the cgroup of that index is the user's or can become it. Trouble with the tree is
    /// for [`Self::enter`] to tell.
    pub fn is_usable(&self, user: &Person, index: u32) -> bool {
        let dir = self
            .path(user)
            .and_then(|path| self.open(&path.child(index.to_string())?));
        dir.and_then(|dir| may_be(&dir, user.uid)).unwrap_or(true)
    }

    /// Makes what is missing of the user's cgroup, gives it to him and moves the login there. On
    /// failure what was made just now is removed.
    pub fn enter<H: Host>(
        &self,
        user: &Person,
        index: u32,
        process: i32,
        clock: &Clock<'_, H>,
    ) -> Result<(), Failure> {
        clock.check()?;
        let init = self.open(&self.init)?;
        let top = self.make_roots(&init, TOP)?;
        clock.check()?;
        let names = self.make_roots(&top, &user.name)?;
        let index = index.to_string();
        let entered = self.take(&names, &index, user, process, clock);
        if entered.is_err() {
            // Nobody's work is lost: the kernel refuses where there is a process or a cgroup.
            let _ = names
                .child(&index)
                .map(|dir| dir.remove_child(cgroup::LEAF));
            let _ = names.remove_child(&index);
            let _ = top.remove_child(&user.name);
        }
        entered
    }

    fn take<H: Host>(
        &self,
        names: &CgroupDir,
        index: &str,
        user: &Person,
        process: i32,
        clock: &Clock<'_, H>,
    ) -> Result<(), Failure> {
        clock.check()?;
        let dir = self.make(names, index)?;
        if !may_be(&dir, user.uid)? {
            return Err(foreign(&dir)?.into());
        }
        clock.check()?;
        match &self.kind {
            Kind::Legacy(hierarchy) => {
                hierarchy.delegate(&dir, user.uid, user.gid)?;
                clock.check()?;
                dir.move_process(process)?;
            }
            Kind::Unified(_) => {
                // A cgroup with processes cannot hand controllers on, so they sit in a leaf.
                let leaf = dir.make_child(cgroup::LEAF)?;
                clock.check()?;
                let set = DelegationSet::of_kernel()?;
                leaf.delegate_files_to(&set, user.uid, user.gid)?;
                dir.delegate_files_to(&set, user.uid, user.gid)?;
                clock.check()?;
                leaf.move_process(process)?;
            }
        }
        Ok(())
    }

    /// Moves the closing process out and removes those cgroups of the user that nobody lives
    /// in. Tells whether all of them are gone that were there.
    pub fn leave<H: Host>(
        &self,
        user: &Person,
        process: i32,
        clock: &Clock<'_, H>,
    ) -> Result<bool, Failure> {
        let path = self.path(user)?;
        let names = match self.open(&path) {
            Err(error) if error.is_not_found() => return Ok(false),
            other => other?,
        };
        must_be_roots(&names)?;
        let init = self.open(&self.init)?;
        if path.suffix_of(&self.own).is_some() {
            clock.check()?;
            init.move_process(process)?;
        }
        clear(&init.child(TOP)?, &names, user.name.as_ref(), clock)
    }

    /// Removes those cgroups of other users that nobody lives in: whoever closed their sessions may
    /// have come before the end of their last processes. What a login may be making this moment is
    /// left, and what cannot be removed.
    pub fn clear_up_after_others<H: Host>(&self, user: &Person, host: &H, clock: &Clock<'_, H>) {
        let is_old = |dir: &CgroupDir| {
            fs::status(dir.as_fd())
                .is_ok_and(|status| host.time().saturating_sub(status.modified) >= IDLE)
        };
        let all_old = |names: &CgroupDir| {
            let indices = names.children().unwrap_or_default();
            let mut dirs = indices.iter().filter_map(|index| names.child(index).ok());
            is_old(names) && dirs.all(|dir| is_old(&dir))
        };
        let top = self.init.child(TOP).and_then(|path| self.open(&path));
        let Ok(top) = top else { return };
        let names = top.children_up_to(MAX_NAMES).unwrap_or_default();
        for name in names.iter().filter(|name| **name != *user.name) {
            if clock.check().is_err() {
                return;
            }
            if let Ok(names) = top.child(name)
                && must_be_roots(&names).is_ok()
                && all_old(&names)
            {
                let _ = clear(&top, &names, name, clock);
            }
        }
    }

    fn make(&self, parent: &CgroupDir, name: &str) -> Result<CgroupDir, Error> {
        match &self.kind {
            Kind::Legacy(hierarchy) => hierarchy.make_ready(parent, name),
            Kind::Unified(_) => {
                let child = parent.make_child(name)?;
                child.let_in()?;
                Ok(child)
            }
        }
    }

    /// As [`Self::make`] for the upper cgroups: below one that is somebody else's, names could
    /// be planted.
    fn make_roots(&self, parent: &CgroupDir, name: &str) -> Result<CgroupDir, Error> {
        let dir = self.make(parent, name)?;
        must_be_roots(&dir)?;
        Ok(dir)
    }
}

/// Removes the cgroups of one user, `names`, which is `name` in `top`, that nobody lives in. Tells
/// whether all of them are gone.
fn clear<H: Host>(
    top: &CgroupDir,
    names: &CgroupDir,
    name: &OsStr,
    clock: &Clock<'_, H>,
) -> Result<bool, Failure> {
    let mut out_of_time = false;
    for index in names.children()?.iter().filter(|name| is_index(name)) {
        let mut go_on = || clock.check().is_ok();
        match names.remove_unpopulated(index, &mut go_on)? {
            Removal::Gone | Removal::InUse => {}
            Removal::OutOfTime => out_of_time = true,
        }
    }
    if out_of_time {
        return Err(clock.late());
    }
    match top.remove_child(name) {
        Ok(gone) => Ok(gone),
        Err(error) if error.errno() == Some(libc::EBUSY) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn must_be_roots(dir: &CgroupDir) -> Result<(), Error> {
    if dir.owner()?.0 == Uid::ROOT.raw() {
        return Ok(());
    }
    Err(foreign(dir)?)
}

fn foreign(dir: &CgroupDir) -> Result<Error, Error> {
    Ok(Error::ForeignOwner {
        path: dir.path().to_owned(),
        uid: dir.owner()?.0,
    })
}

/// Whether a cgroup is the user's or can become it: another login of his may be making it this
/// moment, or have been killed over it. One of root's that is in use is somebody's work.
fn may_be(dir: &CgroupDir, uid: Uid) -> Result<bool, Error> {
    let owner = dir.owner()?.0;
    if owner == uid.raw() {
        return Ok(true);
    }
    if owner != Uid::ROOT.raw() || !dir.processes()?.is_empty() {
        return Ok(false);
    }
    // The leaf comes before the directory changes hands, its processes after that.
    match &dir.children()?[..] {
        [] => Ok(true),
        [only] if only == cgroup::LEAF => dir.child(only)?.is_bare(),
        _ => Ok(false),
    }
}

/// Only what this module or pam_cgfs(8) can have made.
fn is_index(name: &OsStr) -> bool {
    let name = name.to_str().unwrap_or_default();
    name.parse::<u32>()
        .is_ok_and(|index| index < MAX_INDEX && index.to_string() == name)
}

impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Legacy(hierarchy) => hierarchy.fmt(f),
            Kind::Unified(_) => f.write_str("unified"),
        }
    }
}
