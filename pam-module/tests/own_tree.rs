//! Sessions on hosts without systemd and elogind: the tree of users is the module's own. Needs
//! root.
#![forbid(unsafe_code)]

mod support;

use berth_cgroups::DelegationSet;
use berth_kernel::fs;
use pam_berth::arguments::Arguments;
use pam_berth::session::{Level, close, open};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;
use support::{Machine, Script, alice, as_alice, person};

const BASE: &str = "/berth/user-4242";
const LEAF: &str = "/berth/user-4242/init.scope";

fn her() -> pam_berth::session::Person {
    person("alice", 4242, 4243)
}

/// Opens a session of alice's; nothing may have gone wrong.
fn login(machine: &Machine) -> Script {
    let mut pam = Script::plain(her());
    open(&mut pam, machine, &Arguments::default());
    assert_eq!(pam.lines, [], "nothing to tell");
    pam
}

/// The session's programs end, and it is closed by the process that opened it.
fn logout(machine: &Machine, mut pam: Script) {
    close(&mut pam, machine, &Arguments::parse(["debug"]));
    assert_eq!(pam.lines, [], "nothing to tell");
}

#[test]
fn the_first_login_makes_it_the_next_uses_it_and_the_last_logout_removes_it() {
    let mut machine = Machine::without_manager();
    let first = machine.process;
    let pam = login(&machine);
    assert_eq!(machine.place_of(first), LEAF);
    let (uid, gid) = alice();
    let (tree, base) = (
        machine.cgroup("/berth").unwrap(),
        machine.cgroup(BASE).unwrap(),
    );
    assert_eq!(tree.owner().unwrap(), (0, 0));
    let listed: Vec<_> = DelegationSet::of_kernel()
        .unwrap()
        .files()
        .map(str::to_owned)
        .collect();
    for dir in [&base, &machine.cgroup(LEAF).unwrap()] {
        assert_eq!(dir.owner().unwrap(), (uid.raw(), gid.raw()));
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_file() {
                let his = entry.metadata().unwrap().uid() == uid.raw();
                assert_eq!(his, listed.contains(&name), "{name}");
            }
        }
    }
    // She makes cgroups and moves herself there; what is above is not hers.
    assert!(as_alice(
        &base,
        "mkdir web && test -w web/cgroup.procs && rmdir web"
    ));
    assert!(!as_alice(&base, "echo 5 > cgroup.max.descendants"));
    assert!(!as_alice(&tree, "mkdir x"));

    let second = machine.arrive();
    let again = login(&machine);
    assert_eq!(machine.place_of(second), LEAF);
    assert_eq!(machine.place_of(first), LEAF, "several sessions at once");
    logout(&machine, again);
    assert_eq!(
        machine.place_of(second),
        "/openrc.sshd",
        "back to where it came from"
    );
    assert_eq!(machine.place_of(first), LEAF, "the other session stays");
    machine.process = first;
    logout(&machine, pam);
    assert_eq!(machine.place_of(first), "/openrc.sshd");
    assert!(machine.cgroup(BASE).is_none(), "the last one takes it away");
    for sleeper in &mut machine.sleepers {
        assert!(!sleeper.has_ended(), "nothing is killed");
    }
}

#[test]
fn it_stays_where_containers_run_or_start_at_boot() {
    let mut machine = Machine::without_manager();
    let pam = login(&machine);
    let base = machine.cgroup(BASE).unwrap();
    assert!(as_alice(&base, "mkdir -p web/payload old/payload"));
    let mut container = machine
        .tree
        .sleeper(&machine.cgroup("/berth/user-4242/web/payload").unwrap());
    logout(&machine, pam);
    assert!(!container.has_ended());
    assert!(machine.cgroup("/berth/user-4242/web/payload").is_some());
    drop(container);

    machine.boot.push("alice".to_owned());
    let pam = login(&machine);
    logout(&machine, pam);
    assert!(machine.cgroup(BASE).is_some());
    machine.later = 3600;
    let bob = Script::plain(person("bob", 4300, 4300));
    let mut pam = bob;
    machine.arrive();
    open(&mut pam, &machine, &Arguments::default());
    assert!(
        machine.cgroup(BASE).is_some(),
        "other logins leave it alone, too"
    );

    machine.boot.clear();
    machine.arrive();
    let pam = login(&machine);
    logout(&machine, pam);
    assert!(
        machine.cgroup(BASE).is_none(),
        "with what was left empty in it"
    );
}

#[test]
fn what_crashed_sessions_left_goes_at_somebody_elses_login() {
    let mut machine = Machine::without_manager();
    login(&machine);
    machine.sleepers.clear();
    let bob = || Script::plain(person("bob", 4300, 4300));
    machine.arrive();
    open(&mut bob(), &machine, &Arguments::default());
    assert!(machine.cgroup(BASE).is_some(), "it may be about to be used");
    machine.later = 3600;
    machine.arrive();
    open(&mut bob(), &machine, &Arguments::default());
    assert!(machine.cgroup(BASE).is_none());
    assert!(machine.cgroup("/berth/user-4300/init.scope").is_some());
}

#[test]
fn somebody_else_in_her_session_gets_his_own_and_leaves_hers() {
    let mut machine = Machine::without_manager();
    login(&machine);
    machine.scope = machine.cgroup(LEAF).unwrap();
    let su = machine.arrive();
    let mut pam = Script::plain(person("bob", 4300, 4300));
    open(&mut pam, &machine, &Arguments::default());
    assert_eq!(machine.place_of(su), "/berth/user-4300/init.scope");
    assert_eq!(machine.cgroup(LEAF).unwrap().processes().unwrap().len(), 1);
    close(&mut pam, &machine, &Arguments::default());
    assert_eq!(machine.place_of(su), LEAF);
    assert!(machine.cgroup("/berth/user-4300").is_none());

    // Her own su stays where it is, and its end does not end her session.
    let pam = login(&machine);
    assert_eq!(machine.place_of(su), LEAF);
    logout(&machine, pam);
    assert_eq!(machine.place_of(su), LEAF);
}

#[test]
fn with_session_none_it_is_made_and_nobody_moves() {
    let machine = Machine::without_manager();
    let mut pam = Script::plain(her());
    open(&mut pam, &machine, &Arguments::parse(["session=none"]));
    assert_eq!(machine.place_of(machine.process), "/openrc.sshd");
    let base = machine.cgroup(BASE).unwrap();
    assert!(base.is_owned_by(alice().0).unwrap());
    assert!(!base.is_populated().unwrap());
    close(&mut pam, &machine, &Arguments::default());
    assert!(machine.cgroup(BASE).is_none());
}

#[test]
fn limits_are_set_above_what_is_hers() {
    let mut machine = Machine::without_manager();
    let text = "* cgroup.max.descendants 9\n@crew cgroup.max.depth 5\n\
                alice cgroup.max.descendants 4\nbob cgroup.max.descendants 1\n";
    machine.limits = vec![("/etc/berth/limits.d/a.conf".to_owned(), text.to_owned())];
    machine.groups = "crew:x:4250:bob,alice\n".to_owned();
    login(&machine);
    let base = machine.cgroup(BASE).unwrap();
    assert_eq!(base.read("cgroup.max.descendants").unwrap().trim(), "4");
    assert_eq!(base.read("cgroup.max.depth").unwrap().trim(), "5");
    for file in ["cgroup.max.descendants", "cgroup.max.depth"] {
        assert_eq!(base.file_owner(file).unwrap(), Some(0));
        assert!(!as_alice(&base, &format!("echo max > {file}")));
    }
    // The leaf counts, too.
    assert!(as_alice(&base, "mkdir a b c"));
    assert!(!as_alice(&base, "mkdir d"));
}

#[test]
fn limits_that_are_not_in_force_are_told_and_the_login_goes_on() {
    let mut machine = Machine::without_manager();
    let text = "alice cgroup.max.depth seven\nalice cgroup.max.dep 1\nalice\n";
    machine.limits = vec![("a.conf".to_owned(), text.to_owned())];
    let mut pam = Script::plain(her());
    open(&mut pam, &machine, &Arguments::default());
    let [(Level::Warning, line)] = &pam.lines[..] else {
        panic!("one line expected: {:?}", pam.lines);
    };
    for part in [
        "a.conf:1: ",
        "cgroup.max.depth",
        "seven",
        "a.conf:2: ",
        "a.conf:3: ",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(machine.place_of(machine.process), LEAF);
}

/// What a user can prepare between two of his logins.
#[test]
fn a_planted_leaf_holds_nobody_up() {
    let mut machine = Machine::without_manager();
    machine.boot.push("alice".to_owned());
    let pam = login(&machine);
    logout(&machine, pam);
    let base = machine.cgroup(BASE).unwrap();
    let script = "rmdir init.scope && mkdir -p init.scope/x/y && echo 1 > init.scope/cgroup.freeze";
    assert!(as_alice(&base, script));
    let pam = login(&machine);
    let leaf = machine.cgroup(LEAF).unwrap();
    assert_eq!(leaf.processes().unwrap(), [machine.process]);
    assert_eq!(leaf.read("cgroup.freeze").unwrap().trim(), "0");
    assert_eq!(
        leaf.file_owner("cgroup.freeze").unwrap(),
        Some(0),
        "made by root again"
    );
    assert!(leaf.is_owned_by(alice().0).unwrap());
    logout(&machine, pam);
    drop(leaf);

    // In use, it cannot be removed: the login stays outside.
    let script = "rmdir init.scope && mkdir init.scope && echo 1 > init.scope/cgroup.freeze";
    assert!(as_alice(&base, script));
    let _inside = machine.tree.sleeper(&machine.cgroup(LEAF).unwrap());
    let mut pam = Script::plain(her());
    open(&mut pam, &machine, &Arguments::default());
    let [(Level::Warning, line)] = &pam.lines[..] else {
        panic!("one line expected: {:?}", pam.lines);
    };
    assert!(line.contains("init.scope was made by uid 4242"), "{line}");
    assert_eq!(machine.place_of(machine.process), "/openrc.sshd");
    machine.cgroup(LEAF).unwrap().freeze(false).unwrap();
}

#[test]
fn what_is_not_roots_is_not_touched() {
    for path in ["/berth", "/berth/user-4242"] {
        let machine = Machine::without_manager();
        let planted = machine.tree.make(path);
        let mallory = berth_common::Uid::new(4244);
        fs::chown(planted.as_fd(), mallory, None).unwrap();
        let mut pam = Script::plain(her());
        open(&mut pam, &machine, &Arguments::default());
        assert_eq!(pam.lines.len(), 1, "{:?}", pam.lines);
        assert!(pam.lines[0].1.contains("uid 4244"), "{:?}", pam.lines);
        assert_eq!(machine.place_of(machine.process), "/openrc.sshd");
        assert!(planted.children().unwrap().is_empty());
    }
}

/// Lets time run out before every single step. Whatever was done by then, a later login completes
/// it.
#[test]
fn time_may_run_out_at_any_step() {
    let mut steps = 0;
    loop {
        let mut machine = Machine::without_manager();
        machine.late_from = 2 + steps;
        let mut pam = Script::plain(her());
        open(&mut pam, &machine, &Arguments::default());
        if pam.lines.is_empty() {
            break;
        }
        assert!(pam.lines[0].1.contains("deadline="), "{:?}", pam.lines);
        assert_eq!(machine.place_of(machine.process), "/openrc.sshd");
        machine.late_from = u32::MAX;
        login(&machine);
        assert!(
            machine
                .cgroup(BASE)
                .unwrap()
                .is_owned_by(alice().0)
                .unwrap()
        );
        assert_eq!(machine.place_of(machine.process), LEAF);
        steps += 1;
    }
    assert!(
        steps >= 6,
        "the clock is looked at before every step: {steps}"
    );
}

#[test]
fn a_fork_bomb_holds_no_login_up() {
    let mut machine = Machine::without_manager();
    let first = login(&machine);
    let bomb = machine
        .tree
        .shell(&machine.cgroup(LEAF).unwrap(), "while :; do (:) & done");
    let begin = Instant::now();
    machine.arrive();
    let second = login(&machine);
    logout(&machine, second);
    logout(&machine, first);
    assert!(machine.cgroup(LEAF).is_some(), "the bomb lives there");
    // Somebody else, whose login looks at what others left.
    machine.arrive();
    let mut pam = Script::plain(person("bob", 4300, 4300));
    open(&mut pam, &machine, &Arguments::default());
    assert_eq!(pam.lines, []);
    assert_eq!(
        machine.place_of(machine.process),
        "/berth/user-4300/init.scope"
    );
    close(&mut pam, &machine, &Arguments::default());
    assert!(
        begin.elapsed() < std::time::Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
    drop(bomb);
}
