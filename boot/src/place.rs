//! What the program keeps below `/run/berth`: a lock for each of whom it holds the containers.

use berth_common::{Uid, path};
use berth_kernel::fs::{self, LockHolder};
use berth_kernel::process::PidFd;
use berth_kernel::user::User;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where LXC's view of network interfaces is.
const LXC_RUN_DIR: &str = "/run/lxc";

/// Makes the directories that root's parts share, as tmpfiles.d(5) does where there is systemd. Each
/// must be root's: who else could have made it could make what is in it, too.
pub fn make_dirs() -> io::Result<()> {
    let dirs = [
        (path::RUN_DIR, 0o755),
        (path::BOOT_RUN_DIR, 0o755),
        (path::USER_RUN_DIR, 0o755),
        (path::LAUNCH_DIR, 0o755),
        (path::USERNIC_RUN_DIR, 0o700),
        (LXC_RUN_DIR, 0o755),
    ];
    for (dir, mode) in dirs {
        make_dir(Path::new(dir), mode)?;
        if std::fs::symlink_metadata(dir)?.uid() != 0 {
            let text = format!("{dir} is not root's");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
    }
    Ok(())
}

pub fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = std::fs::symlink_metadata(path)?;
            if found.is_dir() {
                return Ok(());
            }
            Err(error)
        }
        done => done,
    }
}

/// The user's own directory for runtime files: `/run/user/UID` ends with his last session, and
/// what a container's monitor has written down must not.
pub fn make_user_dir(user: &User) -> io::Result<()> {
    let path = Path::new(path::USER_RUN_DIR).join(user.uid.to_string());
    make_dir(&path, 0o700)?;
    let dir = fs::open_dir(&path)?;
    fs::chown(dir.as_fd(), Some(user.uid), Some(user.gid))
}

/// There while the boot's containers have been started: who takes over from a holder that was
/// killed must not start again what has been stopped since.
pub fn mark(uid: Uid) -> PathBuf {
    Path::new(path::BOOT_RUN_DIR).join(format!("{uid}.started"))
}

/// The lock of a holder. It ends with the process that took it.
#[derive(Debug)]
pub struct Lock {
    _file: OwnedFd,
}

/// Takes the lock; `Err(Some(pid))` if that process has it.
pub fn lock(uid: Uid) -> io::Result<Result<Lock, Option<i32>>> {
    let file = open(uid)?;
    if fs::try_lock_exclusive(file.as_fd())? {
        return Ok(Ok(Lock { _file: file }));
    }
    Ok(Err(match fs::lock_holder(file.as_fd())? {
        Some(LockHolder::Process(pid)) => Some(pid),
        _ => None,
    }))
}

fn open(uid: Uid) -> io::Result<OwnedFd> {
    let dir = fs::open_dir(Path::new(path::BOOT_RUN_DIR))?;
    fs::open_lock_file(dir.as_fd(), uid.to_string().as_ref())
}

/// The process that holds a user's containers, by descriptor; `None` if there is none.
pub fn holder(uid: Uid) -> io::Result<Option<(i32, PidFd)>> {
    let file = match open(uid) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let pid_now = || -> io::Result<Option<i32>> {
        Ok(match fs::lock_holder(file.as_fd())? {
            Some(LockHolder::Process(pid)) => Some(pid),
            _ => None,
        })
    };
    let Some(pid) = pid_now()? else {
        return Ok(None);
    };
    match PidFd::open(pid) {
        // The number may have passed to another process between the two calls.
        Ok(process) if pid_now()? == Some(pid) => Ok(Some((pid, process))),
        Ok(_) => Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whose locks there are, held or not.
pub fn known() -> io::Result<Vec<Uid>> {
    let names = match fs::open_dir(Path::new(path::BOOT_RUN_DIR)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        dir => fs::entries(dir?.as_fd(), 2 * 4096)?,
    };
    let uids = names.into_iter();
    Ok(uids
        .filter_map(|(name, _)| name.to_str()?.parse().ok())
        .collect())
}
