//! `berth grant`, `grants`, `revoke`: what an administrator gives a user, and takes back.
//!
//! Three things: subordinate ids, a line in the quota file of NICs, linger. What was there before
//! stays; what is added is recorded first, so that `revoke` undoes just that, whatever was
//! interrupted in between.

mod host;
mod quota;
mod record;
mod subids;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_common::{InterfaceName, Uid, path};
use berth_container_config::IdKind;
use berth_kernel::cred;
use berth_kernel::user::User;
use berth_usernic::{ports, usernet};
use serde::Serialize;

use crate::error::{Error, Result};
pub use host::{Host, System};
pub use record::Range;
use record::{QuotaRecord, Record};

/// How long another `berth grant` is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// A bridge cannot have more ports (`BR_MAX_PORTS` of the kernel).
const MAX_NICS: u32 = 1023;
const KINDS: [IdKind; 2] = [IdKind::User, IdKind::Group];

/// Where the files are; tests put them elsewhere.
#[derive(Clone, Debug)]
pub struct Paths {
    /// `/etc`
    pub etc: PathBuf,
    /// `/var`
    pub var: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            etc: "/etc".into(),
            var: "/var".into(),
        }
    }
}

impl Paths {
    fn usernet(&self) -> PathBuf {
        below(&self.etc, "/etc", path::USERNET)
    }

    fn grants(&self) -> PathBuf {
        below(&self.var, "/var", path::GRANTS_DIR)
    }

    fn linger(&self, user: &str) -> PathBuf {
        below(&self.var, "/var", path::LINGER_DIR).join(user)
    }

    fn subids(&self, kind: IdKind) -> PathBuf {
        self.etc.join(match kind {
            IdKind::User => "subuid",
            IdKind::Group => "subgid",
        })
    }
}

fn below(root: &Path, prefix: &str, absolute: &str) -> PathBuf {
    let absolute = Path::new(absolute);
    root.join(absolute.strip_prefix(prefix).unwrap_or(absolute))
}

/// What is to be granted.
#[derive(Clone, Debug)]
pub struct Request {
    /// Name of the user.
    pub user: String,
    /// How many NICs he may have at once on the bridge.
    pub nics: u32,
    /// The bridge.
    pub bridge: InterfaceName,
    /// Whether his containers may start at boot.
    pub boot: bool,
}

/// Grants; one line for each thing that changed or was there already. Needs root.
pub fn grant(request: &Request) -> Result<Vec<String>> {
    require_root("grant")?;
    let user = look_up(&request.user)?.ok_or_else(|| unknown(&request.user))?;
    let paths = Paths::default();
    grant_to(&paths, &System::new(&paths), &user, request)
}

/// Takes back what [`grant`] gave: all of it, or only the quota on one bridge. `force` takes
/// subordinate ids back although the user has containers. Needs root.
pub fn revoke(user: &str, bridge: Option<&InterfaceName>, force: bool) -> Result<Vec<String>> {
    require_root("revoke")?;
    let paths = Paths::default();
    let account = look_up(user)?;
    revoke_from(
        &paths,
        &System::new(&paths),
        user,
        account.as_ref(),
        bridge,
        force,
    )
}

/// Who may have how many NICs, and what belongs to it. Anybody may ask.
pub fn grants() -> Result<Vec<Row>> {
    let paths = Paths::default();
    list(&paths, &System::new(&paths), look_up)
}

fn require_root(verb: &str) -> Result<()> {
    if cred::effective_uid().is_root() {
        return Ok(());
    }
    Err(Error::other(format!(
        "only root can {verb} (try: sudo berth {verb} …)"
    )))
}

fn look_up(name: &str) -> Result<Option<User>> {
    User::by_name(name).map_err(|error| Error::os(format!("look up user {name}"), error))
}

fn unknown(name: &str) -> Error {
    let shown: String = name
        .chars()
        .take(80)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    Error::other(format!("there is no user “{shown}”"))
}

/// Grants within these paths.
pub fn grant_to(
    paths: &Paths,
    host: &dyn Host,
    user: &User,
    request: &Request,
) -> Result<Vec<String>> {
    if user.uid.is_root() {
        return Err(Error::other(
            "root needs no grant: his containers may use any bridge",
        ));
    }
    if request.nics > MAX_NICS {
        return Err(Error::other(format!(
            "{} NICs are more than a bridge can have ports: at most {MAX_NICS}",
            request.nics
        )));
    }
    check_name(&user.name)?;
    let _lock = lock(paths)?;
    let mut record = Record::read(&paths.grants(), &user.name)?.unwrap_or_default();
    let mut said = Vec::new();
    for kind in KINDS {
        said.push(grant_subids(paths, host, user, kind, &mut record)?);
    }
    said.push(grant_quota(paths, user, request, &mut record)?);
    if !host.bridge_exists(&request.bridge) {
        said.push(format!(
            "note: there is no bridge {} on this host yet",
            request.bridge
        ));
    }
    if request.boot {
        said.push(grant_linger(paths, host, user, &mut record)?);
    }
    Ok(said)
}

/// A name is a word in the quota file and a file name of ours.
fn check_name(name: &str) -> Result<()> {
    let usable = !name.is_empty()
        && !name.starts_with(['-', '.', '@', '#'])
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/' || c == ':');
    if usable {
        return Ok(());
    }
    Err(Error::other(format!(
        "the user name “{}” cannot be written into {}",
        name.escape_debug(),
        path::USERNET
    )))
}

fn grant_subids(
    paths: &Paths,
    host: &dyn Host,
    user: &User,
    kind: IdKind,
    record: &mut Record,
) -> Result<String> {
    let name = &user.name;
    let (ids, file) = words(kind);
    let present = host.ranges(user, kind)?;
    if let Some(range) = present.iter().find(|range| range.count >= subids::WHOLE) {
        return Ok(format!("{name} has subordinate {ids} {range} already"));
    }
    // The same numbers for users and groups, where they are free.
    let other = match kind {
        IdKind::User => IdKind::Group,
        IdKind::Group => IdKind::User,
    };
    let wished = host
        .ranges(user, other)?
        .into_iter()
        .find(|range| range.count >= subids::WHOLE);
    let range = subids::free_range(paths, kind, wished)?;
    record.set_range(kind, Some(range));
    record.write(&paths.grants(), name)?;
    host.add_range(user, kind, range)?;
    Ok(format!("{name} has subordinate {ids} {range} now ({file})"))
}

fn words(kind: IdKind) -> (&'static str, &'static str) {
    match kind {
        IdKind::User => ("user ids", "/etc/subuid"),
        IdKind::Group => ("group ids", "/etc/subgid"),
    }
}

fn grant_quota(
    paths: &Paths,
    user: &User,
    request: &Request,
    record: &mut Record,
) -> Result<String> {
    let (name, bridge, nics) = (&user.name, request.bridge.as_str(), request.nics);
    let file = paths.usernet();
    let text = quota::read(&file)?;
    let before = quota::count(&text, name, bridge);
    let Some(changed) = quota::set(&text, name, bridge, Some(nics)) else {
        return Ok(format!(
            "{name} may have {} on {bridge} already",
            nic_count(nics)
        ));
    };
    // What an administrator wrote himself comes back when the grant is revoked; a number that
    // was granted before does not.
    let known = record.quotas.get(bridge).map(|quota| quota.before);
    let quota = QuotaRecord {
        nics,
        before: known.unwrap_or(before),
    };
    record.quotas.insert(bridge.to_owned(), quota);
    record.write(&paths.grants(), name)?;
    quota::write(&file, &changed)?;
    let was = before.map_or_else(String::new, |before| format!(", {before} before"));
    Ok(format!(
        "{name} may have {} on {bridge} now{was} ({})",
        nic_count(nics),
        path::USERNET
    ))
}

fn nic_count(nics: u32) -> String {
    if nics == 1 {
        "1 NIC".to_owned()
    } else {
        format!("{nics} NICs")
    }
}

fn grant_linger(
    paths: &Paths,
    host: &dyn Host,
    user: &User,
    record: &mut Record,
) -> Result<String> {
    let name = &user.name;
    if paths.linger(name).exists() {
        return Ok(format!(
            "{name} lingers already: enabled containers start at boot"
        ));
    }
    if !host.has_systemd() {
        return Ok(format!(
            "{name} cannot linger: systemd does not run this host, whose own init has to start \
             containers at boot (berth autostart)"
        ));
    }
    record.linger = true;
    record.write(&paths.grants(), name)?;
    host.set_linger(user, true)?;
    Ok(format!(
        "{name} lingers now: enabled containers start at boot"
    ))
}

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
    if paths.linger(name).exists()
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

/// A line of `berth grants`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The user, or `@group` for each member of a group.
    pub user: String,
    /// The bridge, or `none`.
    pub bridge: String,
    /// How many NICs he may have there by lines of his own.
    pub nics: u64,
    /// How many he has; `None` where there is no such user or bridge, and for groups.
    pub used: Option<u64>,
    /// His subordinate user ids.
    pub subuids: Vec<Range>,
    /// His subordinate group ids.
    pub subgids: Vec<Range>,
    /// Whether his containers may start at boot.
    pub linger: bool,
}

/// Lists within these paths, in the order of the quota file.
pub fn list(
    paths: &Paths,
    host: &dyn Host,
    look_up: impl Fn(&str) -> Result<Option<User>>,
) -> Result<Vec<Row>> {
    let text = quota::read(&paths.usernet())?;
    let mut rows: Vec<Row> = Vec::new();
    for entry in usernet::entries(&text).filter(|entry| entry.kind == "veth") {
        let (label, user) = match entry.who {
            usernet::Who::User(name) => (name.to_owned(), look_up(name)?),
            usernet::Who::Group(name) => (format!("@{name}"), None),
        };
        let nics = u64::try_from(entry.count).unwrap_or(0);
        let same = |row: &&mut Row| row.user == label && row.bridge == entry.bridge;
        if let Some(row) = rows.iter_mut().find(same) {
            row.nics = row.nics.saturating_add(nics);
            continue;
        }
        let ranges = |kind| {
            user.as_ref()
                .map_or(Ok(Vec::new()), |user| host.ranges(user, kind))
        };
        rows.push(Row {
            nics,
            used: user.as_ref().and_then(|user| used(entry.bridge, user.uid)),
            subuids: ranges(IdKind::User)?,
            subgids: ranges(IdKind::Group)?,
            linger: user
                .as_ref()
                .is_some_and(|user| paths.linger(&user.name).exists()),
            bridge: entry.bridge.to_owned(),
            user: label,
        });
    }
    Ok(rows)
}

fn used(bridge: &str, uid: Uid) -> Option<u64> {
    let bridge: InterfaceName = bridge.parse().ok()?;
    ports::of_user(&bridge, uid)
        .ok()
        .map(|nics| nics.len() as u64)
}

/// The rows as a table for people, with its head and a newline after each line.
pub fn table(rows: &[Row]) -> String {
    let ranges = |ranges: &[Range]| match ranges {
        [] => "-".to_owned(),
        ranges => ranges
            .iter()
            .map(Range::to_string)
            .collect::<Vec<_>>()
            .join(","),
    };
    let head = [
        "USER", "BRIDGE", "NICS", "USED", "SUBUIDS", "SUBGIDS", "LINGER",
    ]
    .map(Into::into);
    let mut lines: Vec<[String; 7]> = vec![head];
    lines.extend(rows.iter().map(|row| {
        [
            row.user.clone(),
            row.bridge.clone(),
            row.nics.to_string(),
            row.used
                .map_or_else(|| "-".to_owned(), |used| used.to_string()),
            ranges(&row.subuids),
            ranges(&row.subgids),
            if row.linger { "yes" } else { "no" }.to_owned(),
        ]
    }));
    let widths: [usize; 7] = std::array::from_fn(|column| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    });
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// One grant or revocation at a time; the lock ends with the process.
fn lock(paths: &Paths) -> Result<std::fs::File> {
    let dir = paths.grants();
    make_dirs(&dir)?;
    let file = dir.join(".lock");
    let opened = std::fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&file)
        .map_err(|error| Error::file("open", &file, error))?;
    match berth_kernel::fs::flock_exclusive(opened.as_fd(), LOCK_PATIENCE) {
        Ok(true) => Ok(opened),
        Ok(false) => Err(Error::other(
            "another berth grant or revoke does not end; try again",
        )),
        Err(error) => Err(Error::file("lock", &file, error)),
    }
}

/// Makes a directory and those above it, readable by everybody whatever the umask is.
fn make_dirs(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        make_dirs(parent)?;
    }
    let made = std::fs::DirBuilder::new()
        .mode(0o755)
        .create(dir)
        .and_then(|()| std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)));
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(|error| Error::file("make the directory", dir, error)),
    }
}

#[cfg(test)]
mod tests;
