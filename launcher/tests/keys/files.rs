//! The root file system, and what is mounted in it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use berth_test_private_host::{ID, SUBID};

use crate::world::{Container, Owner, in_container, on_host, refused_each};

const BOTH: [Owner; 2] = [Owner::User, Owner::Root];

/// A directory of the owner's on the host, which everybody may enter.
fn host_dir(container: &Container<'_>, name: &str) -> PathBuf {
    let dir = match container.owner {
        Owner::User => container.host.home().join(name),
        Owner::Root => Path::new("/run").join(name),
    };
    fs::create_dir(&dir).unwrap();
    if container.owner == Owner::User {
        chown(&dir, Some(ID), Some(ID)).unwrap();
    }
    dir
}

/// A container of this owner's that is made, given to the body, and destroyed.
fn with_container(owner: Owner, body: impl FnOnce(&Container<'_>)) {
    on_host(|host| {
        let container = Container::create(host, owner, "web");
        body(&container);
        container.destroy();
    });
}

/// Replaces the line of `lxc.rootfs.path`.
fn set_rootfs(container: &Container<'_>, value: &str) {
    let text = fs::read_to_string(container.config()).unwrap();
    let kept = text
        .lines()
        .filter(|line| !line.starts_with("lxc.rootfs.path"));
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    fs::write(container.config(), kept).unwrap();
    container.append(&format!("lxc.rootfs.path = {value}"));
}

/// Ids of a container of root's.
const ROOTS_IDS: &str = "lxc.idmap = u 0 1073741824 65536\nlxc.idmap = g 0 1073741824 65536\n";

#[test]
fn rootfs_path_is_the_root() {
    for owner in BOTH {
        with_container(owner, |container| {
            let rootfs = container.dir().join("rootfs");
            for value in [
                rootfs.display().to_string(),
                format!("dir:{}", rootfs.display()),
                format!("btrfs:{}", rootfs.display()),
            ] {
                set_rootfs(container, &value);
                container.start();
                container.sh("echo inside > /root/mark");
                assert_eq!(
                    fs::read_to_string(rootfs.join("root/mark")).unwrap(),
                    "inside\n"
                );
                container.stop();
            }
        });
    }
}

#[test]
fn rootfs_path_that_is_none_is_refused() {
    with_container(Owner::User, |container| {
        for (value, text) in [
            (
                "dir:/nowhere",
                "lxc.rootfs.path: the root directory /nowhere cannot be used",
            ),
            (
                "dir:/etc/passwd",
                "lxc.rootfs.path: the root directory /etc/passwd is not a directory",
            ),
            (
                "overlay:/nowhere:/tmp/upper",
                "the lower directory /nowhere cannot be used",
            ),
            (
                "overlay:/etc:/nowhere/upper",
                "the directory that is to hold the upper directory",
            ),
            ("zfs:tank/web", "zfs get mountpoint"),
            ("nbd:/srv/a.img:1", "qemu-nbd"),
        ] {
            set_rootfs(container, value);
            container.start_is_refused(text);
        }
        set_rootfs(
            container,
            &container.dir().join("rootfs").display().to_string(),
        );
    });
}

#[test]
fn an_overlay_takes_the_changes_and_leaves_what_is_below() {
    for (owner, lines) in [
        (Owner::User, ""),
        (Owner::Root, ""),
        (Owner::Root, ROOTS_IDS),
    ] {
        with_container(owner, |container| {
            let rootfs = container.dir().join("rootfs");
            let root = fs::metadata(&rootfs).unwrap();
            if !lines.is_empty() {
                container.append(lines);
                chown_tree(&rootfs, SUBID);
            }
            let above = host_dir(container, "above");
            fs::write(above.join("added"), "below the container\n").unwrap();
            let delta = container.dir().join("delta");
            set_rootfs(
                container,
                &format!(
                    "overlayfs:{}:{}:{}",
                    above.display(),
                    rootfs.display(),
                    delta.display()
                ),
            );
            container.start();
            assert_eq!(container.sh("cat /added"), "below the container");
            assert_eq!(container.sh("stat -c %u /bin /root"), "0\n0");
            container.sh("echo changed > /etc/hostname; rm -r /root; mkdir /root; chown 7:8 /root");
            assert_eq!(container.sh("stat -c %u:%g /root; ls -A /root"), "7:8");
            container.stop();
            assert!(
                !rootfs.join("etc/hostname").exists() || {
                    fs::read_to_string(rootfs.join("etc/hostname")).unwrap() != "changed\n"
                }
            );
            assert_eq!(
                fs::read_to_string(delta.join("etc/hostname")).unwrap(),
                "changed\n"
            );
            let first = match (owner, lines) {
                (Owner::Root, "") => 0,
                _ => SUBID,
            };
            assert_eq!(fs::metadata(delta.join("root")).unwrap().uid(), first + 7);
            assert_eq!(fs::metadata(&delta).unwrap().uid(), first);
            // What was removed stays so.
            container.start();
            assert_eq!(container.sh("ls -A /root; cat /etc/hostname"), "changed");
            container.stop();
            assert_eq!(root.uid(), if owner == Owner::User { SUBID } else { 0 });
            set_rootfs(container, &format!("dir:{}", rootfs.display()));
        });
    }
}

fn chown_tree(dir: &Path, first: u32) {
    let owner = format!("{first}:{first}");
    let done = Command::new("chown")
        .args(["-hR", &owner])
        .arg(dir)
        .status();
    assert!(done.unwrap().success());
}

#[test]
fn rootfs_options_ids_of_the_container() {
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        container.append(ROOTS_IDS);
        container.append("lxc.rootfs.options = idmap=container");
        container.start();
        assert_eq!(container.sh("stat -c %u /bin/busybox; id -u"), "0\n0");
        container.sh("echo new > /root/new && chown 5 /root/new");
        let made = container.dir().join("rootfs/root/new");
        assert_eq!(fs::metadata(made).unwrap().uid(), 5);
        container.destroy();
    });
}

#[test]
fn rootfs_options_read_only() {
    for owner in BOTH {
        in_container(
            owner,
            "lxc.rootfs.options = ro,nodev,noexec,exec,nosuid",
            |container| {
                let touched = "touch /root/x 2>&1; grep ' / ' /proc/self/mounts";
                let said = container.sh(touched);
                assert!(said.contains("Read-only file system"), "{said}");
                assert!(said.contains(" ro,nosuid,nodev,"), "{said}");
                assert_eq!(container.sh("touch /dev/shm/x && echo works"), "works");
            },
        );
    }
}

#[test]
fn rootfs_options_that_cannot_be_had_are_refused() {
    refused_each(
        Owner::User,
        &[
            (
                "lxc.rootfs.options = idmap=container",
                "only root may use idmap=",
            ),
            ("lxc.rootfs.options = size=1m", "found “size=1m”"),
            ("lxc.rootfs.options = bind", "is for lxc.mount.entry"),
            ("lxc.rootfs.options = ro,noatime", "change how access times"),
            (
                "lxc.mount.entry = /srv mnt none bind,noatime",
                "change how access times",
            ),
        ],
    );
    let not_a_namespace = format!("{ROOTS_IDS}lxc.rootfs.options = idmap=/etc/passwd");
    refused_each(
        Owner::Root,
        &[
            ("lxc.rootfs.options = idmap=container", "lxc.idmap = u 0"),
            (&not_a_namespace, "the path of a user namespace"),
        ],
    );
}

#[test]
fn rootfs_mount() {
    for owner in BOTH {
        with_container(owner, |container| {
            let at = host_dir(container, "point");
            container.append(&format!("lxc.rootfs.mount = {}", at.display()));
            container.append(&format!(
                "lxc.mount.entry = tmpfs {}/mnt tmpfs size=4k",
                at.display()
            ));
            container.start();
            assert_eq!(container.sh("stat -f -c %T /mnt"), "tmpfs");
            assert_eq!(fs::read_dir(&at).unwrap().count(), 0);
            container.stop();
            container.append("lxc.mount.entry =\nlxc.rootfs.mount = /nowhere");
            container.start_is_refused("lxc.rootfs.mount: the mount point /nowhere cannot be used");
        });
    }
}

#[test]
fn rootfs_managed() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.append("lxc.rootfs.managed = 0");
        let output = container.berth(&["destroy", "--force", "web"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("lxc.rootfs.managed = 0 keeps"), "{said}");
        let elsewhere = host.home().join("elsewhere");
        let rootfs = container.dir().join("rootfs");
        fs::rename(&rootfs, &elsewhere).unwrap();
        set_rootfs(&container, &format!("dir:{}", elsewhere.display()));
        container.destroy();
        assert!(elsewhere.join("bin/busybox").exists());
    });
}

#[test]
fn a_root_without_directories_for_kernel_file_systems() {
    with_container(Owner::User, |container| {
        let rootfs = container.dir().join("rootfs");
        for dir in ["proc", "sys", "dev"] {
            fs::remove_dir_all(rootfs.join(dir)).unwrap();
        }
        container.append("lxc.rootfs.options = ro");
        container.start_is_refused("Read-only file system");
        container.append("lxc.rootfs.options =");
        container.start();
        assert_eq!(
            container.sh("ls -d /proc/1 /sys/class /dev/null | wc -l"),
            "3"
        );
    });
}

#[test]
fn idmap() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        container.start();
        let map = container.sh("cat /proc/self/uid_map /proc/self/gid_map");
        let fields: Vec<&str> = map.split_whitespace().collect();
        let first = SUBID.to_string();
        assert_eq!(fields, ["0", &first, "65536", "0", &first, "65536"]);
        container.stop();
        container.append("lxc.idmap =\nlxc.idmap = u 0 100 10\nlxc.idmap = g 0 100 10");
        container.start_is_refused("/etc/subuid does not give");
        container.append("lxc.idmap =");
        container.start_is_refused("lxc.idmap is missing");
        container.append("lxc.idmap = u 0 1073741824 65536\nlxc.idmap = g 0 1073741824 65536");
        container.destroy();
    });
}

#[test]
fn mount_entry_options() {
    for owner in BOTH {
        with_container(owner, |container| {
            let data = host_dir(container, "my data");
            fs::write(data.join("file"), "from the host\n").unwrap();
            fs::set_permissions(data.join("file"), fs::Permissions::from_mode(0o644)).unwrap();
            let escaped = data.display().to_string().replace(' ', "\\040");
            container.append(&format!(
                "lxc.mount.entry = {escaped} srv/da\\040ta none bind,ro,create=dir 0 0\n\
                 lxc.mount.entry = {escaped}/file srv/one none bind,create=file 0 0\n\
                 lxc.mount.entry = /nowhere mnt none bind,optional 0 0\n\
                 lxc.mount.entry = tmpfs opt/scratch tmpfs size=64k,mode=700,nosuid,create=dir 0 0\n\
                 lxc.mount.entry = srv/one srv/two none bind,relative,create=file 0 0\n\
                 lxc.mount.entry = /dev/null srv/null none bind,create=file,optional 0 0"
            ));
            container.start();
            assert_eq!(
                container.sh("cat '/srv/da ta/file' /srv/one /srv/two | sort -u"),
                "from the host"
            );
            let said = container.sh("touch '/srv/da ta/x' 2>&1; grep -c ' ro' /proc/self/mounts");
            assert!(said.contains("Read-only file system"), "{said}");
            let scratch = container.sh("stat -c %a /opt/scratch; df -k /opt/scratch | tail -1");
            assert!(
                scratch.starts_with("700") && scratch.contains(" 64 "),
                "{scratch}"
            );
            assert!(
                container
                    .sh("grep /opt/scratch /proc/self/mounts")
                    .contains("nosuid")
            );
        });
    }
}

#[test]
fn mount_entries_that_cannot_be_had_are_refused() {
    let cases = [
        (
            "/nowhere mnt none bind",
            "lxc.mount.entry: cannot bind /nowhere",
        ),
        (
            "nowhere mnt none bind",
            "expected an absolute path of the host",
        ),
        ("/srv ../mnt none bind", "below the container's root"),
        ("/srv /mnt none bind", "relative to the container's root"),
        (
            "/dev/sda mnt ext4 defaults",
            "mount it on the host and bind it",
        ),
        (
            "/srv mnt none bind,idmap=container",
            "only root may use idmap=",
        ),
        (
            "/srv mnt none bind,create=link",
            "create=dir or create=file",
        ),
        ("/srv mnt none bind,remount", "found the option “remount”"),
        ("/srv mnt none ro", "a type of file system"),
        (
            "tmpfs mnt tmpfs size=1m,frob=7",
            "cannot mount mnt: tmpfs: Unknown parameter 'frob'",
        ),
    ];
    let cases = cases.map(|(entry, text)| (format!("lxc.mount.entry = {entry}"), text));
    let cases = cases.each_ref().map(|(line, text)| (line.as_str(), *text));
    refused_each(Owner::User, &cases);
}

#[test]
fn mount_entry_with_ids_of_the_container() {
    on_host(|host| {
        let container = Container::create(host, Owner::Root, "web");
        chown_tree(&container.dir().join("rootfs"), SUBID);
        container.append(ROOTS_IDS);
        let data = host_dir(&container, "data");
        fs::write(data.join("file"), "root's\n").unwrap();
        let data = data.display();
        container.append(&format!(
            "lxc.mount.entry = {data} mnt none bind,idmap=container 0 0\n\
             lxc.mount.entry = {data} srv none bind,idmap=none,create=dir 0 0\n\
             lxc.mount.entry = {data} opt none rbind,idmap=/proc/self/ns/user,create=dir,optional 0 0\n\
             lxc.mount.entry = /nowhere media none bind,idmap=container,optional 0 0"
        ));
        container.start();
        assert_eq!(container.sh("stat -c %u /mnt/file /srv/file"), "0\n65534");
        container.sh("echo mine > /mnt/mine");
        assert_eq!(fs::metadata(format!("{data}/mine")).unwrap().uid(), 0);
        container.destroy();
    });
}

#[test]
fn mount_entries_receive_from_the_host_where_they_are_to() {
    with_container(Owner::Root, |container| {
        let data = host_dir(container, "data");
        mount_shared_tmpfs(&data);
        for dir in ["sub", "deep"] {
            fs::create_dir(data.join(dir)).unwrap();
        }
        let data = data.display();
        container.append(&format!(
            "lxc.mount.entry = {data} mnt none rbind,rslave 0 0\n\
             lxc.mount.entry = {data} srv none rbind,create=dir 0 0\n\
             lxc.mount.entry = {data} opt none rbind,rshared,create=dir 0 0\n\
             lxc.mount.auto = shmounts:{data}"
        ));
        container.start();
        mount_shared_tmpfs(Path::new(&format!("{data}/sub")));
        fs::write(format!("{data}/sub/late"), "").unwrap();
        let seen = "ls -d /mnt/sub/late /srv/sub/late /opt/sub/late /dev/.lxc-mounts/sub/late";
        let seen = container.sh(&format!("{seen} 2>/dev/null || true"));
        assert_eq!(
            seen,
            "/dev/.lxc-mounts/sub/late\n/mnt/sub/late\n/opt/sub/late"
        );
        // And nothing comes back.
        container.sh("mount -t tmpfs none /opt/deep && touch /opt/deep/inner");
        assert!(!Path::new(&format!("{data}/deep/inner")).exists());
    });
}

fn mount_shared_tmpfs(at: &Path) {
    for arguments in [["-t", "tmpfs", "none"], ["--make-shared", "--", ""]] {
        let arguments = arguments.iter().filter(|argument| !argument.is_empty());
        let done = Command::new("mount").args(arguments).arg(at).status();
        assert!(done.unwrap().success());
    }
}

#[test]
fn shmounts_needs_a_shared_mount() {
    refused_each(
        Owner::User,
        &[
            (
                "lxc.mount.auto = shmounts:/nowhere",
                "expected a directory of the host in a shared mount, found “/nowhere”",
            ),
            ("lxc.mount.auto = shmounts:/run", "does not spread"),
        ],
    );
}

#[test]
fn mount_fstab() {
    for owner in BOTH {
        with_container(owner, |container| {
            let fstab = container.dir().join("fstab");
            let rootfs = container.dir().join("rootfs");
            let text = format!(
                "# what the container gets\n\ntmpfs mnt tmpfs size=8k 0 0\n\
                 tmpfs {}/opt/x tmpfs size=4k,create=dir\n",
                rootfs.display()
            );
            fs::write(&fstab, &text).unwrap();
            container.append(&format!("lxc.mount.fstab = {}", fstab.display()));
            // Entries come after it.
            container.append("lxc.mount.entry = proc mnt/inner proc create=dir 0 0");
            container.start();
            assert!(container.sh("df -k /mnt | tail -1").contains(" 8 "));
            assert_eq!(
                container.sh("ls -d /mnt/inner/1; stat -f -c %T /opt/x"),
                "/mnt/inner/1\ntmpfs"
            );
            container.stop();
            fs::write(&fstab, format!("{text}tmpfs mnt\n")).unwrap();
            container.start_is_refused(&format!("{}:5: lxc.mount.fstab", fstab.display()));
            fs::write(&fstab, "/nowhere mnt none bind\n").unwrap();
            container.start_is_refused(&format!(
                "{}:1: lxc.mount.fstab: cannot bind",
                fstab.display()
            ));
            fs::remove_file(&fstab).unwrap();
            container
                .start_is_refused("lxc.mount.fstab: expected a file with a mount on each line");
        });
    }
}

#[test]
fn mount_auto() {
    for owner in BOTH {
        with_container(owner, |container| {
            let writable = |container: &Container<'_>, file: &str| {
                container.sh(&format!("[ -w {file} ] && echo yes || echo no"))
            };
            let options = |container: &Container<'_>, at: &str| {
                let line = container.sh(&format!("grep ' {at} ' /proc/self/mounts | tail -1"));
                line.split(' ').nth(3).unwrap_or_default().to_owned()
            };
            for (words, at, starts) in [
                ("proc sys", "/proc", "rw,"),
                ("proc:mixed sys", "/proc/sys", "ro,"),
                ("proc:rw sys:rw", "/proc", "rw,"),
                ("proc sys:rw", "/sys", "rw,"),
                ("proc sys:ro", "/sys", "ro,"),
                ("proc sys:mixed", "/sys", "ro,"),
                ("proc sys:mixed cgroup:ro:force", "/sys/fs/cgroup", "ro,"),
                ("proc sys:mixed cgroup:mixed", "/sys/fs/cgroup", "rw,"),
                ("proc sys:mixed cgroup-full:rw", "/sys/fs/cgroup", "rw,"),
                ("proc cgroup:rw:force", "/sys/fs/cgroup", "rw,"),
            ] {
                container.append(&format!("lxc.mount.auto =\nlxc.mount.auto = {words}"));
                container.start();
                let found = options(container, at);
                assert!(
                    found.starts_with(starts),
                    "{owner:?} {words}: {at}: {found}"
                );
                if words == "proc:rw sys:rw" {
                    assert_eq!(options(container, "/proc/sys"), "");
                }
                if words == "proc sys:mixed" {
                    let mounts = container.sh("cat /proc/self/mounts");
                    assert!(
                        mounts.contains(" /sys/devices/virtual/net sysfs rw"),
                        "{mounts}"
                    );
                    assert!(mounts.contains(" /proc/sys/net proc rw"), "{mounts}");
                    assert_eq!(writable(container, "/proc/sysrq-trigger"), "no");
                }
                container.stop();
            }
        });
    }
}

#[test]
fn autodev() {
    for owner in BOTH {
        with_container(owner, |container| {
            container.append("lxc.autodev.tmpfs.size = 8192");
            container.start();
            assert_eq!(container.sh("stat -f -c %T /dev"), "tmpfs");
            assert!(container.sh("df -k /dev | tail -1").contains(" 8 "));
            assert_eq!(
                container.sh("echo x > /dev/null; head -c 2 /dev/zero | wc -c"),
                "2"
            );
            container.stop();
            container.append("lxc.autodev.tmpfs.size =");
            container.start();
            assert!(container.sh("df -k /dev | tail -1").contains(" 492 "));
            container.stop();
            container.append("lxc.autodev.tmpfs.size = 1m");
            container.start_is_refused("lxc.autodev.tmpfs.size: expected a number");
            container.append("lxc.autodev.tmpfs.size =");
        });
    }
}

#[test]
fn without_autodev_the_root_file_systems_own_dev_stays() {
    with_container(Owner::Root, |container| {
        let dev = container.dir().join("rootfs/dev");
        fs::write(dev.join("mark"), "its own\n").unwrap();
        let done = Command::new("mknod")
            .arg(dev.join("null"))
            .args(["c", "1", "3"])
            .status();
        assert!(done.unwrap().success());
        container.append("lxc.autodev = 0");
        container.start();
        assert_eq!(
            container.sh("cat /dev/mark; ls /dev | grep -v log"),
            "its own\nconsole\nmark\nnull\nptmx\npts"
        );
    });
}
