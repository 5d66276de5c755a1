//! Working as root of a user namespace: building and removing files that belong to a
//! container's ids.
//!
//! The child maps the container's ids and, as LXC does, the caller's own uid and gid to one id
//! more, so that its root has rights over the caller's directories as well: that takes both ids
//! of a file's owner to be mapped (`capable_wrt_inode_uidgid` in the kernel). Directories are
//! handed over by descriptor, because a home of mode 0700 cannot be passed through by path.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use berth_common::{Gid, Uid, path};
use berth_container_config::{IdKind, IdMapping};
use berth_kernel::{cred, limits, process, user::User};
use nix::sched::CloneFlags;

use crate::error::{Error, Result};

/// What the child says first: it has its user namespace.
const UNSHARED: u8 = b'U';
/// What the parent answers: the ids are mapped.
const MAPPED: u8 = b'M';
/// The child's last word: done, or failed with a text that follows.
const DONE: u8 = b'D';
const FAILED: u8 = b'F';
/// The longest error text that is taken from the child.
const MAX_TEXT: u64 = 1 << 16;
const SIGKILL: i32 = 9;

/// Runs `body` in a child process that is root of a new user and mount namespace with these
/// ids, and hands back its error. Without mappings the child is the caller's plain copy, as
/// root's containers that share the host's ids need it.
///
/// The child has umask 022 and dies with the caller.
pub fn run(maps: &[IdMapping], body: impl FnOnce() -> Result<()>) -> Result<()> {
    run_returning(maps, || body().map(|()| Vec::new())).map(drop)
}

/// The same for a body that has something to tell: its bytes.
pub fn run_returning(
    maps: &[IdMapping],
    body: impl FnOnce() -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let (ours, theirs) =
        UnixStream::pair().map_err(|error| Error::os("make a socket pair", error))?;
    let mut ours = Some(ours);
    let map = !maps.is_empty();
    let child = process::fork(|| {
        // The child sees the parent's death only if it does not hold this end itself.
        drop(ours.take());
        in_child(theirs, map, body)
    })
    .map_err(|error| Error::process("make a process that works as the container's root", error))?;

    let result = match &mut ours {
        Some(link) => converse(link, child.pid, maps),
        None => Ok(None),
    };
    // After an error of our own the child waits for us in vain: closing wakes it.
    drop(ours);
    let exit = child
        .pidfd
        .wait()
        .map_err(|error| Error::os("wait for a process", error))?;
    match result? {
        Some(told) => Ok(told),
        None => Err(Error::other(format!(
            "the process that works as the container's root ended \
                                           without a word ({exit})"
        ))),
    }
}

/// The parent's part: maps the ids, then listens. `Ok(None)`: the child ended silently.
fn converse(link: &mut UnixStream, pid: i32, maps: &[IdMapping]) -> Result<Option<Vec<u8>>> {
    let mut word = [0];
    loop {
        match link.read(&mut word) {
            Ok(0) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The child died with bytes of ours unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(Error::os("listen to a process", error)),
            Ok(_) => {}
        }
        match word[0] {
            UNSHARED => {
                Mapping::start(pid, &with_own_ids(maps))?.finish()?;
                if link.write_all(&[MAPPED]).is_err() {
                    // A child that has died meanwhile is seen by the next read; one that lives must
                    // not wait for what could not be sent.
                    let _ = link.shutdown(Shutdown::Write);
                }
            }
            DONE => {
                let mut told = Vec::new();
                link.read_to_end(&mut told)
                    .map_err(|error| Error::os("listen to a process", error))?;
                return Ok(Some(told));
            }
            _ => {
                let mut text = Vec::new();
                let _ = link.take(MAX_TEXT).read_to_end(&mut text);
                return Err(Error::other(String::from_utf8_lossy(&text).into_owned()));
            }
        }
    }
}

fn in_child(mut link: UnixStream, map: bool, body: impl FnOnce() -> Result<Vec<u8>>) -> u8 {
    let result = become_root(&mut link, map).and_then(|()| body());
    let told = match &result {
        Ok(told) => link.write_all(&[&[DONE], told.as_slice()].concat()),
        Err(error) => link.write_all(&[&[FAILED], error.to_string().as_bytes()].concat()),
    };
    u8::from(result.is_err() || told.is_err())
}

fn become_root(link: &mut UnixStream, map: bool) -> Result<()> {
    let die_with_parent = || {
        process::set_parent_death_signal(SIGKILL)
            .map_err(|error| Error::os("ask for the parent's death signal", error))
    };
    die_with_parent()?;
    limits::set_umask(0o022);
    if map {
        process::unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
            .map_err(explain_no_user_namespace)?;
        link.write_all(&[UNSHARED])
            .map_err(|error| Error::os("talk to the parent", error))?;
        let mut word = [0];
        link.read_exact(&mut word)
            .map_err(|error| Error::os("hear from the parent", error))?;
        take_ids()?;
        // The kernel forgets the request when the ids change.
        die_with_parent()?;
    }
    // A parent that died before the request stood is told by the closed socket.
    link.set_nonblocking(true)
        .map_err(|error| Error::os("set up a socket", error))?;
    let gone = matches!(link.read(&mut [0]), Ok(0));
    link.set_nonblocking(false)
        .map_err(|error| Error::os("set up a socket", error))?;
    match gone {
        true => Err(Error::other("the calling process is gone")),
        false => Ok(()),
    }
}

/// Makes the calling process root of a user namespace that exists, and of nothing else.
pub fn become_root_of(namespace: BorrowedFd<'_>) -> io::Result<()> {
    nix::sched::setns(namespace, CloneFlags::CLONE_NEWUSER)?;
    take_roots_ids()
}

/// The same for a process that has gone into the namespace and kept its ids.
pub fn take_roots_ids() -> io::Result<()> {
    cred::set_groups(&[])?;
    cred::set_all_gids(Gid::ROOT)?;
    cred::set_all_uids(Uid::ROOT)
}

fn take_ids() -> Result<()> {
    let refused = |error: io::Error| {
        // AppArmor's restriction lets the namespace be made and takes its capabilities away.
        match is_refusal(&error) && sysctl(APPARMOR_RESTRICTION) == Some(1) {
            true => explain_no_user_namespace(error),
            false => Error::os("become root of a user namespace", error),
        }
    };
    match cred::set_groups(&[]) {
        // Where only the caller's own gid is mapped, newgidmap forbids setgroups(2).
        Err(error) if is_refusal(&error) && setgroups_is_denied() => {}
        other => other.map_err(refused)?,
    }
    cred::set_all_gids(Gid::ROOT).map_err(refused)?;
    cred::set_all_uids(Uid::ROOT).map_err(refused)
}

fn setgroups_is_denied() -> bool {
    std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim() == "deny")
}

fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// The mappings, and the caller's own ids behind the last one if they are not among them.
pub fn with_own_ids(maps: &[IdMapping]) -> Vec<IdMapping> {
    let own = [
        (IdKind::User, cred::real_uid().raw()),
        (IdKind::Group, cred::real_gid().raw()),
    ];
    let mut all = maps.to_vec();
    for (kind, id) in own {
        let same = || maps.iter().filter(|mapping| mapping.kind == kind);
        if same().any(|mapping| mapping.covers_host(id)) {
            continue;
        }
        let free = same()
            .map(|mapping| mapping.inside + mapping.count)
            .max()
            .unwrap_or(0);
        all.extend(IdMapping::new(kind, free, id, 1));
    }
    all
}

/// The id maps of a new user namespace on their way: newuidmap(1) and newgidmap(1) work side by
/// side, and the caller may do something else meanwhile.
pub struct Mapping {
    helpers: Vec<(IdKind, Child)>,
}

impl Mapping {
    /// Starts writing the id maps of process `pid`'s user namespace. Root writes them himself.
    pub fn start(pid: i32, maps: &[IdMapping]) -> Result<Self> {
        let kinds = [IdKind::User, IdKind::Group];
        let mut helpers = Vec::new();
        for kind in kinds {
            if cred::effective_uid().is_root() {
                write_as_root(pid, kind, maps)?;
            } else {
                helpers.push((kind, start_helper(pid, kind, maps)?));
            }
        }
        Ok(Self { helpers })
    }

    /// Waits until the ids are mapped.
    pub fn finish(self) -> Result<()> {
        let mut result = Ok(());
        for (kind, child) in self.helpers {
            let output = crate::output::collect(child)
                .map_err(|error| Error::file("wait for", Path::new(helper(kind)), error))?;
            if output.status.code().is_none() {
                let (program, end) = (helper(kind), output.status);
                let killed = format!("cannot map ids: {program} was ended by a {end}");
                result = result.and(Err(Error::other(killed)));
            } else if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                result = result.and(Err(explain_helper(kind, said.trim())));
            }
        }
        result
    }
}

fn write_as_root(pid: i32, kind: IdKind, maps: &[IdMapping]) -> Result<()> {
    let path = match kind {
        IdKind::User => format!("/proc/{pid}/uid_map"),
        IdKind::Group => format!("/proc/{pid}/gid_map"),
    };
    let lines = maps.iter().filter(|mapping| mapping.kind == kind);
    let text: String = lines
        .map(|map| format!("{} {} {}\n", map.inside, map.host, map.count))
        .collect();
    std::fs::write(&path, text).map_err(|error| Error::file("write", Path::new(&path), error))
}

fn helper(kind: IdKind) -> &'static str {
    match kind {
        IdKind::User => path::NEWUIDMAP,
        IdKind::Group => path::NEWGIDMAP,
    }
}

fn start_helper(pid: i32, kind: IdKind, maps: &[IdMapping]) -> Result<Child> {
    let mut command = Command::new(helper(kind));
    command.arg(pid.to_string());
    for map in maps.iter().filter(|mapping| mapping.kind == kind) {
        command.args([map.inside, map.host, map.count].map(|number| number.to_string()));
    }
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::other(format!(
            "{} is missing: an administrator installs it with `apt install uidmap`",
            helper(kind)
        )),
        io::ErrorKind::WouldBlock => Error::process("run a helper that maps ids", error),
        _ => Error::file("run", Path::new(helper(kind)), error),
    })
}

/// Says why a helper refused, from its words and from what it needs.
fn explain_helper(kind: IdKind, said: &str) -> Error {
    let program = helper(kind);
    let (table, ids) = match kind {
        IdKind::User => ("/etc/subuid", "user ids"),
        IdKind::Group => ("/etc/subgid", "group ids"),
    };
    let uid = cred::real_uid();
    let user = User::by_uid(uid).ok().flatten();
    let name = user
        .as_ref()
        .map_or_else(|| uid.to_string(), |user| user.name.clone());
    let why = if cred::has_no_new_privs() {
        format!(
            "{program} needs root's rights, and this process may not gain any (no_new_privs is \
             set, by a sandbox or a service's option)"
        )
    } else if said.contains("not allowed") {
        format!(
            "{table} does not give {name} the {ids} that lxc.idmap names (an administrator gives \
             a range with: sudo berth grant {name})"
        )
    } else if !is_privileged(program) {
        format!(
            "{program} has lost its set-uid bit (an administrator restores it with: chmod u+s \
             {program})"
        )
    } else if user.is_some_and(|user| user.gid != cred::real_gid()) {
        format!("{program} works for {name}'s primary group only (was newgrp used?)")
    } else {
        format!("{program} refused")
    };
    match said.is_empty() {
        true => Error::other(format!("cannot map {ids}: {why}")),
        false => Error::other(format!("cannot map {ids}: {why}; it said: {said}")),
    }
}

/// Whether a program is set-uid root or may have file capabilities instead, as on Fedora.
fn is_privileged(program: &str) -> bool {
    let Ok(found) = std::fs::metadata(program) else {
        return false;
    };
    let capable = || {
        std::fs::File::open(program).is_ok_and(|file| {
            use std::os::fd::AsFd;
            berth_kernel::fs::xattr(file.as_fd(), "security.capability")
                .is_ok_and(|value| value.is_some())
        })
    };
    (found.uid() == 0 && found.permissions().mode() & 0o4000 != 0) || capable()
}

const USERNS_CLONE: &str = "kernel/unprivileged_userns_clone";
const MAX_NAMESPACES: &str = "user/max_user_namespaces";
const APPARMOR_RESTRICTION: &str = "kernel/apparmor_restrict_unprivileged_userns";

fn sysctl(name: &str) -> Option<u64> {
    std::fs::read_to_string(Path::new("/proc/sys").join(name))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Says why the kernel made no user namespace, and what an administrator can do.
pub fn explain_no_user_namespace(error: io::Error) -> Error {
    const ENOSYS: i32 = nix::errno::Errno::ENOSYS as i32;
    const EINVAL: i32 = nix::errno::Errno::EINVAL as i32;
    const ENOSPC: i32 = nix::errno::Errno::ENOSPC as i32;
    const EUSERS: i32 = nix::errno::Errno::EUSERS as i32;
    let switch = |name: &str, value: &str| {
        format!(
            "an administrator allows them with: sysctl {}={value}",
            name.replace('/', ".")
        )
    };
    let why = match error.raw_os_error() {
        Some(ENOSYS | EINVAL) => "this kernel is built without them (CONFIG_USER_NS)".to_owned(),
        Some(ENOSPC) => format!(
            "their number is limited to {}; {}",
            sysctl(MAX_NAMESPACES).map_or_else(|| "none".to_owned(), |limit| limit.to_string()),
            switch(MAX_NAMESPACES, "15000")
        ),
        Some(EUSERS) => "they are nested too deeply already".to_owned(),
        _ if sysctl(USERNS_CLONE) == Some(0) => {
            format!(
                "they are switched off for users; {}",
                switch(USERNS_CLONE, "1")
            )
        }
        _ if sysctl(APPARMOR_RESTRICTION) == Some(1) => format!(
            "AppArmor keeps them from programs without a profile; {}",
            switch(APPARMOR_RESTRICTION, "0")
        ),
        _ if is_refusal(&error) => {
            "the kernel refuses them (in a chroot, in a sandbox?)".to_owned()
        }
        _ => crate::error::Plain(&error).to_string(),
    };
    Error::other(format!("cannot make a user namespace: {why}"))
}
