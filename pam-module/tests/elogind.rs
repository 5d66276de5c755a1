//! Sessions that elogind makes, on cgroup v2 without systemd. Needs root.
#![forbid(unsafe_code)]

mod support;

use pam_berth::arguments::Arguments;
use pam_berth::session::{Level, close, open};
use std::time::{Duration, Instant};
use support::{Machine, Script, alice, as_alice, person};

const BASE: &str = "/berth/user-4242";
const BOMB: &str = "while :; do (:) & done";

/// alice's login through sshd, as pam_elogind leaves it.
fn pam(id: &str) -> Script {
    Script::plain(person("alice", 4242, 4243)).set("XDG_SESSION_ID", id)
}

fn login(machine: &Machine, id: &str) -> Script {
    let mut pam = pam(id);
    open(&mut pam, machine, &Arguments::default());
    assert_eq!(pam.lines, [], "nothing to tell");
    pam
}

#[test]
fn a_session_stays_eloginds_and_is_its_users_inside() {
    let machine = Machine::with_elogind("c1");
    login(&machine, "c1");
    assert_eq!(machine.place_of(machine.process), "/c1/init.scope");
    for path in ["/c1", "/c1/init.scope", BASE, "/berth/user-4242/init.scope"] {
        let dir = machine.cgroup(path).unwrap();
        // Out of a session's leaf and back in, no more.
        let hers = path != "/c1/init.scope";
        assert_eq!(dir.is_owned_by(alice().0).unwrap(), hers, "{path}");
        let procs = dir.file_owner("cgroup.procs").unwrap();
        assert_eq!(procs, Some(alice().0.raw()), "{path}");
        assert!(!as_alice(&dir, "echo 5 > cgroup.max.descendants"), "{path}");
    }
    let script = "mkdir web && echo $$ > web/cgroup.procs";
    let session = machine.cgroup("/c1").unwrap();
    assert!(
        !as_alice(&session, script),
        "from outside nobody is moved in"
    );
    assert!(!machine.cgroup(BASE).unwrap().is_populated().unwrap());
    // A second stack of the same session finds it done.
    login(&machine, "c1");
    assert_eq!(machine.place_of(machine.process), "/c1/init.scope");
}

#[test]
fn the_lasting_cgroup_goes_with_the_last_session() {
    let mut machine = Machine::with_elogind("c1");
    let first = machine.process;
    let mut one = login(&machine, "c1");
    machine.scope = machine.tree.make("c2");
    machine.sessions.insert("c2".to_owned(), 4242);
    machine.arrive();
    let mut two = login(&machine, "c2");
    close(&mut two, &machine, &Arguments::default());
    assert!(machine.cgroup(BASE).is_some(), "she has another session");
    assert_eq!(
        machine.place_of(machine.process),
        "/c2/init.scope",
        "the leader stays"
    );
    machine.process = first;
    machine.sessions.remove("c2");
    close(&mut one, &machine, &Arguments::default());
    assert!(machine.cgroup(BASE).is_none());
    assert!(
        machine.cgroup("/c1/init.scope").is_some(),
        "the session is elogind's to remove"
    );
}

#[test]
fn a_session_that_elogind_delegates_itself_is_used_as_it_stands() {
    let mut machine = Machine::with_elogind("c1");
    let (uid, gid) = alice();
    for path in ["c1", "c1/session", "c1/delegated"] {
        machine.tree.make(path).delegate_to(uid, gid).unwrap();
    }
    machine.scope = machine.cgroup("/c1/session").unwrap();
    machine.arrive();
    login(&machine, "c1");
    assert_eq!(machine.place_of(machine.process), "/c1/session");
    let mut names = machine.cgroup("/c1").unwrap().children().unwrap();
    names.sort();
    assert_eq!(names, ["delegated", "session"]);
    assert!(machine.cgroup(BASE).is_some());
}

#[test]
fn other_peoples_sessions_are_left_alone() {
    // A variable that the user brought along names a session that is not his.
    let mut machine = Machine::with_elogind("c1");
    machine.sessions.insert("c1".to_owned(), 4300);
    let mut forged = pam("c1");
    open(&mut forged, &machine, &Arguments::parse(["debug"]));
    assert!(
        forged.lines[0].1.contains("not the scope"),
        "{:?}",
        forged.lines
    );
    assert!(machine.is_untouched());

    // su inside somebody's session: elogind wants it to stay there.
    let mut su = Script::plain(person("alice", 4242, 4243));
    open(&mut su, &machine, &Arguments::default());
    assert_eq!(su.lines, []);
    assert!(machine.is_untouched());
    assert!(
        machine
            .cgroup(BASE)
            .unwrap()
            .is_owned_by(alice().0)
            .unwrap()
    );
    close(&mut su, &machine, &Arguments::default());
    assert!(machine.cgroup(BASE).is_none());
}

#[test]
fn a_session_that_elogind_does_not_know_is_in_the_lasting_cgroup() {
    let mut machine = Machine::with_elogind("c1");
    machine.scope = machine.tree.make("openrc.cronie");
    let cron = machine.arrive();
    let mut pam = Script::plain(person("alice", 4242, 4243));
    open(&mut pam, &machine, &Arguments::default());
    assert_eq!(machine.place_of(cron), "/berth/user-4242/init.scope");
    close(&mut pam, &machine, &Arguments::default());
    assert_eq!(machine.place_of(cron), "/openrc.cronie");
}

#[test]
fn with_session_none_the_session_is_untouched() {
    let machine = Machine::with_elogind("c1");
    let mut pam = pam("c1");
    open(&mut pam, &machine, &Arguments::parse(["session=none"]));
    assert!(machine.is_untouched());
    assert!(
        machine
            .cgroup(BASE)
            .unwrap()
            .is_owned_by(alice().0)
            .unwrap()
    );
}

#[test]
fn limits_hold_in_the_session_and_in_the_lasting_cgroup() {
    let mut machine = Machine::with_elogind("c1");
    machine.limits = vec![(
        "a.conf".to_owned(),
        "alice cgroup.max.descendants 3\n".to_owned(),
    )];
    login(&machine, "c1");
    for path in ["/c1", BASE] {
        let dir = machine.cgroup(path).unwrap();
        assert_eq!(dir.read("cgroup.max.descendants").unwrap().trim(), "3");
        assert!(
            !as_alice(&dir, "echo max > cgroup.max.descendants"),
            "{path}"
        );
    }
}

#[test]
fn a_session_left_by_somebody_else_is_not_taken() {
    let machine = Machine::with_elogind("c1");
    let mallory = berth_common::Uid::new(4244).unwrap();
    machine.scope.delegate_to(mallory, alice().1).unwrap();
    let mut pam = pam("c1");
    open(&mut pam, &machine, &Arguments::parse(["debug"]));
    let [(Level::Debug, line)] = &pam.lines[..] else {
        panic!("one line expected: {:?}", pam.lines);
    };
    assert!(line.contains("4244"), "{line}");
    assert_eq!(machine.place_of(machine.process), "/c1");
}

#[test]
fn what_ended_sessions_left_goes_at_a_later_login() {
    let mut machine = Machine::with_elogind("c1");
    login(&machine, "c1");
    machine.sleepers.clear();
    // Sessions that are alive, unknown but in use, or not given to anybody.
    let kept = ["c3", "c4", "c5"];
    for id in kept {
        machine.tree.make(id);
    }
    for id in ["c3", "c4"] {
        let dir = machine.cgroup(&format!("/{id}")).unwrap();
        dir.delegate_to(alice().0, alice().1).unwrap();
    }
    machine.sessions.insert("c3".to_owned(), 4242);
    let _lives = machine.tree.sleeper(&machine.cgroup("/c4").unwrap());
    machine.sessions.insert("c2".to_owned(), 4242);
    machine.scope = machine.tree.make("c2");
    machine.arrive();
    login(&machine, "c2");
    assert!(machine.cgroup("/c1").is_some(), "elogind knows it");
    machine.sessions.remove("c1");
    machine.scope = machine.tree.make("c6");
    machine.sessions.insert("c6".to_owned(), 4242);
    machine.arrive();
    login(&machine, "c6");
    assert!(machine.cgroup("/c1").is_some(), "it is young");
    machine.later = 3600;
    machine.scope = machine.tree.make("c7");
    machine.sessions.insert("c7".to_owned(), 4242);
    machine.arrive();
    login(&machine, "c7");
    assert!(machine.cgroup("/c1").is_none());
    for id in kept {
        assert!(machine.cgroup(&format!("/{id}")).is_some(), "{id}");
    }
}

#[test]
fn time_may_run_out_at_any_step() {
    let mut steps = 0;
    loop {
        let mut machine = Machine::with_elogind("c1");
        machine.late_from = 2 + steps;
        let mut late = pam("c1");
        open(&mut late, &machine, &Arguments::default());
        if late.lines.is_empty() {
            break;
        }
        assert!(late.lines[0].1.contains("deadline="), "{:?}", late.lines);
        assert_eq!(
            machine.cgroup("/c1").unwrap().owner().unwrap(),
            (0, 0),
            "at step {steps}"
        );
        machine.late_from = u32::MAX;
        machine.asked.set(0);
        login(&machine, "c1");
        assert!(
            machine
                .cgroup("/c1")
                .unwrap()
                .is_owned_by(alice().0)
                .unwrap()
        );
        assert_eq!(machine.place_of(machine.process), "/c1/init.scope");
        steps += 1;
    }
    assert!(
        steps >= 10,
        "the clock is looked at before every step: {steps}"
    );
}

#[test]
fn a_fork_bomb_holds_no_login_up() {
    let mut machine = Machine::with_elogind("c1");
    let mut first = login(&machine, "c1");
    // In her first session and in the lasting cgroup, when she logs in again and out.
    let bombs = ["/c1/init.scope", "/berth/user-4242/init.scope"].map(|path| {
        let dir = machine.cgroup(path).unwrap();
        machine.tree.shell(&dir, BOMB)
    });
    let begin = Instant::now();
    let session = machine.process;
    machine.scope = machine.tree.make("c2");
    machine.sessions.insert("c2".to_owned(), 4242);
    machine.arrive();
    let mut second = login(&machine, "c2");
    assert_eq!(machine.place_of(machine.process), "/c2/init.scope");
    close(&mut second, &machine, &Arguments::default());
    machine.process = session;
    machine.sessions.remove("c2");
    close(&mut first, &machine, &Arguments::default());
    // It lives there: nobody ends it, and nothing is removed under it.
    assert!(machine.cgroup(BASE).is_some());
    // In the very session that is being opened.
    machine.scope = machine.tree.make("c3");
    machine.sessions.insert("c3".to_owned(), 4242);
    machine.arrive();
    let third = machine.tree.shell(&machine.scope, BOMB);
    open(&mut pam("c3"), &machine, &Arguments::default());
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
    drop((bombs, third));
}
