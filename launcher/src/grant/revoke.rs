//! `berth revoke`: undoes what the record says was granted, and nothing else.

use berth_common::{InterfaceName, path};
use berth_container_config::IdKind;
use berth_kernel::user::User;
use berth_usernic::usernet;

use super::record::Record;
use super::{Host, KINDS, Paths, check_name, lock, nic_count, quota, subids, unknown, words};
use crate::error::{Error, Result};

/// Revokes within these paths. `account` is what the user data base says about `name`; a user
/// who is gone can still be revoked.
pub fn revoke_from(
    paths: &Paths,
    host: &dyn Host,
    name: &str,
    account: Option<&User>,
    bridge: Option<&InterfaceName>,
    force: bool,
) -> Result<Vec<String>> {
    check_name(name)?;
    let _lock = lock(paths)?;
    let Some(mut record) = Record::read(&paths.grants(), name)? else {
        if account.is_none() {
            return Err(unknown(name));
        }
        return nothing_recorded(paths, name, bridge);
    };
    let mut said = revoke_quotas(paths, name, bridge, &mut record)?;
    if bridge.is_none() {
        said.extend(revoke_linger(paths, host, name, account, &mut record)?);
        for kind in KINDS {
            said.extend(revoke_subids(
                paths,
                host,
                name,
                account,
                kind,
                force,
                &mut record,
            )?);
        }
    }
    if record == Record::default() {
        Record::remove(&paths.grants(), name)?;
    }
    if said.is_empty() {
        said = nothing_recorded(paths, name, bridge)?;
    }
    Ok(said)
}

fn nothing_recorded(
    paths: &Paths,
    name: &str,
    bridge: Option<&InterfaceName>,
) -> Result<Vec<String>> {
    let mut said = vec![format!(
        "berth granted {name} nothing that is left to revoke"
    )];
    let text = quota::read(&paths.usernet())?;
    for entry in usernet::entries(&text) {
        let his = entry.who == usernet::Who::User(name)
            && bridge.is_none_or(|bridge| bridge.as_str() == entry.bridge);
        if his {
            said.push(format!(
                "left alone: line {} of {}, which somebody wrote by hand",
                entry.line,
                path::USERNET
            ));
        }
    }
    Ok(said)
}

fn revoke_quotas(
    paths: &Paths,
    name: &str,
    bridge: Option<&InterfaceName>,
    record: &mut Record,
) -> Result<Vec<String>> {
    let file = paths.usernet();
    let mut said = Vec::new();
    let bridges: Vec<String> = record
        .quotas
        .keys()
        .filter(|granted| bridge.is_none_or(|bridge| bridge.as_str() == granted.as_str()))
        .cloned()
        .collect();
    for granted in bridges {
        let before = record.quotas.get(&granted).and_then(|quota| quota.before);
        let text = quota::read(&file)?;
        if let Some(changed) = quota::set(&text, name, &granted, before) {
            quota::write(&file, &changed)?;
            said.push(match before {
                Some(before) => format!(
                    "{name} may have {} on {granted} as before",
                    nic_count(before)
                ),
                None => format!(
                    "{name} may have no NICs on {granted} any more ({})",
                    path::USERNET
                ),
            });
        }
        record.quotas.remove(&granted);
        record.write(&paths.grants(), name)?;
    }
    Ok(said)
}

fn revoke_linger(
    paths: &Paths,
    host: &dyn Host,
    name: &str,
    account: Option<&User>,
    record: &mut Record,
) -> Result<Option<String>> {
    if !record.linger {
        return Ok(None);
    }
    let mut said = None;
    let entry = paths.boot(name);
    if !host.has_systemd() && entry.exists() {
        std::fs::remove_file(&entry).map_err(|error| Error::file("remove", &entry, error))?;
        said = Some(format!("{name} is not in {} any more", path::BOOT_DIR));
    } else if paths.linger(name).exists()
        && let Some(user) = account
    {
        host.set_linger(user, false)?;
        said = Some(format!("{name} does not linger any more"));
    }
    record.linger = false;
    record.write(&paths.grants(), name)?;
    Ok(said)
}

fn revoke_subids(
    paths: &Paths,
    host: &dyn Host,
    name: &str,
    account: Option<&User>,
    kind: IdKind,
    force: bool,
    record: &mut Record,
) -> Result<Option<String>> {
    let Some(range) = record.range(kind) else {
        return Ok(None);
    };
    let (ids, file) = words(kind);
    let mut said = None;
    if let Some(user) = account {
        if !force && has_containers(user) {
            return Ok(Some(format!(
                "{name} keeps subordinate {ids} {range}: there are containers in {} (berth \
                 revoke --force takes them nevertheless)",
                user.home.join(path::USER_LXCPATH).display()
            )));
        }
        if let Some(pid) = host.process_of(user) {
            return Ok(Some(format!(
                "{name} keeps subordinate {ids} {range} while processes of {name} run (process \
                 {pid} is one); run this again when {name} has logged out"
            )));
        }
        if subids::is_in_file(paths, kind, user, range)? {
            host.remove_range(user, kind, range)?;
            said = Some(format!(
                "{name} has no subordinate {ids} {range} any more ({file})"
            ));
        }
    }
    record.set_range(kind, None);
    record.write(&paths.grants(), name)?;
    Ok(said)
}

/// Whether the user has a directory with a container's configuration. His files may say what
/// they like: they are only counted.
fn has_containers(user: &User) -> bool {
    let Ok(entries) = std::fs::read_dir(user.home.join(path::USER_LXCPATH)) else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| entry.path().join("config").symlink_metadata().is_ok())
}
