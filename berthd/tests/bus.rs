//! berthd on a bus: who is served, who is refused, and what one user can do to another. Needs root.

mod private_bus;

use private_bus::{ALICE, BOB, Bus, linger, policy, ran_alone, text, until};
use std::time::{Duration, Instant};

const START: &str = "StartLastingCgroup";
const RELEASE: &str = "ReleaseLastingCgroup";
const REPAIR: &str = "RepairSession";

fn started(uid: u32) -> Vec<String> {
    vec![
        format!("StartUnit berth-user@{uid}.service"),
        format!("StartUnit berth-session-helper@{uid}.socket"),
    ]
}

#[test]
fn who_asks_is_who_the_bus_says_and_policy_decides() {
    if ran_alone() {
        return;
    }
    let bus = Bus::start();
    let refused = bus.ask(ALICE, START).unwrap_err();
    for word in [
        "alice has no login session",
        "enable-linger alice",
        "berthd.toml",
    ] {
        assert!(refused.contains(word), "{word}: {refused}");
    }
    // A mark that alice could have put there is none.
    linger("alice", ALICE);
    bus.ask(ALICE, START).unwrap_err();
    linger("alice", 0);
    bus.ask(ALICE, START).unwrap();
    assert_eq!(bus.jobs(), started(ALICE));
    assert!(
        bus.log().contains("user 4711 (alice), process "),
        "{}",
        bus.log()
    );
    bus.ask(BOB, START).unwrap_err();
    assert_eq!(bus.jobs(), [""; 0]);

    for (rules, served) in [
        ("start-without-session = \"never\"", false),
        ("start-without-session = [\"bob\"]", true),
        ("start-without-session = [\"@bob\"]", true),
        ("start-without-session = [\"@staff\"]", false),
        ("start-without-session = [\"alice\"]", false),
        ("start-without-session = \"granted\"", false),
    ] {
        policy(rules);
        assert_eq!(bus.ask(BOB, START).is_ok(), served, "{rules}");
        std::thread::sleep(Duration::from_secs(3));
    }
    std::fs::write("/var/lib/berth/grants/bob", "").unwrap();
    bus.ask(BOB, START).unwrap();
    let mut with_staff = bus.busctl(BOB, "4712,50");
    policy("start-without-session = [\"@staff\"]");
    let call = [
        "call",
        "org.berth.Manager1",
        "/org/berth/Manager1",
        "org.berth.Manager1",
        START,
    ];
    let output = with_staff.args(call).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    policy("start-without-session = [\"@staff\"\n");
    let wrong = bus.ask(BOB, START).unwrap_err();
    assert!(wrong.contains("/etc/berth/berthd.toml:1:"), "{wrong}");
}

#[test]
fn root_system_users_arguments_and_foreign_names_are_refused() {
    if ran_alone() {
        return;
    }
    let bus = Bus::start();
    linger("alice", 0);
    for uid in [0, 33, 65_534] {
        let refused = bus.ask(uid, START).unwrap_err();
        assert!(refused.contains("root or a system user"), "{refused}");
    }
    let interface = "org.berth.Manager1";
    let arguments = bus.call(ALICE, interface, START, &["u", "4712"]);
    assert!(
        text(&arguments).contains("no arguments"),
        "{}",
        text(&arguments)
    );
    let unknown = bus.call(ALICE, interface, "StartUnit", &["s", "x"]);
    assert!(
        text(&unknown).contains("no method “StartUnit”"),
        "{}",
        text(&unknown)
    );
    let elsewhere = bus
        .busctl(ALICE, "4711")
        .args(["call", interface, "/", interface, START])
        .output()
        .unwrap();
    assert!(!elsewhere.status.success(), "{}", text(&elsewhere));
    assert_eq!(bus.jobs(), [""; 0]);
    let tree = bus
        .busctl(ALICE, "4711")
        .args(["introspect", interface, "/org/berth/Manager1", interface])
        .output()
        .unwrap();
    for method in [START, RELEASE, REPAIR] {
        assert!(text(&tree).contains(method), "{}", text(&tree));
    }
    let steal = bus
        .busctl(ALICE, "4711")
        .args(["call", "org.freedesktop.DBus", "/org/freedesktop/DBus"])
        .args(["org.freedesktop.DBus", "RequestName", "su", interface, "6"])
        .output()
        .unwrap();
    assert!(!steal.status.success(), "{}", text(&steal));
}

#[test]
fn too_many_requests_of_one_user_are_refused_and_others_are_served() {
    if ran_alone() {
        return;
    }
    let bus = Bus::start();
    linger("alice", 0);
    linger("bob", 0);
    let mut clients: Vec<_> = (0..30)
        .map(|_| {
            let mut client = bus.busctl(ALICE, "4711");
            client.args(["call", "org.berth.Manager1", "/org/berth/Manager1"]);
            client.args(["org.berth.Manager1", START]);
            client.stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    bus.ask(BOB, START).unwrap();
    let outputs: Vec<_> = clients
        .drain(..)
        .map(|client| client.wait_with_output().unwrap())
        .collect();
    let served = outputs
        .iter()
        .filter(|output| output.status.success())
        .count();
    let busy = outputs
        .iter()
        .filter(|output| {
            let said = text(output);
            said.contains("ask too often") || said.contains("another request of yours")
        })
        .count();
    assert_eq!(served + busy, 30, "{outputs:?}");
    assert!(served >= 1 && busy >= 1, "{served} {busy}");
    until("alice has paused long enough", || {
        bus.ask(ALICE, START).is_ok()
    });
}

#[test]
fn a_hung_systemd_costs_who_waits_a_bounded_time_and_others_none() {
    if ran_alone() {
        return;
    }
    let mut bus = Bus::start();
    linger("alice", 0);
    linger("bob", 0);
    let unit = "berth-user@4711.service";
    bus.world.lock().unwrap().hang.push(unit.to_owned());
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| bus.ask(ALICE, START));
        until("alice's request is under way", || {
            !bus.world.lock().unwrap().jobs.is_empty()
        });
        bus.ask(BOB, START).unwrap();
        assert!(!waits.is_finished(), "bob was held up");
        let refused = bus.ask(ALICE, START).unwrap_err();
        assert!(refused.contains("another request of yours"), "{refused}");
        let hung = waits.join().unwrap().unwrap_err();
        assert!(hung.contains("no answer in time"), "{hung}");
    });
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "{:?}",
        begin.elapsed()
    );
    let mut world = bus.world.lock().unwrap();
    world.hang.clear();
    world.fail.push(unit.to_owned());
    drop(world);
    let failed = bus.ask(ALICE, START).unwrap_err();
    assert!(
        failed.contains("systemctl status berth-user@4711.service"),
        "{failed}"
    );
    assert_eq!(
        bus.wait_for_end(),
        Some(0),
        "it ends by itself when nobody asks"
    );
}

#[test]
fn only_sessions_of_the_caller_are_repaired() {
    if ran_alone() {
        return;
    }
    let bus = Bus::start();
    let is = |owners: &[Option<u32>]| bus.world.lock().unwrap().sessions = owners.to_vec();
    let refused = bus.ask(ALICE, REPAIR).unwrap_err();
    assert!(refused.contains("in no login session"), "{refused}");
    is(&[Some(BOB)]);
    let refused = bus.ask(ALICE, REPAIR).unwrap_err();
    assert!(refused.contains("session 7 is user-4712's"), "{refused}");
    // logind names a session of hers; the process is not in it.
    is(&[Some(ALICE)]);
    let refused = bus.ask(ALICE, REPAIR).unwrap_err();
    assert!(refused.contains("not in its session's"), "{refused}");
    policy("repair-sessions = false");
    let refused = bus.ask(ALICE, REPAIR).unwrap_err();
    assert!(refused.contains("repair-sessions"), "{refused}");
    policy("");
    std::fs::write(
        "/etc/pam.d/x",
        "session optional pam_berth.so session=none\n",
    )
    .unwrap();
    let refused = bus.ask(ALICE, REPAIR).unwrap_err();
    assert!(
        refused.contains("session=none in /etc/pam.d/x"),
        "{refused}"
    );
}

#[test]
fn what_logind_keeps_is_not_released() {
    if ran_alone() {
        return;
    }
    let bus = Bus::start();
    let active = |unit: &str| {
        let mut world = bus.world.lock().unwrap();
        world.units.insert(unit.to_owned(), "active".to_owned());
    };
    active("berth-user@4711.service");
    active("berth-session-helper@4711.socket");
    linger("alice", 0);
    bus.ask(ALICE, RELEASE).unwrap_err();
    std::fs::remove_file("/var/lib/systemd/linger/alice").unwrap();
    active("user@4711.service");
    bus.ask(ALICE, RELEASE).unwrap_err();
    assert_eq!(bus.jobs(), [""; 0]);
    bus.world.lock().unwrap().units.remove("user@4711.service");
    bus.ask(ALICE, RELEASE).unwrap();
    assert_eq!(
        bus.jobs(),
        [
            "StopUnit berth-session-helper@4711.socket",
            "StopUnit berth-session-helper@4711.service",
            "StopUnit berth-user@4711.service"
        ]
    );
}
