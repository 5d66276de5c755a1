//! A host of the test's own: a mount namespace with a private `/etc`, `/usr/share` and `/home`
//! in which alice is a user. The machine's own files are never touched.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use berth_common::{Gid, Uid};
use berth_kernel::{cred, process};
use nix::mount::{MsFlags, mount};
use nix::sched::CloneFlags;

/// Alice's uid and gid.
pub const ALICE: u32 = 4711;
/// The first of her subordinate ids.
pub const SUBUID: u32 = 5_000_000;
pub const SUBGID: u32 = 6_000_000;

pub use berth_test_private_host::ran_alone;

/// What differs from a machine on which everything is granted.
#[derive(Default)]
pub struct Host {
    files: Vec<(PathBuf, Option<String>)>,
    disk_kib: Option<u32>,
    plain_newuidmap: bool,
    no_user_namespaces: bool,
}

impl Host {
    pub fn new() -> Self {
        Self::default()
    }

    /// A file with this content.
    pub fn with(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.into(), Some(text.to_owned())));
        self
    }

    /// No such file.
    pub fn without(mut self, path: &str) -> Self {
        self.files.push((path.into(), None));
        self
    }

    /// A home on a disk of this size.
    pub fn with_disk_of(mut self, kib: u32) -> Self {
        self.disk_kib = Some(kib);
        self
    }

    /// A newuidmap that has lost its set-uid bit.
    pub fn with_plain_newuidmap(mut self) -> Self {
        self.plain_newuidmap = true;
        self
    }

    /// A kernel that grants no further user namespace.
    pub fn without_user_namespaces(mut self) -> Self {
        self.no_user_namespaces = true;
        self
    }

    /// Runs the body as alice; a panic in it is a panic here.
    pub fn run_as_alice(self, body: impl FnOnce()) {
        self.run_as_alice_returning(|| {
            body();
            0
        });
    }

    /// The same with a small number as the result.
    pub fn run_as_alice_returning(self, body: impl FnOnce() -> u8) -> u8 {
        self.run(
            Some((Uid::new(ALICE).unwrap(), Gid::new(ALICE).unwrap())),
            body,
        )
    }

    /// Runs the body as root.
    pub fn run_as_root(self, body: impl FnOnce()) {
        self.run(None, || {
            body();
            0
        });
    }

    fn run(self, user: Option<(Uid, Gid)>, body: impl FnOnce() -> u8) -> u8 {
        assert!(cred::effective_uid().is_root(), "this test needs root");
        let child = process::fork(|| {
            process::unshare(CloneFlags::CLONE_NEWNS).unwrap();
            self.furnish();
            if let Some((uid, gid)) = user {
                cred::set_groups(&[gid]).unwrap();
                cred::set_all_gids(gid).unwrap();
                cred::set_all_uids(uid).unwrap();
                process::set_dumpable(true).unwrap();
            }
            std::env::set_current_dir("/").unwrap();
            body()
        })
        .unwrap();
        match child.pidfd.wait().unwrap() {
            process::Exit::Code(code @ 0..=100) => code as u8,
            other => panic!("the body failed: {other}"),
        }
    }

    fn furnish(&self) {
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
        let kept = ["nsswitch.conf", "login.defs", "ld.so.cache", "group"].map(|name| {
            (
                name,
                fs::read(Path::new("/etc").join(name)).unwrap_or_default(),
            )
        });
        for dir in ["/etc", "/usr/share", "/home", "/run"] {
            mount_tmpfs(Path::new(dir), "mode=0755");
        }
        for (name, content) in kept {
            fs::write(Path::new("/etc").join(name), content).unwrap();
        }
        let home = Path::new("/home/alice");
        fs::create_dir(home).unwrap();
        if let Some(kib) = self.disk_kib {
            mount_tmpfs(home, &format!("size={kib}k"));
        }
        chown(home, Some(ALICE), Some(ALICE)).unwrap();
        fs::set_permissions(home, fs::Permissions::from_mode(0o700)).unwrap();
        self.write_files();
        if self.plain_newuidmap {
            let copy = Path::new("/run/newuidmap");
            fs::copy("/usr/bin/newuidmap", copy).unwrap();
            fs::set_permissions(copy, fs::Permissions::from_mode(0o755)).unwrap();
            let bind = MsFlags::MS_BIND;
            mount(
                Some(copy),
                "/usr/bin/newuidmap",
                None::<&str>,
                bind,
                None::<&str>,
            )
            .unwrap();
        }
        if self.no_user_namespaces {
            forbid_user_namespaces();
        }
    }

    fn write_files(&self) {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
        let snippet = |name: &str| fs::read_to_string(config.join(name)).unwrap();
        let passwd = format!(
            "root:x:0:0:root:/root:/bin/sh\nalice:x:{ALICE}:{ALICE}:Alice:/home/alice:/bin/sh\n"
        );
        let defaults = [
            ("/etc/passwd", passwd),
            ("/etc/subuid", format!("alice:{SUBUID}:65536\n")),
            ("/etc/subgid", format!("alice:{SUBGID}:65536\n")),
            ("/etc/lxc/lxc-usernet", "alice veth berthbr7 3\n".to_owned()),
            ("/usr/share/berth/config/user.conf", snippet("user.conf")),
            ("/usr/share/berth/config/root.conf", snippet("root.conf")),
        ];
        for (path, text) in defaults {
            fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for (path, text) in &self.files {
            match text {
                Some(text) => fs::write(path, text).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
        }
    }
}

/// The limit counts for the user namespace in which it is set and those below it, so the test
/// goes into one of its own first.
fn forbid_user_namespaces() {
    let own = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
    let (before, pid) = (own("self"), std::process::id().to_string());
    // Only somebody outside may write more than one id into the maps.
    let writer = process::fork(|| {
        while own(&pid) == before {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        for map in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/{pid}/{map}"), "0 0 10000000\n").unwrap();
        }
        0
    })
    .unwrap();
    process::unshare(CloneFlags::CLONE_NEWUSER).unwrap();
    assert!(writer.pidfd.wait().unwrap().success());
    fs::write("/proc/sys/user/max_user_namespaces", "0").unwrap();
}

pub fn mount_tmpfs(at: &Path, options: &str) {
    mount(
        Some("tmpfs"),
        at,
        Some("tmpfs"),
        MsFlags::empty(),
        Some(options),
    )
    .unwrap();
}
