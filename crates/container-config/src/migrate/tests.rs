use super::*;
use crate::load::Source;
use proptest::prelude::*;
use std::io;

/// A host with the files of today's LXC, a container's directory, and nothing else.
struct Today;

impl Loader for Today {
    fn read(&self, path: &Path) -> io::Result<Source> {
        match self.kind(path) {
            Some(PathKind::File) => Ok(Source::Text(String::new())),
            Some(_) => Ok(Source::Directory(Vec::new())),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }
}

impl Surroundings for Today {
    fn kind(&self, path: &Path) -> Option<PathKind> {
        Some(match path.to_str()? {
            "/usr/share/lxc/config/common.conf" | "/usr/share/lxc/config/userns.conf" => {
                PathKind::File
            }
            "/srv/web/rootfs" => PathKind::Directory,
            "/srv/web/subvolume" => PathKind::Subvolume,
            "/srv/web/disk.img" => PathKind::File,
            "/dev/vg/web" => PathKind::Other,
            _ => return None,
        })
    }
}

fn migrated(text: &str) -> Migration {
    migrate(Path::new("config"), text, &Today, Origin::default())
}

/// The new text, without the comments that explain.
fn lines(text: &str) -> Vec<String> {
    let new = migrated(text).text();
    let set = new.lines().filter(|line| line.starts_with("lxc."));
    set.map(str::to_owned).collect()
}

const TRUSTY: &str = "\
# Template used to create this container: /usr/share/lxc/templates/lxc-ubuntu
# Parameters passed to the template:
# For additional config options, please look at lxc.container.conf(5)

# Common configuration
lxc.include = /usr/share/lxc/config/ubuntu.common.conf
lxc.include = /usr/share/lxc/config/ubuntu.userns.conf

# Container specific configuration
lxc.id_map = u 0 100000 65536
lxc.id_map = g 0 100000 65536
lxc.rootfs = /srv/web/rootfs
lxc.mount = /srv/web/fstab
lxc.utsname = web
lxc.arch = amd64
lxc.tty = 4
lxc.pts = 1024
lxc.devttydir = lxc
lxc.pivotdir = lxc_putold
lxc.cap.drop = sys_module mac_admin
lxc.aa_profile = unconfined
lxc.cgroup.devices.deny = a
lxc.cgroup.devices.allow = c 1:3 rwm
lxc.cgroup.memory.limit_in_bytes = 512M
lxc.cgroup.memory.memsw.limit_in_bytes = 1G
lxc.cgroup.cpu.shares = 512

# Network configuration
lxc.network.type = veth
lxc.network.flags = up
lxc.network.link = lxcbr0
lxc.network.hwaddr = 00:16:3e:12:34:56
lxc.network.ipv4 = 10.0.3.5/24
lxc.network.type = empty
";

#[test]
fn a_container_of_ubuntu_14_04() {
    let migration = migrated(TRUSTY);
    let expected = "\
# Template used to create this container: /usr/share/lxc/templates/lxc-ubuntu
# Parameters passed to the template:
# For additional config options, please look at lxc.container.conf(5)

# Common configuration
lxc.include = /usr/share/lxc/config/common.conf
lxc.include = /usr/share/lxc/config/userns.conf

# Container specific configuration
lxc.idmap = u 0 100000 65536
lxc.idmap = g 0 100000 65536
lxc.rootfs.path = dir:/srv/web/rootfs
lxc.mount.fstab = /srv/web/fstab
lxc.uts.name = web
lxc.arch = amd64
lxc.tty.max = 4
lxc.pty.max = 1024
lxc.tty.dir = lxc
# lxc.pivotdir = lxc_putold (the old root needs no directory any more)
lxc.cap.drop = sys_module mac_admin
lxc.apparmor.profile = unconfined
# lxc.cgroup.devices.deny = a (a container with ids of its own can make no device files)
# lxc.cgroup.devices.allow = c 1:3 rwm (a container with ids of its own can make no device files)
lxc.cgroup2.memory.max = 512M
lxc.cgroup2.memory.swap.max = 512M
lxc.cgroup2.cpu.weight = 50

# Network configuration
lxc.net.0.type = veth
lxc.net.0.flags = up
lxc.net.0.link = lxcbr0
lxc.net.0.hwaddr = 00:16:3e:12:34:56
lxc.net.0.ipv4.address = 10.0.3.5/24
lxc.net.1.type = empty
";
    assert_eq!(migration.text(), expected);
    // Only /dev is another one than it was.
    assert_eq!(migration.notes.len(), 1, "{:?}", migration.notes);
    assert!(
        migration.notes[0]
            .to_string()
            .starts_with("config: lxc.autodev: ")
    );
    assert!(!migrated(expected).changes());
}

#[test]
fn what_lxc_update_config_does_not_do() {
    // The backend counts wherever it stands.
    let overlay = ["lxc.rootfs.path = overlay:/a:/b"];
    assert_eq!(
        lines("lxc.rootfs.backend = overlayfs\nlxc.rootfs = /a:/b\nlxc.tty.max = 1\n")[..1],
        overlay
    );
    assert_eq!(
        lines("lxc.rootfs = /a:/b\nlxc.rootfs.backend = overlayfs\n"),
        overlay
    );
    assert_eq!(lines("lxc.rootfs = overlayfs:/a:/b\n"), overlay);
    assert_eq!(
        lines("lxc.limit.nofile = 1024\n"),
        ["lxc.prlimit.nofile = 1024"]
    );
    let numbered = "lxc.network.0.type = veth\nlxc.network.0.ipv4 = 10.0.3.5/24\n";
    let numbered_now = [
        "lxc.net.0.type = veth",
        "lxc.net.0.ipv4.address = 10.0.3.5/24",
    ];
    assert_eq!(lines(numbered), numbered_now);
    assert_eq!(
        lines("lxc.cgroup.pids.max = 9\n"),
        ["lxc.cgroup2.pids.max = 9"]
    );
}

#[test]
fn roots_of_every_kind() {
    for (old, new) in [
        ("/srv/web/rootfs", "dir:/srv/web/rootfs"),
        ("/srv/web/subvolume", "/srv/web/subvolume"),
        ("/srv/web/disk.img", "loop:/srv/web/disk.img"),
        ("/dev/vg/web", "/dev/vg/web"),
        ("/dev/vg/gone", "/dev/vg/gone"),
        ("/gone", "dir:/gone"),
        ("zfs:tank/web", "zfs:tank/web"),
        ("lvm:/dev/vg/web", "lvm:/dev/vg/web"),
        ("/odd/na:me", "dir:/odd/na:me"),
    ] {
        let text = format!("lxc.rootfs = {old}\n");
        assert_eq!(lines(&text), [format!("lxc.rootfs.path = {new}")], "{old}");
    }
    let aufs = migrated("lxc.rootfs = aufs:/a:/b\n");
    assert!(aufs.notes[0].message.contains("aufs is no storage"));
    let backend = migrated("lxc.rootfs.backend = lvm\nlxc.rootfs = /dev/vg/web\n");
    assert_eq!(
        backend.text(),
        "# lxc.rootfs.backend = lvm (a prefix of lxc.rootfs.path now)\n\
         lxc.rootfs.path = lvm:/dev/vg/web\n"
    );
}

#[test]
fn interfaces_are_counted_as_they_were() {
    let text = "lxc.network.link = early\nlxc.network.type = veth\nlxc.network.ipv6 = ::1/64\n\
                lxc.network =\nlxc.network.type = veth\nlxc.network.veth.pair = v0\n\
                lxc.network.type = phys\nlxc.network.flags =\n";
    let migration = migrated(text);
    let new: Vec<String> = migration.text().lines().map(str::to_owned).collect();
    assert_eq!(
        new,
        [
            "lxc.net.0.link = early",
            "lxc.net.0.type = veth",
            "lxc.net.0.ipv6.address = ::1/64",
            "lxc.net =",
            "lxc.net.0.type = veth",
            "lxc.net.0.veth.pair = v0",
            "lxc.net.1.type = phys",
            "lxc.net.1.flags =",
        ]
    );
    assert!(
        migration.notes[0]
            .message
            .contains("before any lxc.network.type")
    );
    // Beside interfaces with numbers the others come after them.
    let mixed = "lxc.net.2.type = veth\nlxc.network.type = empty\n";
    assert_eq!(lines(mixed)[1], "lxc.net.3.type = empty");
}

#[test]
fn includes_that_are_gone() {
    for (old, new) in [
        ("/usr/share/lxc/config/debian.common.conf", "common.conf"),
        (
            "/usr/local/share/lxc/config/fedora.userns.conf",
            "userns.conf",
        ),
        ("/usr/share/lxc/config/nesting.conf", "nesting.conf"),
        ("/usr/share/lxc/config/common.conf", "common.conf"),
    ] {
        let expected = format!("lxc.include = /usr/share/lxc/config/{new}");
        assert_eq!(lines(&format!("lxc.include = {old}\n")), [expected]);
    }
    let lost = migrated("lxc.include = /usr/share/lxc/config/ubuntu-cloud.lucid.conf\n");
    assert!(lost.text().starts_with("# lxc.include = ") && lost.notes.len() == 1);
    let own = migrated("lxc.include = /etc/lxc/mine.conf\nlxc.include = /etc/lxc/mine.d/\n");
    assert!(!own.changes());
    assert_eq!(
        own.notes[0].to_string(),
        "config:1: lxc.include: the file does not exist; bring it back or remove the line"
    );
}

#[test]
fn the_order_is_turned_round_only_where_it_was_the_other_way() {
    let text = "lxc.utsname = web\nlxc.autodev = 1\nlxc.start.order = 5\n";
    let told = migrated(text).notes;
    assert_eq!(told.len(), 1);
    assert!(
        told[0]
            .to_string()
            .starts_with("config:3: lxc.start.order: LXC 1.0 and 1.1")
    );
    let origin = Origin {
        descending_order: true,
    };
    let turned = migrate(Path::new("config"), text, &Today, origin);
    assert!(turned.text().ends_with("lxc.start.order = -5\n") && turned.notes.is_empty());
    assert!(!migrate(Path::new("config"), &turned.text(), &Today, origin).changes());
    assert!(
        migrated("lxc.uts.name = web\nlxc.start.order = 5\n")
            .notes
            .is_empty()
    );
}

#[test]
fn the_difference_is_what_diff_shows() {
    let old: String = (1..=30)
        .map(|n| match n {
            2 | 3 | 10 | 25 => format!("lxc.tty = {n}\n"),
            30 => "lxc.pts = 30".to_owned(),
            _ => format!("# line {n}\n"),
        })
        .collect();
    for text in [
        old.as_str(),
        "lxc.tty = 1\n",
        "lxc.tty = 1",
        TRUSTY,
        "lxc.tty.max = 1\n",
    ] {
        let dir = std::env::temp_dir().join(format!("berth-diff-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let migration = migrated(text);
        let (before, after) = (dir.join("before"), dir.join("after"));
        std::fs::write(&before, text).unwrap();
        std::fs::write(&after, migration.text()).unwrap();
        let output = std::process::Command::new("diff")
            .args(["-u", "--label", "config", "--label", "config"])
            .args([&before, &after])
            .output()
            .unwrap();
        std::fs::remove_dir_all(dir).unwrap();
        assert_eq!(
            migration.diff(Path::new("config")),
            String::from_utf8(output.stdout).unwrap()
        );
    }
}

proptest! {
    #[test]
    fn nothing_but_what_is_former_changes(text in "((lxc\\.(tty|tty\\.max|network\\.(type|ipv4)|net\\.0\\.type|rootfs(\\.backend|\\.path)?|cgroup2?\\.(cpu\\.shares|memory\\.max|memory\\.limit_in_bytes)|include|start\\.order|x) ?=? ?('?[a-z0-9:/]{0,8}'?)| *#.{0,8}|.{0,6})\r?\n?){0,12}") {
        let first = migrated(&text);
        let new = first.text();
        // Line by line, and a second time changes nothing.
        prop_assert_eq!(new.matches('\n').count(), text.matches('\n').count());
        let second = migrated(&new);
        prop_assert!(!second.changes(), "{} → {}", new, second.text());
        for (old, new) in text.lines().zip(new.lines()) {
            if !old.trim_start().starts_with("lxc.") {
                prop_assert_eq!(old, new);
            }
        }
    }
}
