//! Files by descriptor: resolution below a root, extended attributes, locks, atomic writes.
//!
//! Every descriptor made here is close-on-exec.

use berth_common::{Gid, Uid};
use nix::errno::Errno;
use nix::fcntl::{self, AtFlags, FcntlArg, RenameFlags};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::stat::{self, Mode};
use nix::unistd::{self, UnlinkatFlags};
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::BitOr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Flags of open(2), under the names that open(2) gives them.
pub use nix::fcntl::OFlag as OpenFlags;

/// How a path may be resolved: the `RESOLVE_` flags of openat2(2) (kernel 5.6 and later).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Resolve(u64);

impl Resolve {
    /// No restriction.
    pub const ANY: Self = Self(0);
    /// No step leaves the directory: neither `..` above it nor an absolute link.
    pub const BENEATH: Self = Self(libc::RESOLVE_BENEATH);
    /// The directory counts as `/` for the path and for every link in it.
    pub const IN_ROOT: Self = Self(libc::RESOLVE_IN_ROOT);
    /// No symbolic link anywhere in the path, the last component included.
    pub const NO_SYMLINKS: Self = Self(libc::RESOLVE_NO_SYMLINKS);
    /// No link of the kind that `/proc/PID/fd` holds.
    pub const NO_MAGICLINKS: Self = Self(libc::RESOLVE_NO_MAGICLINKS);
    /// No step onto another mount.
    pub const NO_XDEV: Self = Self(libc::RESOLVE_NO_XDEV);

    /// Both restrictions; usable in constants, where `|` is not.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for Resolve {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}

/// openat2(2). `mode` matters only where the flags create something and is subject to the umask.
/// An empty path opens nothing (`ENOENT`); `EAGAIN`, which the kernel returns when a rename
/// somewhere races with a restricted resolution, is retried a few times.
pub fn openat2(
    dir: BorrowedFd<'_>,
    path: &Path,
    flags: OpenFlags,
    mode: u32,
    resolve: Resolve,
) -> io::Result<OwnedFd> {
    const ATTEMPTS: u32 = 64;
    let how = fcntl::OpenHow::new()
        .flags(flags | OpenFlags::O_CLOEXEC)
        .mode(Mode::from_bits_truncate(mode))
        .resolve(fcntl::ResolveFlag::from_bits_retain(resolve.0));
    let mut attempt = 0;
    loop {
        match fcntl::openat2(dir, path, how) {
            Err(Errno::EAGAIN) if attempt < ATTEMPTS => attempt += 1,
            Err(Errno::EINTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Opens a directory for reading and for use as a starting point. Links on the way are followed.
pub fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenFlags::O_RDONLY | OpenFlags::O_DIRECTORY | OpenFlags::O_CLOEXEC;
    Ok(fcntl::open(path, flags, Mode::empty())?)
}

/// Opens a directory that is open already, for reading. Nothing is resolved by that, so it needs no
/// openat2(2), which services under RestrictSUIDSGID= do not have.
fn open_again(dir: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OpenFlags::O_RDONLY | OpenFlags::O_DIRECTORY | OpenFlags::O_CLOEXEC;
    Ok(fcntl::openat(dir, ".", flags, Mode::empty())?)
}

/// Opens the directory `path` below `dir`: no step leaves `dir`, no link is followed.
pub fn open_dir_beneath(dir: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenFlags::O_RDONLY | OpenFlags::O_DIRECTORY;
    openat2(dir, path, flags, 0, Resolve::BENEATH | Resolve::NO_SYMLINKS)
}

/// Makes the directory `name` in `dir` with exactly `mode`, whatever the umask is, and opens it.
/// `Ok((fd, false))` if there was a directory of that name already; that one keeps its mode.
pub fn make_dir_at(dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> io::Result<(OwnedFd, bool)> {
    single_component(name)?;
    let mode = Mode::from_bits_truncate(mode);
    let made = match stat::mkdirat(dir, name, mode) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(errno) => return Err(errno.into()),
    };
    let fd = open_dir_beneath(dir, Path::new(name))?;
    if made {
        stat::fchmod(&fd, mode)?;
    }
    Ok((fd, made))
}

/// What the kernel knows a device by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceNumber {
    /// A block device; else a character device.
    pub block: bool,
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

/// What fstat(2) says that Berth asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The owner, as mapped into the caller's user namespace.
    pub uid: u32,
    /// The group, likewise.
    pub gid: u32,
    /// Type and permission bits, as in `st_mode`.
    pub mode: u32,
    /// Device and inode: the same pair means the same file.
    pub id: (u64, u64),
    /// Which device a device file is for, as in `st_rdev`.
    pub device: u64,
    /// Size in bytes.
    pub size: u64,
    /// Hard links.
    pub links: u64,
    /// When the content changed last, in seconds since the epoch.
    pub modified: i64,
}

impl Status {
    fn new(raw: &libc::stat) -> Self {
        Self {
            uid: raw.st_uid,
            gid: raw.st_gid,
            mode: raw.st_mode,
            id: (raw.st_dev, raw.st_ino),
            device: raw.st_rdev,
            size: u64::try_from(raw.st_size).unwrap_or(0),
            // `nlink_t` is 64 bits wide on some architectures and 32 on others.
            #[allow(clippy::useless_conversion)]
            links: u64::from(raw.st_nlink),
            // 32 bits wide on old architectures.
            #[allow(clippy::useless_conversion)]
            modified: i64::from(raw.st_mtime),
        }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFLNK
    }

    /// The device that it is the file of.
    pub fn as_device(&self) -> Option<DeviceNumber> {
        let block = match self.mode & libc::S_IFMT {
            libc::S_IFBLK => true,
            libc::S_IFCHR => false,
            _ => return None,
        };
        Some(DeviceNumber {
            block,
            major: libc::major(self.device),
            minor: libc::minor(self.device),
        })
    }

    /// The permission bits with set-id and sticky bits.
    pub fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }
}

/// fstat(2).
pub fn status(fd: BorrowedFd<'_>) -> io::Result<Status> {
    Ok(Status::new(&stat::fstat(fd)?))
}

/// Whether the caller, as he is now (his effective ids and capabilities), may read or write what a
/// descriptor refers to, which it may have been opened for nothing for (`O_PATH`; faccessat2(2),
/// Linux 5.8). Nothing is opened: opening some devices does something.
pub fn may_read_or_write(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let flags = libc::AT_EMPTY_PATH | libc::AT_EACCESS;
    for wanted in [libc::R_OK, libc::W_OK] {
        // SAFETY: the kernel reads the terminated path, which is empty; the descriptor is open.
        let result = unsafe {
            libc::syscall(
                libc::SYS_faccessat2,
                fd.as_raw_fd(),
                c"".as_ptr(),
                wanted,
                flags,
            )
        };
        match Errno::result(result) {
            Ok(_) => return Ok(true),
            Err(Errno::EACCES | Errno::EPERM | Errno::EROFS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// fstatat(2) of `name` itself, not of what a link of that name points at.
pub fn status_at(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<Status> {
    Ok(Status::new(&stat::fstatat(
        dir,
        name,
        AtFlags::AT_SYMLINK_NOFOLLOW,
    )?))
}

/// Changes owner and group of `name` in `dir`; a link is changed itself, never followed.
/// `None` keeps the present one.
pub fn chown_at(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    uid: Option<Uid>,
    gid: Option<Gid>,
) -> io::Result<()> {
    single_component(name)?;
    Ok(unistd::fchownat(
        dir,
        name,
        raw_uid(uid),
        raw_gid(gid),
        AtFlags::AT_SYMLINK_NOFOLLOW,
    )?)
}

/// Changes owner and group of an open file. `None` keeps the present one.
pub fn chown(fd: BorrowedFd<'_>, uid: Option<Uid>, gid: Option<Gid>) -> io::Result<()> {
    Ok(unistd::fchown(fd, raw_uid(uid), raw_gid(gid))?)
}

fn raw_uid(uid: Option<Uid>) -> Option<unistd::Uid> {
    uid.map(|uid| unistd::Uid::from_raw(uid.raw()))
}

fn raw_gid(gid: Option<Gid>) -> Option<unistd::Gid> {
    gid.map(|gid| unistd::Gid::from_raw(gid.raw()))
}

/// Changes the mode of `name` in `dir`. A link is followed: for directories in which there are none
/// (a cgroup's), or whose links are the caller's.
pub fn chmod_at(dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> io::Result<()> {
    single_component(name)?;
    Ok(stat::fchmodat(
        dir,
        name,
        Mode::from_bits_truncate(mode),
        stat::FchmodatFlags::FollowSymlink,
    )?)
}

/// fchmod(2).
pub fn chmod(fd: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    Ok(stat::fchmod(fd, Mode::from_bits_truncate(mode))?)
}

/// Removes the file or link `name`.
pub fn unlink_at(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    single_component(name)?;
    Ok(unistd::unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)?)
}

/// Removes the empty directory `name`.
pub fn remove_dir_at(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    single_component(name)?;
    Ok(unistd::unlinkat(dir, name, UnlinkatFlags::RemoveDir)?)
}

/// Renames within or between directories; what `to` named before is replaced.
pub fn rename_at(
    from_dir: BorrowedFd<'_>,
    from: &OsStr,
    to_dir: BorrowedFd<'_>,
    to: &OsStr,
) -> io::Result<()> {
    single_component(from)?;
    single_component(to)?;
    Ok(fcntl::renameat(from_dir, from, to_dir, to)?)
}

/// Renames; `EEXIST` if `to` exists (renameat2(2) with `RENAME_NOREPLACE`).
pub fn rename_new(
    from_dir: BorrowedFd<'_>,
    from: &OsStr,
    to_dir: BorrowedFd<'_>,
    to: &OsStr,
) -> io::Result<()> {
    single_component(from)?;
    single_component(to)?;
    Ok(fcntl::renameat2(
        from_dir,
        from,
        to_dir,
        to,
        RenameFlags::RENAME_NOREPLACE,
    )?)
}

/// A name that would let a `…at` call step out of its directory is refused (`EINVAL`).
fn single_component(name: &OsStr) -> io::Result<()> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    Ok(())
}

/// Names and kinds of a directory's entries, without `.` and `..`, in the kernel's order.
/// More than `max` of them are an error (`E2BIG`), so that nobody can make the caller read
/// for ever.
pub fn entries(dir: BorrowedFd<'_>, max: usize) -> io::Result<Vec<(OsString, EntryKind)>> {
    // The read position belongs to the open file description.
    let own = open_again(dir)?;
    let mut found = Vec::new();
    for entry in nix::dir::Dir::from_fd(own)?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if found.len() == max {
            return Err(io::Error::from_raw_os_error(libc::E2BIG));
        }
        let kind = match entry.file_type() {
            Some(nix::dir::Type::Directory) => EntryKind::Dir,
            Some(nix::dir::Type::File) => EntryKind::File,
            Some(nix::dir::Type::Symlink) => EntryKind::Symlink,
            Some(_) => EntryKind::Other,
            None => {
                let status = status_at(dir, OsStr::from_bytes(name))?;
                match () {
                    () if status.is_dir() => EntryKind::Dir,
                    () if status.is_file() => EntryKind::File,
                    () if status.is_symlink() => EntryKind::Symlink,
                    () => EntryKind::Other,
                }
            }
        };
        found.push((OsStr::from_bytes(name).to_owned(), kind));
    }
    Ok(found)
}

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A device, socket or FIFO.
    Other,
}

/// The value of an extended attribute of an open file; `None` if it is not set, if the file
/// system has no extended attributes, or if the value is longer than 256 bytes.
pub fn xattr(fd: BorrowedFd<'_>, name: &str) -> io::Result<Option<Vec<u8>>> {
    let name = CString::new(name)?;
    let mut value = [0_u8; 256];
    // SAFETY: the name is a NUL-terminated string, the buffer is writable for the length given.
    let length = unsafe {
        libc::fgetxattr(
            fd.as_raw_fd(),
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            value.len(),
        )
    };
    match usize::try_from(length) {
        Ok(length) => Ok(value.get(..length).map(<[u8]>::to_vec)),
        Err(_) => match Errno::last() {
            Errno::ENODATA | Errno::EOPNOTSUPP | Errno::ERANGE => Ok(None),
            errno => Err(errno.into()),
        },
    }
}

/// Sets an extended attribute of an open file.
pub fn set_xattr(fd: BorrowedFd<'_>, name: &str, value: &[u8]) -> io::Result<()> {
    let name = CString::new(name)?;
    // SAFETY: the name is a NUL-terminated string, the value is readable for the length given.
    let result = unsafe {
        libc::fsetxattr(
            fd.as_raw_fd(),
            name.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// Whether an open file lies on cgroup v2 (`CGROUP2_SUPER_MAGIC`).
pub fn is_cgroup2(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(nix::sys::statfs::fstatfs(fd)?.filesystem_type() == nix::sys::statfs::CGROUP2_SUPER_MAGIC)
}

/// Whether an open file lies on a hierarchy of cgroup v1 (`CGROUP_SUPER_MAGIC`).
pub fn is_cgroup1(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(nix::sys::statfs::fstatfs(fd)?.filesystem_type() == nix::sys::statfs::CGROUP_SUPER_MAGIC)
}

/// Whether an open file lies on procfs (`PROC_SUPER_MAGIC`).
pub fn is_proc(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(nix::sys::statfs::fstatfs(fd)?.filesystem_type() == nix::sys::statfs::PROC_SUPER_MAGIC)
}

/// The whole content of the regular file `name` in `dir`. A link is not followed and a FIFO does
/// not block. A content of more than `max` bytes is an error (`EFBIG`).
pub fn read_at(dir: BorrowedFd<'_>, name: &OsStr, max: usize) -> io::Result<Vec<u8>> {
    single_component(name)?;
    let flags = OpenFlags::O_RDONLY
        | OpenFlags::O_NOFOLLOW
        | OpenFlags::O_NONBLOCK
        | OpenFlags::O_NOCTTY
        | OpenFlags::O_CLOEXEC;
    let file = File::from(fcntl::openat(dir, name, flags, Mode::empty())?);
    if !status(file.as_fd())?.is_file() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    read_bounded(&file, max)
}

/// What is left to read, at most `max` bytes; more is an error (`EFBIG`).
pub fn read_bounded(reader: impl Read, max: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(limit).read_to_end(&mut content)?;
    if content.len() > max {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    Ok(content)
}

/// Writes `value` with a single write(2) to the existing file `name` in `dir`, as the kernel's
/// control files want it. A link is not followed, nothing is created or truncated.
pub fn write_control(dir: BorrowedFd<'_>, name: &OsStr, value: &[u8]) -> io::Result<()> {
    single_component(name)?;
    let flags = OpenFlags::O_WRONLY
        | OpenFlags::O_NOFOLLOW
        | OpenFlags::O_NONBLOCK
        | OpenFlags::O_NOCTTY
        | OpenFlags::O_CLOEXEC;
    let fd = fcntl::openat(dir, name, flags, Mode::empty())?;
    loop {
        match unistd::write(&fd, value) {
            Err(Errno::EINTR) => {}
            Ok(written) if written < value.len() => {
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
            other => return Ok(other.map(drop)?),
        }
    }
}

/// Whether [`write_atomically`] waits until the disk has the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Not at all: for files below `/run`.
    Memory,
    /// The content, so that after a power cut there is the old file or the new, whole.
    Content,
    /// The content and the name, so that after a power cut there is the new file.
    ContentAndName,
}

/// Begins the names of the files that [`write_atomically`] makes for a moment. One that is older
/// than a minute was left by a process killed in between.
pub const TEMPORARY_PREFIX: &str = ".berth-tmp-";

/// Puts a file of this content and mode (whatever the umask is) in place of `name`: readers see
/// the old one or the new one. On any failure, a full disk included, the old one stays and
/// nothing else is left behind.
pub fn write_atomically(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    content: &[u8],
    mode: u32,
    durability: Durability,
) -> io::Result<()> {
    replace(dir, name, content, mode, None, durability)
}

/// The same for a file that keeps its owner and its group. Where the caller may not give it that
/// group it has his own, and no right comes with that.
pub fn write_atomically_for(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    content: &[u8],
    mode: u32,
    owner: (Uid, Gid),
    durability: Durability,
) -> io::Result<()> {
    replace(dir, name, content, mode, Some(owner), durability)
}

fn replace(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    content: &[u8],
    mode: u32,
    owner: Option<(Uid, Gid)>,
    durability: Durability,
) -> io::Result<()> {
    const GROUP_RIGHTS: u32 = 0o070;
    single_component(name)?;
    let (mut file, temporary) = create_temporary(dir)?;
    let written = (|| {
        file.write_all(content)?;
        let mut mode = mode;
        if let Some((uid, gid)) = owner {
            if chown(file.as_fd(), None, Some(gid)).is_err() {
                mode &= !GROUP_RIGHTS;
            }
            chown(file.as_fd(), Some(uid), None)?;
        }
        chmod(file.as_fd(), mode)?;
        if durability != Durability::Memory {
            file.sync_all()?;
        }
        rename_at(dir, &temporary, dir, name)
    })();
    if let Err(error) = written {
        // The first error is the one to tell.
        let _ = unlink_at(dir, &temporary);
        return Err(error);
    }
    if durability == Durability::ContentAndName {
        // The caller's descriptor may be one of O_PATH, which fsync(2) refuses.
        unistd::fsync(open_again(dir)?)?;
    }
    Ok(())
}

fn create_temporary(dir: BorrowedFd<'_>) -> io::Result<(File, OsString)> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    const ATTEMPTS: u32 = 100;
    let flags = OpenFlags::O_WRONLY
        | OpenFlags::O_CREAT
        | OpenFlags::O_EXCL
        | OpenFlags::O_NOFOLLOW
        | OpenFlags::O_CLOEXEC;
    let pid = std::process::id();
    for _ in 0..ATTEMPTS {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = OsString::from(format!("{TEMPORARY_PREFIX}{pid}-{number}"));
        match fcntl::openat(
            dir,
            name.as_os_str(),
            flags,
            Mode::from_bits_truncate(0o600),
        ) {
            Err(Errno::EEXIST) => {}
            other => return Ok((File::from(other?), name)),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EEXIST))
}

/// Who holds a record lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockHolder {
    /// The process of this id.
    Process(i32),
    /// A process outside the caller's pid namespace, or an open file description.
    Unseen,
}

/// Takes the POSIX record lock on the whole file (fcntl(2), `F_SETLK`), which the file must be
/// open for writing for. `Ok(false)` if another process has it.
///
/// Such a lock belongs to the process: a child does not inherit it, it ends with the process
/// however that dies, and it ends as soon as the process closes *any* descriptor of that file.
pub fn try_lock_exclusive(fd: BorrowedFd<'_>) -> io::Result<bool> {
    match fcntl::fcntl(fd, FcntlArg::F_SETLK(&whole_file(libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Who holds the lock that [`try_lock_exclusive`] takes; `None` if nobody does or if the caller
/// itself does.
pub fn lock_holder(fd: BorrowedFd<'_>) -> io::Result<Option<LockHolder>> {
    let mut lock = whole_file(libc::F_WRLCK);
    fcntl::fcntl(fd, FcntlArg::F_GETLK(&mut lock))?;
    if i32::from(lock.l_type) == libc::F_UNLCK {
        return Ok(None);
    }
    Ok(Some(if lock.l_pid > 0 {
        LockHolder::Process(lock.l_pid)
    } else {
        LockHolder::Unseen
    }))
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        // The constants are small; the field is narrower than their type.
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Takes the exclusive flock(2) of an open file description, waiting at most `patience`.
/// `Ok(false)` if it was taken all the time.
pub fn flock_exclusive(fd: BorrowedFd<'_>, patience: Duration) -> io::Result<bool> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        // SAFETY: flock(2) takes two numbers; the descriptor is open while it is borrowed.
        let result = unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        match Errno::result(result) {
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) => continue,
            Err(Errno::EWOULDBLOCK) => {}
            Err(errno) => return Err(errno.into()),
        }
        let rest = patience.saturating_sub(start.elapsed());
        if rest.is_zero() {
            return Ok(false);
        }
        std::thread::sleep(pause.min(rest));
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Waits until the kernel signals an exceptional condition on `fd` (`POLLPRI`), as it does for
/// `cgroup.events`, or until `patience` is over; an interrupting signal ends the wait as well.
/// Whoever waits must read the file before and after.
pub fn wait_priority(fd: BorrowedFd<'_>, patience: Duration) -> io::Result<()> {
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    // A rest below a millisecond would make the timeout 0 and the caller's loop busy.
    let timeout = if timeout == PollTimeout::ZERO && !patience.is_zero() {
        PollTimeout::from(1_u8)
    } else {
        timeout
    };
    match nix::poll::poll(&mut [PollFd::new(fd, PollFlags::POLLPRI)], timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The path under which an open file can be named in calls that take paths only.
pub fn descriptor_path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Opens a regular file for reading without ever waiting for somebody at its other end, as a
/// FIFO or a device would make the caller do; `EINVAL` for anything else.
pub fn open_regular(path: &Path) -> io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = OpenFlags::O_NONBLOCK | OpenFlags::O_NOCTTY | OpenFlags::O_CLOEXEC;
    let file = std::fs::File::options()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(Errno::EINVAL.into())
    }
}

/// Names of a directory's entries, without `.` and `..`, at most `max` of them: for those who
/// remove them and ask again.
pub fn first_names(dir: BorrowedFd<'_>, max: usize) -> io::Result<Vec<OsString>> {
    let own = open_again(dir)?;
    let mut names = Vec::new();
    for entry in nix::dir::Dir::from_fd(own)?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
        if names.len() == max {
            break;
        }
    }
    Ok(names)
}

/// Waits until the disk has everything of the file system on which an open file lies (syncfs(2)).
pub fn sync_file_system(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: syncfs(2) takes a number; the descriptor is open while it is borrowed.
    let result = unsafe { libc::syncfs(fd.as_raw_fd()) };
    Errno::result(result)?;
    Ok(())
}

/// Opens the file `name` in `dir` to lock it (flock(2)), and makes it if need be: of mode 0600, so
/// that nobody but its owner, who is the directory's, can open it and hold the lock himself.
///
/// A link is not followed. A file that others can open is closed to them if it belongs to the
/// directory's owner and refused (`EPERM`) otherwise.
pub fn open_lock_file(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    const ATTEMPTS: u32 = 64;
    const MODE: u32 = 0o600;
    single_component(name)?;
    let flags = OpenFlags::O_RDWR
        | OpenFlags::O_NOFOLLOW
        | OpenFlags::O_NONBLOCK
        | OpenFlags::O_NOCTTY
        | OpenFlags::O_CLOEXEC;
    let create = flags | OpenFlags::O_CREAT | OpenFlags::O_EXCL;
    let owner = status(dir)?.uid;
    for _ in 0..ATTEMPTS {
        match fcntl::openat(dir, name, create, Mode::from_bits_truncate(MODE)) {
            Ok(made) => {
                chmod(made.as_fd(), MODE)?;
                // What root makes at a user's must not shut that user out.
                if status(made.as_fd())?.uid != owner && unistd::geteuid().is_root() {
                    unistd::fchown(&made, Some(unistd::Uid::from_raw(owner)), None)?;
                }
                return Ok(made);
            }
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let found = match fcntl::openat(dir, name, flags, Mode::empty()) {
            Err(Errno::ENOENT) => continue,
            other => other?,
        };
        let status = status(found.as_fd())?;
        if !status.is_file() {
            return Err(Errno::EINVAL.into());
        }
        if status.permissions() & 0o077 != 0 {
            if status.uid != owner {
                return Err(Errno::EPERM.into());
            }
            chmod(found.as_fd(), MODE)?;
        }
        return Ok(found);
    }
    Err(Errno::EAGAIN.into())
}
