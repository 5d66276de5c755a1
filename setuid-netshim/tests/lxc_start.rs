//! Unmodified `lxc-start` of Debian's lxc gets its NICs from the helper, which stands where
//! LXC's own does. Without lxc each test says so; where `CI` is set it fails.

mod world;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use world::World;

const ORIGINAL: &str = "/usr/libexec/lxc/lxc-user-nic";

/// A host where alice may run containers by LXC, with the helper bound over LXC's.
struct Host {
    world: World,
    /// Alice's cgroup, seen from outside.
    cgroup: PathBuf,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = std::fs::write(self.cgroup.join("cgroup.kill"), "1");
        for _ in 0..50 {
            if remove_tree(&self.cgroup).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn remove_tree(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    std::fs::remove_dir(dir)
}

fn unified() -> PathBuf {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let line = mounts
        .lines()
        .find(|line| line.split(' ').nth(2) == Some("cgroup2"));
    PathBuf::from(
        line.expect("cgroup v2 is not mounted")
            .split(' ')
            .nth(1)
            .unwrap(),
    )
}

impl Host {
    fn new(usernet: &str) -> Option<Self> {
        if !Path::new(ORIGINAL).exists() || !Path::new("/usr/bin/lxc-start").exists() {
            assert!(std::env::var_os("CI").is_none(), "install lxc");
            eprintln!("cannot try: install lxc");
            return None;
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("berth-lxc-{}-{number}", std::process::id());
        let cgroup = unified().join(&name);
        std::fs::create_dir(&cgroup).unwrap();
        let world = World::new(usernet);
        let etc = world.path("etc");
        for file in ["subuid", "subgid"] {
            std::fs::write(format!("{etc}/{file}"), "alice:100000:65536\n").unwrap();
        }
        let script = "set -e; mount --bind \"$1\" \"$2\"; cd /run
            mkdir -p home/.local/share/lxc/web home/.config/lxc home/.cache
            mkdir -p home/root/bin home/root/dev home/root/proc home/root/sys
            cp /bin/busybox home/root/bin/
            chown -R 1000:1000 home; chown -R 100000:100000 home/root; chmod 711 home
            mkdir -p /dev/shm /dev/pts; mount -t devpts devpts /dev/pts
            ln -sf /proc/self/fd /dev/fd; mknod -m 666 /dev/tty c 5 0; mknod -m 666 /dev/ptmx c 5 2
            mount -t tmpfs tmpfs /sys/fs/cgroup; mkdir /sys/fs/cgroup/unified
            mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified; cd /sys/fs/cgroup/unified/$3
            chown 1000 . cgroup.procs cgroup.threads cgroup.subtree_control";
        world.must(&["sh", "-c", script, "sh", &world.helper(), ORIGINAL, &name]);
        Some(Self { world, cgroup })
    }

    /// A command of alice's in her cgroup, with her home.
    fn alice(&self, script: &str) -> Output {
        let name = self.cgroup.file_name().unwrap().to_str().unwrap();
        let enter = "echo $$ >/sys/fs/cgroup/unified/$1/cgroup.procs; export HOME=/run/home
            exec setpriv --reuid 1000 --regid 1000 --init-groups sh -c \"$2\"";
        self.world.root(&["sh", "-c", enter, "sh", name, script])
    }

    fn configure(&self, nics: &str) {
        let config = format!(
            "lxc.include = /usr/share/lxc/config/common.conf\n\
             lxc.include = /usr/share/lxc/config/userns.conf\n\
             lxc.uts.name = web\nlxc.rootfs.path = dir:/run/home/root\n\
             lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n\
             lxc.apparmor.profile = unconfined\n{nics}"
        );
        let file = self.world.inner("/run/home/.local/share/lxc/web/config");
        std::fs::write(file, config).unwrap();
    }
}

fn nic(number: u32, rest: &str) -> String {
    format!(
        "lxc.net.{number}.type = veth\n{}",
        rest.replace("N.", &format!("lxc.net.{number}."))
    )
}

#[test]
fn several_nics_with_names_inside_and_without_a_bridge() {
    let Some(host) = Host::new("alice veth br0 2\nalice veth none 1\n") else {
        return;
    };
    let nics = [
        nic(0, "N.link = br0\nN.name = up0\nN.flags = up\n"),
        nic(1, "N.link = br0\n"),
        nic(2, "N.name = alone0\n"),
    ];
    host.configure(&nics.concat());
    // Without a terminal a container's output goes nowhere.
    let look = "lxc-start -n web -F -l debug -o ~/log -- /bin/busybox sh -c \
        'exec /bin/busybox ip link >/out'";
    let output = host.alice(look);
    let log = std::fs::read_to_string(host.world.inner("/run/home/log")).unwrap_or_default();
    let text = std::fs::read_to_string(host.world.inner("/run/home/root/out")).unwrap_or_default();
    assert!(output.status.success(), "{output:?}\n{log}");
    for (name, mtu) in [("up0", 1400), ("eth0", 1400), ("alone0", 1500)] {
        let line = text
            .lines()
            .find(|line| line.contains(&format!(": {name}@")));
        let line = line.unwrap_or_else(|| panic!("no {name}: {text}\n{log}"));
        assert!(line.contains(&format!("mtu {mtu} ")), "{line}");
    }
    // The network namespace goes in the background, its NICs with it.
    host.world.wait_for_ports("br0", 0);
}

#[test]
fn start_stop_and_restart_many_times() {
    let Some(host) = Host::new("alice veth br0 2\n") else {
        return;
    };
    host.configure(&[nic(0, "N.link = br0\n"), nic(1, "N.link = br0\n")].concat());
    for round in 0..10 {
        let start = "lxc-start -n web -d -l debug -o ~/log -- /bin/busybox sleep 600";
        let started = host.alice(start);
        let log = || std::fs::read_to_string(host.world.inner("/run/home/log")).unwrap_or_default();
        assert!(
            started.status.success(),
            "round {round}: {started:?}\n{}",
            log()
        );
        assert_eq!(host.world.ports("br0").len(), 2, "round {round}");
        let stopped = host.alice("lxc-stop -n web -k");
        assert!(stopped.status.success(), "round {round}: {stopped:?}");
        // The next start follows at once, while the kernel still takes these NICs down.
    }
    host.world.wait_for_ports("br0", 0);
}

#[test]
fn beyond_the_quota_lxc_says_why_and_nothing_stays() {
    let Some(host) = Host::new("alice veth br0 1\n") else {
        return;
    };
    host.configure(&[nic(0, "N.link = br0\n"), nic(1, "N.link = br0\n")].concat());
    let output = host.alice("lxc-start -n web -F -l debug -o ~/log -- /bin/busybox true");
    assert!(!output.status.success(), "{output:?}");
    let log = std::fs::read_to_string(host.world.inner("/run/home/log")).unwrap();
    assert!(
        log.contains("quota reached: alice has 1 of 1 NICs on br0"),
        "{log}"
    );
    host.world.wait_for_ports("br0", 0);
}
