//! Files by descriptor, on real file systems. Four tests need root and say so.

use berth_common::{Gid, Uid};
use berth_kernel::fs::{self, Durability, EntryKind, LockHolder, OpenFlags, Resolve};
use berth_kernel::mount::{Attributes, DetachedMount};
use berth_kernel::process;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("berth-fs-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn dir(&self) -> OwnedFd {
        fs::open_dir(&self.0).unwrap()
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.0.join(name), content).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::entries(self.dir().as_fd(), 100).unwrap();
        let mut names: Vec<_> = entries
            .into_iter()
            .map(|(name, _)| name.into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

#[test]
fn restricted_paths_lead_nowhere_else() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.0.join("in")).unwrap();
    scratch.write("secret", "s");
    scratch.write("in/file", "f");
    symlink("../secret", scratch.0.join("in/up")).unwrap();
    symlink(scratch.0.join("secret"), scratch.0.join("in/absolute")).unwrap();
    symlink("file", scratch.0.join("in/beside")).unwrap();
    symlink("/file", scratch.0.join("in/rooted")).unwrap();
    symlink("/proc/self/root", scratch.0.join("in/magic")).unwrap();
    let dir = fs::open_dir(&scratch.0.join("in")).unwrap();
    let open = |path: &str, resolve| {
        fs::openat2(
            dir.as_fd(),
            Path::new(path),
            OpenFlags::O_RDONLY,
            0,
            resolve,
        )
    };
    let content = |fd: OwnedFd| {
        let mut text = String::new();
        File::from(fd).read_to_string(&mut text).unwrap();
        text
    };
    assert_eq!(content(open("up", Resolve::ANY).unwrap()), "s");
    for path in ["up", "absolute", "../secret", "/etc/passwd"] {
        assert_eq!(
            errno(open(path, Resolve::BENEATH)),
            Some(libc::EXDEV),
            "{path}"
        );
    }
    assert_eq!(content(open("beside", Resolve::BENEATH).unwrap()), "f");
    assert_eq!(
        errno(open("beside", Resolve::NO_SYMLINKS)),
        Some(libc::ELOOP)
    );
    assert_eq!(content(open("rooted", Resolve::IN_ROOT).unwrap()), "f");
    assert_eq!(content(open("../../file", Resolve::IN_ROOT).unwrap()), "f");
    assert_eq!(
        errno(open("magic/etc", Resolve::NO_MAGICLINKS)),
        Some(libc::ELOOP)
    );
    let both = Resolve::NO_XDEV | Resolve::NO_MAGICLINKS;
    assert_eq!(errno(open("/proc/version", both)), Some(libc::EXDEV));
    assert_eq!(errno(open("", Resolve::ANY)), Some(libc::ENOENT));
    let fd = open("file", Resolve::BENEATH).unwrap();
    assert!(is_close_on_exec(&fd));
}

fn is_close_on_exec(fd: &OwnedFd) -> bool {
    let info = std::fs::read_to_string(format!(
        "/proc/self/fdinfo/{}",
        std::os::fd::AsRawFd::as_raw_fd(fd)
    ));
    let info = info.unwrap();
    let flags = info
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .unwrap();
    let flags = i32::from_str_radix(flags.trim(), 8).unwrap();
    flags & libc::O_CLOEXEC != 0
}

#[test]
fn a_name_is_one_component() {
    let scratch = Scratch::new();
    let dir = scratch.dir();
    let dir = dir.as_fd();
    for bad in ["", ".", "..", "a/b", "../x", "/etc/passwd"] {
        let bad = name(bad);
        assert_eq!(errno(fs::read_at(dir, bad, 1)), Some(libc::EINVAL));
        assert_eq!(errno(fs::write_control(dir, bad, b"")), Some(libc::EINVAL));
        assert_eq!(errno(fs::unlink_at(dir, bad)), Some(libc::EINVAL));
        assert_eq!(errno(fs::remove_dir_at(dir, bad)), Some(libc::EINVAL));
        assert_eq!(errno(fs::make_dir_at(dir, bad, 0o755)), Some(libc::EINVAL));
        assert_eq!(
            errno(fs::rename_at(dir, bad, dir, name("x"))),
            Some(libc::EINVAL)
        );
        assert_eq!(
            errno(fs::rename_new(dir, name("x"), dir, bad)),
            Some(libc::EINVAL)
        );
        assert_eq!(
            errno(fs::chown_at(dir, bad, None, None)),
            Some(libc::EINVAL)
        );
        let written = fs::write_atomically(dir, bad, b"", 0o644, Durability::Memory);
        assert_eq!(errno(written), Some(libc::EINVAL));
    }
}

#[test]
fn a_directory_has_the_mode_it_was_given() {
    let scratch = Scratch::new();
    let dir = scratch.dir();
    let (made, new) = fs::make_dir_at(dir.as_fd(), name("d"), 0o777).unwrap();
    assert!(new);
    assert_eq!(
        fs::status(made.as_fd()).unwrap().permissions(),
        0o777,
        "whatever the umask"
    );
    let (again, new) = fs::make_dir_at(dir.as_fd(), name("d"), 0o700).unwrap();
    assert!(!new);
    assert_eq!(
        fs::status(again.as_fd()).unwrap(),
        fs::status(made.as_fd()).unwrap()
    );
    // Neither a file nor a link passes for a directory.
    scratch.write("file", "");
    symlink("d", scratch.0.join("link")).unwrap();
    assert_eq!(
        errno(fs::make_dir_at(dir.as_fd(), name("file"), 0o755)),
        Some(libc::ENOTDIR)
    );
    assert_eq!(
        errno(fs::make_dir_at(dir.as_fd(), name("link"), 0o755)),
        Some(libc::ELOOP)
    );
}

#[test]
fn reading_is_bounded_and_does_not_wait() {
    let scratch = Scratch::new();
    let dir = scratch.dir();
    scratch.write("ten", "0123456789");
    assert_eq!(
        fs::read_at(dir.as_fd(), name("ten"), 10).unwrap(),
        b"0123456789"
    );
    assert_eq!(
        errno(fs::read_at(dir.as_fd(), name("ten"), 9)),
        Some(libc::EFBIG)
    );
    assert_eq!(
        errno(fs::read_at(dir.as_fd(), name("missing"), 9)),
        Some(libc::ENOENT)
    );
    symlink("ten", scratch.0.join("link")).unwrap();
    assert_eq!(
        errno(fs::read_at(dir.as_fd(), name("link"), 99)),
        Some(libc::ELOOP)
    );
    let fifo = std::process::Command::new("mkfifo")
        .arg(scratch.0.join("fifo"))
        .status();
    assert!(fifo.unwrap().success());
    assert_eq!(
        errno(fs::read_at(dir.as_fd(), name("fifo"), 99)),
        Some(libc::EINVAL)
    );
    assert_eq!(
        errno(fs::read_bounded(io::repeat(0), 1000)),
        Some(libc::EFBIG)
    );
}

#[test]
fn entries_are_counted_and_told_apart() {
    let scratch = Scratch::new();
    scratch.write("f", "");
    std::fs::create_dir(scratch.0.join("d")).unwrap();
    symlink("f", scratch.0.join("l")).unwrap();
    let dir = scratch.dir();
    for _ in 0..2 {
        let mut entries = fs::entries(dir.as_fd(), 3).unwrap();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let kinds: Vec<_> = entries.iter().map(|(_, kind)| *kind).collect();
        assert_eq!(kinds, [EntryKind::Dir, EntryKind::File, EntryKind::Symlink]);
    }
    assert_eq!(errno(fs::entries(dir.as_fd(), 2)), Some(libc::E2BIG));
}

#[test]
fn an_atomic_write_replaces_all_or_nothing() {
    let scratch = Scratch::new();
    let dir = scratch.dir();
    let dir = dir.as_fd();
    for (durability, mode) in [
        (Durability::Memory, 0o666),
        (Durability::Content, 0o640),
        (Durability::ContentAndName, 0o600),
    ] {
        let content = format!("{durability:?}");
        fs::write_atomically(dir, name("f"), content.as_bytes(), mode, durability).unwrap();
        assert_eq!(fs::read_at(dir, name("f"), 99).unwrap(), content.as_bytes());
        assert_eq!(fs::status_at(dir, name("f")).unwrap().permissions(), mode);
    }
    // A link of that name is replaced, not written through.
    scratch.write("other", "untouched");
    symlink("other", scratch.0.join("link")).unwrap();
    fs::write_atomically(dir, name("link"), b"new", 0o644, Durability::Memory).unwrap();
    assert!(fs::status_at(dir, name("link")).unwrap().is_file());
    assert_eq!(fs::read_at(dir, name("other"), 99).unwrap(), b"untouched");
    // What cannot be replaced leaves nothing behind.
    std::fs::create_dir(scratch.0.join("d")).unwrap();
    let failed = fs::write_atomically(dir, name("d"), b"x", 0o644, Durability::Memory);
    assert_eq!(errno(failed), Some(libc::EISDIR));
    let long = "n".repeat(256);
    let failed = fs::write_atomically(dir, name(&long), b"x", 0o644, Durability::Memory);
    assert_eq!(errno(failed), Some(libc::ENAMETOOLONG));
    assert_eq!(scratch.names(), ["d", "f", "link", "other"]);
}

/// Needs root: mounts a file system of 64 KiB where nobody sees it.
#[test]
fn a_full_disk_keeps_the_old_file() {
    let options = [(c"size", Some(c"65536"))];
    let mount = DetachedMount::new(c"tmpfs", None, &options, Attributes::default())
        .expect("this test mounts and needs root");
    let dir = mount.as_fd();
    fs::write_atomically(dir, name("f"), b"old", 0o644, Durability::ContentAndName).unwrap();
    let large = vec![b'x'; 100_000];
    let failed = fs::write_atomically(dir, name("f"), &large, 0o644, Durability::Content);
    assert_eq!(errno(failed), Some(libc::ENOSPC));
    assert_eq!(fs::read_at(dir, name("f"), 9).unwrap(), b"old");
    assert_eq!(
        fs::entries(dir, 10).unwrap().len(),
        1,
        "no half-written file is left"
    );
}

#[test]
fn a_new_name_is_not_taken_from_another() {
    let scratch = Scratch::new();
    let dir = scratch.dir();
    let dir = dir.as_fd();
    scratch.write("a", "a");
    scratch.write("b", "b");
    assert_eq!(
        errno(fs::rename_new(dir, name("a"), dir, name("b"))),
        Some(libc::EEXIST)
    );
    assert_eq!(fs::read_at(dir, name("b"), 9).unwrap(), b"b");
    fs::rename_new(dir, name("a"), dir, name("c")).unwrap();
    fs::rename_at(dir, name("c"), dir, name("b")).unwrap();
    assert_eq!(fs::read_at(dir, name("b"), 9).unwrap(), b"a");
    assert_eq!(scratch.names(), ["b"]);
}

/// Needs root: tmpfs takes `user.` attributes only since 6.6, `trusted.` ones always.
#[test]
fn attributes_are_read_as_they_were_set() {
    let scratch = Scratch::new();
    let dir = scratch.dir();
    assert_eq!(fs::xattr(dir.as_fd(), "trusted.berth").unwrap(), None);
    let set = fs::set_xattr(dir.as_fd(), "trusted.berth", b"1");
    set.expect("this test sets trusted attributes and needs root");
    assert_eq!(
        fs::xattr(dir.as_fd(), "trusted.berth").unwrap().as_deref(),
        Some(&b"1"[..])
    );
    fs::set_xattr(dir.as_fd(), "trusted.berth", b"").unwrap();
    assert_eq!(
        fs::xattr(dir.as_fd(), "trusted.berth").unwrap().as_deref(),
        Some(&b""[..])
    );
    fs::set_xattr(dir.as_fd(), "trusted.berth", &[b'x'; 300]).unwrap();
    assert_eq!(fs::xattr(dir.as_fd(), "trusted.berth").unwrap(), None);
    assert!(fs::xattr(dir.as_fd(), "user.\0").is_err());
}

/// Needs root: gives files away.
#[test]
fn ownership_of_a_link_is_the_links_own() {
    let scratch = Scratch::new();
    let dir = scratch.dir();
    let (uid, gid) = (Uid::new(4242), Gid::new(4243));
    scratch.write("f", "");
    symlink("f", scratch.0.join("l")).unwrap();
    fs::chown_at(dir.as_fd(), name("l"), uid, gid).expect("this test changes owners, as root");
    let owner = |file: &str| {
        let status = fs::status_at(dir.as_fd(), name(file)).unwrap();
        (status.uid, status.gid)
    };
    assert_eq!((owner("l"), owner("f")), ((4242, 4243), (0, 0)));
    fs::chown_at(dir.as_fd(), name("f"), None, gid).unwrap();
    assert_eq!(owner("f"), (0, 4243));
}

#[test]
fn a_record_lock_lives_as_long_as_its_process() {
    let scratch = Scratch::new();
    scratch.write("lock", "");
    let path = scratch.0.join("lock");
    let open = || File::options().read(true).write(true).open(&path).unwrap();
    let (mut told, tell) = io::pipe().unwrap();
    let child = process::fork(|| {
        let file = open();
        let taken = fs::try_lock_exclusive(file.as_fd()).unwrap();
        // The lock is the process's: one more descriptor sees no other holder.
        let own = fs::lock_holder(file.as_fd()).unwrap();
        io::Write::write_all(&mut &tell, &[u8::from(taken && own.is_none())]).unwrap();
        std::thread::sleep(Duration::from_secs(60));
        0
    })
    .unwrap();
    let mut byte = [0];
    told.read_exact(&mut byte).unwrap();
    assert_eq!(byte, [1]);
    let file = open();
    assert_eq!(
        fs::lock_holder(file.as_fd()).unwrap(),
        Some(LockHolder::Process(child.pid))
    );
    assert!(!fs::try_lock_exclusive(file.as_fd()).unwrap());
    child.pidfd.signal(libc::SIGKILL).unwrap();
    child.pidfd.wait().unwrap();
    assert_eq!(fs::lock_holder(file.as_fd()).unwrap(), None);
    assert!(fs::try_lock_exclusive(file.as_fd()).unwrap());
}

#[test]
fn a_lock_that_is_taken_is_waited_for_no_longer_than_said() {
    let scratch = Scratch::new();
    let (held, other) = (scratch.dir(), scratch.dir());
    assert!(fs::flock_exclusive(held.as_fd(), Duration::ZERO).unwrap());
    let start = Instant::now();
    assert!(!fs::flock_exclusive(other.as_fd(), Duration::from_millis(50)).unwrap());
    let waited = start.elapsed();
    assert!(
        waited >= Duration::from_millis(50) && waited < Duration::from_secs(5),
        "{waited:?}"
    );
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        drop(held);
    });
    assert!(fs::flock_exclusive(other.as_fd(), Duration::MAX).unwrap());
    release.join().unwrap();
}

#[test]
fn only_cgroup_directories_are_cgroups() {
    let scratch = Scratch::new();
    assert!(!fs::is_cgroup2(scratch.dir().as_fd()).unwrap());
    std::fs::set_permissions(&scratch.0, PermissionsExt::from_mode(0o700)).unwrap();
    let path = fs::descriptor_path(scratch.dir().as_fd());
    assert!(path.starts_with("/proc/self/fd"));
}

/// Needs root.
#[test]
fn a_lock_file_is_its_owners_alone() {
    use std::os::unix::fs::MetadataExt;
    let place = Scratch::new();
    let (scratch, dir) = (&place.0, place.dir());
    let mode_of = |name: &str| std::fs::metadata(scratch.join(name)).unwrap().mode() & 0o7777;

    let made = fs::open_lock_file(dir.as_fd(), "new".as_ref()).unwrap();
    assert_eq!(mode_of("new"), 0o600);
    assert!(fs::flock_exclusive(made.as_fd(), Duration::ZERO).unwrap());
    let again = fs::open_lock_file(dir.as_fd(), "new".as_ref()).unwrap();
    assert!(!fs::flock_exclusive(again.as_fd(), Duration::ZERO).unwrap());

    std::fs::write(scratch.join("open"), "").unwrap();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(scratch.join("open"), open).unwrap();
    fs::open_lock_file(dir.as_fd(), "open".as_ref()).unwrap();
    assert_eq!(mode_of("open"), 0o600);

    symlink("open", scratch.join("link")).unwrap();
    let refused = fs::open_lock_file(dir.as_fd(), "link".as_ref()).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::ELOOP));
    fs::open_lock_file(dir.as_fd(), "..".as_ref()).unwrap_err();

    // In a directory of somebody else's it is his, and a foreign file stays as it was.
    std::os::unix::fs::chown(scratch, Some(1234), None).unwrap();
    fs::open_lock_file(dir.as_fd(), "his".as_ref()).unwrap();
    assert_eq!(std::fs::metadata(scratch.join("his")).unwrap().uid(), 1234);
    let wide = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(scratch.join("open"), wide).unwrap();
    let refused = fs::open_lock_file(dir.as_fd(), "open".as_ref()).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    assert_eq!(mode_of("open"), 0o644);
}
