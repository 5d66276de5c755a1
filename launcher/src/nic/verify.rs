//! `berth nic verify`: whether what exists agrees with what is granted.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;

use berth_common::{Gid, Uid, path};
use berth_kernel::cred;
use berth_kernel::user::{self, User};
use berth_usernic::usernet;

use super::{Nic, gc, living, open, survey};
use crate::error::{Error, Result};

/// Everything that does not agree, a sentence each. Without root, namespaces without processes
/// are not found.
pub fn verify() -> Result<Vec<String>> {
    let mut socket = open()?;
    let nics = survey(&mut socket)?;
    let mut wrong = Vec::new();
    let living = if cred::effective_uid().is_root() {
        living::numbers(&mut socket)?
    } else {
        nics.iter().filter_map(|nic| nic.peer_namespace).collect()
    };
    for nic in &nics {
        wrong.extend(oddities(nic, &living));
    }
    let text = match std::fs::read(path::USERNET) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::file("read", path::USERNET.as_ref(), error)),
    };
    wrong.extend(excesses(&nics, &text)?);
    Ok(wrong)
}

fn oddities(nic: &Nic, living: &BTreeSet<u32>) -> Vec<String> {
    let Nic { host, owner, .. } = nic;
    let mut wrong = Vec::new();
    if let Some(why) = gc::useless(nic, living) {
        wrong.push(format!(
            "{host} of {owner}: {why} (berth nic gc removes it)"
        ));
    } else if nic.bridge.is_none() && !nic.marked {
        wrong.push(format!(
            "{host}: it has the name of a NIC of {owner} but was not made by the helper; it \
             counts for nobody"
        ));
    } else if !nic.up {
        wrong.push(format!("{host} of {owner}: it is set down"));
    }
    if nic.group != nic.uid {
        wrong.push(format!(
            "{host} of {owner}: its group is {}, not {}",
            nic.group, nic.uid
        ));
    }
    if nic.peer_namespace.is_none() {
        wrong.push(format!(
            "{host} of {owner}: its other end is in the host's own network namespace"
        ));
    }
    wrong
}

/// Users with more NICs on a bridge than the quota file grants now.
fn excesses(nics: &[Nic], usernet: &str) -> Result<Vec<String>> {
    let mut counts: BTreeMap<(u32, &str), u64> = BTreeMap::new();
    for nic in nics.iter().filter(|nic| nic.bridge.is_some() || nic.marked) {
        *counts.entry((nic.uid, nic.bridge_or_none())).or_default() += 1;
    }
    let mut wrong = Vec::new();
    for ((uid, bridge), count) in counts {
        let limit = limit(uid, bridge, usernet)?;
        if count > limit {
            let owner = Uid::new(uid).map_or_else(String::new, super::user_name);
            wrong.push(format!(
                "{owner} has {count} NICs on {bridge}, {} grants {limit}",
                path::USERNET
            ));
        }
    }
    Ok(wrong)
}

fn limit(uid: u32, bridge: &str, text: &str) -> Result<u64> {
    let look_up = |error| Error::os(format!("look up uid {uid}"), error);
    let Some(uid) = Uid::new(uid) else {
        return Ok(0);
    };
    let Some(user) = User::by_uid(uid).map_err(look_up)? else {
        return Ok(0);
    };
    let groups = groups_of(&user).map_err(look_up)?;
    let quota = usernet::quota(
        text,
        &user.name,
        |group| groups.contains(group),
        "veth",
        bridge,
    );
    Ok(quota.map_or(0, |quota| quota.limit))
}

fn groups_of(user: &User) -> std::io::Result<BTreeSet<String>> {
    let name = CString::new(user.name.as_str())?;
    let gid = nix::unistd::Gid::from_raw(user.gid.raw());
    Ok(nix::unistd::getgrouplist(&name, gid)?
        .into_iter()
        .filter_map(|gid| user::group_name(Gid::new(gid.as_raw())?).ok().flatten())
        .collect())
}
