//! `berth grant`, `grants`, `revoke`: what an administrator gives a user, and takes back.
//!
//! Three things: subordinate ids, a line in the quota file of NICs, linger (without systemd a file in
//! `/etc/berth/boot.d`). What was there before
//! stays; what is added is recorded first, so that `revoke` undoes just that, whatever was
//! interrupted in between.

mod host;
mod list;
mod quota;
mod record;
mod revoke;
mod subids;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_common::{InterfaceName, path};
use berth_container_config::IdKind;
use berth_kernel::cred;
use berth_kernel::fs as kernel_fs;
use berth_kernel::user::User;

use crate::error::{Error, Result};
pub use host::{Host, System};
pub use list::{Row, list, table};
pub use record::Range;
use record::{QuotaRecord, Record};
pub use revoke::revoke_from;

/// How long another `berth grant` is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK: &str = ".lock";
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

    /// What stands for linger where systemd does not run.
    fn boot(&self, user: &str) -> PathBuf {
        below(&self.etc, "/etc", path::BOOT_DIR).join(user)
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
    if !host.has_systemd() {
        return grant_boot(paths, name, record);
    }
    if paths.linger(name).exists() {
        return Ok(format!(
            "{name} lingers already: enabled containers start at boot"
        ));
    }
    record.linger = true;
    record.write(&paths.grants(), name)?;
    host.set_linger(user, true)?;
    Ok(format!(
        "{name} lingers now: enabled containers start at boot"
    ))
}

/// Without systemd the host's own init starts whoever is listed.
fn grant_boot(paths: &Paths, name: &str, record: &mut Record) -> Result<String> {
    let entry = paths.boot(name);
    if entry.exists() {
        return Ok(format!(
            "{name} is in {} already: enabled containers start at boot",
            path::BOOT_DIR
        ));
    }
    record.linger = true;
    record.write(&paths.grants(), name)?;
    if let Some(dir) = entry.parent() {
        make_dirs(dir)?;
    }
    std::fs::write(&entry, "").map_err(|error| Error::file("write", &entry, error))?;
    Ok(format!(
        "{name} is in {} now: enabled containers start at boot",
        path::BOOT_DIR
    ))
}

/// One grant or revocation at a time; the lock ends with the process.
fn lock(paths: &Paths) -> Result<OwnedFd> {
    let dir = paths.grants();
    make_dirs(&dir)?;
    let file = dir.join(LOCK);
    let opened = kernel_fs::open_dir(&dir)
        .and_then(|dir| kernel_fs::open_lock_file(dir.as_fd(), LOCK.as_ref()))
        .map_err(|error| Error::file("open", &file, error))?;
    match kernel_fs::flock_exclusive(opened.as_fd(), LOCK_PATIENCE) {
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
