//! Nothing of a file is lost.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use berth_kernel::file_copy;
use berth_test_private_host::SUBID;

use crate::world::{Container, Owner, on_host};
use crate::{lxcpath, names, refused};

/// What tells two files apart, as text; by the path below the top.
fn listing(top: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut first_names = BTreeMap::new();
    let mut pending = vec![top.to_owned()];
    while let Some(dir) = pending.pop() {
        for name in names(&dir) {
            let path = dir.join(name);
            let status = path.symlink_metadata().unwrap();
            let below = path.strip_prefix(top).unwrap().to_owned();
            let mut text = format!(
                "{:o} {}:{} {:x} links {} modified {}.{} ",
                status.mode(),
                status.uid(),
                status.gid(),
                status.rdev(),
                if status.is_dir() { 0 } else { status.nlink() },
                status.mtime(),
                status.mtime_nsec(),
            );
            if status.nlink() > 1 && !status.is_dir() {
                let first = first_names.entry(status.ino()).or_insert(below.clone());
                text += &format!("as {} ", first.display());
            }
            if status.is_symlink() {
                text += &fs::read_link(&path).unwrap().display().to_string();
            }
            if status.is_file() {
                text += &format!("{} bytes in {} blocks ", status.len(), status.blocks());
                text += &String::from_utf8_lossy(&fs::read(&path).unwrap()).replace('\0', "");
            }
            for (name, value) in xattrs(&dir, path.file_name().unwrap()) {
                text += &format!(" {name} {value:?}");
            }
            if status.is_dir() {
                pending.push(path);
            }
            found.insert(below, text);
        }
    }
    found
}

fn xattrs(dir: &Path, name: &std::ffi::OsStr) -> Vec<(String, Vec<u8>)> {
    let dir = File::open(dir).unwrap();
    let file = file_copy::hold_at(dir.as_fd(), name).unwrap();
    let names = file_copy::xattr_names(file.as_fd()).unwrap();
    let value = |name: &std::ffi::CString| {
        let value = file_copy::xattr_value(file.as_fd(), name).unwrap().unwrap();
        (name.to_string_lossy().into_owned(), value)
    };
    let mut all: Vec<_> = names.iter().map(value).collect();
    all.sort();
    all
}

/// An access list in which one user more may read, as the kernel keeps it (POSIX_ACL_XATTR_VERSION).
fn access_list(user: u32) -> Vec<u8> {
    let entry = |tag: u16, permissions: u16, id: u32| {
        let mut entry = Vec::new();
        entry.extend(tag.to_le_bytes());
        entry.extend(permissions.to_le_bytes());
        entry.extend(id.to_le_bytes());
        entry
    };
    let none = u32::MAX;
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (0x01, 6, none),
        (0x02, 4, user),
        (0x04, 4, none),
        (0x10, 4, none),
        (0x20, 0, none),
    ] {
        list.extend(entry(tag, permissions, id));
    }
    list
}

/// cap_net_raw of a user namespace whose root is `root` on the host (VFS_CAP_REVISION_3).
fn capability(root: u32) -> Vec<u8> {
    let mut value = 0x0300_0001_u32.to_le_bytes().to_vec();
    for word in [1 << 13, 0, 0, 0, root] {
        value.extend(u32::to_le_bytes(word));
    }
    value
}

/// Puts some of everything into a container's files; `id` is its root on the host.
fn fill(rootfs: &Path, id: u32) {
    let top = rootfs.join("srv/odd");
    fs::create_dir(&top).unwrap();
    let set = |path: &Path, name: &std::ffi::CStr, value: &[u8]| {
        let file = File::open(path).unwrap();
        file_copy::set_xattr_value(file.as_fd(), name, value).unwrap();
    };
    let holes = File::create(top.join("holes")).unwrap();
    holes.write_all_at(b"begin", 0).unwrap();
    holes.write_all_at(b"middle", 8 << 20).unwrap();
    holes.set_len(64 << 20).unwrap();
    fs::write(top.join("one"), "one file of three names").unwrap();
    fs::hard_link(top.join("one"), top.join("two")).unwrap();
    fs::create_dir(top.join("deep")).unwrap();
    fs::hard_link(top.join("one"), top.join("deep/three")).unwrap();
    fs::write(top.join("set-id"), "x").unwrap();
    symlink("/nowhere at all", top.join("link")).unwrap();
    fs::hard_link(top.join("link"), top.join("link-again")).unwrap();
    nix::unistd::mkfifo(&top.join("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    std::os::unix::net::UnixListener::bind(top.join("socket")).unwrap();
    fs::write(top.join("able"), "x").unwrap();
    fs::write(top.join("closed"), "nobody may read this").unwrap();
    let mut path = top.join("deep");
    for level in 0..150 {
        path.push(format!("level-{level}"));
        fs::create_dir(&path).unwrap();
    }
    fs::write(path.join("bottom"), "far down").unwrap();
    for (path, _) in listing(&top) {
        let path = top.join(path);
        std::os::unix::fs::lchown(&path, Some(id + 33), Some(id + 44)).unwrap();
    }
    chown(&top, Some(id), Some(id)).unwrap();
    let mode = |name: &str, mode| {
        fs::set_permissions(top.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("set-id", 0o6711);
    mode("closed", 0);
    mode("deep", 0o1777);
    set(&top.join("able"), c"security.capability", &capability(id));
    set(
        &top.join("one"),
        c"system.posix_acl_access",
        &access_list(id + 7),
    );
    set(
        &top.join("deep"),
        c"system.posix_acl_default",
        &access_list(id + 7),
    );
    // What a tmpfs has from Linux 6.6 on.
    set(&top.join("one"), c"user.note", &[b'x'; 3000]);
    let past = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 5);
    for name in ["holes", "deep", "pipe"] {
        let path = top.join(name);
        let time =
            nix::sys::time::TimeSpec::from(past.duration_since(std::time::UNIX_EPOCH).unwrap());
        let follow = nix::sys::stat::UtimensatFlags::NoFollowSymlink;
        nix::sys::stat::utimensat(nix::fcntl::AT_FDCWD, &path, &time, &time, follow).unwrap();
    }
}

fn nothing_is_lost(owner: Owner, id: u32, more: impl FnOnce(&Path)) {
    on_host(|host| {
        let container = Container::create(host, owner, "web");
        let rootfs = container.dir().join("rootfs");
        fill(&rootfs, id);
        more(&rootfs.join("srv/odd"));
        fs::write(container.dir().join("berth.toml"), "# mine\n").unwrap();
        chown(container.dir().join("berth.toml"), Some(id), Some(id)).unwrap();
        let before = listing(&rootfs);
        container.ok(&["copy", "--keep-name", "web", "copy"]);
        let copy = lxcpath(&container).join("copy");
        let after = listing(&copy.join("rootfs"));
        for (path, what) in &before {
            assert_eq!(after.get(path), Some(what), "{}", path.display());
        }
        assert_eq!(before.len(), after.len());
        // Reading them has changed nothing, not even when they were read.
        assert_eq!(before, listing(&rootfs));
        assert_eq!(
            fs::read_to_string(copy.join("berth.toml")).unwrap(),
            "# mine\n"
        );
        let of = |path: &Path| {
            let status = path.symlink_metadata().unwrap();
            (status.mode(), status.uid(), status.gid())
        };
        for name in ["", "rootfs", "config", "berth.toml"] {
            assert_eq!(
                of(&copy.join(name)),
                of(&container.dir().join(name)),
                "{name}"
            );
        }
        for name in ["web", "copy"] {
            container.ok(&["destroy", "--force", name]);
        }
    });
}

#[test]
fn nothing_of_a_users_files_is_lost() {
    nothing_is_lost(Owner::User, SUBID, |_| {});
}

#[test]
fn nothing_of_roots_files_is_lost() {
    nothing_is_lost(Owner::Root, 0, |top| {
        use nix::sys::stat::{Mode, SFlag, makedev, mknod};
        let make = |name: &str, kind, device| {
            mknod(
                &top.join(name),
                kind,
                Mode::from_bits_truncate(0o640),
                device,
            )
            .unwrap();
        };
        make("null", SFlag::S_IFCHR, makedev(1, 3));
        make("disk", SFlag::S_IFBLK, makedev(7, 200));
    });
}

#[test]
fn devices_that_a_user_cannot_make_are_refused_by_name_before_anything_is_made() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        let device = container.dir().join("rootfs/srv/null");
        let script = format!("mknod {} c 1 3", device.display());
        container.on_host(&script);
        for how in [&["copy", "web", "b"][..], &["snapshot", "create", "web"]] {
            refused(&container, how, "rootfs/srv/null");
        }
        assert_eq!(names(&lxcpath(&container)), ["web"]);
        // An overlay leaves it where it is.
        container.ok(&["copy", "--snapshot", "web", "b"]);
        container.ok(&["destroy", "--force", "b"]);
        container.destroy();
    });
}

#[test]
fn files_of_ids_that_are_not_the_containers_are_not_given_away() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        fs::write(container.dir().join("rootfs/srv/roots"), "x").unwrap();
        refused(
            &container,
            &["copy", "web", "b"],
            "rootfs/srv/roots belongs to an id",
        );
        assert_eq!(names(&lxcpath(&container)), ["web"]);
        container.on_host(&format!(
            "rm {}/rootfs/srv/roots",
            container.dir().display()
        ));
        container.destroy();
    });
}

#[test]
fn room_is_asked_for_before_anything_is_made() {
    on_host(|host| {
        fs::create_dir_all("/var/lib/lxc").unwrap();
        let size = "mount -t tmpfs -o size=8m none /var/lib/lxc";
        let container = Container {
            host,
            owner: Owner::Root,
            name: "web",
        };
        container.on_host(size);
        container.ok(&["create", "web"]);
        let big = container.dir().join("rootfs/big");
        fs::write(&big, vec![b'x'; 4 << 20]).unwrap();
        refused(&container, &["copy", "web", "b"], "make room first");
        assert_eq!(names(&lxcpath(&container)), ["web"]);
        // A hole takes no room.
        File::create(&big).unwrap().set_len(1 << 40).unwrap();
        container.ok(&["copy", "web", "b"]);
        // Nor is there any for more files than the disk can have.
        let used = "$(df --output=iused /var/lib/lxc | tail -1)";
        let more = format!("mount -o remount,nr_inodes=$(({used} + 50)) /var/lib/lxc");
        container.on_host(&more);
        refused(&container, &["copy", "web", "c"], "can take");
        assert_eq!(names(&lxcpath(&container)), ["b", "web"]);
        for name in ["b", "web"] {
            container.ok(&["destroy", "--force", name]);
        }
    });
}
