//! Root's own cgroup where there is no systemd, beside those of the users.

use berth_cgroups::{CONTROLLERS, DelegatedBase, Hierarchy, OwnTree, Result};
use berth_common::{Gid, Uid};

/// How often to begin again when somebody's login or logout removed it, being empty.
const ATTEMPTS: u32 = 4;

/// Makes or finds it.
pub(super) fn own(hierarchy: &Hierarchy) -> Result<Option<DelegatedBase>> {
    let make = || OwnTree::new(hierarchy).make((Uid::ROOT, Gid::ROOT), &CONTROLLERS, &[], || true);
    let mut made = make();
    for _ in 1..ATTEMPTS {
        match &made {
            Err(error) if error.is_not_found() => made = make(),
            _ => break,
        }
    }
    made?;
    DelegatedBase::lasting_of(hierarchy, Uid::ROOT)
}
