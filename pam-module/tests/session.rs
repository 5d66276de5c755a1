//! What opening a session does to the cgroups of the kernel that runs the tests. Needs root.
#![forbid(unsafe_code)]

mod support;

use berth_cgroups::{CgroupPath, DelegationSet};
use berth_common::Uid;
use berth_kernel::fs;
use pam_berth::arguments::Arguments;
use pam_berth::session::{Level, open};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};
use support::{Machine, SCOPE, Script, alice, person};

/// What in a cgroup's directory belongs to somebody else than root.
fn given_away(path: &std::path::Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .filter(|entry| entry.metadata().unwrap().uid() != 0)
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_login_gets_its_scope_and_sits_in_the_leaf() {
    let machine = Machine::with_session();
    let mut pam = Script::login();
    open(&mut pam, &machine, &Arguments::default());
    assert_eq!(pam.lines, [], "nothing to tell");
    let (uid, gid) = alice();
    let leaf = machine.scope.child("init.scope").unwrap();
    assert!(machine.scope.processes().unwrap().is_empty());
    assert_eq!(leaf.processes().unwrap().len(), 2);
    let mut listed: Vec<_> = DelegationSet::of_kernel()
        .unwrap()
        .files()
        .map(str::to_owned)
        .collect();
    listed.sort();
    // The leaf is only to be left and come back to.
    let owners = [(uid.raw(), gid.raw()), (0, 0)];
    for (dir, owner) in [&machine.scope, &leaf].into_iter().zip(owners) {
        assert_eq!(dir.owner().unwrap(), owner);
        assert_eq!(fs::status(dir.as_fd()).unwrap().permissions(), 0o755);
        let there: Vec<_> = listed
            .iter()
            .filter(|name| dir.path().join(name).exists())
            .cloned()
            .collect();
        assert_eq!(given_away(dir.path()), there);
        assert!(there.len() >= 3, "{there:?}");
    }
    assert_eq!(
        machine.scope.enabled_controllers().unwrap(),
        machine.scope.controllers().unwrap()
    );

    // A second stack that opens the same session finds it done.
    let mut again = Script::login();
    open(&mut again, &machine, &Arguments::default());
    assert_eq!(again.lines, []);
    assert_eq!(leaf.processes().unwrap().len(), 2);
}

#[test]
fn a_scope_that_logind_delegated_itself_gets_its_leaf() {
    let machine = Machine::with_session();
    let (uid, gid) = alice();
    machine.scope.delegate_to(uid, gid).unwrap();
    open(&mut Script::login(), &machine, &Arguments::default());
    let leaf = machine.scope.child("init.scope").unwrap();
    assert!(given_away(leaf.path()).contains(&"cgroup.procs".into()));
    assert_eq!(leaf.processes().unwrap().len(), 2);
}

/// As the patched logind leaves it: the scope is hers, its processes are in a leaf of root's.
fn delegated_by_logind() -> Machine {
    let mut machine = Machine::with_session();
    let (uid, gid) = alice();
    machine.scope.delegate_to(uid, gid).unwrap();
    let leaf = machine.scope.make_child("init.scope").unwrap();
    for sleeper in &machine.sleepers {
        leaf.move_process(sleeper.pid()).unwrap();
    }
    let procs = "cgroup.procs".as_ref();
    fs::chown_at(leaf.as_fd(), procs, Some(uid), Some(gid)).unwrap();
    machine.path = machine.path.child("init.scope").unwrap();
    machine
}

#[test]
fn of_a_scope_that_logind_delegated_with_its_leaf_only_the_rest_is_done() {
    let machine = delegated_by_logind();
    let changed = |name: &str| {
        let meta = std::fs::metadata(machine.scope.path().join(name)).unwrap();
        (meta.ctime(), meta.ctime_nsec())
    };
    let before = [".", "cgroup.procs", "cgroup.threads"].map(changed);
    let mut pam = Script::login();
    open(&mut pam, &machine, &Arguments::parse(["debug"]));
    let [(Level::Debug, line)] = &pam.lines[..] else {
        panic!("{:?}", pam.lines);
    };
    assert!(line.contains(&format!("delegated {SCOPE}")), "{line}");
    assert_eq!([".", "cgroup.procs", "cgroup.threads"].map(changed), before);
    let leaf = machine.scope.child("init.scope").unwrap();
    assert_eq!(leaf.owner().unwrap(), (0, 0));
    assert_eq!(leaf.processes().unwrap().len(), 2);
    assert!(given_away(leaf.path()).contains(&"cgroup.procs".into()));
    assert_eq!(
        machine.scope.enabled_controllers().unwrap(),
        machine.scope.controllers().unwrap()
    );
    let slice = machine.cgroup("/user.slice/user-4242.slice").unwrap();
    let open_to_her = !slice.enabled_controllers().unwrap().is_empty();
    assert_eq!(slice_file(&machine).0 == alice().0.raw(), open_to_her);

    // session=none is for the slice, too, when logind does not know of it.
    open(
        &mut Script::login(),
        &machine,
        &Arguments::parse(["session=none"]),
    );
    assert_eq!(slice_file(&machine), (0, 0o644));
}

#[test]
fn a_leaf_is_looked_out_of_only_once() {
    let mut machine = delegated_by_logind();
    machine.path = machine.path.child("init.scope").unwrap();
    let mut pam = Script::login();
    open(&mut pam, &machine, &Arguments::parse(["debug"]));
    let [(Level::Debug, line)] = &pam.lines[..] else {
        panic!("{:?}", pam.lines);
    };
    assert!(line.contains("is not the scope"), "{line}");
}

#[test]
fn sessions_that_are_not_to_be_delegated_stay_as_they_are() {
    let machine = Machine::with_session();
    let other = |uid| Some(person("other", uid, 0));
    let cases = [
        (
            "systemd-user",
            Script {
                service: Some("systemd-user".into()),
                ..Script::login()
            },
        ),
        (
            "greeter",
            Script::login().set("XDG_SESSION_CLASS", "greeter"),
        ),
        (
            "manager",
            Script::login().set("XDG_SESSION_CLASS", "manager"),
        ),
        (
            "lock-screen",
            Script::login().set("XDG_SESSION_CLASS", "lock-screen"),
        ),
        ("none", Script::login().set("XDG_SESSION_CLASS", "none")),
        ("pam_systemd", Script::login().without("XDG_SESSION_ID")),
        ("pam_systemd", Script::login().set("XDG_SESSION_ID", "")),
        (
            "pam_systemd",
            Script::login().set("XDG_SESSION_ID", "3.scope/../3"),
        ),
        ("not the scope", Script::login().set("XDG_SESSION_ID", "4")),
        (
            "not the scope",
            Script {
                user: other(4244),
                ..Script::login()
            },
        ),
        (
            "no person",
            Script {
                user: other(0),
                ..Script::login()
            },
        ),
        (
            "no person",
            Script {
                user: other(33),
                ..Script::login()
            },
        ),
        (
            "no person",
            Script {
                user: None,
                ..Script::login()
            },
        ),
    ];
    for (reason, mut pam) in cases {
        open(&mut pam, &machine, &Arguments::parse(["debug"]));
        assert!(machine.is_untouched(), "{reason}");
        let [(Level::Debug, line)] = &pam.lines[..] else {
            panic!("{reason}: one line expected: {:?}", pam.lines);
        };
        assert!(line.contains(reason), "{reason}: {line}");
        assert!(pam.user_asked <= 1);
        pam.lines.clear();
        open(&mut pam, &machine, &Arguments::default());
        assert_eq!(pam.lines, [], "without debug there is nothing to tell");
    }
}

#[test]
fn the_name_service_is_asked_only_for_a_session_of_its_own() {
    let machine = Machine::with_session();
    for mut pam in [
        Script::login().without("XDG_SESSION_ID"),
        Script::login().set("XDG_SESSION_ID", "4"),
        Script {
            service: Some("systemd-user".into()),
            ..Script::login()
        },
    ] {
        open(&mut pam, &machine, &Arguments::default());
        assert_eq!(pam.user_asked, 0);
    }
    let mut pam = Script::login();
    open(&mut pam, &machine, &Arguments::default());
    assert_eq!(pam.user_asked, 1);
}

#[test]
fn an_unmarked_scope_is_systemds_alone() {
    let machine = Machine::with_session();
    fs::set_xattr(machine.scope.as_fd(), "trusted.delegate", b"0").unwrap();
    let mut pam = Script::login();
    open(&mut pam, &machine, &Arguments::parse(["debug"]));
    assert!(machine.is_untouched());
    assert!(pam.lines[0].1.contains("50-berth.conf"), "{:?}", pam.lines);
}

#[test]
fn somebody_elses_scope_of_that_name_is_left_alone() {
    let machine = Machine::with_session();
    let mallory = Uid::new(4244).unwrap();
    fs::chown(machine.scope.as_fd(), Some(mallory), None).unwrap();
    open(&mut Script::login(), &machine, &Arguments::default());
    assert_eq!(machine.scope.owner().unwrap().0, 4244);
    assert!(machine.scope.children().unwrap().is_empty());
}

#[test]
fn switched_off_or_unprivileged_it_does_nothing() {
    let mut machine = Machine::with_session();
    open(
        &mut Script::login(),
        &machine,
        &Arguments::parse(["session=none"]),
    );
    assert!(machine.is_untouched());
    machine.root = false;
    open(&mut Script::login(), &machine, &Arguments::default());
    assert!(machine.is_untouched());
}

#[test]
fn a_session_that_is_already_gone_costs_one_line() {
    let mut machine = Machine::with_session();
    machine.path = CgroupPath::new("/user.slice/user-4242.slice/session-9.scope").unwrap();
    let mut pam = Script::login().set("XDG_SESSION_ID", "9");
    open(&mut pam, &machine, &Arguments::default());
    let [(Level::Warning, line)] = &pam.lines[..] else {
        panic!("one line expected: {:?}", pam.lines);
    };
    assert!(
        line.contains("session-9.scope") && line.contains("not delegated"),
        "{line}"
    );
}

/// The slice's file by which a user may move processes between her sessions: its owner and mode.
fn slice_file(machine: &Machine) -> (u32, u32) {
    let slice = machine.cgroup("/user.slice/user-4242.slice").unwrap();
    let status = fs::status_at(slice.as_fd(), "cgroup.procs".as_ref()).unwrap();
    (status.uid, status.permissions())
}

#[test]
fn with_attach_any_one_file_of_the_slice_is_hers_and_nothing_else() {
    let machine = Machine::with_session();
    open(&mut Script::login(), &machine, &Arguments::default());
    let slice = machine.cgroup("/user.slice/user-4242.slice").unwrap();
    // Where the machine has no controllers to keep processes out of the slice, it stays closed.
    let expected = if slice.enabled_controllers().unwrap().is_empty() {
        vec![]
    } else {
        vec!["cgroup.procs".to_owned()]
    };
    assert_eq!(given_away(slice.path()), expected);
    assert_eq!(slice.owner().unwrap(), (0, 0));
    assert_eq!(slice_file(&machine).1, 0o644);
}

#[test]
fn attach_session_and_session_none_take_it_back() {
    for word in ["attach=session", "session=none"] {
        let machine = Machine::with_session();
        let slice = machine.cgroup("/user.slice/user-4242.slice").unwrap();
        let file = "cgroup.procs".as_ref();
        fs::chown_at(slice.as_fd(), file, Some(alice().0), None).unwrap();
        fs::chmod_at(slice.as_fd(), file, 0o666).unwrap();
        let mut pam = Script::login();
        // A session that is none of this login's takes nothing from anybody.
        let mut other = Script::login().set("XDG_SESSION_ID", "4");
        open(&mut other, &machine, &Arguments::parse([word]));
        assert_eq!(slice_file(&machine), (alice().0.raw(), 0o666), "{word}");
        open(&mut pam, &machine, &Arguments::parse([word]));
        assert_eq!(pam.lines, [], "{word}");
        assert_eq!(slice_file(&machine), (0, 0o644), "{word}");
    }
}

/// Lets time run out before every single step. Whatever was done by then, the scope is still
/// root's, and a later opening completes it.
#[test]
fn time_may_run_out_at_any_step() {
    let mut steps = 0;
    loop {
        let mut machine = Machine::with_session();
        // The first look at the clock starts it.
        machine.late_from = 2 + steps;
        let mut pam = Script::login();
        open(&mut pam, &machine, &Arguments::default());
        if pam.lines.is_empty() {
            break;
        }
        let [(Level::Warning, line)] = &pam.lines[..] else {
            panic!("one line expected: {:?}", pam.lines);
        };
        assert!(line.contains("deadline=500"), "{line}");
        // The last step is about other sessions, and this one is the user's by then.
        let owner = machine.scope.owner().unwrap();
        if line.contains("but without attaching from other sessions") {
            assert_eq!(owner, (alice().0.raw(), alice().1.raw()));
        } else {
            assert_eq!(owner, (0, 0), "at step {steps}");
        }
        machine.late_from = u32::MAX;
        let mut again = Script::login();
        open(&mut again, &machine, &Arguments::default());
        assert_eq!(again.lines, [], "after step {steps}");
        assert!(machine.scope.is_owned_by(alice().0).unwrap());
        steps += 1;
    }
    assert!(
        steps >= 5,
        "the clock is looked at before every step: {steps}"
    );
}

#[test]
fn a_fork_bomb_does_not_hold_a_login_up() {
    let machine = Machine::with_session();
    let _bomb = machine.tree.shell(&machine.scope, "while :; do (:) & done");
    let mut pam = Script::login();
    let start = Instant::now();
    open(&mut pam, &machine, &Arguments::default());
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(pam.lines.len() <= 1, "{:?}", pam.lines);
}

#[test]
fn unknown_arguments_cost_one_line_and_nothing_else() {
    let machine = Machine::with_session();
    let mut pam = Script::login();
    open(
        &mut pam,
        &machine,
        &Arguments::parse(["-d", "freezer,memory", "x\ny"]),
    );
    let [(Level::Warning, line)] = &pam.lines[..] else {
        panic!("one line expected: {:?}", pam.lines);
    };
    assert!(line.contains("“-d”") && !line.contains('\n'), "{line}");
    assert!(machine.scope.is_owned_by(alice().0).unwrap());
}
