//! Compiled policies that are kept for the next start.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use berth_test_private_host::{Host, ID};

use crate::seccomp::{OWNERS, call, private_cache, under, write_policy};
use crate::world::{Owner, on_host};

pub fn cache(host: &Host, owner: Owner) -> PathBuf {
    match owner {
        Owner::User => host.home().join(".cache/berth/seccomp"),
        Owner::Root => "/var/cache/berth/seccomp".into(),
    }
}

/// The files of a cache and when each was written.
pub fn entries(dir: &Path) -> Vec<(PathBuf, std::time::SystemTime)> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        (path, written)
    };
    entries.map(entry).collect()
}

#[test]
fn programs_are_kept_and_made_anew_where_they_are_damaged() {
    for owner in OWNERS {
        on_host(|host| {
            private_cache();
            let c = under(host, owner, "2\ndenylist\nacct errno 5\n", "");
            let dir = cache(host, owner);
            let run = || {
                c.start();
                assert_eq!(call(&c, nix::libc::SYS_acct, "0"), "5");
                c.stop();
                entries(&dir)
            };
            let first = run();
            assert_eq!(first.len(), 1);
            let (file, _) = &first[0];
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&dir), mode(file)), (0o700, 0o600));
            assert_eq!(run(), first, "read, not written");
            let whole = fs::read(file).unwrap();
            let mut flipped = whole.clone();
            *flipped.last_mut().unwrap() ^= 1;
            for damaged in [&flipped[..], &whole[..whole.len() / 2], b""] {
                fs::write(file, damaged).unwrap();
                run();
                assert_eq!(fs::read(file).unwrap(), whole);
            }
            // One that somebody else owns is not believed.
            chown(file, Some(ID + 1), None).unwrap();
            let again = run();
            assert_eq!(again.len(), 1);
            write_policy(&c, "2\ndenylist\nacct errno 5\n# other\n");
            assert_eq!(run().len(), 2);
            c.destroy();
        });
    }
}

#[test]
fn without_room_for_the_program_a_start_only_takes_longer() {
    on_host(|host| {
        let c = under(host, Owner::User, "2\ndenylist\nacct errno 5\n", "");
        let dir = host.home().join(".cache");
        fs::create_dir_all(&dir).unwrap();
        let small = nix::mount::MsFlags::empty();
        let options = format!("size=4k,nr_inodes=4,mode=0755,uid={ID}");
        nix::mount::mount(Some("c"), &dir, Some("tmpfs"), small, Some(&*options)).unwrap();
        fs::write(dir.join("full"), [0; 4096]).unwrap();
        for _ in 0..2 {
            c.start();
            assert_eq!(call(&c, nix::libc::SYS_acct, "0"), "5");
            c.stop();
        }
        let left = cache(host, Owner::User);
        assert!(entries(&left).is_empty(), "{:?}", entries(&left));
        nix::mount::umount(&dir).unwrap();
        c.destroy();
    });
}

#[test]
fn without_its_compiler_a_policy_is_refused() {
    on_host(|host| {
        let c = under(host, Owner::User, "2\ndenylist\nacct errno 5\n", "");
        let mut start = c.command("berth");
        start.env("BERTH_SECCOMP", "/nothing/berth-seccomp");
        let output = start.args(["start", "--here", c.name]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            said.contains("cannot be compiled: /nothing/berth-seccomp: No such"),
            "{said}"
        );
        c.destroy();
    });
}
