//! What copying a tree of files takes: everything that a file has beside its name.
//!
//! Attributes are read and written by way of `/proc/self/fd`, so that descriptors of `O_PATH`
//! will do: those are the only ones that a link, a device or a socket can be held by.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{self, AtFlags, RenameFlags};
use nix::sys::stat::{self, Mode, SFlag};
use nix::sys::statvfs;
use nix::sys::time::TimeSpec;
use nix::unistd::{self, Whence};

use crate::fs::{OpenFlags, Resolve, descriptor_path, openat2};

/// Everything that fstat(2) says of a file.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    /// Owner and group, as mapped into the caller's user namespace.
    pub uid: u32,
    /// The group, likewise.
    pub gid: u32,
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// Device and inode: the same pair means the same file.
    pub id: (u64, u64),
    /// Hard links.
    pub links: u64,
    /// Size in bytes.
    pub size: u64,
    /// What it takes on the disk, in bytes.
    pub allocated: u64,
    /// Of a device file, which device: major and minor number.
    pub device: (u64, u64),
    accessed: TimeSpec,
    modified: TimeSpec,
}

impl Attributes {
    /// Of an open file, of `O_PATH` too.
    pub fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self::new(&stat::fstat(fd)?))
    }

    /// Of `name` in `dir` itself, not of what a link of that name points at.
    pub fn at(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<Self> {
        let raw = stat::fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        Ok(Self::new(&raw))
    }

    // Fields have other widths on other architectures.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    fn new(raw: &libc::stat) -> Self {
        /// Unit of `st_blocks`, whatever the file system's own blocks are.
        const BLOCK: u64 = 512;
        Self {
            uid: raw.st_uid,
            gid: raw.st_gid,
            mode: raw.st_mode,
            id: (raw.st_dev, raw.st_ino),
            links: u64::from(raw.st_nlink),
            size: u64::try_from(raw.st_size).unwrap_or(0),
            allocated: u64::try_from(raw.st_blocks).unwrap_or(0) * BLOCK,
            device: (stat::major(raw.st_rdev), stat::minor(raw.st_rdev)),
            accessed: TimeSpec::new(raw.st_atime, raw.st_atime_nsec as _),
            modified: TimeSpec::new(raw.st_mtime, raw.st_mtime_nsec as _),
        }
    }

    /// What kind of file it is.
    pub fn kind(&self) -> FileKind {
        match self.mode & libc::S_IFMT {
            libc::S_IFREG => FileKind::Regular,
            libc::S_IFDIR => FileKind::Directory,
            libc::S_IFLNK => FileKind::Link,
            libc::S_IFCHR => FileKind::CharacterDevice,
            libc::S_IFBLK => FileKind::BlockDevice,
            libc::S_IFIFO => FileKind::Fifo,
            _ => FileKind::Socket,
        }
    }

    /// The permission bits with set-id and sticky bits.
    pub fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }

    /// Seconds since 1970 at which the content changed last.
    pub fn modified_seconds(&self) -> i64 {
        #[allow(clippy::useless_conversion)]
        i64::from(self.modified.tv_sec())
    }

    /// Gives an open file, of `O_PATH` too, these times.
    pub fn set_times(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let path = descriptor_path(fd);
        let follow = stat::UtimensatFlags::FollowSymlink;
        Ok(stat::utimensat(
            fcntl::AT_FDCWD,
            &path,
            &self.accessed,
            &self.modified,
            follow,
        )?)
    }
}

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file with content.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A character device; that of number 0:0 is an overlay's mark for a removed file.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// Names of the extended attributes of an open file, of `O_PATH` too. A file system without any
/// has none.
pub fn xattr_names(fd: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let path = CString::new(descriptor_path(fd).as_os_str().as_bytes())?;
    let read = |buffer: &mut [u8]| {
        // SAFETY: the path is NUL-terminated, the buffer is writable for the length given.
        unsafe { libc::listxattr(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) }
    };
    let Some(list) = read_sized(read)? else {
        return Ok(Vec::new());
    };
    let names = list.split_inclusive(|byte| *byte == 0);
    Ok(names
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
        .map(CStr::to_owned)
        .collect())
}

/// The value of an extended attribute of an open file, of `O_PATH` too; `None` if it is not set.
pub fn xattr_value(fd: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    let path = CString::new(descriptor_path(fd).as_os_str().as_bytes())?;
    read_sized(|buffer| {
        // SAFETY: path and name are NUL-terminated, the buffer is writable for the length given.
        unsafe {
            libc::getxattr(
                path.as_ptr(),
                name.as_ptr(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
            )
        }
    })
}

/// Sets an extended attribute of an open file, of `O_PATH` too.
pub fn set_xattr_value(fd: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> io::Result<()> {
    let path = CString::new(descriptor_path(fd).as_os_str().as_bytes())?;
    // SAFETY: path and name are NUL-terminated, the value is readable for the length given.
    let result = unsafe {
        libc::setxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// Asks for a size, then for as much; again while it grows in between.
fn read_sized(read: impl Fn(&mut [u8]) -> libc::ssize_t) -> io::Result<Option<Vec<u8>>> {
    // The kernel's limit for a value and for a list of names (XATTR_SIZE_MAX).
    const MOST: usize = 1 << 16;
    let mut buffer = vec![0; 256];
    loop {
        match usize::try_from(read(&mut buffer)) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(Some(buffer));
            }
            Err(_) => match Errno::last() {
                Errno::ENODATA | Errno::EOPNOTSUPP => return Ok(None),
                Errno::ERANGE if buffer.len() < MOST => buffer.resize(MOST, 0),
                errno => return Err(errno.into()),
            },
        }
    }
}

/// Lets `to` share the content of `from` (`FICLONE`); `Ok(false)` where a file system cannot, or
/// the files lie on two.
pub fn share_content(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: FICLONE takes a descriptor number, which is open while it is borrowed.
    let result = unsafe { libc::ioctl(to.as_raw_fd(), libc::FICLONE, from.as_raw_fd()) };
    match Errno::result(result) {
        Ok(_) => Ok(true),
        Err(
            Errno::EOPNOTSUPP
            | Errno::EXDEV
            | Errno::EINVAL
            | Errno::ENOTTY
            | Errno::ETXTBSY
            | Errno::EPERM,
        ) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Copies the content of `from`, of `size` bytes, into the empty file `to`. Holes stay holes.
/// `done` hears of each piece, in bytes.
pub fn copy_content(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    size: u64,
    mut done: impl FnMut(u64),
) -> io::Result<()> {
    let size = i64::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut at = 0;
    while at < size {
        let data = match unistd::lseek(from, at, Whence::SeekData) {
            Ok(data) => data,
            // Nothing but a hole up to the end.
            Err(Errno::ENXIO) => break,
            // A file system that knows no holes.
            Err(Errno::EINVAL | Errno::EOPNOTSUPP) => at,
            Err(errno) => return Err(errno.into()),
        };
        let end = match unistd::lseek(from, data, Whence::SeekHole) {
            Ok(end) => end.min(size),
            Err(Errno::ENXIO | Errno::EINVAL | Errno::EOPNOTSUPP) => size,
            Err(errno) => return Err(errno.into()),
        };
        // It was cut short meanwhile.
        if end <= data {
            break;
        }
        copy_range(from, to, data, end, &mut done)?;
        at = end;
    }
    Ok(unistd::ftruncate(to, size)?)
}

/// Where the next content of a file is that is no hole, in bytes; `at` itself where a file system
/// tells nothing of holes, and the file's end where nothing but a hole follows.
pub fn skip_hole(file: BorrowedFd<'_>, at: u64) -> io::Result<u64> {
    let offset = i64::try_from(at).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    match unistd::lseek(file, offset, Whence::SeekData) {
        Ok(data) => Ok(u64::try_from(data).unwrap_or(at)),
        Err(Errno::ENXIO) => Ok(at.max(Attributes::of(file)?.size)),
        Err(_) => Ok(at),
    }
}

fn copy_range(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    start: i64,
    end: i64,
    done: &mut impl FnMut(u64),
) -> io::Result<()> {
    /// Between two looks at what is going on.
    const PIECE: usize = 8 << 20;
    let (mut at, mut by_kernel) = (start, true);
    let mut buffer = Vec::new();
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
        let copied = if by_kernel {
            let (mut read, mut write) = (at, at);
            match fcntl::copy_file_range(from, Some(&mut read), to, Some(&mut write), wanted) {
                Ok(copied) => copied,
                Err(Errno::EINTR) => continue,
                // Across file systems, or of a kind that the kernel does not copy itself.
                Err(
                    Errno::EXDEV | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EPERM,
                ) => {
                    by_kernel = false;
                    continue;
                }
                Err(errno) => return Err(errno.into()),
            }
        } else {
            buffer.resize(wanted.min(1 << 20), 0);
            let read = nix::sys::uio::pread(from, &mut buffer, at)?;
            let mut written = 0;
            while written < read {
                let offset = at + i64::try_from(written).unwrap_or(0);
                match nix::sys::uio::pwrite(to, &buffer[written..read], offset) {
                    Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
                    Ok(more) => written += more,
                    Err(Errno::EINTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            read
        };
        if copied == 0 {
            // Some file systems let the kernel copy nothing and say so with success.
            if std::mem::take(&mut by_kernel) {
                continue;
            }
            return Ok(());
        }
        at += i64::try_from(copied).unwrap_or(0);
        done(u64::try_from(copied).unwrap_or(0));
    }
    Ok(())
}

/// Makes a device file, a named pipe or a socket of mode 0600.
pub fn make_node_at(dir: BorrowedFd<'_>, name: &OsStr, what: &Attributes) -> io::Result<()> {
    let kind = match what.kind() {
        FileKind::CharacterDevice => SFlag::S_IFCHR,
        FileKind::BlockDevice => SFlag::S_IFBLK,
        FileKind::Fifo => SFlag::S_IFIFO,
        FileKind::Socket => SFlag::S_IFSOCK,
        _ => return Err(Errno::EINVAL.into()),
    };
    let device = stat::makedev(what.device.0, what.device.1);
    let mode = Mode::from_bits_truncate(0o600);
    Ok(stat::mknodat(dir, name, kind, mode, device)?)
}

/// Makes `name` in `dir` one name more of the file at `path` below `from`. A link is not
/// followed at the end of the path.
pub fn link_at(
    from: BorrowedFd<'_>,
    path: &Path,
    dir: BorrowedFd<'_>,
    name: &OsStr,
) -> io::Result<()> {
    Ok(unistd::linkat(from, path, dir, name, AtFlags::empty())?)
}

/// Makes a symbolic link.
pub fn make_link_at(target: &OsStr, dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    Ok(unistd::symlinkat(target, dir, name)?)
}

/// Where a symbolic link points at.
pub fn read_link_at(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<OsString> {
    Ok(fcntl::readlinkat(dir, name)?)
}

/// Holds a file, of whatever kind, to look at it and at its attributes.
pub fn hold_at(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OpenFlags::O_PATH | OpenFlags::O_NOFOLLOW;
    openat2(dir, Path::new(name), flags, 0, Resolve::BENEATH)
}

/// Puts each of two names in the place of the other (`RENAME_EXCHANGE`).
pub fn exchange(
    first_dir: BorrowedFd<'_>,
    first: &OsStr,
    second_dir: BorrowedFd<'_>,
    second: &OsStr,
) -> io::Result<()> {
    let flags = RenameFlags::RENAME_EXCHANGE;
    Ok(fcntl::renameat2(
        first_dir, first, second_dir, second, flags,
    )?)
}

/// What is free on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Free {
    /// Bytes that the caller may fill.
    pub bytes: u64,
    /// Files that he may make; `None` where their number has no limit.
    pub files: Option<u64>,
}

/// What is free on the file system of an open file.
// Fields have other widths on other architectures.
#[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
pub fn free(fd: BorrowedFd<'_>) -> io::Result<Free> {
    let found = statvfs::fstatvfs(fd.as_fd())?;
    let bytes = (found.blocks_available() as u64).saturating_mul(found.fragment_size() as u64);
    let limited = found.files() > 0;
    Ok(Free {
        bytes,
        files: limited.then_some(found.files_available() as u64),
    })
}
