//! Grants in a directory of the test's own, with a host that writes its files.

use super::*;
use berth_common::{Gid, Uid};
use std::cell::RefCell;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

struct World {
    dir: PathBuf,
    paths: Paths,
    systemd: bool,
    linger_calls: RefCell<Vec<bool>>,
    refuse_ids: bool,
    at_work: Option<i32>,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl World {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("berth-grant-{}-{number}", std::process::id()));
        let paths = Paths {
            etc: dir.join("etc"),
            var: dir.join("var"),
        };
        fs::create_dir_all(&paths.etc).unwrap();
        fs::create_dir_all(paths.linger("x").parent().unwrap()).unwrap();
        let linger_calls = RefCell::new(Vec::new());
        Self {
            dir,
            paths,
            systemd: true,
            linger_calls,
            refuse_ids: false,
            at_work: None,
        }
    }

    fn alice(&self) -> User {
        User {
            name: "alice".into(),
            uid: Uid::new(1000).unwrap(),
            gid: Gid::new(1000).unwrap(),
            home: self.dir.join("home"),
            shell: "/bin/sh".into(),
        }
    }

    fn etc(&self, file: &str) -> String {
        fs::read_to_string(self.paths.etc.join(file)).unwrap_or_default()
    }

    fn write_etc(&self, file: &str, text: &str) {
        let path = self.paths.etc.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn grant(&self, nics: u32, boot: bool) -> Result<Vec<String>> {
        let bridge = "br0".parse().unwrap();
        let request = Request {
            user: "alice".into(),
            nics,
            bridge,
            boot,
        };
        grant_to(&self.paths, self, &self.alice(), &request)
    }

    fn revoke(&self, bridge: Option<&str>, force: bool) -> Result<Vec<String>> {
        let bridge = bridge.map(|name| name.parse().unwrap());
        let alice = self.alice();
        revoke_from(
            &self.paths,
            self,
            "alice",
            Some(&alice),
            bridge.as_ref(),
            force,
        )
    }
}

impl Host for World {
    fn ranges(&self, user: &User, kind: IdKind) -> Result<Vec<Range>> {
        subids::in_file(&self.paths, kind, user)
    }

    fn add_range(&self, user: &User, kind: IdKind, range: Range) -> Result<()> {
        if self.refuse_ids {
            return Err(Error::other("usermod says no"));
        }
        let path = self.paths.subids(kind);
        let mut text = fs::read_to_string(&path).unwrap_or_default();
        text.push_str(&format!("{}:{}:{}\n", user.name, range.first, range.count));
        fs::write(path, text).unwrap();
        Ok(())
    }

    fn remove_range(&self, user: &User, kind: IdKind, range: Range) -> Result<()> {
        let path = self.paths.subids(kind);
        let line = format!("{}:{}:{}\n", user.name, range.first, range.count);
        fs::write(&path, fs::read_to_string(&path).unwrap().replace(&line, "")).unwrap();
        Ok(())
    }

    fn process_of(&self, _user: &User) -> Option<i32> {
        self.at_work
    }

    fn has_systemd(&self) -> bool {
        self.systemd
    }

    fn set_linger(&self, user: &User, on: bool) -> Result<()> {
        self.linger_calls.borrow_mut().push(on);
        let file = self.paths.linger(&user.name);
        if on {
            fs::write(file, "")
        } else {
            fs::remove_file(file)
        }
        .unwrap();
        Ok(())
    }

    fn bridge_exists(&self, _: &InterfaceName) -> bool {
        true
    }
}

#[test]
fn a_grant_says_what_it_changed_and_a_second_one_that_it_was_so() {
    let world = World::new();
    world.write_etc("subuid", "bob:100000:65536\n");
    let said = world.grant(5, true).unwrap();
    assert_eq!(
        said,
        [
            "alice has subordinate user ids 165536-231071 now (/etc/subuid)",
            "alice has subordinate group ids 165536-231071 now (/etc/subgid)",
            "alice may have 5 NICs on br0 now (/etc/lxc/lxc-usernet)",
            "alice lingers now: enabled containers start at boot",
        ]
    );
    assert_eq!(
        world.etc("subuid"),
        "bob:100000:65536\nalice:165536:65536\n"
    );
    assert_eq!(world.etc("lxc/lxc-usernet"), "alice veth br0 5\n");
    let mode = fs::metadata(world.paths.usernet())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);

    let again = world.grant(5, true).unwrap();
    assert!(
        again.iter().all(|line| line.contains("already")),
        "{again:?}"
    );
    assert_eq!(world.etc("lxc/lxc-usernet"), "alice veth br0 5\n");
    assert_eq!(*world.linger_calls.borrow(), [true]);

    let more = world.grant(7, false).unwrap();
    assert!(more[2].contains("7 NICs on br0 now, 5 before"), "{more:?}");
    assert_eq!(world.etc("lxc/lxc-usernet"), "alice veth br0 7\n");
}

#[test]
fn a_revocation_undoes_just_the_grant() {
    let world = World::new();
    world.write_etc("subuid", "alice:300000:65536\n");
    world.write_etc(
        "lxc/lxc-usernet",
        "# quotas\nalice veth br0 2 # by hand\nbob veth br0 1\n",
    );
    fs::write(world.paths.linger("alice"), "").unwrap();
    world.grant(5, true).unwrap();
    assert_eq!(
        world.etc("subgid"),
        "alice:300000:65536\n",
        "the same numbers for groups"
    );
    world.grant(9, true).unwrap();
    let said = world.revoke(None, false).unwrap();
    assert_eq!(
        said,
        [
            "alice may have 2 NICs on br0 as before",
            "alice has no subordinate group ids 300000-365535 any more (/etc/subgid)",
        ]
    );
    let usernet = "# quotas\nalice veth br0 2 # by hand\nbob veth br0 1\n";
    assert_eq!(world.etc("lxc/lxc-usernet"), usernet);
    assert_eq!(world.etc("subuid"), "alice:300000:65536\n");
    assert!(
        world.paths.linger("alice").exists(),
        "linger was there before"
    );
    assert!(!world.paths.grants().join("alice.json").exists());

    let again = world.revoke(None, false).unwrap();
    assert!(
        again[0].contains("nothing that is left to revoke"),
        "{again:?}"
    );
    assert!(again[1].contains("left alone: line 2"), "{again:?}");
}

#[test]
fn ids_stay_while_there_are_containers() {
    let world = World::new();
    world.grant(5, true).unwrap();
    let container = world.alice().home.join(path::USER_LXCPATH).join("web");
    fs::create_dir_all(&container).unwrap();
    fs::write(container.join("config"), "").unwrap();
    let said = world.revoke(None, false).unwrap();
    assert!(
        said.iter()
            .any(|line| line.contains("keeps subordinate user ids")),
        "{said:?}"
    );
    assert!(
        said.iter()
            .any(|line| line.contains("does not linger any more")),
        "{said:?}"
    );
    assert_eq!(world.etc("lxc/lxc-usernet"), "");
    assert!(world.etc("subuid").contains("alice:100000:65536"));
    let said = world.revoke(None, true).unwrap();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(
        (world.etc("subuid"), world.etc("subgid")),
        (String::new(), String::new())
    );
}

#[test]
fn one_bridge_only() {
    let world = World::new();
    world.grant(5, false).unwrap();
    let alice = world.alice();
    let bridge = "br1".parse().unwrap();
    let request = Request {
        user: "alice".into(),
        nics: 1,
        bridge,
        boot: false,
    };
    let said = grant_to(&world.paths, &world, &alice, &request).unwrap();
    assert!(said[2].contains("1 NIC on br1 now"), "{said:?}");
    world.revoke(Some("br0"), false).unwrap();
    assert_eq!(world.etc("lxc/lxc-usernet"), "alice veth br1 1\n");
    assert!(world.etc("subuid").contains("alice"));
    let rows = list(&world.paths, &world, |_| Ok(Some(world.alice()))).unwrap();
    assert_eq!(
        (rows.len(), rows[0].bridge.as_str(), rows[0].nics),
        (1, "br1", 1)
    );
}

#[test]
fn what_failed_halfway_can_be_repeated_and_revoked() {
    let mut world = World::new();
    world.refuse_ids = true;
    let error = world.grant(5, false).unwrap_err().to_string();
    assert!(error.contains("usermod says no"), "{error}");
    assert_eq!(world.etc("lxc/lxc-usernet"), "");
    // The record names ids that were never added; nothing of anybody is taken for them.
    world.write_etc("subuid", "bob:100000:65536\n");
    world.revoke(None, false).unwrap();
    assert_eq!(world.etc("subuid"), "bob:100000:65536\n");
    world.refuse_ids = false;
    world.grant(5, false).unwrap();
    assert_eq!(
        world.etc("subuid"),
        "bob:100000:65536\nalice:165536:65536\n"
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let world = World::new();
    assert!(
        world
            .grant(1024, false)
            .unwrap_err()
            .to_string()
            .contains("at most 1023")
    );
    let request = Request {
        user: "x".into(),
        nics: 1,
        bridge: "br0".parse().unwrap(),
        boot: false,
    };
    for name in ["-x", "a b", "a/b", "..", "@staff", "a:b", "#x", ""] {
        let user = User {
            name: name.into(),
            ..world.alice()
        };
        assert!(
            grant_to(&world.paths, &world, &user, &request).is_err(),
            "{name:?}"
        );
        assert!(
            revoke_from(&world.paths, &world, name, None, None, false).is_err(),
            "{name:?}"
        );
    }
    let root = User {
        uid: Uid::ROOT,
        ..world.alice()
    };
    assert!(grant_to(&world.paths, &world, &root, &request).is_err());
    let gone = revoke_from(&world.paths, &world, "carol", None, None, false).unwrap_err();
    assert_eq!(gone.to_string(), "there is no user “carol”");
    world.write_etc("lxc/lxc-usernet", "");
    fs::write(world.paths.usernet(), b"ok\n\xff\n").unwrap();
    assert!(
        world
            .grant(1, false)
            .unwrap_err()
            .to_string()
            .contains("line 2: not UTF-8")
    );
    fs::write(world.paths.grants().join("alice.json"), "{").unwrap();
    assert!(
        world
            .grant(1, false)
            .unwrap_err()
            .to_string()
            .contains("is damaged")
    );
}

#[test]
fn a_link_to_the_quota_file_and_its_mode_stay() {
    let world = World::new();
    world.write_etc("real", "bob veth br0 1\n");
    fs::set_permissions(
        world.paths.etc.join("real"),
        fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    fs::create_dir_all(world.paths.etc.join("lxc")).unwrap();
    std::os::unix::fs::symlink("../real", world.paths.usernet()).unwrap();
    world.grant(5, false).unwrap();
    assert!(world.paths.usernet().is_symlink());
    assert_eq!(world.etc("real"), "bob veth br0 1\nalice veth br0 5\n");
    let mode = fs::metadata(world.paths.etc.join("real"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn without_systemd_a_file_of_the_administrators_stands_for_linger() {
    let mut world = World::new();
    world.systemd = false;
    let entry = world.paths.boot("alice");
    let said = world.grant(5, true).unwrap();
    assert!(
        said[3].contains("alice is in /etc/berth/boot.d now"),
        "{said:?}"
    );
    assert!(entry.exists() && world.linger_calls.borrow().is_empty());
    let again = world.grant(5, true).unwrap();
    assert!(again[3].contains("boot.d already"), "{again:?}");
    let said = world.revoke(None, true).unwrap();
    assert!(
        said.iter()
            .any(|line| line.contains("not in /etc/berth/boot.d any more")),
        "{said:?}"
    );
    assert!(!entry.exists());
    // What was there before the grant is the administrator's.
    fs::write(&entry, "").unwrap();
    world.grant(5, true).unwrap();
    world.revoke(None, true).unwrap();
    assert!(entry.exists());
}

#[test]
fn the_table_has_a_column_for_each_thing() {
    let world = World::new();
    world.grant(5, true).unwrap();
    world.write_etc(
        "lxc/lxc-usernet",
        "alice veth br-test0 5\nalice veth br-test0 1\n@staff veth br-test0 2\n",
    );
    let look_up = |name: &str| Ok((name == "alice").then(|| world.alice()));
    let rows = list(&world.paths, &world, look_up).unwrap();
    assert_eq!(
        table(&rows),
        "USER    BRIDGE    NICS  USED  SUBUIDS        SUBGIDS        LINGER\n\
         alice   br-test0  6     -     100000-165535  100000-165535  yes\n\
         @staff  br-test0  2     -     -              -              no\n"
    );
}

#[test]
fn ids_of_a_user_at_work_are_left_until_he_has_logged_out() {
    let mut world = World::new();
    world.grant(5, false).unwrap();
    world.at_work = Some(42);
    let said = world.revoke(None, false).unwrap();
    assert!(
        said.iter().any(|line| line.contains("process 42")),
        "{said:?}"
    );
    assert_eq!(world.etc("subuid"), "alice:100000:65536\n");
    assert_eq!(world.etc("lxc/lxc-usernet"), "");
    world.at_work = None;
    world.revoke(None, false).unwrap();
    assert_eq!(world.etc("subuid"), "");
}

#[test]
fn nobody_else_can_hold_the_lock() {
    use std::os::unix::fs::MetadataExt;
    let world = World::new();
    let file = world.paths.grants().join(LOCK);
    world.grant(2, false).unwrap();
    let mode = || fs::metadata(&file).unwrap().mode() & 0o7777;
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    world.grant(3, false).unwrap();
    assert_eq!(mode(), 0o600);
}
