//! The process that opens a session is the same afterwards. A test of its own, since it looks at
//! what belongs to the whole process. Needs root.
#![forbid(unsafe_code)]

mod support;

use pam_berth::arguments::Arguments;
use pam_berth::session::{close, open};
use std::collections::BTreeMap;
use support::{Machine, Script, alice};

/// Umask, signals, credentials, capabilities, threads, as the kernel sees them; descriptors,
/// working directory, environment, limits.
fn state() -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    for line in status.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let kept = [
            "Umask",
            // Not SigQ: it counts the signals of all processes of the user.
            "SigBlk",
            "SigCgt",
            "SigIgn",
            "SigPnd",
            "ShdPnd",
            "Uid",
            "Gid",
            "Groups",
            "Cap",
            "NoNewPrivs",
            "Threads",
        ];
        if kept.iter().any(|prefix| key.starts_with(prefix)) {
            state.insert(key.to_owned(), value.trim().to_owned());
        }
    }
    let mut descriptors: Vec<_> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .map(|target| target.display().to_string())
        // The directory being read here.
        .filter(|target| !target.ends_with("/fd"))
        .collect();
    descriptors.sort();
    state.insert("descriptors".into(), descriptors.join(" "));
    state.insert(
        "directory".into(),
        std::env::current_dir().unwrap().display().to_string(),
    );
    state.insert(
        "environment".into(),
        format!("{:?}", std::env::vars_os().collect::<Vec<_>>()),
    );
    state.insert(
        "limits".into(),
        std::fs::read_to_string("/proc/self/limits").unwrap(),
    );
    state.insert("children".into(), children());
    state
}

fn children() -> String {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap())
        .collect()
}

/// One test, since the tests of a file share a process.
#[test]
fn the_host_process_stays_as_it_was() {
    for (make, late_from, delegated) in [
        (Script::login as fn() -> Script, u32::MAX, true),
        (Script::login, 4, false),
        (
            || Script::login().without("XDG_SESSION_ID"),
            u32::MAX,
            false,
        ),
        (
            || Script {
                user: None,
                ..Script::login()
            },
            u32::MAX,
            false,
        ),
    ] {
        let machine = Machine {
            late_from,
            ..Machine::with_session()
        };
        let before = state();
        let mut pam = make();
        open(&mut pam, &machine, &Arguments::default());
        assert_eq!(before, state());
        close(&mut pam, &machine, &Arguments::default());
        assert_eq!(before, state());
        assert_eq!(machine.scope.is_owned_by(alice().0).unwrap(), delegated);
    }
}
