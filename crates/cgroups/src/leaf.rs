//! The leaf of a cgroup that is or will be a user's, as root makes it.
//!
//! Whoever owns a cgroup can plant a child of any name there, or turn a controller off and on
//! again so that its files become his. Root's processes are put into the leaf at the next login:
//! one that the user froze or starved beforehand would hold that login up.

use crate::{CgroupDir, Error, Result};
use berth_common::cgroup;
use berth_kernel::cred;

/// A file that every cgroup but the root has, and that is never delegated.
const MAKERS_MARK: &str = "cgroup.events";
/// What can stop or starve those who sit in a cgroup, and the value that does not.
const HARMLESS: [(&str, &str); 5] = [
    ("cgroup.freeze", "0"),
    ("cpu.max", "max"),
    ("memory.high", "max"),
    ("memory.max", "max"),
    ("pids.max", "max"),
];

/// Makes or opens the leaf. One that somebody else made is removed; [`Error::Foreign`] if it is in
/// use. What its user may have set on it is taken back. `go_on` is asked while removing.
pub(crate) fn make(base: &CgroupDir, mut go_on: impl FnMut() -> bool) -> Result<CgroupDir> {
    const ATTEMPTS: u32 = 3;
    let own = cred::effective_uid().raw();
    let mut maker = own;
    for _ in 0..ATTEMPTS {
        let (leaf, made) = base.make_child_or_open(cgroup::LEAF)?;
        maker = leaf.file_owner(MAKERS_MARK)?.unwrap_or(own);
        if maker == own {
            if !made {
                take_back(&leaf, own)?;
            }
            return Ok(leaf);
        }
        drop(leaf);
        match base.remove_tree_while(cgroup::LEAF, &mut go_on) {
            Err(error) if error.errno() == Some(libc::EBUSY) => break,
            done => drop(done?),
        }
    }
    Err(Error::Foreign {
        path: base.path().join(cgroup::LEAF),
        uid: maker,
    })
}

/// Undoes what the leaf's user can have set on it. His are the files of controllers that he
/// turned on, and which controllers the leaf hands on: with one of those that count memory or
/// blocks it would take no process any more.
fn take_back(leaf: &CgroupDir, own: u32) -> Result<()> {
    for (file, value) in HARMLESS {
        if leaf.file_owner(file)?.is_some_and(|owner| owner != own) {
            leaf.write(file, value)?;
        }
    }
    for name in leaf.enabled_controllers()? {
        match leaf.write("cgroup.subtree_control", &format!("-{name}")) {
            // Below the leaf he makes use of it; then the move says so.
            Err(error) if error.errno() == Some(libc::EBUSY) => {}
            done => done?,
        }
    }
    Ok(())
}
