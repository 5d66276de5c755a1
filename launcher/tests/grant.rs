//! Grants with the host's own usermod and getsubids, on an `/etc` and a `/var/lib` of the test's
//! own in a private mount namespace. Needs root.

use berth::grant::{self, Request};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::path::{Path, PathBuf};

struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Moves this thread, and the programs that it starts, onto other directories.
fn own_host() -> Dir {
    unshare(CloneFlags::CLONE_NEWNS).expect("this test needs root");
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let dir = std::env::temp_dir().join(format!("berth-grant-host-{}", std::process::id()));
    let (etc, lib) = (dir.join("etc"), dir.join("lib"));
    fs::create_dir_all(&etc).unwrap();
    fs::create_dir_all(lib.join("systemd/linger")).unwrap();
    let write = |name: &str, text: &str| fs::write(etc.join(name), text).unwrap();
    write(
        "passwd",
        "root:x:0:0::/root:/bin/sh\nalice:x:54321:54321::/nonexistent:/bin/sh\n",
    );
    write("group", "root:x:0:\nalice:x:54321:\n");
    write(
        "shadow",
        "root:*:19000:0:99999:7:::\nalice:*:19000:0:99999:7:::\n",
    );
    write("gshadow", "root:*::\nalice:!::\n");
    write("login.defs", "SUB_UID_MIN 200000\nSUB_GID_MIN 200000\n");
    write("nsswitch.conf", "passwd: files\ngroup: files\n");
    write("subuid", "");
    write("subgid", "");
    let _ = fs::copy("/etc/ld.so.cache", etc.join("ld.so.cache"));
    for (from, to) in [(&etc, "/etc"), (&lib, "/var/lib")] {
        mount(Some(from), to, none, MsFlags::MS_BIND, none).unwrap();
    }
    Dir(dir)
}

#[test]
fn a_grant_and_its_revocation_with_the_hosts_tools() {
    let _dir = own_host();
    let request = Request {
        user: "alice".into(),
        nics: 3,
        bridge: "br-none".parse().unwrap(),
        boot: false,
    };
    let said = grant::grant(&request).unwrap();
    assert!(said[0].contains("200000-265535 now"), "{said:?}");
    assert!(said[3].contains("there is no bridge br-none"), "{said:?}");
    let read = |path: &str| fs::read_to_string(path).unwrap();
    assert_eq!(read("/etc/subuid"), "alice:200000:65536\n");
    assert_eq!(read("/etc/subgid"), "alice:200000:65536\n");
    assert_eq!(read("/etc/lxc/lxc-usernet"), "alice veth br-none 3\n");
    let again = grant::grant(&request).unwrap();
    assert!(
        again[..3].iter().all(|line| line.contains("already")),
        "{again:?}"
    );

    let rows = grant::grants().unwrap();
    assert_eq!(
        (rows[0].user.as_str(), rows[0].nics, rows[0].used),
        ("alice", 3, None)
    );
    assert_eq!(
        rows[0].subuids.len(),
        1,
        "getsubids and the file name one range"
    );

    grant::revoke("alice", None, false).unwrap();
    for file in ["/etc/subuid", "/etc/subgid", "/etc/lxc/lxc-usernet"] {
        assert_eq!(read(file), "", "{file}");
    }
    assert!(!Path::new("/var/lib/berth/grants/alice.json").exists());
    let unknown = Request {
        user: "nobody-here".into(),
        ..request
    };
    let error = grant::grant(&unknown).unwrap_err().to_string();
    assert_eq!(error, "there is no user “nobody-here”");
}
