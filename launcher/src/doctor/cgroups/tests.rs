//! What facts mean: each problem with its words and its remedy.

use super::super::Status;
use super::super::facts::Stack;
use super::*;
use berth_common::Uid;
use std::collections::BTreeMap;

fn base(path: &str) -> Base {
    Base {
        path: path.into(),
        controllers: vec!["cpu".into(), "memory".into(), "pids".into()],
        missing: BTreeMap::new(),
    }
}

/// alice in a session that is as it should be.
fn fine() -> Facts {
    let uid = Uid::new(1000).unwrap();
    Facts {
        uid,
        user: "alice".into(),
        layout: Layout::Unified,
        init: "systemd".into(),
        systemd: Some(252),
        elogind: false,
        path: "/user.slice/user-1000.slice/session-3.scope/init.scope".into(),
        place: Where::Session(Session {
            id: "3".into(),
            of: uid,
            marked: true,
            owner: 1000,
            began: Some(2000),
            service: Some("sshd".into()),
        }),
        own_in_v1: Vec::new(),
        here: Some(base("/user.slice/user-1000.slice/session-3.scope")),
        lasting: Some(base("/user.slice/user-1000.slice/berth-user@1000.service")),
        manager: true,
        lingers: false,
        session_dropin: Some(1000),
        units: true,
        door: Some(Door::Answers),
        stack: Stack {
            installed: true,
            has_module: true,
            switched_off: false,
            after_systemd: true,
            file: "/etc/pam.d/common-session".into(),
            by_pam_auth_update: true,
            changed: 1000,
        },
    }
}

fn with(change: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = fine();
    change(&mut facts);
    facts
}

/// As [`with`], in a session that was not delegated.
fn undelegated(change: impl FnOnce(&mut Facts, &mut Session)) -> Facts {
    let mut facts = fine();
    let Where::Session(mut session) = facts.place.clone() else {
        panic!("{facts:?}");
    };
    facts.here = None;
    change(&mut facts, &mut session);
    facts.place = Where::Session(session);
    facts
}

#[test]
fn all_is_well() {
    let findings = judge(&fine());
    assert!(
        findings.iter().all(|finding| finding.status == Status::Ok),
        "{findings:?}"
    );
    let report = Report::new("cgroups", findings);
    assert!(report.fine && report.text().contains("session 3 is delegated to you"));
}

/// Each thing that can be missing: its words, and what mends it.
#[test]
fn each_problem_has_its_words_and_its_remedy() {
    let other = Uid::new(1001).unwrap();
    let stops = Gap::Stops {
        at: "/user.slice".into(),
    };
    let missing = |name, gap: Gap| {
        with(|facts| {
            let lasting = facts.lasting.as_mut().unwrap();
            lasting.missing.insert(name, gap);
        })
    };
    let cases = [
        (
            with(|f| f.layout = Layout::Hybrid),
            "v1 has the controllers",
            "unified_cgroup",
        ),
        (
            with(|f| f.layout = Layout::Legacy),
            "v1 only",
            "unified_cgroup_hierarchy=1",
        ),
        (
            with(|f| {
                (f.layout, f.systemd) = (Layout::Legacy, None);
                f.own_in_v1 = vec!["memory".into(), "freezer".into()];
            }),
            "v1 only",
            "mount -t cgroup2",
        ),
        (
            with(|f| (f.layout, f.systemd) = (Layout::None, None)),
            "no cgroups",
            "mount -t cgroup2",
        ),
        (
            undelegated(|f, _| f.session_dropin = None),
            "drop-in session-.scope.d/50-berth.conf is missing",
            "xtask install",
        ),
        (
            undelegated(|f, _| f.stack.installed = false),
            "not installed",
            "xtask install",
        ),
        (
            undelegated(|f, _| f.stack.has_module = false),
            "not in the PAM stack of sshd",
            "pam-auth-update --enable",
        ),
        (
            undelegated(|f, _| {
                (f.stack.has_module, f.stack.by_pam_auth_update) = (false, false);
            }),
            "not in the PAM stack of sshd",
            "session optional pam_berth.so",
        ),
        (
            undelegated(|f, _| f.stack.after_systemd = false),
            "does not come after",
            "below pam_systemd.so",
        ),
        (
            undelegated(|_, s| s.began = Some(999)),
            "older than",
            "log out",
        ),
        (
            undelegated(|f, _| f.stack.changed = 2001),
            "older than",
            "log out",
        ),
        (
            undelegated(|_, s| s.marked = false),
            "has not read",
            "daemon-reload",
        ),
        (
            undelegated(|_, s| s.owner = 0),
            "belongs to uid 0",
            "journalctl",
        ),
        (
            missing("memory", stops),
            "cgroup.subtree_control of /user.slice lacks it",
            "systemctl set-property -- user.slice MemoryAccounting=yes",
        ),
        (
            missing("memory", Gap::SwitchedOff),
            "switched off",
            "cgroup_disable=memory",
        ),
        (missing("pids", Gap::InV1), "v1 hierarchy", "findmnt"),
        (
            with(|f| (f.lasting, f.units) = (None, false)),
            "units are not installed",
            "xtask install",
        ),
        (
            with(|f| f.lasting = None),
            "service manager runs",
            "systemctl start berth-user@1000.service berth-session-helper@1000.socket",
        ),
        (
            with(|f| (f.lasting, f.manager) = (None, false)),
            "do not linger",
            "loginctl enable-linger alice",
        ),
        (
            with(|f| (f.lasting, f.manager, f.lingers) = (None, false, true)),
            "though you linger",
            "systemctl start user@1000.service",
        ),
        (
            with(|f| f.door = Some(Door::Missing)),
            "no launch socket",
            "start berth-session-helper@1000.socket",
        ),
        (
            with(|f| f.door = Some(Door::Refuses("another user namespace".into()))),
            "refused: another user namespace",
            "systemctl status",
        ),
        (
            with(|f| (f.lasting, f.systemd) = (None, None)),
            "without systemd pam_berth makes it",
            "log out and in again",
        ),
        (
            with(|f| (f.lasting, f.systemd, f.stack.has_module) = (None, None, false)),
            "without systemd pam_berth makes it",
            "below pam_elogind.so",
        ),
        (
            with(|f| f.door = Some(Door::Fails("silent".into()))),
            "silent",
            "restart berth-session-helper@1000.service",
        ),
    ];
    for (facts, text, remedy) in cases {
        let findings = judge(&facts);
        let problems: Vec<_> = findings
            .iter()
            .filter(|finding| finding.status == Status::Problem)
            .collect();
        let [problem] = problems.as_slice() else {
            panic!("one problem for “{text}”: {findings:?}");
        };
        assert!(problem.text.contains(text), "{text}: {problem:?}");
        let has = problem.remedy.as_deref().unwrap_or_default();
        assert!(has.contains(remedy), "{remedy}: {problem:?}");
    }
    // On version 1, what a login got there.
    let v1 = with(|f| {
        f.layout = Layout::Hybrid;
        f.own_in_v1 = vec!["memory".into(), "freezer".into()];
    });
    let text = Report::new("cgroups", judge(&v1)).text();
    assert!(
        text.contains("of version 1 that are yours: memory freezer"),
        "{text}"
    );
    let v1 = with(|f| f.layout = Layout::Hybrid);
    let text = Report::new("cgroups", judge(&v1)).text();
    assert!(text.contains("name controllers with -c"), "{text}");
    // What nobody need mend is no problem.
    let notes = [
        (
            undelegated(|f, _| f.systemd = Some(247)),
            "systemd 247 cannot do that",
        ),
        (
            undelegated(|f, _| f.stack.switched_off = true),
            "administrator's choice",
        ),
        (
            undelegated(|_, s| s.of = other),
            "session 3 of user 1001 (su or sudo)",
        ),
        (
            with(|f| (f.here, f.place) = (None, Where::Elsewhere)),
            "no login session",
        ),
        (
            with(|f| (f.here, f.place) = (None, Where::Manager)),
            "service manager",
        ),
        (with(|f| f.systemd = Some(249)), "ExitType"),
        (
            with(|f| (f.systemd, f.door) = (None, Some(Door::Missing))),
            "there is no launch service",
        ),
        (missing("io", Gap::NotInKernel), "io does not: the kernel"),
        (
            with(|f| {
                (f.uid, f.door, f.lasting) = (Uid::ROOT, None, None);
            }),
            "root and system users",
        ),
    ];
    for (facts, text) in notes {
        let report = Report::new("cgroups", judge(&facts));
        assert!(report.fine, "{text}: {report:?}");
        assert!(report.text().contains(text), "{text}: {report:?}");
    }
}
