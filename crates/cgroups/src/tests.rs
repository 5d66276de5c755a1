//! What the kernel makes of it: tests in a subtree of the machine's own cgroup v2.

use crate::testing::Subtree;
use crate::{
    CgroupDir, CgroupPath, DelegatedBase, DelegationSet, Error, Hierarchy, LimitSetting,
    lasting_paths,
};
use berth_common::{Gid, Uid};
use berth_kernel::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

fn alice() -> (Uid, Gid) {
    (Uid::new(4242).unwrap(), Gid::new(4243).unwrap())
}

/// Runs a script as alice in the directory `dir`; whether it succeeded.
fn as_alice(dir: &CgroupDir, script: &str) -> bool {
    let (uid, gid) = alice();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script])
        .current_dir(dir.path())
        .uid(uid.raw())
        .gid(gid.raw());
    shell
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

#[test]
fn the_hierarchy_knows_where_processes_are() {
    let machine = Hierarchy::detect().unwrap();
    let tree = Subtree::new();
    let dir = tree.make("a b/ü");
    let sleeper = tree.sleeper(&dir);
    let path = machine.path_of_pid(sleeper.pid()).unwrap();
    assert_eq!(machine.full_path(&path), dir.path());
    assert_eq!(
        machine.open(&path).unwrap().processes().unwrap(),
        [sleeper.pid()]
    );
    for pid in [0, -1] {
        assert!(matches!(
            machine.path_of_pid(pid),
            Err(Error::BadPid { .. })
        ));
    }
    let missing = machine.path_of_pid(i32::MAX).unwrap_err();
    assert!(missing.is_not_found(), "{missing}");
}

#[test]
fn other_file_systems_are_no_cgroups() {
    assert!(matches!(
        Hierarchy::at("/proc"),
        Err(Error::NotCgroup { .. })
    ));
    assert!(Hierarchy::at("/does-not-exist").unwrap_err().is_not_found());
}

#[test]
fn a_child_is_made_once_and_removed_when_empty() {
    let tree = Subtree::new();
    let (child, made) = tree.top().make_child_or_open("x").unwrap();
    assert!(made);
    assert_eq!(fs::status(child.as_fd()).unwrap().permissions(), 0o755);
    assert!(!tree.top().make_child_or_open("x").unwrap().1);
    let mut sleeper = tree.sleeper(&child);
    let busy = tree.top().remove_child("x").unwrap_err();
    assert_eq!(busy.errno(), Some(libc::EBUSY));
    child.kill().unwrap();
    sleeper.wait();
    assert!(child.wait_unpopulated(SECOND).unwrap());
    assert!(tree.top().remove_child("x").unwrap());
    assert!(!tree.top().remove_child("x").unwrap());
    let gone = child.processes().unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
    assert!(
        child.wait_unpopulated(SECOND).unwrap(),
        "what is removed is empty"
    );
    for name in ["", ".", "..", "a/b", "/x"] {
        assert!(tree.top().make_child(name).is_err(), "{name:?}");
        assert!(tree.top().remove_tree(name).is_err(), "{name:?}");
    }
}

#[test]
fn draining_leaves_nobody_behind() {
    let tree = Subtree::new();
    let (base, leaf) = (tree.make("base"), tree.make("base/init.scope"));
    let sleepers: Vec<_> = (0..5).map(|_| tree.sleeper(&base)).collect();
    assert_eq!(base.drain_into(&leaf, || true).unwrap(), 5);
    assert!(base.processes().unwrap().is_empty());
    let mut pids = leaf.processes().unwrap();
    pids.sort_unstable();
    let mut expected: Vec<_> = sleepers.iter().map(|s| s.pid()).collect();
    expected.sort_unstable();
    assert_eq!(pids, expected);
}

#[test]
fn draining_ends_when_it_is_told_to() {
    let tree = Subtree::new();
    let (base, leaf) = (tree.make("base"), tree.make("base/init.scope"));
    let _sleepers = [tree.sleeper(&base), tree.sleeper(&base)];
    let mut steps = 0;
    let result = base.drain_into(&leaf, || {
        steps += 1;
        steps <= 1
    });
    assert!(
        matches!(result, Err(Error::NotDrained { .. })),
        "{result:?}"
    );
    assert_eq!(leaf.processes().unwrap().len(), 1);
}

/// Two processes that fork for ever keep the list filled; the number of rounds has an end.
#[test]
fn draining_a_forking_tree_comes_to_an_end() {
    let tree = Subtree::new();
    let (base, leaf) = (tree.make("base"), tree.make("base/init.scope"));
    let _bomb = tree.shell(&base, "while :; do (:) & done");
    let start = Instant::now();
    let _ = base.drain_into(&leaf, || true);
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(!leaf.processes().unwrap().is_empty());
}

#[test]
fn emptiness_is_noticed_when_it_happens() {
    let tree = Subtree::new();
    let dir = tree.make("x/y");
    let parent = tree.top().child("x").unwrap();
    let _sleeper = tree.shell(&dir, "exec sleep 0.3");
    assert!(parent.is_populated().unwrap());
    assert!(!parent.wait_unpopulated(Duration::from_millis(20)).unwrap());
    let start = Instant::now();
    assert!(parent.wait_unpopulated(10 * SECOND).unwrap());
    assert!(
        start.elapsed() < 5 * SECOND,
        "the wait ends with the event, not with its patience"
    );
    assert!(!dir.is_populated().unwrap());
}

#[test]
fn killing_reaches_all_below() {
    for one_by_one in [false, true] {
        let tree = Subtree::new();
        let dirs = [tree.make("x"), tree.make("x/y/z")];
        let mut sleepers: Vec<_> = dirs.iter().map(|dir| tree.sleeper(dir)).collect();
        let stubborn = tree.shell(
            &dirs[1],
            "trap '' TERM INT HUP; while :; do sleep 100; done",
        );
        sleepers.push(stubborn);
        let outside = tree.make("outside");
        let mut bystander = tree.sleeper(&outside);
        if one_by_one {
            dirs[0].kill_one_by_one().unwrap();
        } else {
            dirs[0].kill().unwrap();
        }
        for sleeper in &mut sleepers {
            assert_eq!(sleeper.wait(), None, "ended by a signal");
        }
        assert!(dirs[0].wait_unpopulated(SECOND).unwrap());
        assert!(!bystander.has_ended());
    }
}

#[test]
fn killing_one_by_one_beats_a_forking_tree() {
    let tree = Subtree::new();
    let dir = tree.make("x");
    let mut bomb = tree.shell(&dir, "while :; do (sleep 0.01) & done");
    dir.kill_one_by_one().unwrap();
    bomb.wait();
    assert!(dir.wait_unpopulated(SECOND).unwrap());
}

#[test]
fn freezing_holds_and_lets_go() {
    let tree = Subtree::new();
    let dir = tree.make("x");
    let mut sleeper = tree.shell(&dir, "exec sleep 0.2");
    dir.freeze(true).unwrap();
    assert!(dir.wait_frozen(true, SECOND).unwrap());
    std::thread::sleep(Duration::from_millis(400));
    assert!(!sleeper.has_ended());
    dir.freeze(false).unwrap();
    assert!(dir.wait_frozen(false, SECOND).unwrap());
    assert_eq!(sleeper.wait(), Some(0));
}

#[test]
fn a_tree_is_removed_from_its_leaves_up() {
    let tree = Subtree::new();
    tree.make("t/a/b/c");
    tree.make("t/a/d");
    let held = tree.make("t/e");
    let mut sleeper = tree.sleeper(&held);
    let busy = tree.top().remove_tree("t").unwrap_err();
    assert_eq!(busy.errno(), Some(libc::EBUSY));
    assert!(
        busy.to_string().contains("t/e"),
        "names the cgroup in the way: {busy}"
    );
    held.kill().unwrap();
    sleeper.wait();
    assert!(held.wait_unpopulated(SECOND).unwrap());
    assert!(tree.top().remove_tree("t").unwrap());
    assert!(tree.top().children().unwrap().is_empty());
    assert!(!tree.top().remove_tree("t").unwrap());
}

#[test]
fn a_tree_of_absurd_depth_is_refused() {
    let tree = Subtree::new();
    let mut dirs = vec![tree.top().make_child("deep").unwrap()];
    for _ in 0..80 {
        let next = dirs.last().unwrap().make_child("d").unwrap();
        dirs.push(next);
    }
    let result = tree.top().remove_tree("deep");
    assert!(matches!(result, Err(Error::TooLarge { .. })), "{result:?}");
    while let Some(dir) = dirs.pop() {
        dir.remove_child("d").unwrap();
    }
}

#[test]
fn delegation_gives_the_listed_files_and_nothing_else() {
    let tree = Subtree::new();
    let dir = tree.make("base");
    let (uid, gid) = alice();
    assert!(!dir.is_owned_by(uid).unwrap());
    dir.delegate_to(uid, gid).unwrap();
    assert!(dir.is_owned_by(uid).unwrap());
    assert_eq!(dir.owner().unwrap(), (uid.raw(), gid.raw()));
    let listed: Vec<_> = DelegationSet::of_kernel()
        .unwrap()
        .files()
        .map(str::to_owned)
        .collect();
    assert!(listed.iter().any(|name| name == "cgroup.procs"));
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let meta = entry.metadata().unwrap();
        let owner = if listed.contains(&name) {
            (uid.raw(), gid.raw())
        } else {
            (0, 0)
        };
        assert_eq!((meta.uid(), meta.gid()), owner, "{name}");
    }
    assert!(as_alice(
        &dir,
        "mkdir ct && echo 1 > ct/cgroup.max.depth && rmdir ct"
    ));
    assert!(
        !as_alice(&dir, "echo 1 > cgroup.max.depth"),
        "her own limits stay root's"
    );
    assert!(
        !as_alice(&dir, "echo 0 > cgroup.procs"),
        "nobody comes in from outside"
    );
}

#[test]
fn the_mark_of_systemd_is_seen() {
    let tree = Subtree::new();
    for (name, mark, value, expected) in [
        ("none", "user.other", "1", false),
        ("user", "user.delegate", "1", true),
        ("trusted", "trusted.delegate", "1", true),
        ("off", "user.delegate", "0", false),
        ("long", "user.delegate", &"1".repeat(300), false),
    ] {
        let dir = tree.make(name);
        fs::set_xattr(dir.as_fd(), mark, value.as_bytes()).unwrap();
        assert_eq!(dir.is_marked_delegated().unwrap(), expected, "{name}");
    }
}

fn mark(dir: &CgroupDir) {
    fs::set_xattr(dir.as_fd(), "user.delegate", b"1").unwrap();
}

fn base_around(tree: &Subtree, path: &str, uid: Uid) -> Option<String> {
    let path = CgroupPath::new(path).unwrap();
    let base = DelegatedBase::around(tree.hierarchy(), path, uid).unwrap();
    base.map(|base| base.path().to_string())
}

#[test]
fn a_callers_base_is_the_nearest_marked_one() {
    let (uid, gid) = alice();
    let tree = Subtree::new();
    let scope = "/user.slice/user-4242.slice/session-3.scope";
    let dir = tree.make(scope);
    assert_eq!(base_around(&tree, scope, uid), None, "not hers");
    dir.delegate_to(uid, gid).unwrap();
    assert!(as_alice(&dir, "mkdir -p init.scope web/monitor"));
    // Without a mark (systemd before 251, or none): the topmost that is hers.
    for below in ["", "/init.scope", "/web/monitor"] {
        assert_eq!(
            base_around(&tree, &format!("{scope}{below}"), uid).as_deref(),
            Some(scope)
        );
    }
    mark(&dir);
    for below in ["", "/init.scope", "/web/monitor"] {
        assert_eq!(
            base_around(&tree, &format!("{scope}{below}"), uid).as_deref(),
            Some(scope)
        );
    }
    let bob = Uid::new(4244).unwrap();
    assert_eq!(
        base_around(&tree, &format!("{scope}/init.scope"), bob),
        None
    );
}

#[test]
fn what_elogind_delegates_in_a_session_is_its_base() {
    let (uid, gid) = alice();
    let tree = Subtree::new();
    let session = tree.make("/c1");
    for dir in [&session, &tree.make("/c1/session")] {
        dir.delegate_to(uid, gid).unwrap();
    }
    assert_eq!(
        base_around(&tree, "/c1/session", uid).as_deref(),
        Some("/c1"),
        "without the second cgroup it is no such layout"
    );
    let delegated = tree.make("/c1/delegated");
    assert_eq!(
        base_around(&tree, "/c1/session", uid).as_deref(),
        Some("/c1"),
        "root's"
    );
    delegated.delegate_to(uid, gid).unwrap();
    assert_eq!(
        base_around(&tree, "/c1/session", uid).as_deref(),
        Some("/c1/delegated")
    );
    assert!(as_alice(&session, "mkdir -p delegated/web/monitor"));
    let container = "/c1/delegated/web/monitor";
    assert_eq!(
        base_around(&tree, container, uid).as_deref(),
        Some("/c1/delegated")
    );
    // Containers of these names in a cgroup of ours are containers.
    tree.make("/c1/init.scope");
    assert_eq!(base_around(&tree, container, uid).as_deref(), Some("/c1"));
}

#[test]
fn the_inside_of_the_service_manager_is_no_base() {
    let (uid, gid) = alice();
    let tree = Subtree::new();
    let manager = "/user.slice/user-4242.slice/user@4242.service";
    let dir = tree.make(manager);
    dir.delegate_to(uid, gid).unwrap();
    mark(&dir);
    assert!(as_alice(
        &dir,
        "mkdir -p app.slice/foo.scope app.slice/lxc.scope/init.scope"
    ));
    let foo = format!("{manager}/app.slice/foo.scope");
    assert_eq!(base_around(&tree, &foo, uid), None);
    // A scope that the manager delegated in its turn is one.
    let lxc = format!("{manager}/app.slice/lxc.scope");
    mark(
        &tree
            .hierarchy()
            .open(&CgroupPath::new(&lxc).unwrap())
            .unwrap(),
    );
    assert_eq!(
        base_around(&tree, &format!("{lxc}/init.scope"), uid),
        Some(lxc)
    );
}

#[test]
fn for_root_only_a_marked_cgroup_is_a_base() {
    let tree = Subtree::new();
    let service = tree.make("/system.slice/berth@web.service/web/monitor");
    let path = "/system.slice/berth@web.service/web/monitor";
    assert_eq!(base_around(&tree, path, Uid::ROOT), None);
    drop(service);
    let path = "/system.slice/berth@web.service";
    mark(
        &tree
            .hierarchy()
            .open(&CgroupPath::new(path).unwrap())
            .unwrap(),
    );
    assert_eq!(
        base_around(&tree, &format!("{path}/web"), Uid::ROOT).as_deref(),
        Some(path)
    );
}

#[test]
fn the_lasting_base_counts_when_it_is_the_users() {
    let (uid, gid) = alice();
    let tree = Subtree::new();
    assert!(
        DelegatedBase::lasting_of(tree.hierarchy(), uid)
            .unwrap()
            .is_none()
    );
    let [service, elsewhere] = lasting_paths(tree.hierarchy(), uid);
    assert!(
        service
            .as_path()
            .ends_with("user.slice/user-4242.slice/berth-user@4242.service")
    );
    for path in [elsewhere, service] {
        let dir = tree.make(path.as_path().to_str().unwrap());
        assert_ne!(
            DelegatedBase::lasting_of(tree.hierarchy(), uid)
                .unwrap()
                .map(|b| b.path().clone()),
            Some(path.clone()),
            "root's"
        );
        dir.delegate_to(uid, gid).unwrap();
        let base = DelegatedBase::lasting_of(tree.hierarchy(), uid)
            .unwrap()
            .unwrap();
        assert_eq!(base.path(), &path);
        assert!(base.is_lasting(tree.hierarchy(), uid));
        assert!(!base.is_lasting(tree.hierarchy(), Uid::new(4244).unwrap()));
    }
}

#[test]
fn a_base_is_emptied_into_its_leaf() {
    let (uid, gid) = alice();
    let tree = Subtree::new();
    let dir = tree.make("base");
    dir.delegate_to(uid, gid).unwrap();
    let sleeper = tree.sleeper(&dir);
    let base = DelegatedBase::around(tree.hierarchy(), CgroupPath::new("/base").unwrap(), uid);
    let base = base.unwrap().unwrap();
    let leaf = base.drain_into_leaf().unwrap();
    assert_eq!(leaf.path().file_name(), Some("init.scope".as_ref()));
    assert_eq!(leaf.processes().unwrap(), [sleeper.pid()]);
    assert!(base.dir().processes().unwrap().is_empty());
    base.drain_into_leaf().unwrap();
    let controllers = base.enable_available_controllers().unwrap();
    assert!(controllers.refused.is_empty(), "{controllers:?}");
}

#[test]
fn a_controller_that_is_not_there_is_refused_with_the_reason() {
    let tree = Subtree::new();
    let dir = tree.make("x");
    let result = dir
        .enable_controllers(["memory", "nonsense", "", "+pids\n"])
        .unwrap();
    assert!(result.enabled.is_empty());
    let errnos: Vec<_> = result
        .refused
        .iter()
        .map(|(_, error)| error.errno())
        .collect();
    assert_eq!(errnos, [Some(libc::ENOENT), Some(libc::EINVAL), None, None]);
}

#[test]
fn a_limit_is_in_force_or_the_error_names_all_of_it() {
    let tree = Subtree::new();
    let dir = tree.make("x");
    LimitSetting::new("cgroup.max.depth", "0")
        .unwrap()
        .apply(&dir)
        .unwrap();
    assert_eq!(dir.make_child("y").unwrap_err().errno(), Some(libc::EAGAIN));
    let error = LimitSetting::new("memory.max", "1G")
        .unwrap()
        .apply(&dir)
        .unwrap_err();
    let text = error.to_string();
    for part in [
        "memory.max",
        "1G",
        "/x",
        "does not reach",
        "Delegate=",
        "cgroup v1",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let error = LimitSetting::new("cgroup.max.depth", "many")
        .unwrap()
        .apply(&dir)
        .unwrap_err();
    assert_eq!(error.errno(), Some(libc::EINVAL));
    assert!(!error.to_string().contains("does not reach"), "{error}");
}

/// Has something to do only where the machine has controllers for version 2.
#[test]
fn limits_of_every_available_controller_are_taken() {
    let tree = Subtree::new();
    let dir = tree.make_with_controllers("a/b");
    for controller in dir.controllers().unwrap() {
        let (file, value) = match &*controller {
            "memory" => ("memory.max", "1073741824"),
            "pids" => ("pids.max", "77"),
            "cpu" => ("cpu.max", "50000 100000"),
            _ => continue,
        };
        let setting = LimitSetting::new(file, value).unwrap();
        setting.apply(&dir).unwrap();
        assert_eq!(dir.read(file).unwrap().trim(), value);
        let error = LimitSetting::new(file, "nonsense")
            .unwrap()
            .apply(&dir)
            .unwrap_err();
        assert!(error.to_string().contains("nonsense"), "{error}");
        assert!(!error.to_string().contains("does not reach"), "{error}");
    }
    let statistics = dir.statistics().unwrap();
    let reaches = |name: &str| dir.controllers().unwrap().iter().any(|c| c == name);
    assert_eq!(statistics.memory.is_some(), reaches("memory"));
    assert_eq!(statistics.tasks.is_some(), reaches("pids"));
}

/// While a process sits in the cgroup itself, its controllers are not handed on: the kernel would
/// take some of them and then let nothing move into the leaf.
#[test]
fn controllers_are_handed_on_after_draining() {
    let (uid, gid) = alice();
    let tree = Subtree::new();
    let dir = tree.make_with_controllers("base");
    dir.delegate_to(uid, gid).unwrap();
    let _sleeper = tree.sleeper(&dir);
    let path = CgroupPath::new("/base").unwrap();
    let base = DelegatedBase::around(tree.hierarchy(), path, uid)
        .unwrap()
        .unwrap();
    let early = base.enable_available_controllers();
    assert!(matches!(early, Err(Error::NotDrained { .. })), "{early:?}");
    assert!(dir.enabled_controllers().unwrap().is_empty());
    base.drain_into_leaf().unwrap();
    assert!(
        base.enable_available_controllers()
            .unwrap()
            .refused
            .is_empty()
    );
    assert_eq!(
        dir.enabled_controllers().unwrap(),
        dir.controllers().unwrap()
    );
}

#[test]
fn statistics_count_what_ran() {
    let tree = Subtree::new();
    let dir = tree.make("x");
    let mut busy = tree.shell(&dir, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    busy.wait();
    let statistics = dir.statistics().unwrap();
    assert!(
        statistics.cpu.unwrap() > Duration::from_millis(1),
        "{statistics:?}"
    );
}

#[test]
fn a_process_is_not_moved_by_the_number_zero() {
    let tree = Subtree::new();
    assert!(matches!(
        tree.top().move_process(0),
        Err(Error::BadPid { pid: 0 })
    ));
    assert!(matches!(
        tree.top().move_process(-5),
        Err(Error::BadPid { pid: -5 })
    ));
    assert!(tree.top().processes().unwrap().is_empty());
    assert_eq!(
        tree.top().move_process(i32::MAX).unwrap_err().errno(),
        Some(libc::ESRCH)
    );
}

#[test]
fn a_base_with_nothing_but_its_holder_is_idle() {
    let tree = Subtree::new();
    let (top, leaf) = (tree.make("base"), tree.make("base/init.scope"));
    let uid = Uid::new(4711).unwrap();
    top.delegate_to(uid, Gid::new(4711).unwrap()).unwrap();
    let path = CgroupPath::new("/base").unwrap();
    let base = DelegatedBase::around(tree.hierarchy(), path, uid)
        .unwrap()
        .unwrap();
    let holder = tree.sleeper(&leaf);
    let is_holder = |pid| pid == holder.pid();
    tree.make("base/left/payload");
    assert!(base.is_idle(is_holder).unwrap());
    assert!(!base.is_idle(|_| false).unwrap());
    let command = tree.sleeper(&leaf);
    assert!(!base.is_idle(is_holder).unwrap());
    drop(command);
    let container = tree.sleeper(&tree.make("base/web/payload"));
    assert!(!base.is_idle(is_holder).unwrap());
    drop(container);
    tree.make("base/web/payload");
    assert!(base.is_idle(is_holder).unwrap());
}
